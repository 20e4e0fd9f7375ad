//! The steps of the gRPC port: reached at all, spoken HTTP/2 there, and a client's whole start through the very path.

use std::net::{IpAddr, SocketAddr};

use super::{
    super::step::{State, Step},
    reach::{self, Open, Reached},
    wire::{self, Conversation, Failure, First, Target},
};
use crate::grpc::Broken;

const PORT: &str = "grpc-port";
const GRPC: &str = "grpc";
/// What a server that was not told otherwise listens on.
const USUAL_MAIN: u16 = 8848;
const USUAL_GRPC: u16 = 9848;

const WHO_NEEDS_IT: &str = "Clients of 2.x and 3.x take the port of the server's address, add 1000 and dial that: without it they print \
                            \"Client not connected, current status:STARTING\" and register nothing, while the console works.";

/// TCP to the gRPC port.
pub async fn port(ips: &[IpAddr], main: u16, main_open: bool, port: u16) -> (Step, Option<Open>) {
    let (step, open, closed) = reach::all(PORT, ips, port).await;
    if open.is_some() {
        return (step, open);
    }
    let mut step = step;
    step.meaning = format!("{}\n{WHO_NEEDS_IT}", step.meaning);
    let elsewhere = elsewhere(ips, main, port).await;
    step = step.figure("answersInstead", elsewhere.clone());
    if let Some(other) = elsewhere.first() {
        step.meaning.push_str(&format!("\ngRPC of HTTP/2 does answer on port {other} of the same address: only the mapping {port} -> {other} is missing."));
    }
    let step = match elsewhere.first() {
        // Nothing is reached there: the main port's step has said what to do.
        _ if !main_open => step,
        Some(other) => step
            .remedy(format!("map {port} -> {other} beside {main}, as plain TCP (layer 4)"))
            .remedy(format!(
                "or tell clients the distance: nacos.server.grpc.port.offset={} (Java: -D)",
                i32::from(*other) - i32::from(main)
            )),
        None if main == USUAL_MAIN => {
            let step = match closed {
                Some(Reached::Refused) => step.remedy(format!(
                    "docker: publish both ports, -p {main}:{main} -p {port}:{port}; compose and kubernetes: list both"
                )),
                _ => step.remedy(format!("open TCP {port} beside {main} in firewalls and security groups")),
            };
            step.remedy(format!("on the server's machine: ss -ltn | grep :{port}"))
        }
        None => step.remedy(format!(
            "something maps {main} of this address to a server's main port (8848): map {port} -> {USUAL_GRPC} beside it, as plain TCP"
        )),
    };
    (step, None)
}

/// Ports of the same address on which HTTP/2 is spoken, when the right one is closed.
async fn elsewhere(ips: &[IpAddr], main: u16, port: u16) -> Vec<u16> {
    let Some(ip) = ips.first() else { return Vec::new() };
    let mut found = Vec::new();
    for other in [USUAL_GRPC, main] {
        let at = SocketAddr::new(*ip, other);
        if other != port
            && !found.contains(&other)
            && matches!(reach::dial(at).await, Reached::Open { .. })
            && wire::first_words(at).await == First::Http2
        {
            found.push(other);
        }
    }
    found
}

/// What answers the first bytes, told as a step when it is not HTTP/2.
pub async fn protocol(target: &Target) -> Option<Step> {
    if target.tls {
        return None;
    }
    let at = target.to;
    let tls = || wire::speaks_tls(at, &target.host);
    let tls_step = || {
        Step::fail(GRPC, "PATH-GRPC-TLS", format!("{at} speaks TLS, and was spoken to in plain text"))
            .means("The server's gRPC port (or a proxy in front of it) wants TLS; a client without it is hung up on and says nothing about TLS.")
            .remedy("clients: nacos.remote.client.rpc.tls.enable=true (with tls.trustCollectionChainPath); this check: --grpc-tls")
            .remedy("or let the server take both: nacos.remote.server.rpc.tls.compatibility=true")
    };
    match wire::first_words(at).await {
        First::Http2 => None,
        First::Tls => Some(tls_step()),
        First::Http1 { line, server } => {
            let by = if server.is_empty() { String::new() } else { format!(" from {server}") };
            Some(Step::fail(GRPC, "PATH-GRPC-HTTP1", format!("{at} answers HTTP/2 with {line:?}{by}"))
                .means(
                    "An HTTP/1 proxy stands where gRPC has to pass. gRPC needs HTTP/2 from end to end; clients print \
                     \"Client not connected, current status:STARTING\", or an error of the frame's length.",
                )
                .remedy(format!("nginx: a stream {{ server {{ listen {0}; proxy_pass SERVER:{0}; }} }} block instead of http; other balancers: a TCP (layer 4) listener", at.port()))
                .remedy("if it has to be layer 7: HTTP/2 towards clients and servers (nginx: http2 on; grpc_pass), and streams without a time limit"))
        }
        First::Closed(how) => {
            if tls().await {
                return Some(tls_step());
            }
            Some(Step::fail(GRPC, "PATH-GRPC-CLOSED", format!("{at} accepts the connection and then it is {how} without an answer"))
                .means("Something listens that is not a gRPC server: a balancer without a server behind it, docker's own proxy for a port nobody listens on, or a filter that drops what it does not know.")
                .remedy(format!("on the server's machine: ss -ltn | grep :{}; compare with what the proxy forwards to", at.port())))
        }
        First::Silent => {
            if tls().await {
                return Some(tls_step());
            }
            Some(Step::fail(GRPC, "PATH-GRPC-SILENT", format!("{at} accepts the connection and answers nothing for 3 s"))
                .means("Whatever accepts connections there does not pass them on, or the server hangs. A client waits, gives up and tries again, without end.")
                .remedy("ask the server past every proxy: nacre doctor client --server on the server's own machine")
                .remedy("if that works, the device in between accepts connections for a server it does not reach"))
        }
        First::Other(bytes) => Some(
            Step::fail(GRPC, "PATH-GRPC-OTHER", format!("{at} speaks something else: \"{bytes}\""))
                .means("The port belongs to another program.")
                .remedy(format!("on the server's machine: ss -ltnp | grep :{}", at.port())),
        ),
    }
}

