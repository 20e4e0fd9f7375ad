//! Where settings come from: the command line, the environment, files. Each source is a list of settings; the order of the
//! sources is the order of precedence.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{known, parse, relaxed, report::Problem};

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    CommandLine,
    /// The name of the variable.
    Environment(Arc<str>),
    File {
        path: Arc<Path>,
        line: u32,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// One key with a value, as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

/// Settings of equal precedence; of two with the same key the later one counts.
pub type Source = Vec<Setting>;

/// Largest file that is read.
const FILE_BYTES: u64 = nacre_model::limits::PROPERTIES_FILE;

/// `key=value` arguments.
pub fn command_line(overrides: &[(String, String)]) -> Source {
    overrides
        .iter()
        .map(|(key, value)| Setting { key: key.clone(), value: value.clone(), origin: Origin::CommandLine })
        .collect()
}

/// What a properties file says, and remarks about how it is written.
#[derive(Debug, Default)]
pub struct File {
    pub settings: Source,
    pub remarks: Vec<(Origin, String)>,
}

/// Reads a file. A file that need not exist (`required` false) may be absent.
pub fn file(path: &Path, required: bool) -> Result<File, Problem> {
    let path: Arc<Path> = Arc::from(std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)));
    let at = |line| Origin::File { path: path.clone(), line };
    let bytes = match read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(File::default()),
        Err(error) => return Err(Problem::whole_file(&path, format!("cannot be read: {error}"))),
    };
    let text = parse::parse_bytes(&bytes).map_err(|malformed| {
        Problem::line(at(malformed.line), "\\u must be followed by four hexadecimal digits, such as \\u4e2d")
    })?;
    let mut remarks = Vec::new();
    if text.bom {
        remarks.push((
            at(1),
            "the file begins with a byte order mark, which is passed over; Java Nacos would take it \
                              for a part of the first key"
                .to_owned(),
        ));
    }
    if let Some(line) = text.utf8 {
        remarks.push((
            at(line),
            "text outside ASCII is read as UTF-8; Java Nacos reads ISO-8859-1, where it has to be \
                                 written with \\u escapes"
                .to_owned(),
        ));
    }
    let settings = text
        .entries
        .into_iter()
        .map(|entry| Setting { key: entry.key, value: entry.value, origin: at(entry.line) })
        .collect();
    Ok(File { settings, remarks })
}

/// The bytes of a file that is not too long for a configuration.
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Variables whose name spells a known key: `NACOS_CORE_AUTH_ENABLED` is `nacos.core.auth.enabled`.
pub fn relaxed_environment(environment: &[(String, String)]) -> Source {
    let spelled = |name: &str| -> Option<String> {
        let wanted = relaxed::squashed(name);
        let keys = || known::all().flat_map(|row| std::iter::once(row.key).chain(row.aliases.iter().copied()));
        keys().find(|key| !key.contains('*') && relaxed::squashed(key) == wanted).map(str::to_owned).or_else(|| {
            // Spring's and the JVM's own families are too wide to be taken from an environment.
            let families =
                known::all().filter(|row| row.effect != known::Effect::Never).filter_map(known::Known::prefix);
            let fitting = families.filter_map(|prefix| Some((prefix, relaxed::behind_prefix(name, prefix)?)));
            fitting.max_by_key(|(prefix, _)| prefix.len()).map(|(prefix, rest)| match prefix.chars().last() {
                Some('[') => format!("{prefix}{rest}]"),
                Some('.') => format!("{prefix}{rest}"),
                _ => format!("{prefix}.{rest}"),
            })
        })
    };
    environment
        .iter()
        .filter_map(|(name, value)| {
            let key = spelled(name).filter(|key| known::find(key).is_some())?;
            Some(Setting { key, value: value.clone(), origin: Origin::Environment(name.as_str().into()) })
        })
        .collect()
}

/// `-Dkey=value` and `--key=value` inside the variables that the start script of Java Nacos hands to the JVM.
pub fn java_options(environment: &[(String, String)]) -> Source {
    let mut settings = Vec::new();
    for variable in ["JAVA_OPT", "JAVA_OPT_EXT"] {
        let Some((_, options)) = environment.iter().find(|(name, _)| name == variable) else { continue };
        for option in options.split_whitespace() {
            let option = option.trim_matches(['"', '\'']);
            let pair = option.strip_prefix("-D").or_else(|| option.strip_prefix("--")).and_then(|o| o.split_once('='));
            // The JVM's own options are nobody's business here.
            let Some((key, value)) = pair.filter(|(key, _)| known::find(key).is_some()) else { continue };
            settings.push(Setting {
                key: key.to_owned(),
                value: value.trim_matches(['"', '\'']).to_owned(),
                origin: Origin::Environment(variable.into()),
            });
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn keys(source: &Source) -> Vec<(&str, &str)> {
        source.iter().map(|s| (s.key.as_str(), s.value.as_str())).collect()
    }

    #[test]
    fn variables_spell_known_keys() {
        let source = relaxed_environment(&env(&[
            ("NACOS_CORE_AUTH_ENABLED", "true"),
            ("nacos.naming.expireInstance", "false"),
            ("NACOS_NAMING_PUSH_PUSHTASKDELAY", "1"),
            ("DB_URL_1", "u"),
            ("NACOS_INETUTILS_PREFERRED_NETWORKS_0", "10."),
            ("NACOS_CORE_AUTH_PLUGIN_NACOS_TOKEN_SECRET_KEY", "s"),
            ("SPRING_PROFILES_ACTIVE", "x"),
            ("PATH", "/bin"),
            ("_", "x"),
        ]));
        assert_eq!(
            keys(&source),
            [
                ("nacos.core.auth.enabled", "true"),
                ("nacos.naming.expireInstance", "false"),
                ("nacos.naming.push.pushTaskDelay", "1"),
                ("db.url.1", "u"),
                ("nacos.inetutils.preferred-networks[0]", "10."),
                ("nacos.core.auth.plugin.nacos.token.secret.key", "s"),
            ]
        );
    }

    #[test]
    fn options_of_the_jvm_are_read_where_they_name_a_known_key() {
        let source = java_options(&env(&[
            ("JAVA_OPT", "-Xmx1g -Dnacos.standalone=true \"-Dserver.port=9000\""),
            ("JAVA_OPT_EXT", "--server.servlet.context-path=/x -Dmy.own=1 -Dbroken"),
        ]));
        assert_eq!(
            keys(&source),
            [("nacos.standalone", "true"), ("server.port", "9000"), ("server.servlet.context-path", "/x")]
        );
    }

    #[test]
    fn an_absent_file_is_an_error_only_when_it_was_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("none.properties");
        assert!(file(&path, false).unwrap().settings.is_empty());
        let problem = file(&path, true).unwrap_err();
        assert!(problem.to_string().contains("none.properties"), "{problem}");
    }
}
