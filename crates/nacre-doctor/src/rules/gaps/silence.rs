//! Instances that are silent, where they stand now, and which of them fell silent together.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use nacre_model::{Cause, Event, Instance, ServiceKey, event::Removal};
use nacre_naming::{Beater, ClientId};

use crate::{Scene, memory::HORIZON_MS};

/// Where a silent instance stands now.
pub(super) enum State<'a> {
    Unhealthy,
    /// Taken out of the service because of its silence.
    Removed(&'a Event),
    /// Beats, or is registered, again.
    Back(&'a Event),
}

/// One instance and its silence.
pub(super) struct Silence<'a> {
    /// `instanceUnhealthy`.
    pub(super) event: &'a Event,
    pub(super) service: &'a ServiceKey,
    pub(super) identity: &'a str,
    pub(super) ip: Arc<str>,
    pub(super) port: i32,
    pub(super) state: State<'a>,
    /// The last beat (or the registration), wall clock.
    pub(super) onset: i64,
    pub(super) gap_ms: u64,
    pub(super) beats: u32,
    pub(super) gaps: &'a [u32],
    pub(super) instance: Option<Arc<Instance>>,
    pub(super) beater: Option<Beater>,
}

impl Silence<'_> {
    pub(super) fn is_back(&self) -> bool {
        matches!(self.state, State::Back(_))
    }

    pub(super) fn interval(&self) -> u64 {
        let of_instance = self.instance.as_ref().map(|instance| instance.beat_interval_ms());
        self.beater.as_ref().map(|beater| beater.interval_ms).or(of_instance).unwrap_or(5_000)
    }

    pub(super) fn timeout(&self) -> u64 {
        let of_instance = self.instance.as_ref().map(|instance| instance.beat_timeout_ms());
        self.beater.as_ref().map(|beater| beater.timeout_ms).or(of_instance).unwrap_or(15_000)
    }

    /// Every gap since the registration was longer than the timeout: that is how often it beats.
    pub(super) fn is_paced(&self) -> bool {
        let beats = self.beats as usize;
        // The first one is that after the registration.
        let own = &self.gaps[self.gaps.len().saturating_sub(beats)..];
        let own = if beats <= self.gaps.len() { own.get(1..).unwrap_or_default() } else { own };
        let near = self.timeout() - self.timeout() / 20;
        let (least, most) = (own.iter().min().copied().unwrap_or(0), own.iter().max().copied().unwrap_or(0));
        u64::from(least) >= near.max(1) && most <= least + least / 2
    }

    /// `5 s, 5 s, 5 s, then 60 s`.
    pub(super) fn gap_list(&self) -> String {
        self.gaps_in_words("then ", " so far")
    }

    pub(super) fn gaps_in_words(&self, then: &str, so_far: &str) -> String {
        let known: Vec<String> = self.gaps.iter().map(|gap| seconds(u64::from(*gap))).collect();
        let (last, so_far) = (seconds(self.gap_ms), if self.is_back() { "" } else { so_far });
        if known.is_empty() { format!("{last}{so_far}") } else { format!("{}, {then}{last}{so_far}", known.join(", ")) }
    }
}

/// Gaps are compared, so all are told in seconds: `5 s`, `0.5 s`, `60 s`.
pub(in super::super) fn seconds(ms: u64) -> String {
    let tenths = (ms + 50) / 100;
    if tenths.is_multiple_of(10) { format!("{} s", tenths / 10) } else { format!("{}.{} s", tenths / 10, tenths % 10) }
}

