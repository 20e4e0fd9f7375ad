//! The disk runs out.

use crate::node::Node;

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
