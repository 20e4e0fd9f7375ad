//! What is kept of a config: the formal version, its gray versions, and the answer a read gets.

use std::sync::Arc;

use nacre_model::ConfigKey;
use serde::{Deserialize, Serialize};

use crate::{Asker, GrayRule, Source};

/// The formal version with everything its row holds. Immutable; a publish makes a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormalConfig {
    /// `config_info.id`.
    pub id: u64,
    /// Exactly the bytes that were published (ciphertext for encrypted configs).
    pub content: Arc<str>,
    pub md5: Arc<str>,
    /// Shared by configs that say the same: nearly all do.
    pub meta: Arc<ConfigMeta>,
    /// Empty when there is none, never absent.
    pub encrypted_data_key: Arc<str>,
    /// Milliseconds of the first publish.
    pub created: i64,
    /// Milliseconds of the last publish; never goes back.
    pub modified: i64,
    /// Who published it last; shared by all that he published.
    pub source: Arc<Source>,
}

/// What a publish says about a config besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigMeta {
    /// One of [`crate::content::TYPES`]; `None` only in old rows and imports without metadata.
    pub config_type: Option<Arc<str>>,
    /// Empty when none was ever given.
    pub app_name: Arc<str>,
    pub desc: Option<Arc<str>>,
    pub r#use: Option<Arc<str>>,
    pub effect: Option<Arc<str>>,
    pub schema: Option<Arc<str>>,
    /// In the order given, without duplicates.
    pub tags: Vec<Arc<str>>,
}

impl ConfigMeta {
    /// The tags as answers show them; `None` when there are none.
    pub fn tags_text(&self) -> Option<String> {
        if self.tags.is_empty() { None } else { Some(self.tags.join(",")) }
    }
}

/// One gray version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrayConfig {
    /// `config_info_gray.id`.
    pub id: u64,
    /// `beta`, `tag_<tag>`, or any other name.
    pub name: Arc<str>,
    pub rule: GrayRule,
    pub content: Arc<str>,
    pub md5: Arc<str>,
    /// Empty when there is none; answers leave it out then, as recorded.
    pub encrypted_data_key: Arc<str>,
    pub app_name: Arc<str>,
    pub created: i64,
    pub modified: i64,
    pub src_user: Option<Arc<str>>,
    pub src_ip: Arc<str>,
    /// Left behind by the removal of its config.
    pub asleep: bool,
}

/// Everything under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigItem {
    pub key: ConfigKey,
    pub formal: Option<Arc<FormalConfig>>,
    /// In the order of evaluation: priority downwards, then name.
    pub grays: Vec<Arc<GrayConfig>>,
    /// Gray versions that were there when the config was removed: shown where somebody asks for them by name, served to
    /// nobody (a removed config stays removed) until they are published again.
    pub asleep: Vec<Arc<GrayConfig>>,
}

impl ConfigItem {
    pub fn new(key: ConfigKey) -> Self {
        Self { key, formal: None, grays: Vec::new(), asleep: Vec::new() }
    }

    /// By its name, whether it is served or sleeps.
    pub fn gray(&self, name: &str) -> Option<&Arc<GrayConfig>> {
        self.grays.iter().chain(&self.asleep).find(|gray| &*gray.name == name)
    }

    /// Somebody may be served something: for readers and listeners the config exists.
    pub fn is_live(&self) -> bool {
        self.formal.is_some() || !self.grays.is_empty()
    }

    /// Nothing is left of it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_live() && self.asleep.is_empty()
    }

    /// This item with `gray` added or replaced, in order.
    pub(crate) fn with_gray(&self, gray: Arc<GrayConfig>) -> Self {
        let mut next = self.without_gray(&gray.name);
        let list = if gray.asleep { &mut next.asleep } else { &mut next.grays };
        list.push(gray);
        list.sort_by(|a, b| b.rule.priority().cmp(&a.rule.priority()).then_with(|| a.name.cmp(&b.name)));
        next
    }

    pub(crate) fn without_gray(&self, name: &str) -> Self {
        let mut next = self.clone();
        next.grays.retain(|gray| &*gray.name != name);
        next.asleep.retain(|gray| &*gray.name != name);
        next
    }

    /// The version this asker is served.
    pub fn select(&self, asker: &Asker<'_>) -> Lookup {
        if let Some(gray) = self.grays.iter().find(|gray| gray.rule.matches(asker)) {
            return Lookup::Found(Answer {
                version: Version::Gray(gray.clone()),
                config_type: self.formal.as_ref().and_then(|formal| formal.meta.config_type.clone()),
            });
        }
        if asker.explicit_tag().is_some() && self.is_live() {
            return Lookup::TagNotFound;
        }
        match &self.formal {
            Some(formal) => Lookup::Found(Answer {
                version: Version::Formal(formal.clone()),
                config_type: formal.meta.config_type.clone(),
            }),
            None => Lookup::NotFound,
        }
    }
}

/// What a read finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    Found(Answer),
    /// No version for this asker.
    NotFound,
    /// The config exists in some version, but the tag the read names does not: gRPC echoes the tag, HTTP says 404.
    TagNotFound,
}

impl Lookup {
    pub fn found(self) -> Option<Answer> {
        match self {
            Self::Found(answer) => Some(answer),
            Self::NotFound | Self::TagNotFound => None,
        }
    }

    /// The md5 a listener of this asker should hold; empty when there is no config.
    pub fn md5(&self) -> &str {
        match self {
            Self::Found(answer) => answer.md5(),
            Self::NotFound | Self::TagNotFound => crate::content::NO_MD5,
        }
    }
}

/// The version that was picked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    Formal(Arc<FormalConfig>),
    Gray(Arc<GrayConfig>),
}

/// A found config, as the answers of every generation need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub version: Version,
    config_type: Option<Arc<str>>,
}

impl Answer {
    pub fn content(&self) -> &Arc<str> {
        match &self.version {
            Version::Formal(formal) => &formal.content,
            Version::Gray(gray) => &gray.content,
        }
    }

    pub fn md5(&self) -> &str {
        match &self.version {
            Version::Formal(formal) => &formal.md5,
            Version::Gray(gray) => &gray.md5,
        }
    }

    /// Milliseconds.
    pub fn last_modified(&self) -> i64 {
        match &self.version {
            Version::Formal(formal) => formal.modified,
            Version::Gray(gray) => gray.modified,
        }
    }

    /// `Some("")` for a formal config without a key, `None` for a gray one without (as recorded from 2.5.1 and 3.1).
    pub fn encrypted_data_key(&self) -> Option<&str> {
        match &self.version {
            Version::Formal(formal) => Some(&formal.encrypted_data_key),
            Version::Gray(gray) => Some(&*gray.encrypted_data_key).filter(|key| !key.is_empty()),
        }
    }

    /// The formal config's type, also for gray versions; none when there is no formal config or it has no type.
    pub fn config_type(&self) -> Option<&str> {
        self.config_type.as_deref()
    }

    pub fn is_beta(&self) -> bool {
        matches!(&self.version, Version::Gray(gray) if gray.rule.is_beta())
    }

    /// The tag of a tag version, raw (answers url-encode it).
    pub fn tag(&self) -> Option<&str> {
        match &self.version {
            Version::Gray(gray) if gray.rule.kind() == "tag" => Some(gray.rule.expr()),
            _ => None,
        }
    }

    /// Name of the gray version served, if one is.
    pub fn gray_name(&self) -> Option<&str> {
        match &self.version {
            Version::Formal(_) => None,
            Version::Gray(gray) => Some(&gray.name),
        }
    }
}