/// A client's whole start.
pub async fn start(target: &Target) -> (Step, Option<Conversation>) {
    let failure = match target.converse("naming").await {
        Ok(conversation) => return (started(target, &conversation), Some(conversation)),
        Err(failure) => failure,
    };
    (failed(target, failure), None)
}

fn started(target: &Target, conversation: &Conversation) -> Step {
    let ms = |took: std::time::Duration| took.as_secs_f64() * 1000.0;
    let abilities = conversation.abilities.as_ref().and_then(|table| table.as_object()).map(serde_json::Map::len);
    let title = format!(
        "a client's whole start works on {}: check {:.1} ms, registered after {:.1} ms{}{}",
        target.to,
        ms(conversation.check),
        ms(conversation.registered),
        abilities.map(|count| format!(", {count} abilities")).unwrap_or_default(),
        if target.tls { ", in TLS" } else { "" }
    );
    let mut step = Step::ok(GRPC, title);
    if let Some(seen) = conversation.seen_as() {
        step = step.figure("seenAs", seen.to_string());
        if seen != conversation.local {
            step.state = State::Note;
            step.meaning = format!(
                "The server sees this connection from {seen}; here it is {}. A proxy or address translation stands in between: the \
                 server knows clients by its address, so gray rules by ip and limits by ip see the proxy, and its idle timeout counts.",
                conversation.local
            );
        }
    }
    step.figure("connectionId", conversation.id.clone())
        .figure("local", conversation.local.to_string())
        .figure("checkMs", ms(conversation.check))
        .figure("registeredMs", ms(conversation.registered))
        .figure("abilities", conversation.abilities.clone())
}

fn failed(target: &Target, failure: Failure) -> Step {
    let at = target.to;
    match failure {
        Failure::Tls { why, hint } => Step::fail(GRPC, "PATH-GRPC-NO-TLS", format!("{at}: {why}"))
            .means("TLS was asked for (--grpc-tls); clients with nacos.remote.client.rpc.tls.enable=true fail in the same way.")
            .remedy(if hint.is_empty() { "leave --grpc-tls and the clients' tls.enable away, or switch TLS on in the server".to_owned() } else { hint.replace("an http:// address may be meant", "leave --grpc-tls away: the port is plain text") }),
        Failure::Refused(why) => Step::fail(GRPC, "PATH-GRPC-REFUSED", format!("the server refuses the first call: {why}"))
            .means("The server answers, and lets nobody in: it is starting, over a limit, or wants a login.")
            .remedy("nacre status, and the server's log at this moment"),
        Failure::Unregistered(why) => Step::fail(GRPC, "PATH-GRPC-STREAM-LOST", format!("calls pass, the stream of the set-up does not: {why}"))
            .means(
                "A client opens one long stream beside its calls; the server never saw what was sent on it, or saw it on another \
                 connection. A proxy buffers streams, half-closes them, or spreads calls of one connection over several servers.",
            )
            .remedy("let the port pass as plain TCP (layer 4); a layer 7 proxy must keep a client's streams on one connection"),
        Failure::Setup(broken) => stream(at, &broken),
        Failure::Check(broken) => call(at, &broken),
    }
}

fn call(at: SocketAddr, broken: &Broken) -> Step {
    let title = format!("{at}: the first call fails: {broken}");
    match broken {
        Broken::NotGrpc { .. } => Step::fail(GRPC, "PATH-GRPC-PROXY", title)
            .means("HTTP/2 is spoken, gRPC is not: a proxy that treats the call as a web page.")
            .remedy("nginx: grpc_pass in place of proxy_pass; better a TCP listener (layer 4)"),
        Broken::Status { code: 12, .. } => Step::fail(GRPC, "PATH-GRPC-NOT-NACOS", title)
            .means("It is a gRPC server that does not know the calls of Nacos: another program, or another port of it.")
            .remedy("give the port with --grpc-port"),
        Broken::Status { code: 14, .. } => Step::fail(GRPC, "PATH-GRPC-NO-BACKEND", title)
            .means("A proxy that speaks gRPC answers, and reaches no server behind it.")
            .remedy("look at the proxy's upstream: the server's gRPC port (9848), HTTP/2 without TLS"),
        Broken::Late(_) => Step::fail(GRPC, "PATH-GRPC-LATE", title)
            .means("HTTP/2 is spoken and the call is not answered: official clients give up after 3 s, too.")
            .remedy("look at the server's load and log; ask it past every proxy"),
        _ => Step::fail(GRPC, "PATH-GRPC-BROKEN", title)
            .means("The connection is HTTP/2, and ends before the first answer.")
            .remedy("ask the server past every proxy; if that works, the proxy is at fault"),
    }
}

fn stream(at: SocketAddr, broken: &Broken) -> Step {
    Step::fail(GRPC, "PATH-GRPC-STREAM-LOST", format!("{at}: the stream of the set-up breaks: {broken}"))
        .means("Single calls pass, the long stream that a client keeps open does not. Without it the server forgets the client at once.")
        .remedy("let the port pass as plain TCP (layer 4), or switch the proxy's buffering and stream time limits off")
}
