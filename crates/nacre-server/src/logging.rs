//! The log on the standard error: what is written, and how its levels change while the server runs.
//!
//! Every event of the journal is a line of the log at level `debug`, under the target of its area ([`target`]); what
//! cannot wait for somebody to look is logged by the code that finds it, under the module's own name. `nacre.logging` says
//! what is written; the level of a part is changed by the names that Nacos has for its logs ([`NAMES`]), until the next
//! start.

use std::{
    collections::BTreeMap,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use nacre_journal::{Witness, describe};
use nacre_model::{Cause, Event};
use parking_lot::Mutex;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

const NAMING: &str = "nacre::naming";
const PUSH: &str = "nacre::push";
const CONFIG: &str = "nacre::config";
const NOTIFY: &str = "nacre::notify";
const CLIENT: &str = "nacre::client";
const RAFT: &str = "nacre::raft";
const SERVER: &str = "nacre::server";

/// Nacos's names of logs, and the targets of nacre that say the same. Names of logs that nacre has nothing to say in have
/// none: the level is accepted and changes nothing.
const NAMES: &[(&str, &[&str])] = &[
    ("naming-main", &[NAMING]),
    ("naming-server", &[NAMING]),
    ("naming-event", &[NAMING]),
    ("naming-rt", &[NAMING, "nacre_server::health"]),
    ("naming-check", &[NAMING, "nacre_server::health"]),
    ("naming-push", &[PUSH]),
    ("naming-raft", &[RAFT, "nacre_cluster", "openraft"]),
    ("naming-distro", &[]),
    ("naming-performance", &[]),
    ("config-server", &[CONFIG]),
    ("config-fatal", &[CONFIG, "nacre_store"]),
    ("config-pull", &[NOTIFY]),
    ("config-pull-check", &[NOTIFY]),
    ("config-client-request", &[NOTIFY]),
    ("config-notify", &[NOTIFY]),
    ("config-trace", &[CONFIG, NOTIFY]),
    ("config-dump", &["nacre_store"]),
    ("config-memory", &["nacre_store"]),
    ("core", &[CLIENT, SERVER]),
    ("core-raft", &[RAFT, "nacre_cluster", "openraft"]),
    ("core-cluster", &[RAFT, "nacre_cluster"]),
    ("core-distro", &[]),
    ("core-auth", &[]),
];

/// The consensus engine tells at `info` what our own journal tells better; who wants it names it.
const QUIETER: &str = "openraft=warn";

/// The area of an event.
fn target(event: &Event) -> &'static str {
    use Cause as C;
    match &*event.cause {
        C::ClientConnected { .. }
        | C::HandshakeRefused { .. }
        | C::ClientDisconnected { .. }
        | C::ClientReset { .. }
        | C::TransportShared { .. }
        | C::UnknownProtocol { .. } => CLIENT,
        C::PushSent { .. } | C::PushAcked { .. } | C::PushFailed { .. } | C::PushGaveUp { .. } => {
            if event.subject.config.is_some() { NOTIFY } else { PUSH }
        }
        C::ListenerNotified { .. } | C::ListenerStale { .. } => NOTIFY,
        C::ConfigPublished { .. }
        | C::ConfigRemoved { .. }
        | C::CasConflict { .. }
        | C::NamespaceChanged { .. }
        | C::ConfigsReloaded { .. } => CONFIG,
        C::LeaderElected { .. }
        | C::LeaderLost { .. }
        | C::FsyncSlow { .. }
        | C::LeaderBeatFailed { .. }
        | C::WriteFailed { .. }
        | C::WriteRecovered { .. }
        | C::LogTailCut { .. }
        | C::SnapshotTaken { .. }
        | C::LogPurged { .. }
        | C::StorePoisoned { .. }
        | C::StoreRecovered { .. } => RAFT,
        _ if event.subject.config.is_some() => CONFIG,
        _ if event.subject.service.is_some() || event.subject.instance.is_some() => NAMING,
        C::SwitchChanged { .. } | C::BrakeOn { .. } | C::BrakeOff => NAMING,
        _ => SERVER,
    }
}

