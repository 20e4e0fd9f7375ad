//! Files and disk run out.

use std::{
    io::Read,
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    client::Client,
    node::{self, Done, LONG, Node, eventually},
};

/// More connections than the process may have files: those who speak go on, the idle ones give way, and it is said.
#[test]
fn idle_connections_that_use_up_the_file_handles_disturb_nobody_c087() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Node::start_limited(home.path(), "-n 256", &[]);
    let port = server.port;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clients: Vec<Client> = runtime.block_on(async {
        let mut clients = Vec::new();
        for n in 0..5 {
            let mut client = Client::dial(server.grpc_port()).await.unwrap();
            client.introduce("naming").await;
            client.register(&format!("g{n}"), 80).await;
            clients.push(client);
        }
        clients
    });
    let beat = |port: u16, instance: usize| {
        let beat = format!(r#"{{"ip":"192.0.2.1","port":{},"serviceName":"DEFAULT_GROUP@@s"}}"#, instance + 1);
        node::call(port, "PUT", "/v1/ns/instance/beat", &format!("serviceName=s&beat={beat}"))
    };
    let (done, rounds) = (Done::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // 20 beaters: half keep their connection, half make one for every beat.
        for instance in 0..20 {
            let (done, rounds) = (&done, &rounds);
            scope.spawn(move || {
                let mut kept = TcpStream::connect(("127.0.0.1", port)).unwrap();
                kept.set_read_timeout(Some(LONG)).unwrap();
                while !done.yet() {
                    if instance % 2 == 0 {
                        let answer = beat(port, instance).unwrap();
                        assert_eq!(answer.status, 200, "{answer:?}");
                    } else {
                        let form = format!("serviceName=s&ip=192.0.2.1&port={}", instance + 1);
                        node::ask(&mut kept, "PUT", "/v1/ns/instance/beat", &form, "keep-alive").unwrap();
                        let mut answer = [0; 4096];
                        let len = kept.read(&mut answer).unwrap();
                        assert!(answer[..len].starts_with(b"HTTP/1.1 200"), "beat {instance}: {:?}", &answer[..len]);
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
            });
        }
        let _end = done.guard();
        eventually("beats", || rounds.load(Ordering::Relaxed) > 40);
        let mut idle: Vec<TcpStream> = Vec::new();
        for _ in 0..600 {
            idle.push(TcpStream::connect(("127.0.0.1", port)).unwrap());
        }
        let said = || server.events("kind=limitHit").iter().any(|event| event.to_string().contains("256"));
        eventually("the limit is told", said);
        let before = rounds.load(Ordering::Relaxed);
        eventually("beats go on", || rounds.load(Ordering::Relaxed) > before + 200);
        // Writes need files too.
        server.publish("c", "1");
        runtime.block_on(async {
            for (n, client) in clients.iter().enumerate() {
                assert_eq!(client.register(&format!("g{n}"), 81).await.body["resultCode"], 200);
            }
        });
        assert!(server.metric("process_files_max_files") <= 256.0);
        drop(idle);
    });
    eventually("new connections work", || {
        (0..20).all(|_| node::call(port, "GET", "/v1/console/health/liveness", "").is_ok())
    });
    assert_eq!(server.get("/v1/cs/configs?dataId=c&group=g").body, "1");
    assert!(server.is_running());
}

/// A file that may grow no further stands for a disk that is full.
#[test]
fn a_full_disk_refuses_writes_with_a_reason_and_everything_else_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let server = Node::start_limited(home.path(), "-f 8192", &[]);
    let big = "x".repeat(400_000);
    let mut kept = Vec::new();
    let refused = loop {
        let data_id = format!("big-{}", kept.len());
        let answer = server.call("POST", "/v1/cs/configs", &format!("dataId={data_id}&group=g&content={big}"));
        if answer.status != 200 {
            break answer;
        }
        kept.push(data_id);
        assert!(kept.len() < 100, "the limit does not work");
    };
    assert!(!kept.is_empty());
    assert!(refused.status >= 500 && refused.body.contains("not done"), "{refused:?}");
    // Reads, ephemeral naming and explanations go on; readiness says no and why, liveness yes.
    for data_id in &kept {
        assert_eq!(server.get(&format!("/v1/cs/configs?dataId={data_id}&group=g")).body.len(), big.len());
    }
    assert_eq!(server.post("/v1/ns/instance", "serviceName=s&ip=192.0.2.1&port=80"), "ok");
    assert_eq!(server.hosts("s").len(), 1);
    let persistent = server.call("POST", "/v1/ns/instance", "serviceName=p&ip=192.0.2.1&port=80&ephemeral=false");
    let ready = server.get("/v1/console/health/readiness");
    assert!(ready.status >= 500 && ready.body.contains("config"), "{ready:?} {persistent:?}");
    assert_eq!(server.get("/v1/console/health/liveness").status, 200);
    assert!(!server.events("kind=writeFailed").is_empty());
    server.kill();
    // With room again nothing that was acknowledged is missing, and what was refused is not there.
    let server = Node::start(home.path(), &[]);
    for data_id in &kept {
        assert_eq!(server.get(&format!("/v1/cs/configs?dataId={data_id}&group=g")).body.len(), big.len());
    }
    assert_eq!(server.get(&format!("/v1/cs/configs?dataId=big-{}&group=g", kept.len())).status, 404);
    server.publish("big", "works");
}
