//! Properties: Nacos's `application.properties`, the environment, the command line, and what they come to.
//!
//! Precedence, strongest first: `-D key=value` on the command line; `-D` inside `JAVA_OPT` and `JAVA_OPT_EXT`; environment
//! variables that spell a key (`NACOS_CORE_AUTH_ENABLED`); variables of the official image (`NACOS_AUTH_ENABLE`); the file of
//! `--config`; `HOME/conf/application.properties`; defaults. Keys are compared as Spring compares them ([`relaxed`]).
//!
//! [`load`] checks everything once. What it returns is read-only, cheap to clone, and its getters cannot fail: they take keys
//! of the table ([`known`]), whose values have been checked against the row's type.

mod areas;
mod follow;
mod image;
pub mod known;
pub mod members;
pub mod parse;
mod placeholder;
mod print;
mod relaxed;
mod report;
mod resolve;
mod source;
pub mod value;

#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use self::{
    follow::{Change, Reread},
    image::PLAIN as IMAGE_VARIABLES,
    report::{LoadError, Note, Problem},
    source::Origin,
};
use self::{known::Effect, members::Member, resolve::Resolved, value::Value};

/// Where to look. The default looks nowhere: no file, no variable, defaults only.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `--home`.
    pub home: Option<PathBuf>,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `-D key=value`, in order; the last of a key counts.
    pub overrides: Vec<(String, String)>,
    /// The environment; see [`process_environment`].
    pub environment: Vec<(String, String)>,
}

/// The environment of this process. Text that is not UTF-8 is kept as far as it can be read.
pub fn process_environment() -> Vec<(String, String)> {
    std::env::vars_os().map(|(k, v)| (k.to_string_lossy().into_owned(), v.to_string_lossy().into_owned())).collect()
}

/// Reads and checks everything. The error names every wrong value at once.
pub fn load(options: &LoadOptions) -> Result<Properties, LoadError> {
    let resolved = resolve::resolve(options);
    if resolved.problems.is_empty() {
        Ok(Properties { inner: Arc::new(resolved), options: Arc::new(options.clone()) })
    } else {
        Err(LoadError { problems: resolved.problems })
    }
}

/// What would be in effect, also when something is wrong: for `--print-config`.
pub fn explain(options: &LoadOptions) -> Explained {
    Explained(resolve::resolve(options))
}

/// See [`explain`].
#[derive(Clone, Debug)]
pub struct Explained(Resolved);

impl Explained {
    /// For people.
    pub fn text(&self) -> String {
        print::text(&self.0)
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        print::json(&self.0)
    }

    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    pub fn notes(&self) -> &[Note] {
        &self.0.notes
    }
}

/// The effective configuration.
///
/// Getters take a key of the table in its own spelling. A key without a row, or a getter of another type than the row's, is a
/// mistake in nacre's own code and panics; no input can cause it.
#[derive(Clone, Debug)]
pub struct Properties {
    inner: Arc<Resolved>,
    /// Where they came from, to look there again.
    options: Arc<LoadOptions>,
}

impl Properties {
    /// Defaults and these settings, nothing from files or the environment. For tests and tools.
    pub fn of(settings: &[(&str, &str)]) -> Result<Self, LoadError> {
        load(&LoadOptions {
            overrides: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..LoadOptions::default()
        })
    }

    /// The home directory, absolute.
    pub fn home(&self) -> &Path {
        &self.inner.home
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home().join("data")
    }

    pub fn conf_dir(&self) -> PathBuf {
        self.home().join("conf")
    }

    pub fn logs_dir(&self) -> PathBuf {
        self.home().join("logs")
    }

    /// What an operator should hear once at start.
    pub fn notes(&self) -> &[Note] {
        &self.inner.notes
    }

    /// The members of the cluster that somebody described: those of `conf/cluster.conf`, else of `nacos.member.list`.
    pub fn members(&self) -> &[Member] {
        &self.inner.members
    }

    /// Text; `""` when it is not set and has no default.
    pub fn str(&self, key: &str) -> &str {
        match self.value(key) {
            None => "",
            Some(Value::Text(text)) => text,
            Some(other) => wrong_type(key, other),
        }
    }

