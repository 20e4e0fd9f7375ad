//! A throw-away registration that is kept alive for a while, as clients of both kinds do it: beats over HTTP, a connection over
//! gRPC. What was sent here is compared with what the server shows.

use std::{cell::RefCell, collections::BTreeMap, net::IpAddr, rc::Rc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    gaps::Gaps,
    rounds::Times,
    wire::{Conversation, refusal},
};
use crate::{
    api::{
        Client,
        naming::{Registration, endpoint},
    },
    error::{CliError, Outcome},
};

pub const GROUP: &str = "NACRE_DOCTOR";
/// How often the list is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// A list may be this old (lists are cached, and nodes tell each other).
const SETTLED: Duration = Duration::from_secs(3);

/// What is registered.
#[derive(Clone, Debug)]
pub struct Lane {
    pub service: String,
    pub what: Registration,
}

/// A port of this host that is really open, so that whoever probes the instance finds something.
pub struct Door(#[allow(dead_code, reason = "held open")] TcpListener);

impl Lane {
    pub async fn new(kind: &str, ip: IpAddr) -> Outcome<(Self, Door)> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let port = listener.local_addr()?.port();
        let metadata = [("nacre.doctor", "true"), ("preserved.register.source", "NACRE_DOCTOR")];
        let what = Registration {
            ip: ip.to_string(),
            port,
            cluster: "DEFAULT".to_owned(),
            weight: 1.0,
            enabled: true,
            ephemeral: true,
            metadata: metadata.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<BTreeMap<_, _>>(),
        };
        Ok((Self { service: format!("nacre-doctor-{kind}-{}", std::process::id()), what }, Door(listener)))
    }

    pub fn endpoint(&self) -> String {
        endpoint(&self.what.ip, self.what.port)
    }
}

/// What has to be removed, whatever happens.
#[derive(Clone, Default)]
pub struct Leftovers(Rc<RefCell<Vec<Lane>>>);

impl Leftovers {
    pub fn add(&self, lane: &Lane) {
        self.0.borrow_mut().push(lane.clone());
    }

    /// Removes everything; what could not be removed is told.
    pub async fn remove(&self, client: &Client) -> Vec<String> {
        let mut left = Vec::new();
        loop {
            let Some(lane) = self.0.borrow_mut().pop() else { return left };
            if let Err(error) = client.deregister(&lane.service, GROUP, &lane.what).await {
                left.push(format!("{} of {}: {error}", lane.endpoint(), lane.service));
            }
        }
    }
}

/// What came of keeping a registration alive.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub refused: Option<String>,
    pub sent: Gaps,
    pub answered: Times,
    /// Beats that were answered with "never heard of it".
    pub unknown: u32,
    pub failed: Vec<String>,
    /// The connection's end, after so much time.
    pub cut: Option<(Duration, String)>,
}

/// Registers over HTTP and sends beats.
pub async fn beat(client: &Client, lane: &Lane, every: Duration, until: Instant, leftovers: &Leftovers) -> Kept {
    let mut kept = Kept::default();
    leftovers.add(lane);
    if let Err(error) = client.register(&lane.service, GROUP, &lane.what).await {
        kept.refused = Some(why(error));
        return kept;
    }
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until {
        ticks.tick().await;
        let begun = Instant::now();
        kept.sent.mark(begun);
        match client.beat(&lane.service, GROUP, &lane.what).await {
            Ok(true) => kept.answered.add(begun.elapsed()),
            Ok(false) => {
                kept.unknown += 1;
                // As SDKs do.
                if let Err(error) = client.register(&lane.service, GROUP, &lane.what).await {
                    kept.failed.push(why(error));
                }
            }
            Err(error) => kept.failed.push(why(error)),
        }
    }
    kept
}

