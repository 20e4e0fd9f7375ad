//! What the tests of the command line share: running the binary, and a scripted server that answers as a Java Nacos of some
//! generation does.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod node;
pub mod tls;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
};

/// The command, unaffected by the environment of whoever runs the tests.
pub fn nacre(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nacre"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

/// Exit code, standard output, standard error.
pub fn run(args: &[&str]) -> (i32, String, String) {
    done(nacre(args).output().unwrap())
}

/// As [`run`], with something on the standard input.
pub fn run_with(args: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = nacre(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    done(child.wait_with_output().unwrap())
}

fn done(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Does what `curl` would do with these words, of which it knows `-X`, `-d` and single quotes; status and body.
pub fn curl(line: &str) -> (u16, String) {
    let mut words: Vec<String> = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(c),
        }
    }
    let (mut method, mut url, mut form) = (None, String::new(), Vec::new());
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        match word.as_str() {
            "-X" => method = words.next(),
            "-d" => form.push(words.next().unwrap()),
            _ => url = word,
        }
    }
    let body = form.join("&");
    let method = method.unwrap_or_else(|| if body.is_empty() { "GET" } else { "POST" }.to_owned());
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// A process that is killed when the test is over, however it ends.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal by its name, as a terminal or a supervisor would.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
}

/// A request that the scripted server got.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub body: String,
    pub head: String,
}

impl Asked {
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Status, further header lines, body.
pub type Reply = (u16, &'static str, String);

/// A server that answers as the script says, and remembers what it was asked.
pub struct Scripted {
    pub url: String,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    pub fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/nacos", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (memory, script) = (asked.clone(), Arc::new(script));
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (memory, script) = (memory.clone(), script.clone());
                std::thread::spawn(move || answer(stream.unwrap(), &memory, &*script));
            }
        });
        Self { url, asked }
    }

    pub fn last(&self, method: &str, path: &str) -> Asked {
        let asked = self.asked.lock().unwrap();
        asked.iter().rev().find(|a| a.is(method, path)).unwrap_or_else(|| panic!("{method} {path}: {asked:?}")).clone()
    }
}

fn answer(stream: TcpStream, memory: &Mutex<Vec<Asked>>, script: &dyn Fn(&Asked) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut asked =
        Asked { method, path: path.to_owned(), query: query.to_owned(), body: String::new(), head: head.clone() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    asked.body = String::from_utf8(body).unwrap();
    let (status, headers, body) = script(&asked);
    memory.lock().unwrap().push(asked);
    let mut stream = stream;
    // A client that was stopped in the meantime is part of some tests.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    );
}

/// English that is left in Chinese: five plain words in a row. Commands and what a server says itself have fewer.
pub fn english_sentences(text: &str) -> Vec<String> {
    let plain = |word: &&str| {
        !word.is_empty() && word.trim_end_matches([',', '.', ':']).bytes().all(|b| b.is_ascii_alphabetic())
    };
    text.lines()
        .filter(|line| {
            line.split(' ')
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .windows(5)
                .any(|five| five.iter().all(plain))
        })
        .map(str::to_owned)
        .collect()
}
