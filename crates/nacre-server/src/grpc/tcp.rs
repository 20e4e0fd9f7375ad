//! What the kernel knows of a TCP connection that does not answer: whether what we sent was taken by the other machine. A
//! process that is stopped leaves its kernel answering; a cut network or a machine that is gone does not.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::LazyLock,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::connections::Peer;

/// When many fall silent at once the table is read once.
const FRESH: Duration = Duration::from_millis(500);

type Table = HashMap<(SocketAddr, SocketAddr), u64>;

static TABLE: LazyLock<Mutex<Option<(Instant, Table)>>> = LazyLock::new(Mutex::default);

/// Whether the other machine's kernel acknowledged all we sent; `None` where that cannot be known.
pub fn delivered(peer: &Peer) -> Option<bool> {
    let mut held = TABLE.lock();
    let fresh = held.as_ref().is_some_and(|(read, _)| read.elapsed() < FRESH);
    if !fresh {
        *held = Some((Instant::now(), read()));
    }
    let (_, table) = held.as_ref()?;
    table.get(&(peer.local, peer.remote)).map(|waiting| *waiting == 0)
}

/// Bytes that wait to be acknowledged, by local and remote address.
fn read() -> Table {
    let text = |name: &str| fs::read_to_string(name).unwrap_or_default();
    let tables = [text("/proc/self/net/tcp"), text("/proc/self/net/tcp6")];
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(row).collect()
}

/// `0: 0100007F:2678 0100007F:C350 01 0000000A:00000000 …`: addresses, state, bytes to send and to read.
fn row(line: &str) -> Option<((SocketAddr, SocketAddr), u64)> {
    let mut words = line.split_whitespace().skip(1);
    let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
    let (_, queues) = (words.next()?, words.next()?);
    Some(((local, remote), u64::from_str_radix(queues.split_once(':')?.0, 16).ok()?))
}

/// Words of four bytes in the order of the machine, all of them in hexadecimal.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Vec<u32> =
        (0..ip.len() / 8).map(|at| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let ip: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_row_of_the_kernels_table_is_read() {
        let line = "   1: 0100007F:2678 0200007F:C350 01 0000001F:00000000 00:00000000 00000000  0  0 5 1";
        let (ends, waiting) = row(line).expect("a row");
        assert_eq!(ends, ("127.0.0.1:9848".parse().unwrap(), "127.0.0.2:50000".parse().unwrap()));
        assert_eq!(waiting, 31);
        let six =
            "0: 0000000000000000FFFF00000100007F:2678 00000000000000000000000001000000:C350 01 00000000:00000000 0";
        let (ends, waiting) = row(six).expect("a row");
        assert_eq!(ends, ("127.0.0.1:9848".parse().unwrap(), "[::1]:50000".parse().unwrap()));
        assert_eq!(waiting, 0);
        assert!(row("sl local_address rem_address st tx_queue").is_none());
    }
}