    /// The value in force as it was written, of whatever type; `""` when there is none, or no such key.
    pub fn text(&self, key: &str) -> &str {
        self.inner.effective.get(&relaxed::canonical(key)).map_or("", |entry| &entry.text)
    }

    /// Text that is set and not blank.
    pub fn opt_str(&self, key: &str) -> Option<&str> {
        Some(self.str(key)).filter(|text| !text.trim().is_empty())
    }

    pub fn bool(&self, key: &str) -> bool {
        match self.value(key) {
            Some(Value::Bool(value)) => *value,
            other => wrong_type(key, other),
        }
    }

    pub fn i64(&self, key: &str) -> i64 {
        match self.value(key) {
            Some(Value::Int(value)) => *value,
            other => wrong_type(key, other),
        }
    }

    /// A number, or a number of bytes, that cannot be negative.
    pub fn u64(&self, key: &str) -> u64 {
        match self.value(key) {
            Some(Value::Int(value)) => u64::try_from(*value).unwrap_or_else(|_| wrong_type(key, value)),
            Some(Value::Bytes(value)) => *value,
            other => wrong_type(key, other),
        }
    }

    /// As [`Properties::u64`], for sizes and counts.
    pub fn usize(&self, key: &str) -> usize {
        usize::try_from(self.u64(key)).unwrap_or(usize::MAX)
    }

    /// A port.
    pub fn u16(&self, key: &str) -> u16 {
        u16::try_from(self.u64(key)).unwrap_or_else(|_| wrong_type(key, "a number above 65535"))
    }

    pub fn duration(&self, key: &str) -> Duration {
        match self.value(key) {
            Some(Value::Time(value)) => *value,
            other => wrong_type(key, other),
        }
    }

    /// Whole milliseconds of a [`Properties::duration`].
    pub fn millis(&self, key: &str) -> u64 {
        u64::try_from(self.duration(key).as_millis()).unwrap_or(u64::MAX)
    }

    /// A path; relative ones count from the working directory.
    pub fn path(&self, key: &str) -> Option<&Path> {
        match self.value(key) {
            None => None,
            Some(Value::Path(path)) => Some(path),
            Some(other) => wrong_type(key, other),
        }
    }

    /// The items of a comma list.
    pub fn list(&self, key: &str) -> &[String] {
        match self.value(key) {
            None => &[],
            Some(Value::List(list)) => list,
            Some(other) => wrong_type(key, other),
        }
    }

    /// `nacre.listen`.
    pub fn addresses(&self, key: &str) -> &[IpAddr] {
        match self.value(key) {
            Some(Value::Addresses(addresses)) => addresses,
            other => wrong_type(key, other),
        }
    }

    /// Keys that begin with `prefix` and have a free part: that part in canonical form (lower case), and the value.
    /// `with_prefix("nacos.core.ability.")` gives `("fuzzywatch", "false")`.
    pub fn with_prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        let prefix = relaxed::canonical(prefix);
        self.inner
            .effective
            .range(prefix.clone()..)
            .map_while(move |(key, entry)| key.strip_prefix(prefix.as_str()).map(|rest| (rest, entry.text.as_str())))
    }

    /// Where a value comes from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.inner.effective.get(&relaxed::canonical(key)).map_or(&Origin::Default, |entry| &entry.origin)
    }

    /// Whether somebody set the key.
    pub fn is_set(&self, key: &str) -> bool {
        *self.origin(key) != Origin::Default
    }

    /// Every effective value and its origin, as `--print-config` shows them.
    pub fn explain(&self) -> String {
        print::text(&self.inner)
    }

    /// Number of keys that have an effect and were set by somebody, beside the home directory.
    pub fn set_count(&self) -> usize {
        let set = |e: &&resolve::Effective| {
            e.origin != Origin::Default && e.key != "nacos.home" && e.row.is_some_and(|r| r.effect == Effect::Now)
        };
        self.inner.effective.values().filter(set).count()
    }

    fn value(&self, key: &str) -> Option<&Value> {
        match self.inner.effective.get(&relaxed::canonical(key)) {
            Some(entry) => entry.value.as_ref(),
            None => panic!("the property {key} is not in the table"),
        }
    }
}

#[cold]
fn wrong_type(key: &str, value: impl std::fmt::Debug) -> ! {
    panic!("the property {key} has another type: {value:?}")
}