pub(super) fn silences<'a>(scene: &'a Scene<'_>) -> Vec<Silence<'a>> {
    let mut seen: HashSet<(&ServiceKey, &str)> = HashSet::new();
    let mut found = Vec::new();
    for event in scene.memory.kind("instanceUnhealthy", scene.now.wall, HORIZON_MS) {
        let Cause::InstanceUnhealthy { cause, silent_ms, beats, gaps } = &*event.cause else { continue };
        let (Some(service), Some(identity), Some(client)) =
            (&event.subject.service, &event.subject.instance, &event.subject.client)
        else {
            continue;
        };
        let Some(ClientId::IpPort { ip, port, ephemeral: true }) = ClientId::parse(client) else { continue };
        if cause != "client_beat" || !seen.insert((service, identity)) {
            continue;
        }
        let beater = scene.naming.beater(service, &ip, port, scene.now);
        let Some(state) = state(scene, event, service, identity, beater.as_ref()) else { continue };
        let onset = event.at - *silent_ms as i64;
        let end = if let State::Back(back) = state { back.at } else { scene.now.wall };
        found.push(Silence {
            event,
            service,
            identity,
            ip,
            port,
            state,
            onset,
            gap_ms: u64::try_from(end - onset).unwrap_or(0),
            beats: *beats,
            gaps,
            instance: event.shown.clone(),
            beater,
        });
    }
    found
}

/// Where it stands now; `None` when it is over, was meant, or was told long enough.
fn state<'a>(
    scene: &'a Scene<'_>,
    unhealthy: &Event,
    service: &ServiceKey,
    identity: &str,
    beater: Option<&Beater>,
) -> Option<State<'a>> {
    let since = scene.now.wall - unhealthy.at;
    let later = scene.memory.instance(service, identity, scene.now.wall, since);
    let later: Vec<&Event> = later.take_while(|later| !std::ptr::eq(*later, unhealthy)).collect();
    let is_new = |event: &&&Event| scene.now.wall - event.at <= scene.told_ms;
    if beater.is_some_and(|beater| !beater.instance.healthy) {
        return Some(State::Unhealthy);
    }
    if beater.is_some() {
        // The first sign of life after it turned unhealthy.
        let back = later.iter().rev().find(|event| {
            matches!(
                *event.cause,
                Cause::BeatResumed { .. } | Cause::InstanceHealthy { .. } | Cause::InstanceRegistered { .. }
            )
        });
        return back.filter(is_new).map(|event| State::Back(event));
    }
    let removed = later.iter().find(|event| matches!(*event.cause, Cause::InstanceRemoved { .. }))?;
    let by_silence = matches!(
        *removed.cause,
        Cause::InstanceRemoved { removal: Removal::BeatExpired { .. } | Removal::ClientExpired { .. } }
    );
    Some(*removed).filter(|_| by_silence).filter(|event| is_new(&event)).map(State::Removed)
}

/// Silences that began together, and what they have in common.
#[derive(Default)]
pub(super) struct Wave {
    pub(super) members: usize,
    pub(super) hosts: HashMap<Arc<str>, HashSet<i32>>,
    pub(super) subnets: BTreeMap<String, HashSet<Arc<str>>>,
}

/// Silences whose beginnings are no further apart than this began together, milliseconds.
const TOGETHER_MS: i64 = 3_000;
/// So many addresses at once are no accident of one of them.
pub(super) const MANY: usize = 3;

/// The wave of each silence: they are sorted by their beginning.
pub(super) fn waves(silences: &[Silence<'_>]) -> Vec<Arc<Wave>> {
    let mut waves: Vec<Arc<Wave>> = Vec::with_capacity(silences.len());
    let mut start = 0;
    for end in 1..=silences.len() {
        let apart = |a: &Silence<'_>, b: &Silence<'_>| b.onset - a.onset > TOGETHER_MS.max(a.interval() as i64 + 500);
        if end < silences.len() && !apart(&silences[end - 1], &silences[end]) {
            continue;
        }
        let mut wave = Wave { members: end - start, ..Wave::default() };
        for silence in &silences[start..end] {
            wave.hosts.entry(Arc::clone(&silence.ip)).or_default().insert(silence.port);
            if let Some(subnet) = subnet_of(&silence.ip) {
                wave.subnets.entry(subnet.to_owned()).or_default().insert(Arc::clone(&silence.ip));
            }
        }
        let wave = Arc::new(wave);
        waves.resize(end, wave);
        start = end;
    }
    waves
}

pub(super) fn subnet_of(ip: &str) -> Option<&str> {
    let _: std::net::Ipv4Addr = ip.parse().ok()?;
    ip.rsplit_once('.').map(|(subnet, _)| subnet)
}
