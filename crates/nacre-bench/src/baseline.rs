//! The bare servers that figures are compared with, each in a child process of the same binary.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
};

use tokio::net::TcpListener;

use crate::{args::Bare, error::Error, grpc, http};

/// More than any recorded answer.
const LARGEST: u32 = 64 * 1024 * 1024;

/// A running bare server; ends with this value.
#[derive(Debug)]
pub struct Baseline {
    child: Child,
    pub address: SocketAddr,
}

impl Baseline {
    /// Starts one that answers the recorded head and body.
    pub fn start(kind: Bare, head: &[u8], body: &[u8]) -> Result<Self, Error> {
        let failed = |what: &str| Error::Failed(format!("the baseline server {what}"));
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", kind.command()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().ok_or_else(|| failed("has no input"))?;
        for part in [head, body] {
            let length = u32::try_from(part.len()).map_err(|_| failed("cannot hold so large an answer"))?;
            input.write_all(&length.to_be_bytes())?;
            input.write_all(part)?;
        }
        input.flush()?;
        // The pipe stays open: its end tells the child that we are gone.
        child.stdin = Some(input);
        let mut line = String::new();
        let output = child.stdout.take().ok_or_else(|| failed("has no output"))?;
        BufReader::new(output).read_line(&mut line)?;
        let port: u16 = line.trim().parse().map_err(|_| failed("did not start"))?;
        Ok(Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's side: reads what to answer, says its port, serves until its parent is gone.
pub fn run(kind: Bare) -> Result<(), Error> {
    let mut input = std::io::stdin();
    let mut part = || -> std::io::Result<Vec<u8>> {
        let mut length = [0u8; 4];
        input.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length).min(LARGEST);
        let mut bytes = vec![0; length as usize];
        input.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    let (head, body) = (part()?, part()?);
    thread::spawn(move || {
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        std::process::exit(0);
    });
    // As the server itself has it: as many threads as there are cores.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?.port());
        match kind {
            Bare::Http => http::baseline::serve(listener, &head, body).await,
            Bare::Grpc => grpc::baseline::serve(listener, body).await,
        }
    })?;
    Ok(())
}
