//! Types of values: what a key allows, and the check that says so in words.

use std::{net::IpAddr, path::PathBuf, time::Duration};

/// What values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text; blanks at the end belong to it.
    Text,
    /// `true`/`false`, also `on`/`off`, `yes`/`no`, `1`/`0`, in any case.
    Bool,
    /// A whole number.
    Int { min: i64, max: i64 },
    /// A span of time; a number without a unit counts in `unit`.
    Time { unit: Unit, min: u64, max: u64 },
    /// A number of bytes; `KB`, `MB`, `GB` count in 1024s.
    Bytes { min: u64, max: u64 },
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// A file or directory.
    Path,
    /// `/`-led path of the HTTP context, or nothing.
    ContextPath,
    /// A comma list.
    List,
    /// Addresses to bind: a comma list of IP addresses without ports.
    Addresses,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Millis,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl Unit {
    const fn millis(self) -> u64 {
        match self {
            Self::Millis => 1,
            Self::Seconds => 1000,
            Self::Minutes => 60_000,
            Self::Hours => 3_600_000,
            Self::Days => 86_400_000,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Millis => "milliseconds",
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
        }
    }
}

/// A value that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Bool(bool),
    Int(i64),
    Time(Duration),
    Bytes(u64),
    Path(PathBuf),
    List(Vec<String>),
    Addresses(Vec<IpAddr>),
}

impl Kind {
    /// Reads `text`. `Err` says what is allowed.
    pub fn check(self, text: &str) -> Result<Value, String> {
        let refuse = || self.allowed();
        let trimmed = text.trim();
        Ok(match self {
            Self::Text => Value::Text(text.to_owned()),
            Self::Bool => Value::Bool(match trimmed.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => true,
                "false" | "off" | "no" | "0" => false,
                _ => return Err(refuse()),
            }),
            Self::Int { min, max } => {
                let number: i64 = trimmed.parse().map_err(|_| refuse())?;
                if !(min..=max).contains(&number) {
                    return Err(refuse());
                }
                Value::Int(number)
            }
            Self::Time { unit, min, max } => {
                let millis = time(trimmed, unit).ok_or_else(refuse)?;
                if !(min.saturating_mul(unit.millis())..=max.saturating_mul(unit.millis())).contains(&millis) {
                    return Err(refuse());
                }
                Value::Time(Duration::from_millis(millis))
            }
            Self::Bytes { min, max } => {
                let bytes = bytes(trimmed).filter(|b| (min..=max).contains(b)).ok_or_else(refuse)?;
                Value::Bytes(bytes)
            }
            Self::Choice(words) => {
                let word = words.iter().find(|w| w.eq_ignore_ascii_case(trimmed)).ok_or_else(refuse)?;
                Value::Text((*word).to_owned())
            }
            Self::Path => Value::Path(PathBuf::from(text)),
            Self::ContextPath => Value::Text(context_path(trimmed).ok_or_else(refuse)?),
            Self::List => Value::List(list(trimmed)),
            Self::Addresses => {
                let all: Option<Vec<IpAddr>> = list(trimmed).iter().map(|item| address(item)).collect();
                Value::Addresses(all.filter(|all| !all.is_empty() && all.len() <= 64).ok_or_else(refuse)?)
            }
        })
    }

    /// Whether a blank value means "not set" and leaves the default in force, as Spring's conversion to a number does.
    pub const fn blank_is_unset(self) -> bool {
        !matches!(self, Self::Text | Self::ContextPath | Self::List)
    }

    /// What is allowed, as the end of a sentence "allowed: ...".
    pub fn allowed(self) -> String {
        match self {
            Self::Text => "any text".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Int { min, max: i64::MAX } => format!("a whole number from {min}"),
            Self::Int { min, max } => format!("a whole number from {min} to {max}"),
            Self::Time { unit, min, max } => {
                format!("{min} to {max} {}, or a number with a unit (ms, s, m, h, d)", unit.word())
            }
            Self::Bytes { min, max } => format!("{min} to {max} bytes, or a number with a unit (KB, MB, GB)"),
            Self::Choice(words) => {
                let words: Vec<&str> = words.iter().map(|w| if w.is_empty() { "(empty)" } else { w }).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                    _ => words.join(""),
                }
            }
            Self::Path => "a path".to_owned(),
            Self::ContextPath => "a path such as /nacos, or / for none".to_owned(),
            Self::List => "a comma list".to_owned(),
            Self::Addresses => {
                "IP addresses of this machine, comma between them; 0.0.0.0 or :: is every one, 127.0.0.1 this machine only"
                    .to_owned()
            }
        }
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn address(text: &str) -> Option<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Splits `10s` into `10` and `s`.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

