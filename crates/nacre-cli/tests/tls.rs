//! The commands against a server behind https. The certificates under `files/tls` are the tests' own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use common::{
    Scripted, nacre, run,
    tls::{file, tls_port as secured},
};

fn get(server: &str, ca: &str) -> (i32, String, String) {
    run(&["--server", server, "--ca-file", &file(ca), "config", "get", "app.yaml"])
}

#[test]
fn a_server_whose_authority_is_known_is_spoken_to() {
    let server = format!("https://localhost:{}", secured("greeting: hi"));
    let (code, out, err) = get(&server, "ca.pem");
    assert_eq!((code, out.as_str()), (0, "greeting: hi"), "{err}");
    // As other programs are told.
    let output = nacre(&["--server", &server, "config", "get", "app.yaml"])
        .env("SSL_CERT_FILE", file("ca.pem"))
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"greeting: hi");
}

#[test]
fn a_server_that_cannot_prove_its_name_is_not_spoken_to() {
    let port = secured("secret");
    for (host, ca, why) in [
        ("localhost", "other-ca.pem", "an authority that is not trusted here"),
        ("127.0.0.1", "ca.pem", "for another name than 127.0.0.1"),
    ] {
        let (code, out, err) = get(&format!("https://{host}:{port}"), ca);
        assert_eq!((code, out.as_str()), (4, ""), "{err}");
        assert!(err.contains(why), "{err}");
    }
    let (code, _, err) = get(&format!("https://localhost:{port}"), "nobody.pem");
    assert_eq!(code, 4);
    assert!(err.contains("nobody.pem: No such file"), "{err}");
}

#[test]
fn https_to_a_server_without_tls_says_so() {
    let plain = Scripted::start(|_| (200, "", "plain".to_owned()));
    let (code, out, err) = get(&plain.url.replace("http://", "https://"), "ca.pem");
    assert_eq!((code, out.as_str()), (4, ""), "{err}");
    assert!(err.contains("an http:// address may be meant"), "{err}");
}