/// Writes events to the log where somebody asked for them; costs one comparison where nobody did.
pub fn witness() -> Witness {
    macro_rules! say {
        ($event:expr, $($target:ident)*) => {
            match target($event) {
                $(at if at == $target => tracing::debug!(target: $target, "{}", describe($event)),)*
                _ => {}
            }
        };
    }
    Box::new(|event| {
        if tracing::level_filters::LevelFilter::current() >= tracing::Level::DEBUG {
            say!(event, NAMING PUSH CONFIG NOTIFY CLIENT RAFT SERVER);
        }
    })
}

/// What a change of a level came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These targets are written at the level now.
    Done(&'static [&'static str]),
    /// Nothing changed, and why.
    Nothing(String),
}

type Reload = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

/// The filter of the log.
pub struct Logging {
    levels: Mutex<Levels>,
    reload: Reload,
}

struct Levels {
    /// `nacre.logging`.
    base: String,
    /// Changed since; keys are those of [`NAMES`].
    changed: BTreeMap<&'static str, &'static str>,
}

impl Levels {
    fn filter(&self) -> Result<EnvFilter, String> {
        let mut text = if self.base.contains("openraft") { String::new() } else { format!("{QUIETER},") };
        text.push_str(&self.base);
        // Of two directives for a target the later one counts.
        for (target, level) in &self.changed {
            text.push_str(&format!(",{target}={level}"));
        }
        EnvFilter::try_new(text).map_err(|error| error.to_string())
    }
}

impl Logging {
    /// Makes this process log to `writer`. `base` is `nacre.logging`.
    pub fn install<W>(base: &str, colours: bool, writer: W) -> Result<Self, String>
    where
        W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    {
        let levels = Levels { base: base.to_owned(), changed: BTreeMap::new() };
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(levels.filter()?)
            .with_writer(writer)
            .with_ansi(colours)
            .with_filter_reloading();
        let handle = subscriber.reload_handle();
        let installed = tracing_subscriber::util::SubscriberInitExt::try_init(subscriber.finish());
        installed.map_err(|error| format!("logging cannot be set up: {error}"))?;
        let reload = Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()));
        Ok(Self { levels: Mutex::new(levels), reload })
    }

    /// The log of a process that has its own, or none: levels are kept, and nobody acts on them.
    pub fn detached(base: &str) -> Self {
        let levels = Levels { base: base.to_owned(), changed: BTreeMap::new() };
        Self { levels: Mutex::new(levels), reload: Box::new(|_| Ok(())) }
    }

    /// Whether `nacre.logging` can be what `base` says.
    pub fn check(base: &str) -> Result<(), String> {
        EnvFilter::try_new(base).map(drop).map_err(|error| {
            format!(
                "{error}; allowed: a level (error, warn, info, debug, trace), or target=level pairs with commas between"
            )
        })
    }

    /// Sets the level of one of Nacos's logs. Names and levels that do not exist change nothing.
    pub fn set(&self, name: &str, level: &str) -> Result<Change, String> {
        let Some((_, targets)) = NAMES.iter().find(|(known, _)| *known == name) else {
            return Ok(Change::Nothing(format!("there is no log {name}")));
        };
        let Some(level) = level_of(level) else {
            return Ok(Change::Nothing(format!("there is no level {level}")));
        };
        if targets.is_empty() {
            return Ok(Change::Nothing(format!("nothing is written to {name} here")));
        }
        self.change(|levels| levels.changed.extend(targets.iter().map(|target| (*target, level))))?;
        Ok(Change::Done(targets))
    }

    /// Another `nacre.logging`; levels set since the start stay.
    pub fn rebase(&self, base: &str) -> Result<(), String> {
        Self::check(base)?;
        self.change(|levels| levels.base = base.to_owned())
    }

    fn change(&self, change: impl FnOnce(&mut Levels)) -> Result<(), String> {
        let mut levels = self.levels.lock();
        let mut next = Levels { base: levels.base.clone(), changed: levels.changed.clone() };
        change(&mut next);
        (self.reload)(next.filter()?)?;
        *levels = next;
        Ok(())
    }
}

