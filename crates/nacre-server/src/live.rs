//! Settings that follow the file of properties while the server runs.
//!
//! Once a second the files are looked at ([`watch`]); one that changed and then held still for a second is read. Looking
//! follows links, so that a directory whose link is exchanged (as Kubernetes mounts configuration) is noticed, and needs no
//! notifications of the kernel, which network file systems do not send. What follows is marked in the table of properties.

use std::{os::unix::fs::MetadataExt, path::PathBuf, sync::Arc, time::Duration};

use nacre_config::Rules;
use nacre_model::{Cause, Event, Subject};
use parking_lot::Mutex;

use crate::{
    app::App,
    grpc,
    http::gone::Compatibility,
    logging::Logging,
    properties::{Properties, Reread},
};

/// What handlers look at for each request.
#[derive(Clone, Debug)]
pub struct Live {
    /// `nacos.core.param.check.enabled`.
    pub param_check: bool,
    /// What publishes are decided by.
    pub rules: Rules,
    /// Which old APIs are answered.
    pub compatibility: Compatibility,
    /// `nacos.config.derby.ops.enabled`.
    pub derby_ops: bool,
    /// All properties, those that follow the file with what they are now.
    pub props: Properties,
}

impl Live {
    pub fn of(props: &Properties) -> Self {
        Self {
            param_check: props.bool("nacos.core.param.check.enabled"),
            rules: props.config_rules(),
            compatibility: Compatibility::of(props),
            derby_ops: props.bool("nacos.config.derby.ops.enabled"),
            props: props.clone(),
        }
    }
}

/// How often the files are looked at, and how long a changed one must hold still.
const LOOK: Duration = Duration::from_secs(1);
/// Wrong values of one file that the journal names.
const TOLD: usize = 16;

/// What tells one state of a file from another.
type Stamp = Vec<Option<(u64, u64, i64, i64, u64)>>;

#[derive(Default)]
struct Seen {
    /// As it was when it was read last; the first look always reads, because the start was a while ago.
    read: Option<Stamp>,
    /// As it was at the last look.
    last: Option<Stamp>,
}

impl Seen {
    /// Is it time to read?
    fn settled(&mut self, stamp: Stamp) -> bool {
        let still = self.last.as_ref() == Some(&stamp);
        let fresh = self.read.as_ref() != Some(&stamp);
        self.last = Some(stamp.clone());
        if still && fresh {
            self.read = Some(stamp);
        }
        still && fresh
    }
}

fn stamp(files: &[PathBuf]) -> Stamp {
    let of = |file: &PathBuf| {
        let meta = std::fs::metadata(file).ok()?;
        Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))
    };
    files.iter().map(of).collect()
}

/// Starts to watch the files.
pub fn watch(app: &Arc<App>) {
    let (it, files, seen) = (app.clone(), app.props.files(), Arc::new(Mutex::new(Seen::default())));
    app.workers.every("settings file", LOOK, move || {
        let (app, files, seen) = (it.clone(), files.clone(), seen.clone());
        async move {
            // Disks may be slow, and network ones may hang.
            let looked = tokio::task::spawn_blocking(move || {
                if seen.lock().settled(stamp(&files)) {
                    follow(&app);
                }
            });
            let _ = looked.await;
        }
    });
}

/// Reads the files and takes over what may change.
pub fn follow(app: &App) {
    let record = |cause| app.journal.record(Event::new(app.clock.now(), Subject::default(), cause));
    let refuse = |key: &str, reason: String| {
        tracing::warn!(key, %reason, "a change of the settings was refused; the old ones stay in force");
        record(Cause::SettingRefused { key: key.to_owned(), reason });
    };
    let reread = match app.live().props.reread() {
        Ok(reread) => reread,
        Err(error) => {
            for problem in error.problems.iter().take(TOLD) {
                refuse("application.properties", problem.to_string());
            }
            return;
        }
    };
    let Reread { properties, changed, waiting } = reread;
    if !waiting.is_empty() {
        let reason = format!("read at the next start only: {}", waiting.join(", "));
        tracing::info!(%reason, "the settings changed");
        record(Cause::NothingChanged { call: "application.properties".to_owned(), reason });
    }
    if changed.is_empty() {
        return;
    }
    if let Some(logging) = changed.iter().find(|change| change.key == "nacre.logging") {
        if let Err(reason) = Logging::check(&logging.text) {
            return refuse(&logging.key, format!("{}: {reason}", logging.origin));
        }
        if let Err(reason) = app.logging.rebase(&logging.text) {
            return refuse(&logging.key, reason);
        }
    }
    app.naming.set_client_expired(properties.naming().client_expired_ms);
    app.grpc.retune(grpc::Options::of(&properties));
    app.doctor.turn(properties.bool("nacre.doctor.enabled"));
    app.live.store(Arc::new(Live::of(&properties)));
    for change in changed {
        let (key, value, by) = (change.key, change.text, change.origin.to_string());
        tracing::info!(key, value, by, "a setting changed");
        record(Cause::SettingChanged { key, value, by });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_it_holds_still_and_not_again_until_it_changes() {
        let mut seen = Seen::default();
        let file = |size| vec![Some((1, 2, 3, 4, size))];
        assert!(!seen.settled(file(10)), "it may be in the middle of being written");
        assert!(seen.settled(file(10)));
        assert!(!seen.settled(file(10)));
        assert!(!seen.settled(file(20)));
        assert!(!seen.settled(file(30)), "still being written");
        assert!(seen.settled(file(30)));
        assert!(!seen.settled(vec![None]));
        assert!(seen.settled(vec![None]), "a removed file is a change");
    }
}
