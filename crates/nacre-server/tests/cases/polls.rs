//! Long polls under fire.

use std::collections::BTreeMap;

use crate::{
    common::Server,
    wire::{encoded, send},
};

const POLLERS: usize = 8;
const KEYS: usize = 40;
const ROUNDS: usize = 300;

fn key(n: usize) -> String {
    format!("k{n}")
}

/// The md5 of what is there now, empty when nothing is.
async fn read(address: &str, data_id: &str) -> String {
    let target = format!("/v1/cs/configs?dataId={data_id}&group=G");
    let answer = send(address, "GET", &target, "", b"").await;
    assert!(matches!(answer.status, 200 | 404), "{answer:?}");
    answer.header("content-md5").unwrap_or("").to_owned()
}

/// Asks what changed of all that is known; the changed names.
async fn poll(address: &str, known: &BTreeMap<String, String>, hang: bool) -> Vec<String> {
    let records: String = known.iter().map(|(id, md5)| format!("{id}\u{2}G\u{2}{md5}\u{1}")).collect();
    let form = encoded(&[("Listening-Configs", &records)]);
    let mut headers = "Content-Type: application/x-www-form-urlencoded\r\nLong-Pulling-Timeout: 30000\r\n".to_owned();
    if !hang {
        headers.push_str("Long-Pulling-Timeout-No-Hangup: true\r\n");
    }
    let answer = send(address, "POST", "/v1/cs/configs/listener", &headers, form.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = percent_encoding::percent_decode_str(answer.text().trim()).decode_utf8().unwrap().into_owned();
    text.split('\u{1}')
        .filter_map(|line| Some(line.split('\u{2}').next()?.to_owned()))
        .filter(|id| !id.is_empty())
        .collect()
}

/// Follows its keys until the last one is there; what it knows then.
async fn follow(address: String) -> BTreeMap<String, String> {
    let mut known: BTreeMap<String, String> = (0..KEYS).map(|n| (key(n), String::new())).collect();
    known.insert("end".into(), String::new());
    let mut ended = false;
    loop {
        let changed = poll(&address, &known, !ended).await;
        if ended && changed.is_empty() {
            return known;
        }
        for data_id in changed {
            let md5 = read(&address, &data_id).await;
            ended |= data_id == "end";
            known.insert(data_id, md5);
        }
    }
}

/// Publishes, removals and betas at the same time: only 200, and nobody misses a change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_never_fail_and_never_miss_a_change_c043() {
    let server = Server::start(&[]).await;
    let address = server.address();
    let followers: Vec<_> = (0..POLLERS).map(|_| tokio::spawn(follow(address.clone()))).collect();
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for round in 0..ROUNDS {
        let data_id = key(round * 7 % KEYS);
        let body = format!("dataId={data_id}&group=G&content=v{round}");
        let answer = match round % 5 {
            0 => send(&address, "DELETE", &format!("/v1/cs/configs?dataId={data_id}&group=G"), "", b"").await,
            1 => {
                let beta = format!("{form}betaIps: 192.0.2.1,127.0.0.1\r\n");
                send(&address, "POST", "/v1/cs/configs", &beta, body.as_bytes()).await
            }
            2 => send(&address, "DELETE", &format!("/v1/cs/configs?dataId={data_id}&group=G&beta=true"), "", b"").await,
            _ => send(&address, "POST", "/v1/cs/configs", form, body.as_bytes()).await,
        };
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    server.done("POST", "/v1/cs/configs", &[("dataId", "end"), ("group", "G"), ("content", "x")], "true").await;
    let mut last = BTreeMap::new();
    for data_id in (0..KEYS).map(key).chain(["end".to_owned()]) {
        let md5 = read(&address, &data_id).await;
        last.insert(data_id, md5);
    }
    assert!(last.values().filter(|md5| !md5.is_empty()).count() > KEYS / 4);
    for follower in followers {
        assert_eq!(follower.await.unwrap(), last);
    }
    server.stop().await;
}
