//! From sources to one effective value per key.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    LoadOptions, image,
    known::{self, Effect, Known},
    members::{self, Member, Remark},
    placeholder,
    relaxed::canonical,
    report::{self, Note, Problem},
    source::{self, Origin, Setting, Source},
    value::Value,
};

/// Keys kept from all sources together; a file with more is not a configuration.
const KEYS: usize = 20_000;
/// Unknown keys that are told one by one, each with the nearest known one; of the rest only the number is told.
const UNKNOWN_TOLD: usize = 100;

/// A key's value after everything was taken into account.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The table's spelling, or for unknown keys the file's.
    pub key: String,
    /// The text, placeholders resolved.
    pub text: String,
    /// The checked value; `None` when it is wrong or the key is unknown and has no type.
    pub value: Option<Value>,
    pub origin: Origin,
    pub row: Option<&'static Known>,
    /// What the same key was set to with less precedence.
    pub overridden: Vec<(String, Origin)>,
}

/// Everything found, also when parts of it are wrong.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    pub home: PathBuf,
    /// By canonical key.
    pub effective: BTreeMap<String, Effective>,
    pub problems: Vec<Problem>,
    pub notes: Vec<Note>,
    /// See [`super::Properties::members`].
    pub members: Vec<Member>,
    /// Keys that were set and are not known.
    unknown: usize,
    /// Keys that were set and have no effect yet; one note names them all.
    waiting: Vec<String>,
}

/// Reads all sources. Never fails: what is wrong is in `problems`.
pub fn resolve(options: &LoadOptions) -> Resolved {
    let mut out = Resolved::default();
    let mut sources = vec![
        source::command_line(&options.overrides),
        source::java_options(&options.environment),
        source::relaxed_environment(&options.environment),
        image::environment(&options.environment),
    ];
    if let Some(path) = &options.config {
        sources.push(read_file(path, true, &mut out));
    }
    out.home = home(options, &sources);
    sources.push(read_file(&out.home.join("conf").join("application.properties"), false, &mut out));
    collect(&sources, options, &mut out);
    cluster(&mut out);
    if let Some(more) = out.unknown.checked_sub(UNKNOWN_TOLD).filter(|more| *more > 0) {
        let text = format!("{more} more keys are not known, so without effect");
        out.notes.push(Note { place: String::new(), key: String::new(), text });
    }
    if !out.waiting.is_empty() {
        let text = format!("known, but without effect in this version: {}", out.waiting.join(", "));
        out.notes.push(Note { place: String::new(), key: String::new(), text });
    }
    let used: HashSet<&str> = sources
        .iter()
        .flatten()
        .filter_map(|setting| match &setting.origin {
            Origin::Environment(name) => Some(&**name),
            _ => None,
        })
        .collect();
    out.notes.extend(report::unknown_variables(&options.environment, &used));
    out
}

fn read_file(path: &std::path::Path, required: bool, out: &mut Resolved) -> Source {
    match source::file(path, required) {
        Ok(file) => {
            out.notes.extend(file.remarks.iter().map(|(origin, text)| Note::new(origin, "", text.clone())));
            file.settings
        }
        Err(problem) => {
            out.problems.push(problem);
            Vec::new()
        }
    }
}

/// Who is named as a member, and what is to be said about that: a node that others count on must not run alone unseen.
fn cluster(out: &mut Resolved) {
    let path: Arc<Path> = out.home.join("conf").join("cluster.conf").into();
    let port = match out.effective.get("server.port").and_then(|entry| entry.value.as_ref()) {
        Some(Value::Int(port)) => u16::try_from(*port).unwrap_or_default(),
        _ => 0,
    };
    let text = match source::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            out.notes.push(Note::new(&Origin::File { path, line: 1 }, "", format!("cannot be read: {error}")));
            return;
        }
    };
    let mut read = members::parse(&text, port);
    let mut place = Origin::File { path: path.clone(), line: 1 };
    for Remark { line, text } in std::mem::take(&mut read.remarks) {
        out.notes.push(Note::new(&Origin::File { path: path.clone(), line }, "", text));
    }
    if read.members.is_empty()
        && let Some(entry) = out.effective.get(&canonical("nacos.member.list"))
    {
        (read, place) = (members::parse(&entry.text, port), entry.origin.clone());
        out.notes.extend(read.remarks.iter().map(|remark| Note::new(&place, &entry.key, remark.text.clone())));
    }
    if read.members.len() > 1 {
        let text = format!(
            "{} members of a cluster are named, but this version has no clustering: this node starts alone, and the others \
             know nothing of what is written here",
            read.members.len()
        );
        out.notes.push(Note::new(&place, "", text));
    }
    out.members = read.members;
}

