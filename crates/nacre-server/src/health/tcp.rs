//! `TCP`: can a connection be made?

use nacre_naming::{Probe, ProbeOutcome};

pub(super) async fn probe(probe: &Probe) -> ProbeOutcome {
    match super::connect(probe).await {
        Ok(_) => ProbeOutcome::Connected,
        Err(outcome) => outcome,
    }
}
