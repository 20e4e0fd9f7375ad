//! A server as a process, asked over its sockets.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::common::{Running, nacre, signal};

/// Far longer than anything takes; what waits this long has failed.
pub const LONG: Duration = Duration::from_secs(30);

pub struct Node {
    process: Running,
    pub port: u16,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

impl Node {
    /// A server on free ports.
    pub fn start(home: &Path, settings: &[&str]) -> Self {
        Self::start_on(home, 0, settings)
    }

    pub fn start_on(home: &Path, port: u16, settings: &[&str]) -> Self {
        Self::try_start(server(home, port, settings)).expect("the server ended before it greeted")
    }

    /// A server whose process has limits that `ulimit` sets, such as `-n 256`.
    pub fn start_limited(home: &Path, limit: &str, settings: &[&str]) -> Self {
        let inner = server(home, 0, settings);
        let mut shell = Command::new("/bin/sh");
        // Writes beyond a file size limit answer an error instead of killing the process.
        shell.arg("-c").arg(format!("trap '' XFSZ; ulimit {limit}; exec \"$@\"")).arg("sh");
        shell.arg(inner.get_program()).args(inner.get_args()).env_clear().stdin(Stdio::null());
        Self::try_start(shell).expect("the server ended before it greeted")
    }

    fn try_start(mut command: Command) -> Option<Self> {
        let mut process = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        for line in BufReader::new(process.0.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let url = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
            if let Some(port) = url.and_then(|url| url.split(['/', ':']).nth(1)) {
                return Some(Self { process, port: port.parse().unwrap() });
            }
        }
        None
    }

    pub fn grpc_port(&self) -> u16 {
        self.port + 1000
    }

    pub fn signal(&self, name: &str) {
        signal(&self.process.0, name);
    }

    /// Kills the server and waits until its port is free.
    pub fn kill(mut self) -> u16 {
        signal(&self.process.0, "KILL");
        self.process.0.wait().unwrap();
        self.port
    }

    pub fn is_running(&mut self) -> bool {
        self.process.0.try_wait().unwrap().is_none()
    }

    pub fn call(&self, method: &str, path: &str, form: &str) -> Answer {
        call(self.port, method, path, form).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "")
    }

    /// Expects 200.
    pub fn post(&self, path: &str, form: &str) -> String {
        let answer = self.call("POST", path, form);
        assert_eq!(answer.status, 200, "{path} {form}: {}", answer.body);
        answer.body
    }

    pub fn hosts(&self, service: &str) -> Vec<Value> {
        let list = self.get(&format!("/v1/ns/instance/list?serviceName={service}")).json();
        list["hosts"].as_array().unwrap().clone()
    }

    /// Events that fit the query, newest first.
    pub fn events(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v3/admin/diagnosis/events?limit=1000&{query}"));
        answer.json()["data"]["events"].as_array().unwrap().clone()
    }

    pub fn publish(&self, data_id: &str, content: &str) {
        let form = format!("dataId={data_id}&group=g&content={content}");
        assert_eq!(self.post("/v1/cs/configs", &form), "true");
    }

    /// A value of the metrics page.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.get("/actuator/prometheus").body;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).trim().parse().unwrap()
    }
}

fn server(home: &Path, port: u16, settings: &[&str]) -> Command {
    let mut command = nacre(&["server", "--home", home.to_str().unwrap(), "-D", &format!("server.port={port}")]);
    for setting in settings {
        command.args(["-D", setting]);
    }
    command
}

/// One request on a connection of its own.
pub fn call(port: u16, method: &str, path: &str, form: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LONG))?;
    ask(&mut stream, method, path, form, "close")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let torn = || io::Error::other(format!("torn answer {answer:?}"));
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(torn)?;
    let body = answer.split_once("\r\n\r\n").ok_or_else(torn)?.1.to_owned();
    Ok(Answer { status, body })
}

/// Writes a request.
pub fn ask(stream: &mut TcpStream, method: &str, path: &str, form: &str, connection: &str) -> io::Result<()> {
    let head = format!(
        "{method} /nacos{path} HTTP/1.1\r\nHost: h\r\nConnection: {connection}\r\nContent-Length: {}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(head.as_bytes())
}

/// Looks again and again until `holds`.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what} never came true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Tells threads to end when the test goes on or fails.
#[derive(Default)]
pub struct Done(AtomicBool);

impl Done {
    pub fn yet(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// True from the end of the guard's life on.
    pub fn guard(&self) -> DoneGuard<'_> {
        DoneGuard(self)
    }
}

pub struct DoneGuard<'a>(&'a Done);

impl Drop for DoneGuard<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}