/// `--home`, else `nacos.home` of any source that is known by now, else `$NACOS_HOME` (among them by its name), else
/// `./nacre`.
fn home(options: &LoadOptions, sources: &[Source]) -> PathBuf {
    let wanted = canonical("nacos.home");
    let set = || {
        sources
            .iter()
            .find_map(|source| source.iter().rev().find(|s| canonical(&s.key) == wanted && !s.value.is_empty()))
    };
    let chosen = options
        .home
        .clone()
        .or_else(|| set().map(|setting| PathBuf::from(&setting.value)))
        .unwrap_or_else(|| PathBuf::from("nacre"));
    std::path::absolute(&chosen).unwrap_or(chosen)
}

/// The settings that a row, or an unknown key, got; the strongest first.
fn group(sources: &[Source]) -> BTreeMap<String, Vec<&Setting>> {
    let mut groups: BTreeMap<String, Vec<&Setting>> = BTreeMap::new();
    for source in sources {
        let mut found: Vec<(String, usize, &Setting)> = source
            .iter()
            .rev()
            .map(|setting| {
                let key = canonical(&setting.key);
                match known::find(&key).filter(|row| row.prefix().is_none()) {
                    // Of two names for one thing in one source the newer generation's wins.
                    Some(row) => {
                        let alias = row.aliases.iter().position(|alias| canonical(alias) == key);
                        (canonical(row.key), alias.map_or(usize::MAX, |n| n), setting)
                    }
                    None => (key, 0, setting),
                }
            })
            .collect();
        found.sort_by_key(|(_, rank, _)| *rank);
        for (key, _, setting) in found {
            if groups.len() < KEYS || groups.contains_key(&key) {
                groups.entry(key).or_default().push(setting);
            }
        }
    }
    groups
}

fn collect(sources: &[Source], options: &LoadOptions, out: &mut Resolved) {
    let groups = group(sources);
    let look_up = |name: &str| {
        let set = groups.get(&canonical(name)).and_then(|all| all.first()).map(|setting| setting.value.clone());
        set.or_else(|| options.environment.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())).or_else(|| {
            known::find(name).filter(|row| row.prefix().is_none() && !row.default.is_empty()).map(|r| r.default.into())
        })
    };
    for (key, settings) in &groups {
        let strongest = settings[0];
        let row = known::find(key);
        let text = placeholder::resolve(&strongest.value, &look_up).unwrap_or_else(|circular| {
            out.problems.push(Problem::setting(&strongest.origin, &strongest.key, circular.to_string()));
            strongest.value.clone()
        });
        let spelled = match row {
            Some(row) if row.prefix().is_none() => row.key.to_owned(),
            _ => strongest.key.clone(),
        };
        let mut entry = Effective {
            key: spelled,
            text,
            value: None,
            origin: strongest.origin.clone(),
            row,
            overridden: settings[1..].iter().map(|s| (s.value.clone(), s.origin.clone())).collect(),
        };
        judge(&mut entry, strongest, out);
        out.effective.insert(key.clone(), entry);
    }
    for row in known::all().filter(|row| row.prefix().is_none()) {
        out.effective.entry(canonical(row.key)).or_insert_with(|| default_of(row));
    }
    // What was decided above is what is shown and what counts.
    let home = out.home.clone();
    if let Some(entry) = out.effective.get_mut("nacos.home") {
        if options.home.is_some() && entry.origin != Origin::Default {
            entry.overridden.insert(0, (entry.text.clone(), entry.origin.clone()));
        }
        if options.home.is_some() {
            entry.origin = Origin::CommandLine;
        }
        entry.text = home.display().to_string();
        entry.value = Some(Value::Path(home));
    }
}

