//! A finding: one cause, named, with its evidence and a remedy. nacre's own rules make them in the server; against other servers
//! they are made here, in the same form.

use serde_json::{Map, Value, json};

use crate::time;

/// How bad it is, in the order of alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "critical" => Self::Critical,
            "info" => Self::Info,
            // A word of a later version is not passed over.
            _ => Self::Warning,
        }
    }

    pub const fn exit(self) -> u8 {
        match self {
            Self::Info => 0,
            Self::Warning => 1,
            Self::Critical => 2,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub id: String,
    pub code: String,
    pub severity: Severity,
    pub subject: Map<String, Value>,
    pub title: String,
    pub cause: String,
    pub evidence: Vec<(i64, String)>,
    pub ruled_out: Vec<String>,
    pub remedy: Vec<String>,
    pub confidence: String,
    pub count: u64,
    pub subjects: Vec<Map<String, Value>>,
    pub since: i64,
    pub updated: i64,
    pub cleared: Option<i64>,
}

impl Finding {
    /// One that is made here and now.
    pub fn new(code: &str, severity: Severity, title: impl Into<String>, cause: impl Into<String>) -> Self {
        let now = time::now_ms();
        Self {
            id: code.to_owned(),
            code: code.to_owned(),
            severity,
            subject: Map::new(),
            title: title.into(),
            cause: cause.into(),
            evidence: Vec::new(),
            ruled_out: Vec::new(),
            remedy: Vec::new(),
            confidence: "high".to_owned(),
            count: 1,
            subjects: Vec::new(),
            since: now,
            updated: now,
            cleared: None,
        }
    }

    /// Whom it is about, and who else has the same cause.
    pub fn about(mut self, subjects: Vec<Map<String, Value>>) -> Self {
        /// Subjects that are shown.
        const SHOWN: usize = 10;
        self.count = subjects.len().max(1) as u64;
        self.subject = subjects.first().cloned().unwrap_or_default();
        self.subjects = subjects;
        self.subjects.truncate(SHOWN);
        self.id = format!("{}-{:08x}", self.code, hash(&self.subject));
        self
    }

    pub fn saw(mut self, text: impl Into<String>) -> Self {
        self.evidence.push((self.since, text.into()));
        self
    }

    pub fn not(mut self, text: impl Into<String>) -> Self {
        self.ruled_out.push(text.into());
        self
    }

    pub fn remedy(mut self, text: impl Into<String>) -> Self {
        self.remedy.push(text.into());
        self
    }

    pub fn sure(mut self, confidence: &str) -> Self {
        self.confidence = confidence.to_owned();
        self
    }

    /// As a server sends it; what is missing is empty.
    pub fn read(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let texts = |name: &str| {
            let list = value[name].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let evidence = value["evidence"].as_array().into_iter().flatten().map(|item| match item.as_str() {
            Some(text) => (0, text.to_owned()),
            None => (item["at"].as_i64().unwrap_or(0), item["text"].as_str().unwrap_or_default().to_owned()),
        });
        let confidence = match &value["confidence"] {
            Value::String(word) => word.clone(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        Self {
            id: text("id"),
            code: text("code"),
            severity: Severity::of(&text("severity")),
            subject: value["subject"].as_object().cloned().unwrap_or_default(),
            title: text("title"),
            cause: text("cause"),
            evidence: evidence.collect(),
            ruled_out: texts("ruledOut"),
            remedy: texts("remedy"),
            confidence,
            count: value["count"].as_u64().unwrap_or(1),
            subjects: value["subjects"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_object)
                .cloned()
                .collect(),
            since: value["since"].as_i64().unwrap_or(0),
            updated: value["updated"].as_i64().unwrap_or(0),
            cleared: value["cleared"].as_i64(),
        }
    }

    pub fn json(&self) -> Value {
        let evidence: Vec<Value> = self.evidence.iter().map(|(at, text)| json!({"at": at, "text": text})).collect();
        let mut out = json!({
            "id": self.id, "code": self.code, "severity": self.severity.word(), "subject": self.subject,
            "title": self.title, "cause": self.cause, "evidence": evidence, "ruledOut": self.ruled_out,
            "remedy": self.remedy, "confidence": self.confidence, "count": self.count, "subjects": self.subjects,
            "since": self.since, "updated": self.updated,
        });
        if let Some(cleared) = self.cleared {
            out["cleared"] = cleared.into();
        }
        out
    }

    /// Whether any subject has `wanted` at the beginning of a field, up to a separator.
    pub fn mentions(&self, wanted: &str) -> bool {
        let fields = self.subjects.iter().chain([&self.subject]).flat_map(Map::values).filter_map(Value::as_str);
        fields.into_iter().any(|field| {
            field
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.bytes().next().is_none_or(|byte| matches!(byte, b':' | b'#' | b'/')))
        })
    }
}

/// FNV-1a, so that the same subject has the same id in every run.
fn hash(subject: &Map<String, Value>) -> u32 {
    let text = Value::Object(subject.clone()).to_string();
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A subject of fields and texts.
pub fn subject(fields: &[(&str, &str)]) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| ((*name).to_owned(), (*text).into()))
        .collect()
}

/// The exit code of a list.
pub fn exit(findings: &[Finding]) -> u8 {
    findings
        .iter()
        .filter(|finding| finding.cleared.is_none())
        .map(|finding| finding.severity.exit())
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_of_the_server_comes_back_as_it_was() {
        let value = json!({
            "id": "X-1", "code": "X", "severity": "critical", "subject": {"instance": "10.0.0.7:80:DEFAULT"}, "title": "t",
            "cause": "c", "evidence": [{"at": 5, "text": "seen"}], "ruledOut": ["no"], "remedy": ["do"], "confidence": "high",
            "count": 3, "subjects": [{"instance": "10.0.0.8:80:DEFAULT"}], "since": 1, "updated": 2, "cleared": 3,
        });
        let finding = Finding::read(&value);
        assert_eq!(finding.json(), value);
        assert!(finding.mentions("10.0.0.7:80") && finding.mentions("10.0.0.8") && !finding.mentions("10.0.0.7:8"));
    }

    #[test]
    fn what_is_missing_or_new_is_borne() {
        let finding =
            Finding::read(&json!({"code": "X", "severity": "fatal", "confidence": 0.9, "evidence": ["just text"]}));
        assert_eq!((finding.severity, finding.confidence.as_str()), (Severity::Warning, "0.9"));
        assert_eq!(finding.evidence, [(0, "just text".to_owned())]);
        assert_eq!(exit(&[finding.clone(), Finding { cleared: Some(1), severity: Severity::Critical, ..finding }]), 1);
    }

    #[test]
    fn an_id_is_the_same_for_the_same_subject() {
        let of = |ip| Finding::new("X", Severity::Info, "", "").about(vec![subject(&[("address", ip)])]).id;
        assert_eq!(of("10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
