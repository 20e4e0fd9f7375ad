//! The whole server against kill -9 and damaged files: what was acknowledged is there, or the start is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{Running, nacre, run, signal};

const ROUNDS: u64 = 5;
const WRITERS: usize = 6;

/// Starts a server; its process and address.
fn start(home: &Path, args: &[&str]) -> (Running, String) {
    let mut command = nacre(&["server", "--home", home.to_str().unwrap(), "-D", "server.port=0"]);
    let mut process = Running(command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    for line in BufReader::new(process.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(url) = line.split_whitespace().find_map(|word| word.strip_prefix("http://")) {
            return (process, url.split('/').next().unwrap().to_owned());
        }
    }
    panic!("the server ended before it greeted");
}

/// What a start that must fail says.
fn refusal(home: &Path) -> String {
    let (code, _, err) = run(&["server", "--home", home.to_str().unwrap(), "-D", "server.port=0"]);
    assert_eq!(code, 1, "{err}");
    err
}

/// Status and body, `None` when the server died under the call.
fn call(address: &str, method: &str, path: &str, form: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(
        stream,
        "{method} /nacos{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

fn publish(address: &str, data_id: &str, content: &str) -> Option<(u16, String)> {
    call(address, "POST", "/v1/cs/configs", &format!("dataId={data_id}&group=g&content={content}"))
}

fn content(address: &str, data_id: &str) -> String {
    call(address, "GET", &format!("/v1/cs/configs?dataId={data_id}&group=g"), "").unwrap().1
}

/// One writer's books: versions of its own config, and names it used once.
#[derive(Default)]
struct Books {
    /// Last version acknowledged and last version sent.
    acknowledged: u64,
    sent: u64,
    once: Vec<String>,
}

/// Writes until the server dies: a config over and over, new configs, persistent instances.
fn write_until_death(address: &str, writer: usize, books: &mut Books, acknowledged: &AtomicU64) {
    loop {
        books.sent += 1;
        let version = books.sent;
        let Some((200, answer)) = publish(address, &format!("counter-{writer}"), &format!("v{version}")) else {
            return;
        };
        assert_eq!(answer, "true");
        books.acknowledged = version;
        acknowledged.fetch_add(1, Ordering::Relaxed);

        let name = format!("once-{writer}-{version}");
        let Some((200, _)) = publish(address, &name, &name) else { return };
        books.once.push(name);

        let instance = format!("serviceName=kept&ip=192.0.2.{writer}&port={}&ephemeral=false", 1 + version);
        let Some((200, _)) = call(address, "POST", "/v1/ns/instance", &instance) else { return };
        books.once.push(format!("192.0.2.{writer}:{}", 1 + version));
    }
}

fn check(address: &str, all: &[Mutex<Books>]) {
    let kept = call(address, "GET", "/v1/ns/instance/list?serviceName=kept", "").unwrap().1;
    for (writer, books) in all.iter().enumerate() {
        let mut books = books.lock().unwrap();
        for name in &books.once {
            match name.split_once(':') {
                Some((ip, port)) => {
                    assert!(
                        kept.contains(&format!("\"{ip}#{port}#")) || has_instance(&kept, ip, port),
                        "{name} is lost"
                    );
                }
                None => assert_eq!(content(address, name), *name, "lost"),
            }
        }
        let there = content(address, &format!("counter-{writer}"));
        let version: u64 = there.strip_prefix('v').and_then(|version| version.parse().ok()).unwrap_or(0);
        let possible = books.acknowledged..=books.sent;
        assert!(possible.contains(&version), "writer {writer} has {version}, not in {possible:?}");
        // What the server answers once it must answer ever after.
        books.acknowledged = version;
    }
}

fn has_instance(list: &str, ip: &str, port: &str) -> bool {
    let list: serde_json::Value = serde_json::from_str(list).unwrap();
    list["hosts"].as_array().unwrap().iter().any(|host| host["ip"] == ip && host["port"].as_u64() == port.parse().ok())
}

#[test]
fn kill_9_under_load_loses_nothing_that_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let all: Vec<Mutex<Books>> = (0..WRITERS).map(|_| Mutex::default()).collect();
    // Checkpoints and purges happen under the writers as well.
    let args = ["-D", "nacre.log.checkpoint-entries=100"];
    for round in 0..ROUNDS {
        let (process, address) = start(home.path(), &args);
        check(&address, &all);
        let acknowledged = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for (writer, books) in all.iter().enumerate() {
                let (address, acknowledged) = (&address, &acknowledged);
                scope.spawn(move || write_until_death(address, writer, &mut books.lock().unwrap(), acknowledged));
            }
            while acknowledged.load(Ordering::Relaxed) < 10 + 40 * round {
                std::thread::yield_now();
            }
            signal(&process.0, "KILL");
        });
    }
    let (process, address) = start(home.path(), &args);
    check(&address, &all);
    signal(&process.0, "TERM");
    drop(process);
    let (_process, address) = start(home.path(), &args);
    check(&address, &all);
}

