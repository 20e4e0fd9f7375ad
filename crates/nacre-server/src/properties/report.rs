//! What is said about settings: problems that stop the start, notes that do not. Secrets never appear in either.

use std::{collections::HashSet, fmt, path::Path};

use super::{
    image, known,
    relaxed::{self, canonical},
    source::Origin,
};

/// A setting that cannot be lived with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `FILE:LINE`, `environment NAME`, or `command line`.
    pub place: String,
    /// The key, or `""` when the place itself is the problem.
    pub key: String,
    pub text: String,
}

impl Problem {
    pub(super) fn whole_file(path: &Path, text: String) -> Self {
        Self { place: path.display().to_string(), key: String::new(), text }
    }

    pub(super) fn line(origin: Origin, text: &str) -> Self {
        Self { place: origin.to_string(), key: String::new(), text: text.to_owned() }
    }

    pub(super) fn setting(origin: &Origin, key: &str, text: String) -> Self {
        Self { place: origin.to_string(), key: short(key), text }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.text)
        } else {
            write!(f, "{}: {}: {}", self.place, self.key, self.text)
        }
    }
}

/// Everything that is wrong, at once, so that it is mended at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    pub problems: Vec<Problem>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Something an operator should know; the start goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// As in [`Problem`], or `""` for a note about several settings.
    pub place: String,
    /// The key as it was written, or `""`.
    pub key: String,
    pub text: String,
}

impl Note {
    pub(super) fn new(origin: &Origin, key: &str, text: String) -> Self {
        Self { place: origin.to_string(), key: short(key), text }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.text)
        } else if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.text)
        } else {
            write!(f, "{}: {}: {}", self.place, self.key, self.text)
        }
    }
}

/// A key as far as a line can show it.
fn short(key: &str) -> String {
    const LONGEST: usize = 200;
    match key.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &key[..end]),
        None => key.to_owned(),
    }
}

/// Whether a key's name says that its value must not be shown.
pub fn is_secret(key: &str) -> bool {
    let key = canonical(key);
    known::find(&key).is_some_and(|row| row.secret)
        || ["password", "passwd", "secret", "credential", "accesskey", "token.key", "identity.value"]
            .iter()
            .any(|word| key.contains(word))
}

/// A value as it may be shown: a secret as its length, credentials inside an address covered, very long text cut.
pub fn shown(key: &str, value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    if is_secret(key) {
        let length = value.chars().count();
        return format!("****** ({length} character{})", if length == 1 { "" } else { "s" });
    }
    cover_credentials(value)
}

/// Covers `password=...` parameters and `//user:password@` inside an address.
fn cover_credentials(value: &str) -> String {
    let mut out = value.to_owned();
    if let Some((before, rest)) = out.split_once("://")
        && let Some((credentials, after)) = rest.split_once('@')
        && !credentials.contains(['/', '?'])
        && let Some((user, _)) = credentials.split_once(':')
    {
        out = format!("{before}://{user}:******@{after}");
    }
    let parts: Vec<String> = out
        .split('&')
        .map(|part| match part.split_once('=') {
            Some((name, _)) if part.len() < out.len() && is_secret(name) => format!("{name}=******"),
            _ => match part.split_once('?') {
                Some((path, parameter)) if parameter.split_once('=').is_some_and(|(name, _)| is_secret(name)) => {
                    format!("{path}?{}=******", parameter.split('=').next().unwrap_or_default())
                }
                _ => part.to_owned(),
            },
        })
        .collect();
    parts.join("&")
}

/// The known key that was probably meant by `key`.
pub fn nearest_key(key: &str) -> Option<String> {
    // A free part is compared as it would be written.
    let concrete = |key: &str| key.replace("[*]", "[0]").replace(".*", ".0").replace('*', ".0");
    let names: Vec<String> = known::all().map(|row| concrete(row.key)).collect();
    let aliases = known::all().flat_map(|row| row.aliases.iter().copied());
    relaxed::nearest(key, names.iter().map(String::as_str).chain(aliases))
        .or_else(|| same_words(key, names.iter().map(String::as_str)))
        .map(str::to_owned)
}

/// The shortest candidate that holds every word of `name` in the same order; at least two words that say something.
fn same_words<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = words(name);
    let telling = wanted.iter().filter(|w| !matches!(w.as_str(), "nacos" | "nacre" | "core" | "server")).count();
    if telling < 2 {
        return None;
    }
    candidates
        .filter(|candidate| {
            let have = words(candidate);
            let mut have = have.iter();
            wanted.iter().all(|word| have.any(|other| alike(other, word)))
        })
        .min_by_key(|candidate| candidate.len())
}