fn default_of(row: &'static Known) -> Effective {
    Effective {
        key: row.key.to_owned(),
        text: row.default.to_owned(),
        value: default_value(row),
        origin: Origin::Default,
        row: Some(row),
        overridden: Vec::new(),
    }
}

fn default_value(row: &Known) -> Option<Value> {
    if row.default.is_empty() && row.kind.blank_is_unset() { None } else { row.kind.check(row.default).ok() }
}

/// Checks a value and says what there is to say about it.
fn judge(entry: &mut Effective, setting: &Setting, out: &mut Resolved) {
    let Some(row) = entry.row else {
        out.unknown += 1;
        if out.unknown <= UNKNOWN_TOLD {
            let text = match report::nearest_key(&setting.key) {
                Some(near) => format!("not known, so without effect; the nearest known key is {near}"),
                None => "not known, so without effect".to_owned(),
            };
            out.notes.push(Note::new(&setting.origin, &setting.key, text));
        }
        entry.value = Some(Value::Text(entry.text.clone()));
        return;
    };
    if entry.text.trim().is_empty() && row.kind.blank_is_unset() {
        // As in Spring: `server.port=` leaves the default in force.
        entry.text = row.default.to_owned();
        entry.value = default_value(row);
    } else {
        check(entry, row, setting, out);
    }
    blanks(entry, setting, out);
    effect(entry, row, setting, out);
}

fn check(entry: &mut Effective, row: &Known, setting: &Setting, out: &mut Resolved) {
    match row.kind.check(&entry.text) {
        Ok(value) => entry.value = Some(value),
        // A variable that only happens to be named like a key without effect harms nobody.
        Err(_) if row.effect == Effect::Never => {}
        Err(_) if row.effect != Effect::Now && matches!(setting.origin, Origin::Environment(_)) => {}
        Err(allowed) => {
            let text = match platform(row.key, &entry.text) {
                Some(text) => text,
                None if row.secret => format!("wrong value; allowed: {allowed}"),
                None => format!("wrong value \"{}\"; allowed: {allowed}", report::shown(row.key, &entry.text)),
            };
            out.problems.push(Problem::setting(&setting.origin, &setting.key, text));
        }
    }
}

/// A start on an empty store of its own, where an operator expects what is in a database, would hand out nothing.
fn platform(key: &str, value: &str) -> Option<String> {
    (key == "spring.sql.init.platform").then(|| {
        format!(
            "\"{value}\" cannot be used: this version keeps its data in its own store under the home directory, not in an \
             external database; remove the key, or leave it empty, to start with that store"
        )
    })
}

/// C092: blanks at the end belong to the value, and are seldom meant.
fn blanks(entry: &Effective, setting: &Setting, out: &mut Resolved) {
    let matters = entry.row.is_some_and(|row| matches!(row.kind, super::value::Kind::Text | super::value::Kind::Path));
    let trailing = setting.value.len() - setting.value.trim_end().len();
    if matters && trailing > 0 {
        let text = format!(
            "the value ends with {trailing} blank{}, which belong{} to it",
            if trailing == 1 { "" } else { "s" },
            if trailing == 1 { "s" } else { "" }
        );
        out.notes.push(Note::new(&setting.origin, &setting.key, text));
    }
}

fn effect(entry: &Effective, row: &Known, setting: &Setting, out: &mut Resolved) {
    let text = match row.effect {
        Effect::Now | Effect::Never => return,
        Effect::Dead { instead } => match instead.strip_prefix("nothing; ") {
            Some(why) => format!("has no effect ({why})"),
            None => format!("has no effect; use {instead}"),
        },
        Effect::Later if is_default(entry, row) => return,
        Effect::Later if row.key == "nacos.core.auth.enabled" => {
            "has no effect yet: everybody who reaches the server may read and write; keep nacre.listen on loopback"
                .to_owned()
        }
        Effect::Later if row.key == "nacos.standalone" => "has no effect yet: this version runs one node".to_owned(),
        Effect::Later => {
            out.waiting.push(format!("{} ({})", setting.key, setting.origin));
            return;
        }
    };
    out.notes.push(Note::new(&setting.origin, &setting.key, text));
}

fn is_default(entry: &Effective, row: &Known) -> bool {
    entry.text == row.default || (entry.value.is_some() && entry.value == row.kind.check(row.default).ok())
}