fn time(text: &str, unit: Unit) -> Option<u64> {
    let (number, suffix) = number_and_unit(text)?;
    let factor = match suffix.to_ascii_lowercase().as_str() {
        "" => unit.millis(),
        "ms" => 1,
        "s" => Unit::Seconds.millis(),
        "m" | "min" => Unit::Minutes.millis(),
        "h" => Unit::Hours.millis(),
        "d" => Unit::Days.millis(),
        _ => return None,
    };
    number.checked_mul(factor)
}

fn bytes(text: &str) -> Option<u64> {
    let (number, suffix) = number_and_unit(text)?;
    let factor: u64 = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// `/` and nothing are both "no context"; otherwise one leading slash, none at the end.
fn context_path(text: &str) -> Option<String> {
    let path = text.trim_end_matches('/');
    if path.is_empty() {
        return Some(String::new());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    (path.starts_with('/') && path.len() <= 128 && path.chars().all(plain) && !path.contains("//"))
        .then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_springs() {
        for (text, value) in
            [("true", true), (" TRUE ", true), ("on", true), ("1", true), ("no", false), ("Off", false)]
        {
            assert_eq!(Kind::Bool.check(text), Ok(Value::Bool(value)));
        }
        assert_eq!(Kind::Bool.check("ture"), Err("true or false".into()));
    }

    #[test]
    fn numbers_outside_the_range_are_refused_with_the_range() {
        let port = Kind::Int { min: 0, max: 64535 };
        assert_eq!(port.check(" 8848 "), Ok(Value::Int(8848)));
        for wrong in ["-1", "64536", "88 48", "0x10", "8848.0", "99999999999999999999"] {
            assert_eq!(port.check(wrong), Err("a whole number from 0 to 64535".into()), "{wrong}");
        }
    }

    #[test]
    fn times_take_their_own_unit_or_a_named_one() {
        let kind = Kind::Time { unit: Unit::Seconds, min: 1, max: 100 };
        assert_eq!(kind.check("10"), Ok(Value::Time(Duration::from_secs(10))));
        assert_eq!(kind.check("10 s"), Ok(Value::Time(Duration::from_secs(10))));
        assert_eq!(kind.check("1500ms"), Ok(Value::Time(Duration::from_millis(1500))));
        assert_eq!(kind.check("1m"), Ok(Value::Time(Duration::from_secs(60))));
        for wrong in ["0", "101", "1x", "s", "-1", "18446744073709551615d"] {
            assert!(kind.check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_take_units_of_1024() {
        let kind = Kind::Bytes { min: 1, max: 1 << 30 };
        assert_eq!(kind.check("10485760"), Ok(Value::Bytes(10 << 20)));
        assert_eq!(kind.check("10MB"), Ok(Value::Bytes(10 << 20)));
        assert!(kind.check("2GB").is_err());
    }

    #[test]
    fn context_paths_have_one_spelling() {
        for (text, path) in [("/nacos", "/nacos"), ("/nacos/", "/nacos"), ("/", ""), ("", ""), ("/a/b", "/a/b")] {
            assert_eq!(Kind::ContextPath.check(text), Ok(Value::Text(path.into())));
        }
        for wrong in ["nacos", "/a b", "/a//b", "/ä", "/?"] {
            assert!(Kind::ContextPath.check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_ip_addresses() {
        let kind = Kind::Addresses;
        assert_eq!(
            kind.check("127.0.0.1, [::1]"),
            Ok(Value::Addresses(vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]))
        );
        assert_eq!(kind.check("localhost"), Ok(Value::Addresses(vec![IpAddr::from([127, 0, 0, 1])])));
        for wrong in [",", "127.0.0.1:8848", "example.org"] {
            assert!(kind.check(wrong).is_err(), "{wrong}");
        }
    }
}
