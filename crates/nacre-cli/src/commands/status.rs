//! `nacre status`.

use serde_json::json;

use super::Session;
use crate::{
    error::{CliError, Outcome},
    output::Tone,
};

pub async fn run(Session { client, screen }: &Session) -> Outcome {
    let state = client.state().await?;
    if screen.json {
        screen.value(&json!({
            "server": client.address.to_string(), "ready": state.ready, "reason": state.reason, "version": state.version,
            "mode": state.mode, "leader": state.leader, "naming": state.naming, "auth": state.auth, "counts": state.counts,
            "workers": state.workers.as_ref().map(|(count, wrong)| json!({"count": count, "wrong": wrong})),
        }))?;
    } else {
        let show = |name: &str, value: &str| {
            screen.line(&format!("{} {value}", screen.paint(Tone::Dim, &format!("{name:<11}"))))
        };
        let unknown = || "not told by this server".to_owned();
        show("server", &client.address.to_string())?;
        let ready = if state.ready {
            screen.paint(Tone::Good, "ready")
        } else {
            screen.paint(Tone::Bad, &format!("not ready: {}", state.reason))
        };
        show("state", &ready)?;
        show("version", &state.version.clone().unwrap_or_else(unknown))?;
        show("mode", &state.mode.clone().unwrap_or_else(unknown))?;
        show("leader", &state.leader.clone().unwrap_or_else(unknown))?;
        if let Some(naming) = &state.naming {
            show("naming", naming)?;
        }
        if let Some(auth) = state.auth {
            show("auth", if auth { "on" } else { "off" })?;
        }
        for (name, label) in [
            ("serviceCount", "services"),
            ("instanceCount", "instances"),
            ("subscribeCount", "subscribers"),
            ("clientCount", "clients"),
            ("connectionBasedClientCount", "connections"),
        ] {
            if let Some(count) = state.counts.get(name) {
                show(label, &count.to_string())?;
            }
        }
        if let Some((count, wrong)) = &state.workers {
            let health = if wrong.is_empty() { "all well".to_owned() } else { format!("{} not well", wrong.len()) };
            show("workers", &format!("{count}, {health}"))?;
            for line in wrong {
                show("", &screen.paint(Tone::Bad, &crate::output::printable(line)))?;
            }
        }
    }
    if state.ready { Ok(()) } else { Err(CliError::Silent(1)) }
}