/// `enable` and `enabled`, `key` and `keys`.
fn alike(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    a == b || (short.len() >= 3 && long.len() - short.len() == 1 && long.starts_with(short))
}

fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut lower = false;
    for c in name.chars() {
        let splits = !c.is_ascii_alphanumeric() || (lower && c.is_ascii_uppercase());
        if splits && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
        lower = c.is_ascii_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Notes about variables that look like settings of the server and are none. `used` are the ones that were read.
pub(super) fn unknown_variables(environment: &[(String, String)], used: &HashSet<&str>) -> Vec<Note> {
    let mut notes = Vec::new();
    for (name, _) in environment {
        let ours = name.starts_with("NACOS_") || name.starts_with("NACRE_");
        if !ours || used.contains(name.as_str()) || image::knows(name) || is_service_link(name) {
            continue;
        }
        let Some(key) = nearest_key(name) else { continue };
        let variable = image::variable_of(&key).map_or_else(|| variable_for(&key), str::to_owned);
        notes.push(Note::new(
            &Origin::Environment(name.as_str().into()),
            "",
            format!("not known, so without effect; the nearest is {variable} ({key})"),
        ));
    }
    notes
}

/// The variable that spells a key.
fn variable_for(key: &str) -> String {
    key.chars()
        .filter(|c| !matches!(c, '-' | ']'))
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect()
}

/// Names that Kubernetes and linked containers add for every service: `NACOS_PORT_8848_TCP_ADDR`, `NACOS_SERVICE_HOST`.
fn is_service_link(name: &str) -> bool {
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_TCP_")
        || name.contains("_UDP_")
        || name.ends_with("_PORT")
        || name.ends_with("_TCP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shown_by_length_only() {
        assert_eq!(shown("db.password.0", "p@ss "), "****** (5 characters)");
        assert_eq!(shown("my.secret", "x"), "****** (1 character)");
        assert_eq!(shown("db.password", ""), "");
        assert_eq!(shown("server.port", "1"), "1");
        assert_eq!(
            shown("db.url.0", "jdbc:mysql://root:abc@h:1/n?a=b&password=abc&c=d"),
            "jdbc:mysql://root:******@h:1/n?a=b&password=******&c=d"
        );
        assert_eq!(shown("db.url.0", "jdbc:mysql://h/n?password=abc&c=d"), "jdbc:mysql://h/n?password=******&c=d");
        assert_eq!(shown("db.url.0", "jdbc:mysql://h/n?a=b"), "jdbc:mysql://h/n?a=b");
    }

    #[test]
    fn the_nearest_key_is_found_by_letters_and_by_words() {
        for (wrong, right) in [
            ("nacos.core.auth.enable", "nacos.core.auth.enabled"),
            ("nacos.auth.enabled", "nacos.core.auth.enabled"),
            ("sever.port", "server.port"),
            ("db.pasword.0", "db.password.0"),
            ("nacos.naming.expiredInstance", "nacos.naming.expireInstance"),
            ("NACOS_TOKEN_SECRET_KEY", "nacos.core.auth.plugin.nacos.token.secret.key"),
            ("nacre.listn", "nacre.listen"),
        ] {
            assert_eq!(nearest_key(wrong).as_deref(), Some(right), "{wrong}");
        }
        for nonsense in ["win.path", "empty.value", "my.company.flag", ""] {
            assert_eq!(nearest_key(nonsense), None, "{nonsense}");
        }
    }

    /// C082: somebody wrote `NACOS_TOKEN_SECRET_KEY`.
    #[test]
    fn c082_an_unknown_variable_near_a_known_one_is_pointed_out() {
        let env = |name: &str| vec![(name.to_owned(), "x".to_owned())];
        let notes = unknown_variables(&env("NACOS_TOKEN_SECRET_KEY"), &HashSet::new());
        assert_eq!(notes.len(), 1);
        assert!(notes[0].to_string().contains("NACOS_AUTH_TOKEN"), "{}", notes[0]);
        assert!(!notes[0].to_string().contains('x') || notes[0].place.contains("TOKEN"));
        for quiet in ["NACOS_PORT_8848_TCP_ADDR", "NACOS_SERVICE_HOST", "NACOS_AUTH_TOKEN", "NACOS_FOO", "HOME"] {
            assert!(unknown_variables(&env(quiet), &HashSet::new()).is_empty(), "{quiet}");
        }
    }
}