/// The words of Nacos's log levels, in any case.
fn level_of(word: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 7] = [
        ("off", "off"),
        ("error", "error"),
        ("warn", "warn"),
        ("info", "info"),
        ("debug", "debug"),
        ("trace", "trace"),
        ("all", "trace"),
    ];
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word.trim())).map(|(_, level)| *level)
}

/// The longest that a line waited for whoever reads the standard error since this was asked last, milliseconds.
static WAITED: AtomicU64 = AtomicU64::new(0);

/// The standard error. A pipe whose reader is slow holds every thread that has something to say: the wait is measured.
pub struct Stderr;

/// One line on its way there.
pub struct Line(io::Stderr);

impl MakeWriter<'_> for Stderr {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line(io::stderr())
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let written = self.0.write(bytes);
        WAITED.fetch_max(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The longest wait of a line since this was called last, milliseconds.
pub fn take_longest_wait() -> u64 {
    WAITED.swap(0, Ordering::Relaxed)
}

/// Whether the standard error is a terminal that shows colours.
pub fn stderr_has_colours() -> bool {
    use io::IsTerminal;
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The filters that were put in force, as text.
    fn watched(base: &str) -> (Logging, std::sync::Arc<Mutex<Vec<String>>>) {
        let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let mut logging = Logging::detached(base);
        logging.reload = Box::new(move |filter| {
            sink.lock().push(filter.to_string());
            Ok(())
        });
        (logging, seen)
    }

    #[test]
    fn a_level_reaches_the_targets_of_the_log_and_no_others() {
        let (logging, seen) = watched("info");
        assert_eq!(logging.set("naming-push", "DEBUG"), Ok(Change::Done(&[PUSH])));
        let filter = seen.lock().last().cloned().unwrap();
        assert!(filter.contains("nacre::push=debug"), "{filter}");
        assert!(!filter.contains("nacre::naming"), "{filter}");
        assert!(filter.contains("info") && filter.contains("openraft=warn"), "{filter}");
        // Back again, in other letters.
        assert_eq!(logging.set("naming-push", "info"), Ok(Change::Done(&[PUSH])));
        let filter = seen.lock().last().cloned().unwrap();
        assert!(filter.contains("nacre::push=info") && !filter.contains("debug"), "{filter}");
    }

    #[test]
    fn names_and_levels_that_do_not_exist_change_nothing() {
        let (logging, seen) = watched("info");
        for (name, level) in [("zzz", "INFO"), ("naming-push", "LOUD"), ("naming-push", ""), ("core-auth", "DEBUG")] {
            assert!(matches!(logging.set(name, level), Ok(Change::Nothing(_))), "{name} {level}");
        }
        assert!(seen.lock().is_empty());
    }

    #[test]
    fn a_changed_level_outlives_another_base() {
        let (logging, seen) = watched("info");
        logging.set("config-server", "trace").unwrap();
        logging.rebase("warn").unwrap();
        let filter = seen.lock().last().cloned().unwrap();
        assert!(filter.contains("nacre::config=trace") && filter.contains("warn"), "{filter}");
        assert!(logging.rebase("a=b=c=d").is_err());
        assert_eq!(seen.lock().len(), 2, "a wrong base is not put in force");
    }

    #[test]
    fn every_target_of_a_name_is_written_to_by_somebody() {
        for (name, targets) in NAMES {
            for target in *targets {
                let ours = [NAMING, PUSH, CONFIG, NOTIFY, CLIENT, RAFT, SERVER].contains(target);
                let krate = ["nacre_server::health", "nacre_cluster", "nacre_store", "openraft"].contains(target);
                assert!(ours || krate, "{name}: {target}");
            }
        }
    }
}
