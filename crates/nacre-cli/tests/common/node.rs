//! A real server, and things that stand between it and a client.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Stdio,
    time::Duration,
};

use super::{Running, nacre};

/// A server on free ports, its home in a directory that goes with the test.
pub struct Node {
    pub process: Running,
    pub url: String,
    pub port: u16,
    pub grpc: u16,
    pub home: tempfile::TempDir,
}

impl Node {
    pub fn start(args: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = nacre(&["server", "--home", home.path().to_str().unwrap(), "-D", "server.port=0"]);
        let mut process = Running(command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let (mut url, mut grpc) = (String::new(), 0);
        for line in BufReader::new(process.0.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["http", at, ..] => url = (*at).to_owned(),
                ["grpc", at, ..] => grpc = at.trim_end_matches(',').rsplit(':').next().unwrap().parse().unwrap(),
                ["Ctrl-C", ..] => break,
                _ => {}
            }
        }
        let port = url.trim_start_matches("http://127.0.0.1:").split('/').next().unwrap().parse().unwrap();
        Self { process, url, port, grpc, home }
    }
}

/// Listens on a free port and gives every connection to `with`, each in a thread of its own; the port.
pub fn door(with: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let with = std::sync::Arc::new(with);
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let with = with.clone();
            std::thread::spawn(move || with(stream.unwrap()));
        }
    });
    port
}

/// Accepts and never says a word.
pub fn black_hole() -> u16 {
    door(|mut stream| {
        let mut nothing = [0; 1024];
        while stream.read(&mut nothing).unwrap_or(0) > 0 {}
    })
}

/// An HTTP/1 proxy without a page for what it is asked.
pub fn http1() -> u16 {
    door(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(
            b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.24.0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    })
}

/// Passes everything on, and hangs up on a connection that was silent for so long.
pub fn impatient(to: u16, idle: Duration) -> u16 {
    door(move |client| {
        let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(idle)).unwrap();
        }
        let spoken = std::sync::Arc::new(std::sync::Mutex::new(std::time::Instant::now()));
        let pairs = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
        for (from, to) in pairs {
            let spoken = spoken.clone();
            std::thread::spawn(move || pass(from, to, idle, &spoken));
        }
    })
}

fn pass(mut from: TcpStream, mut to: TcpStream, idle: Duration, spoken: &std::sync::Mutex<std::time::Instant>) {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                *spoken.lock().unwrap() = std::time::Instant::now();
                if to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            // The other direction may have spoken.
            Err(_) if spoken.lock().unwrap().elapsed() < idle => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// An HTTP/1 proxy that lets the answers of `to` through `change`: the head without its last empty line, and the body.
pub fn proxy(to: u16, change: impl Fn(&str, Vec<u8>) -> (String, Vec<u8>) + Send + Sync + 'static) -> u16 {
    door(move |mut client| {
        let mut reader = BufReader::new(client.try_clone().unwrap());
        let Some((head, body)) = message(&mut reader) else { return };
        let mut server = TcpStream::connect(("127.0.0.1", to)).unwrap();
        write!(server, "{head}connection: close\r\n\r\n").unwrap();
        server.write_all(&body).unwrap();
        let Some((head, body)) = message(&mut BufReader::new(server)) else { return };
        let (head, body) = change(&head, body);
        let kept = head.lines().filter(|line| {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            !matches!(name.as_str(), "content-length" | "connection" | "transfer-encoding")
        });
        let head: String = kept.map(|line| format!("{line}\r\n")).collect();
        let _ = write!(client, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = client.write_all(&body);
    })
}

/// Head and body of a message; the body by its length.
fn message(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if !line.to_ascii_lowercase().starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}
