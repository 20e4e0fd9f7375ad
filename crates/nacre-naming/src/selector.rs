//! Selectors: which providers a consumer sees by its labels (spec/naming.md 12.4).

use nacre_model::{ErrorCode, NacosError};
use serde::{Deserialize, Serialize};

/// The types, in the order the reference lists them.
pub const SELECTOR_TYPES: [&str; 2] = ["label", "none"];

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Selector {
    #[default]
    None,
    Label {
        /// As given.
        expression: String,
        /// The labels whose values must be equal on both sides, in order of appearance.
        labels: Vec<String>,
    },
}

impl Selector {
    /// Reads a `selector` parameter (already URL-decoded). Blank is [`Selector::None`].
    pub fn parse(text: &str) -> Result<Self, NacosError> {
        if text.trim().is_empty() {
            return Ok(Self::None);
        }
        let broken = || NacosError::runtime(101, "Nacos deserialize for class [Selector] failed. ");
        let value: serde_json::Value = crate::lenient::first_json(text).map_err(|_| broken())?;
        let kind = value.get("type").and_then(|kind| kind.as_str());
        match kind {
            Some("none") => Ok(Self::None),
            Some("label") => {
                let expression = value.get("expression").and_then(|text| text.as_str()).unwrap_or_default();
                let labels = parse_expression(expression).ok_or_else(|| {
                    NacosError::new(500, ErrorCode::SERVER_ERROR, "Selector parses failed: parse expression failed!")
                })?;
                Ok(Self::Label { expression: expression.to_owned(), labels })
            }
            _ => Err(NacosError::new(400, ErrorCode::SELECTOR_ERROR, "not match any type of selector!")),
        }
    }

    /// `contextType` of the JSON form.
    pub fn context_type(&self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Label { .. } => "CMDB",
        }
    }
}

/// `CONSUMER.label.A = PROVIDER.label.A & CONSUMER.label.B = PROVIDER.label.B` to `[A, B]`; blank to `[]`.
fn parse_expression(expression: &str) -> Option<Vec<String>> {
    let compact: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
    let mut labels: Vec<String> = Vec::new();
    if compact.is_empty() {
        return Some(labels);
    }
    for term in compact.split('&') {
        let (consumer, provider) = term.split_once('=')?;
        let consumer = consumer.strip_prefix("CONSUMER.label.")?;
        let provider = provider.strip_prefix("PROVIDER.label.")?;
        if consumer != provider || provider.is_empty() || provider.contains('=') {
            return None;
        }
        if !labels.iter().any(|known| known == provider) {
            labels.push(provider.to_owned());
        }
    }
    Some(labels)
}