fn log_dir(home: &Path) -> PathBuf {
    home.join("data").join("log")
}

fn first_segment(home: &Path) -> PathBuf {
    let names = fs::read_dir(log_dir(home)).unwrap().map(|file| file.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "log")).min().unwrap()
}

/// A home with some configs, killed.
fn used_home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let (process, address) = start(home.path(), &[]);
    for number in 0..20 {
        assert_eq!(publish(&address, &format!("config-{number}"), "kept").unwrap().0, 200);
    }
    signal(&process.0, "KILL");
    drop(process);
    home
}

#[test]
fn a_damaged_log_refuses_the_start_by_name_and_says_what_to_do() {
    let home = used_home();
    let segment = first_segment(home.path());
    let good = fs::read(&segment).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 0x20;
    fs::write(&segment, bad).unwrap();
    let said = refusal(home.path());
    assert!(said.contains(segment.to_str().unwrap()) && said.contains("damaged"), "{said}");
    assert!(said.contains("backup") && said.contains("nacre.log.recovery=accept-loss"), "{said}");
    fs::write(&segment, &good[..good.len() - 5]).unwrap();
    assert!(refusal(home.path()).contains(segment.to_str().unwrap()));
    // Restored, it starts.
    fs::write(&segment, good).unwrap();
    let (_process, address) = start(home.path(), &[]);
    assert_eq!(content(&address, "config-19"), "kept");
}

#[test]
fn a_missing_log_refuses_the_start_and_accepting_the_loss_goes_on_with_the_database() {
    let home = tempfile::tempdir().unwrap();
    let (mut process, address) = start(home.path(), &[]);
    assert_eq!(publish(&address, "kept", "in-the-database").unwrap().0, 200);
    // A clean stop leaves everything in the database.
    signal(&process.0, "TERM");
    assert!(process.0.wait().unwrap().success());
    fs::remove_dir_all(log_dir(home.path())).unwrap();
    let said = refusal(home.path());
    assert!(said.contains("the log is missing although the database holds entries of it"), "{said}");
    let (process, address) = start(home.path(), &["-D", "nacre.log.recovery=accept-loss"]);
    assert_eq!(content(&address, "kept"), "in-the-database");
    assert_eq!(publish(&address, "next", "works").unwrap().0, 200);
    drop(process);
    let (_process, address) = start(home.path(), &[]);
    assert_eq!((content(&address, "kept"), content(&address, "next")), ("in-the-database".into(), "works".into()));
}

#[test]
fn a_torn_tail_does_not_hinder_the_start() {
    let home = used_home();
    let segment = first_segment(home.path());
    let mut file = fs::File::options().append(true).open(&segment).unwrap();
    file.write_all(b"NCR1 half of a record").unwrap();
    let (_process, address) = start(home.path(), &[]);
    assert_eq!(content(&address, "config-19"), "kept");
    assert_eq!(publish(&address, "next", "works").unwrap().0, 200);
}