/// Registers over gRPC and asks for the connection's health.
pub async fn stay(
    conversation: &mut Conversation,
    namespace: &str,
    lane: &Lane,
    every: Duration,
    until: Instant,
    leftovers: &Leftovers,
) -> Kept {
    let mut kept = Kept::default();
    let begun = Instant::now();
    leftovers.add(lane);
    match conversation.link.call("InstanceRequest", &request(namespace, lane, "registerInstance")).await {
        Ok(answer) if answer["resultCode"] == 200 => {}
        Ok(answer) => {
            kept.refused = Some(refusal(&answer));
            return kept;
        }
        Err(broken) => {
            kept.refused = Some(broken.to_string());
            return kept;
        }
    }
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until {
        ticks.tick().await;
        if let Some(end) = conversation.link.end() {
            kept.cut = Some((end.at.duration_since(begun), end.why));
            break;
        }
        let asked = Instant::now();
        kept.sent.mark(asked);
        match conversation.link.call("HealthCheckRequest", &json!({"headers": {}, "module": "internal"})).await {
            Ok(answer) if answer["resultCode"] == 200 => kept.answered.add(asked.elapsed()),
            Ok(answer) => {
                kept.unknown += 1;
                kept.failed.push(refusal(&answer));
            }
            Err(broken) => kept.failed.push(broken.to_string()),
        }
    }
    kept
}

/// Deregisters over gRPC, as a client does that stops in order.
pub async fn leave(conversation: &mut Conversation, namespace: &str, lane: &Lane) {
    // The end of the connection takes what this does not.
    let _ = conversation.link.call("InstanceRequest", &request(namespace, lane, "deregisterInstance")).await;
}

fn request(namespace: &str, lane: &Lane, kind: &str) -> Value {
    let namespace = if namespace.is_empty() { "public" } else { namespace };
    json!({
        "headers": {}, "namespace": namespace, "serviceName": lane.service, "groupName": GROUP, "type": kind,
        "instance": {"ip": lane.what.ip, "port": lane.what.port, "weight": 1.0, "healthy": true, "enabled": true, "ephemeral": true,
            "clusterName": "DEFAULT", "metadata": lane.what.metadata, "instanceHeartBeatInterval": 5000,
            "instanceHeartBeatTimeOut": 15000, "ipDeleteTimeout": 30000},
        "module": "naming",
    })
}

/// How the list showed an instance over time.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    pub looks: u32,
    pub absent: u32,
    pub unhealthy: u32,
    pub failed: u32,
    /// From the registration to the first list with it.
    pub after: Option<Duration>,
}

/// Looks at the list until the time has come.
pub async fn look(client: &Client, lane: &Lane, until: Instant) -> Shown {
    let mut shown = Shown::default();
    let begun = Instant::now();
    while Instant::now() < until {
        match client.instances(&lane.service, GROUP, None).await {
            Err(_) => shown.failed += 1,
            Ok(listing) => {
                let found = listing.instances.iter().find(|i| i.ip == lane.what.ip && i.port == lane.what.port);
                let early = shown.after.is_none() && begun.elapsed() < SETTLED;
                match found {
                    None if early => {}
                    None => {
                        shown.looks += 1;
                        shown.absent += 1;
                    }
                    Some(instance) => {
                        shown.after.get_or_insert(begun.elapsed());
                        shown.looks += 1;
                        shown.unhealthy += u32::from(!instance.healthy);
                    }
                }
            }
        }
        sleep(LOOK).await;
    }
    shown
}

/// Whether the list has forgotten the instance after its removal.
pub async fn gone(client: &Client, lane: &Lane) -> Option<bool> {
    for _ in 0..8 {
        let listing = client.instances(&lane.service, GROUP, None).await.ok()?;
        if !listing.instances.iter().any(|i| i.ip == lane.what.ip && i.port == lane.what.port) {
            return Some(true);
        }
        sleep(LOOK).await;
    }
    Some(false)
}

fn why(error: CliError) -> String {
    match error {
        CliError::Unreachable { why, .. } => why,
        other => other.to_string(),
    }
}
