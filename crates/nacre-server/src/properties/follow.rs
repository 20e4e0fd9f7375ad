//! Reading the files again while the server runs.
//!
//! As in Nacos, only some keys follow their file (`hot` in the table), and a key that is no longer in it keeps its last
//! value: so a file that is read while an editor writes it cannot throw half of the settings back to their defaults.

use std::{path::PathBuf, sync::Arc};

use super::{
    LoadError, Properties,
    known::Effect,
    resolve::{self, Effective},
    source::Origin,
};

/// A key that says something else now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    pub text: String,
    pub origin: Origin,
}

/// What another look at the files came to.
#[derive(Clone, Debug)]
pub struct Reread {
    /// What is in force from now on.
    pub properties: Properties,
    pub changed: Vec<Change>,
    /// Changed in the file, and read at the next start only. Texts are left out: some are secret.
    pub waiting: Vec<String>,
}

impl Properties {
    /// The files that were looked for.
    pub fn files(&self) -> Vec<PathBuf> {
        let own = self.conf_dir().join("application.properties");
        self.options.config.iter().cloned().chain([own]).collect()
    }

    /// Looks again. A single wrong value anywhere, and everything stays as it is.
    pub fn reread(&self) -> Result<Reread, LoadError> {
        let next = resolve::resolve(&self.options);
        if !next.problems.is_empty() {
            return Err(LoadError { problems: next.problems });
        }
        let mut merged = (*self.inner).clone();
        let (mut changed, mut waiting) = (Vec::new(), Vec::new());
        for (name, entry) in next.effective {
            let before = merged.effective.get(&name);
            if entry.origin == Origin::Default || before.is_some_and(|before| says_the_same(before, &entry)) {
                continue;
            }
            match entry.row {
                Some(row) if row.hot => {
                    let (key, text, origin) = (entry.key.clone(), entry.text.clone(), entry.origin.clone());
                    changed.push(Change { key, text, origin });
                    merged.effective.insert(name, entry);
                }
                Some(row) if row.effect == Effect::Now => waiting.push(entry.key),
                _ => {}
            }
        }
        let properties = Self { inner: Arc::new(merged), options: Arc::clone(&self.options) };
        Ok(Reread { properties, changed, waiting })
    }
}

fn says_the_same(a: &Effective, b: &Effective) -> bool {
    a.text == b.text || (a.value.is_some() && a.value == b.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::{LoadOptions, load};

    struct Bench {
        home: tempfile::TempDir,
        properties: Properties,
    }

    impl Bench {
        fn new(text: &str, overrides: &[(&str, &str)]) -> Self {
            let home = tempfile::tempdir().unwrap();
            std::fs::create_dir(home.path().join("conf")).unwrap();
            write(&home, text);
            let options = LoadOptions {
                home: Some(home.path().to_owned()),
                overrides: overrides.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
                ..LoadOptions::default()
            };
            let properties = load(&options).unwrap();
            Self { home, properties }
        }

        fn then(&self, text: &str) -> Result<Reread, LoadError> {
            write(&self.home, text);
            self.properties.reread()
        }
    }

    fn write(home: &tempfile::TempDir, text: &str) {
        std::fs::write(home.path().join("conf/application.properties"), text).unwrap();
    }

    const DELAY: &str = "nacos.naming.push.pushTaskDelay";

    #[test]
    fn hot_keys_follow_the_file_and_others_wait_for_the_next_start() {
        let bench = Bench::new("nacos.naming.push.pushTaskDelay=100\nserver.port=0\n", &[]);
        let again = bench.then("nacos.naming.push.push-task-delay=200ms\nserver.port=18848\nof.nobody=1\n").unwrap();
        assert_eq!(again.properties.millis(DELAY), 200);
        assert_eq!(again.properties.u16("server.port"), 0);
        assert_eq!(again.changed.iter().map(|c| c.key.as_str()).collect::<Vec<_>>(), [DELAY]);
        assert_eq!(again.waiting, ["server.port"]);
        // The same in other words is no change.
        let same = again.properties.reread().unwrap();
        assert!(same.changed.is_empty());
    }

    #[test]
    fn a_key_that_is_gone_keeps_its_last_value() {
        let bench = Bench::new("nacos.naming.push.pushTaskDelay=100\n", &[]);
        let again = bench.then("").unwrap();
        assert!(again.changed.is_empty());
        assert_eq!(again.properties.millis(DELAY), 100);
    }

    #[test]
    fn the_command_line_is_stronger_than_a_changed_file() {
        let bench = Bench::new("", &[(DELAY, "100")]);
        let again = bench.then("nacos.naming.push.pushTaskDelay=300\n").unwrap();
        assert!(again.changed.is_empty());
        assert_eq!(again.properties.millis(DELAY), 100);
    }

    #[test]
    fn one_wrong_value_refuses_the_whole_file() {
        let bench = Bench::new("nacos.naming.push.pushTaskDelay=100\n", &[]);
        let error = bench.then("nacos.naming.push.pushTaskDelay=50\nnacos.core.param.check.enabled=maybe\n");
        let error = error.expect_err("refused");
        assert_eq!(error.problems.len(), 1);
        assert!(error.to_string().contains("application.properties:2"), "{error}");
        assert_eq!(bench.properties.millis(DELAY), 100);
    }

    #[test]
    fn keys_with_a_free_part_follow_too() {
        let bench = Bench::new("", &[]);
        let again = bench.then("nacos.core.ability.server.fuzzyWatch=false\n").unwrap();
        assert_eq!(again.changed.len(), 1);
        assert_eq!(again.properties.with_prefix("nacos.core.ability.").count(), 1);
    }
}
