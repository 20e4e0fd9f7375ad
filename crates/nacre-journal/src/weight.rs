//! What a record weighs in memory, roughly and never less than its own strings.

use std::sync::Arc;

use nacre_model::{Cause, Event, Instance, Label, Subject, event::Removal};

use crate::Record;

/// Header of the Arc, slot in the ring, slack of the allocator.
const OVERHEAD: usize = 64;

pub fn of(event: &Event) -> u32 {
    // A cause that nobody else has is kept by this event alone.
    let own = if Arc::strong_count(&event.cause) > 1 { 0 } else { size_of::<Cause>() + OVERHEAD / 2 };
    let told = subject(&event.subject) + cause(&event.cause) + shown(event);
    let bytes = size_of::<Record>() + OVERHEAD + own + told;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Keys are usually shared with the registry; they are counted anyway, so that the bound also holds when they are not.
fn subject(subject: &Subject) -> usize {
    let service = subject.service.as_ref().map_or(0, |key| key.namespace.len() + key.group.len() + key.name.len());
    let config = subject.config.as_ref().map_or(0, |key| key.namespace.len() + key.group.len() + key.data_id.len());
    let instance = subject.instance.as_ref().map_or(0, Label::weight);
    let client = subject.client.as_ref().map_or(0, Label::weight);
    service + config + instance + client
}

/// The instance is the registry's own while it is there; afterwards the journal alone keeps it. Metadata is shared by the
/// instances of a service and is counted for each.
fn shown(event: &Event) -> usize {
    event.shown.as_ref().map_or(0, |instance| {
        let metadata: usize = instance.metadata.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
        size_of::<Instance>() + instance.ip.len() + instance.cluster.len() + metadata
    })
}

fn cause(cause: &Cause) -> usize {
    match cause {
        Cause::ClientConnected { version, module, app } => version.len() + module.len() + app.len(),
        Cause::HandshakeRefused { reason }
        | Cause::LeaderLost { reason }
        | Cause::LeaderBeatFailed { reason, .. }
        | Cause::WriteFailed { reason }
        | Cause::StorePoisoned { reason }
        | Cause::PushFailed { reason, .. }
        | Cause::ServerStopping { reason } => reason.len(),
        Cause::ClientReset { target } => target.len(),
        Cause::TransportShared { version } => version.len(),
        Cause::BeatMismatch { field, expected, got } => field.len() + expected.len() + got.len(),
        Cause::InstanceUnhealthy { cause, gaps, .. } => cause.len() + gaps.len() * 4,
        Cause::InstanceHealthy { cause } => cause.len(),
        Cause::BeatUnknownInstance { from, .. } => from.len(),
        Cause::InstanceRemoved { removal: Removal::ReplacedBy { instance } } => instance.len(),
        Cause::InstanceShadowed { by } | Cause::ServiceCreated { by } | Cause::ServiceRemoved { by } => by.len(),
        Cause::NothingChanged { call, reason }
        | Cause::Refused { call, reason, .. }
        | Cause::Suspicious { call, reason } => call.len() + reason.len(),
        Cause::PushSent { request } => request.len(),
        Cause::ConfigPublished { md5, by, from, gray } => md5.len() + by.len() + from.len() + gray.len(),
        Cause::ConfigRemoved { by, from, gray } => by.len() + from.len() + gray.len(),
        Cause::CasConflict { expected, actual } => expected.len() + actual.len(),
        Cause::ListenerStale { md5 } => md5.len(),
        Cause::NamespaceChanged { id, what } => id.len() + what.len(),
        Cause::LogTailCut { file, .. } => file.len(),
        Cause::LimitHit { limit, .. } => limit.len(),
        Cause::ServerStarted { version } => version.len(),
        Cause::WorkerRestarted { worker, reason } => worker.len() + reason.len(),
        Cause::SwitchChanged { entry, value } => entry.len() + value.len(),
        Cause::SettingChanged { key, value, by } => key.len() + value.len() + by.len(),
        Cause::SettingRefused { key, reason } => key.len() + reason.len(),
        Cause::FindingAppeared { code, id, severity, cause } => code.len() + id.len() + severity.len() + cause.len(),
        Cause::FindingCleared { code, id, .. } => code.len() + id.len(),
        Cause::UnknownProtocol { first_bytes } => first_bytes.len(),
        Cause::JournalTailCut { file, .. } | Cause::JournalDamaged { file, .. } => file.len(),
        Cause::JournalDiskFailed { reason } => reason.len(),
        // No strings inside, or (a disconnect's detail inside a removal) short ones.
        _ => 0,
    }
}
