//! A finding: one cause, named, with its evidence and a remedy.

use serde::{Deserialize, Serialize};

use crate::page::Lang;

/// How bad it is. The order is the order of alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Worth knowing; nothing is lost by leaving it.
    Info,
    /// Somebody's instance, config or client does not do what its owner believes.
    Warning,
    /// The server itself, or many at once.
    Critical,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    pub fn of(word: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical].into_iter().find(|severity| severity.word() == word)
    }
}

/// How sure the rule is that this is the cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Confidence {
    /// Fits the evidence; other causes fit, too.
    Low,
    /// The likeliest of what fits.
    #[default]
    Medium,
    /// The evidence leaves nothing else.
    High,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Wall clock, milliseconds.
    pub at: i64,
    pub text: String,
}

/// A line of a finding in both languages: see [`line!`](crate::line).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub en: String,
    pub zh: String,
}

impl Line {
    pub fn of(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }
}

/// `line!("{client} has {count}", "{client} 有 {count} 个")`: two formats with the same figures; a language that lacks its
/// text does not compile. Where words of a language go in: `line!(en: "it is {}", en_word; zh: "它是{}", zh_word)`.
#[macro_export]
macro_rules! line {
    (en: $en:literal $(, $en_arg:expr)*; zh: $zh:literal $(, $zh_arg:expr)* $(,)?) => {{
        const { assert!(!$zh.is_ascii(), "the second text of a line is Chinese") };
        #[allow(clippy::useless_format)]
        let line = $crate::Line { en: format!($en $(, $en_arg)*), zh: format!($zh $(, $zh_arg)*) };
        line
    }};
    ($en:literal, $zh:literal $(, $arg:expr)* $(,)?) => {
        $crate::line!(en: $en $(, $arg)*; zh: $zh $(, $arg)*)
    };
}

/// Whom a finding is about. Names are those of the APIs; what does not apply is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_id: Option<String>,
    /// `ip:port:cluster`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// A connection id, or `ip:port#true|false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The address of whoever causes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// A property, switch, limit, port or worker of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
}

impl About {
    pub fn service(key: &nacre_model::ServiceKey) -> Self {
        Self {
            namespace_id: Some(key.namespace.to_string()),
            group_name: Some(key.group.to_string()),
            service_name: Some(key.name.to_string()),
            ..Self::default()
        }
    }

    pub fn config(key: &nacre_model::ConfigKey) -> Self {
        Self {
            namespace_id: Some(key.namespace.to_string()),
            group_name: Some(key.group.to_string()),
            data_id: Some(key.data_id.to_string()),
            ..Self::default()
        }
    }

    pub fn address(ip: &str) -> Self {
        Self { address: Some(ip.to_owned()), ..Self::default() }
    }

    pub fn setting(name: &str) -> Self {
        Self { setting: Some(name.to_owned()), ..Self::default() }
    }

    /// Of an event's subject.
    pub fn of(subject: &nacre_model::Subject) -> Self {
        let mut about = match (&subject.service, &subject.config) {
            (Some(service), _) => Self::service(service),
            (None, Some(config)) => Self::config(config),
            (None, None) => Self::default(),
        };
        about.instance = subject.instance.as_ref().map(ToString::to_string);
        about.client = subject.client.as_ref().map(ToString::to_string);
        about
    }

    pub fn with_instance(mut self, identity: &str) -> Self {
        self.instance = Some(identity.to_owned());
        self
    }

    pub fn with_client(mut self, id: &str) -> Self {
        self.client = Some(id.to_owned());
        self
    }

    pub fn with_address(mut self, ip: &str) -> Self {
        self.address = Some(ip.to_owned());
        self
    }

    /// Whether any of its fields begins with `wanted`, up to a separator: how searches find it.
    pub fn mentions(&self, wanted: &str) -> bool {
        let fields = [&self.service_name, &self.data_id, &self.instance, &self.client, &self.address, &self.setting];
        fields.into_iter().flatten().any(|field| {
            field
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.bytes().next().is_none_or(|byte| matches!(byte, b':' | b'#' | b'/')))
        })
    }
}

/// One finding, as every face shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// `CODE-xxxxxxxx`, the same as long as the same cause holds for the same subject.
    pub id: String,
    pub code: String,
    pub severity: Severity,
    pub family: String,
    pub subject: About,
    /// A few words.
    pub title: String,
    /// One sentence with the figures.
    pub cause: String,
    pub evidence: Vec<Evidence>,
    /// What it is not, and how that is known.
    pub ruled_out: Vec<String>,
    /// Commands and settings, the most useful first.
    pub remedy: Vec<String>,
    pub confidence: Confidence,
    /// How many subjects have this very cause.
    pub count: usize,
    /// The first of them.
    pub subjects: Vec<About>,
    /// When it was found, last seen, and was over (wall clock, milliseconds).
    pub since: i64,
    pub updated: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared: Option<i64>,
}
