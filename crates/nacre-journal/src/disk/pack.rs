//! MessagePack written by hand, for what is written most: every event that is recorded passes here, and a serializer costs
//! several times as much as the bytes. It reads back with any MessagePack reader.

use nacre_model::Metadata;

pub fn map(out: &mut Vec<u8>, entries: usize) {
    header(out, entries, 0x80, 0xDE, 0xDF);
}

pub fn array(out: &mut Vec<u8>, entries: usize) {
    header(out, entries, 0x90, 0xDC, 0xDD);
}

/// Maps and arrays alike: up to 15 entries in one byte.
fn header(out: &mut Vec<u8>, entries: usize, small: u8, medium: u8, large: u8) {
    match (u8::try_from(entries), u16::try_from(entries)) {
        (Ok(few), _) if few < 16 => out.push(small | few),
        (_, Ok(entries)) => marked(out, medium, entries.to_be_bytes()),
        // More than fit into 32 bits are longer than a frame.
        _ => marked(out, large, (entries as u32).to_be_bytes()),
    }
}

pub fn text(out: &mut Vec<u8>, text: &str) {
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(length), _) if length < 32 => out.push(0xA0 | length),
        (Ok(length), _) => marked(out, 0xD9, [length]),
        (_, Ok(length)) => marked(out, 0xDA, length.to_be_bytes()),
        _ => marked(out, 0xDB, (text.len() as u32).to_be_bytes()),
    }
    out.extend_from_slice(text.as_bytes());
}

/// In the fewest bytes.
pub fn number(out: &mut Vec<u8>, number: i64) {
    if let Ok(small) = i8::try_from(number)
        && small >= -32
    {
        out.push(small as u8);
    } else if let Ok(byte) = u8::try_from(number) {
        marked(out, 0xCC, [byte]);
    } else if let Ok(short) = u16::try_from(number) {
        marked(out, 0xCD, short.to_be_bytes());
    } else if let Ok(long) = u32::try_from(number) {
        marked(out, 0xCE, long.to_be_bytes());
    } else {
        marked(out, 0xD3, number.to_be_bytes());
    }
}

pub fn float(out: &mut Vec<u8>, number: f64) {
    marked(out, 0xCB, number.to_be_bytes());
}

pub fn flag(out: &mut Vec<u8>, flag: bool) {
    out.push(if flag { 0xC3 } else { 0xC2 });
}

pub fn metadata(out: &mut Vec<u8>, metadata: &Metadata) {
    map(out, metadata.len());
    for (key, value) in metadata {
        text(out, key);
        text(out, value);
    }
}

fn marked<const N: usize>(out: &mut Vec<u8>, mark: u8, bytes: [u8; N]) {
    out.push(mark);
    out.extend_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn everything_reads_back_with_another_reader() {
        for one in [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, i64::MAX, -1, -32, -33, -128, -129, i64::MIN] {
            let bytes = written(|out| number(out, one));
            assert_eq!(rmp_serde::from_slice::<i64>(&bytes).unwrap(), one);
        }
        for length in [0, 1, 31, 32, 255, 256, 65_535, 65_536] {
            let long = "é".repeat(length / 2) + &"x".repeat(length % 2);
            let bytes = written(|out| text(out, &long));
            assert_eq!(rmp_serde::from_slice::<String>(&bytes).unwrap(), long);
        }
        for entries in [0, 1, 15, 16, 65_535, 65_536] {
            let bytes = written(|out| {
                array(out, entries);
                out.resize(out.len() + entries, 7);
            });
            assert_eq!(rmp_serde::from_slice::<Vec<u8>>(&bytes).unwrap(), vec![7; entries]);
            let pairs: Metadata = (0..entries).map(|n| (n.to_string().as_str().into(), "v".into())).collect();
            let bytes = written(|out| metadata(out, &pairs));
            assert_eq!(rmp_serde::from_slice::<Metadata>(&bytes).unwrap(), pairs);
        }
        let bytes = written(|out| {
            array(out, 3);
            float(out, -0.5);
            flag(out, true);
            flag(out, false);
        });
        assert_eq!(rmp_serde::from_slice::<(f64, bool, bool)>(&bytes).unwrap(), (-0.5, true, false));
    }
}
