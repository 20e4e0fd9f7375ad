//! The commands against a server behind https. The certificates under `files/tls` are the tests' own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::Arc,
};

use common::{Scripted, nacre, run};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

const CERTIFICATE: &[u8] = include_bytes!("files/tls/server.pem");
const KEY: &[u8] = include_bytes!("files/tls/server.key");

fn file(name: &str) -> String {
    format!("{}/tests/files/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A server for `localhost` that answers every request with one text; its port.
fn secured(text: &'static str) -> u16 {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
            let mut line = String::new();
            // A client that refuses the certificate sends nothing more.
            while line != "\r\n" {
                line.clear();
                if stream.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
            }
            let length = text.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}");
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    port
}

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
