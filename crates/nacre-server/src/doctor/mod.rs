//! The doctor at work: once a second it reads what the journal has recorded since, lets the rules look, and journals what
//! appeared and cleared. `sighting` is how requests leave their trace; `facts` shows rules the server around the cores;
//! `before` reads once what the process before this one left in the journal.

mod before;
mod facts;
mod gauges;
pub mod sighting;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use nacre_doctor::{
    Change, Engine, Finding, Found, Memory, Scene, Sightings, rules,
    scene::{Desk, Gauges},
};
use nacre_model::{Cause, ConfigKey, Event, Subject, limits};
use parking_lot::Mutex;

use self::gauges::Sampler;
use crate::app::App;

/// Between two looks.
const ROUND: Duration = Duration::from_secs(1);
/// Records looked at in one round; what is beyond is looked at in the next.
const MOST: u64 = 200_000;

/// What the faces show. Never changes; each round makes a new one.
#[derive(Default)]
pub struct Shown {
    /// The worst first.
    pub open: Vec<Arc<Found>>,
    /// Newest first.
    pub cleared: Vec<Arc<Found>>,
    /// Wall clock of the round; 0 before the first.
    pub at: i64,
    /// What is kept to find causes by, and how much of it.
    pub kept: Vec<(&'static str, usize)>,
}

/// Who began with an old version is looked after for so long; who is behind then stays known to the rule.
const LATE_MS: i64 = 30_000;

/// The doctor of this server.
#[derive(Default)]
pub struct Doctor {
    /// `nacre.doctor.enabled=false`: nothing is noted for it either.
    off: AtomicBool,
    pub sightings: Sightings,
    shown: ArcSwap<Shown>,
    mind: Mutex<Mind>,
    /// Configs whose listeners began with an old version, and when one did first (wall clock).
    late: Mutex<HashMap<ConfigKey, i64>>,
    /// Of the last round.
    gauges: Mutex<Gauges>,
}

#[derive(Default)]
struct Mind {
    memory: Memory,
    engine: Engine,
    sampler: Sampler,
    desk: Desk,
}

impl Doctor {
    pub fn new(on: bool, subjects: usize) -> Self {
        let mind = Mind { memory: Memory::new(subjects), ..Mind::default() };
        Self {
            off: AtomicBool::new(!on),
            sightings: Sightings::new(subjects),
            mind: Mutex::new(mind),
            ..Self::default()
        }
    }

    pub fn is_on(&self) -> bool {
        !self.off.load(Relaxed)
    }

    /// The setting may have changed. Once it is off nothing is shown; on again it goes on from what it knew.
    pub fn turn(&self, on: bool) {
        // Not in the midst of a round, which shows what it found at its end.
        let _mind = self.mind.lock();
        self.off.store(!on, Relaxed);
        if !on {
            self.shown.store(Arc::default());
        }
    }

    pub fn shown(&self) -> Arc<Shown> {
        self.shown.load_full()
    }

    /// A listener that began with an old version was told so; whether it follows is looked at later.
    pub fn told_changed(&self, key: &ConfigKey, now: i64) {
        let mut late = self.late.lock();
        if late.len() >= limits::TOLD_LATE as usize {
            late.retain(|_, at| now - *at < LATE_MS);
        }
        if late.len() < limits::TOLD_LATE as usize {
            late.entry(key.clone()).or_insert(now);
        }
    }

    /// Those of the last while.
    fn told_late(&self, now: i64) -> Vec<(ConfigKey, i64)> {
        let mut late = self.late.lock();
        late.retain(|_, at| now - *at < LATE_MS);
        late.iter().map(|(key, at)| (key.clone(), *at)).collect()
    }

    fn gauges(&self) -> Gauges {
        self.gauges.lock().clone()
    }
}

/// Starts the worker, which rests as long as the doctor is off.
pub fn start(app: &Arc<App>) {
    if app.doctor.is_on() {
        before::read(app);
    }
    let it = app.clone();
    app.workers.every("doctor", ROUND, move || {
        let app = it.clone();
        async move {
            if !app.doctor.is_on() {
                return;
            }
            // Rules walk memory; that is milliseconds on a large server, and not the business of a thread that serves.
            // Ready at once, and yet behind whatever else is: how long that takes is the lag of everybody.
            let ready = Instant::now();
            tokio::task::yield_now().await;
            let lag = ready.elapsed();
            if let Err(error) = tokio::task::spawn_blocking(move || round(&app, lag)).await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    });
}

fn round(app: &App, lag: Duration) {
    let now = app.clock.now();
    app.doctor.sightings.trim();
    let mut mind = app.doctor.mind.lock();
    if !app.doctor.is_on() {
        return;
    }
    let Mind { memory, engine, sampler, desk } = &mut *mind;
    let gauges = sampler.round(app, lag);
    *app.doctor.gauges.lock() = gauges;
    let (news, last) = app.journal.news(memory.last(), MOST, memory.of_a_round());
    news.iter().for_each(|record| memory.note(record));
    memory.passed(last);
    drop(news);
    let scene = Scene {
        now,
        memory,
        sightings: &app.doctor.sightings,
        naming: &app.naming,
        configs: &app.configs,
        server: app,
        desk,
        told_ms: i64::try_from(app.props.millis("nacre.doctor.told")).unwrap_or(i64::MAX),
    };
    let changes = engine.round(rules::all(), &scene);
    let kept = kept(memory, &app.doctor.sightings);
    app.doctor.shown.store(Arc::new(Shown { open: engine.open(), cleared: engine.cleared(), at: now.wall, kept }));
    drop(mind);
    for change in changes {
        let (finding, cause) = match &change {
            Change::Appeared(finding) => (finding, appeared(finding)),
            Change::Cleared(finding) => (finding, cleared(finding)),
        };
        app.journal.record(Event::new(now, subject(finding), cause));
    }
}

fn kept(memory: &Memory, sightings: &Sightings) -> Vec<(&'static str, usize)> {
    let [events, instances, addresses] = memory.kept();
    vec![
        ("events", events),
        ("instances", instances),
        ("addresses", addresses),
        ("sources", sightings.len()),
        ("callers", sightings.callers.len()),
        ("partings", sightings.partings.len()),
    ]
}

fn appeared(finding: &Finding) -> Cause {
    Cause::FindingAppeared {
        code: finding.code.as_str().into(),
        id: finding.id.as_str().into(),
        severity: finding.severity.word().into(),
        cause: finding.cause.as_str().into(),
    }
}

fn cleared(finding: &Finding) -> Cause {
    let lasted = finding.cleared.unwrap_or(finding.updated) - finding.since;
    Cause::FindingCleared {
        code: finding.code.as_str().into(),
        id: finding.id.as_str().into(),
        lasted_ms: u64::try_from(lasted).unwrap_or(0),
    }
}

/// The first subject of a finding, in the journal's form.
fn subject(finding: &Finding) -> Subject {
    use nacre_model::{ConfigKey, ServiceKey};
    let about = &finding.subject;
    let namespace = about.namespace_id.as_deref().unwrap_or("");
    let group = about.group_name.as_deref().unwrap_or("");
    Subject {
        service: about.service_name.as_deref().map(|name| ServiceKey::new(namespace, group, name)),
        config: about.data_id.as_deref().map(|id| ConfigKey::new(namespace, group, id)),
        instance: about.instance.as_deref().map(Into::into),
        client: about.client.as_deref().or(about.address.as_deref()).map(Into::into),
    }
}
