//! The pages: what a code means, in English and Chinese. A page is the only place where the words of a finding stand.
//!
//! ```text
//! # CODE
//! severity: warning
//! family: beats
//! causes: A01, A02
//! signals: S03, S12
//!
//! ## en
//! title: A few words
//! cause: One sentence with {figures} of the rule.
//! remedy: A command or setting to paste; several lines, the most useful first
//!
//! Prose: how it comes about, how it is told from others, how it clears.
//!
//! ## zh
//! (the same)
//! ```

use std::collections::BTreeMap;

use crate::Severity;

/// Values of a rule's hit that the texts of its page name in braces.
pub type Facts = BTreeMap<&'static str, String>;

/// The language of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    #[default]
    En,
    Zh,
}

impl Lang {
    /// `zh`, `zh-CN`, `zh_CN.UTF-8` are Chinese; everything else is English.
    pub fn of(text: &str) -> Self {
        if text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("zh")) { Self::Zh } else { Self::En }
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub code: String,
    pub severity: Severity,
    pub family: String,
    /// Of the catalogue of causes (A01 to F14), and what else it stands for.
    pub causes: Vec<String>,
    pub signals: Vec<String>,
    pub en: Words,
    pub zh: Words,
}

/// A page in one language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    pub title: String,
    pub cause: String,
    pub remedy: Vec<String>,
    pub prose: String,
}

impl Page {
    /// Reads a page; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split("\n## ");
        let head = parts.next().unwrap_or("");
        let code = head.lines().next().and_then(|line| line.strip_prefix("# ")).ok_or("no `# CODE` line")?.trim();
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim).ok_or_else(|| format!("{code}: no `{name}:` line"))
        };
        let list = |text: &str| text.split(',').map(str::trim).filter(|x| !x.is_empty()).map(str::to_owned).collect();
        let (mut en, mut zh) = (None, None);
        for part in parts {
            let (lang, rest) = part.split_once('\n').unwrap_or((part, ""));
            let words = Words::parse(rest).map_err(|error| format!("{code}, {lang}: {error}"))?;
            match lang.trim() {
                "en" => en = Some(words),
                "zh" => zh = Some(words),
                other => return Err(format!("{code}: a part `{other}`; there are `en` and `zh`")),
            }
        }
        Ok(Self {
            code: code.to_owned(),
            severity: Severity::of(field("severity")?).ok_or_else(|| format!("{code}: no such severity"))?,
            family: field("family")?.to_owned(),
            causes: list(field("causes")?),
            signals: list(field("signals")?),
            en: en.ok_or_else(|| format!("{code}: no English"))?,
            zh: zh.ok_or_else(|| format!("{code}: no Chinese"))?,
        })
    }

    pub fn words(&self, lang: Lang) -> &Words {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }

    /// The page as a person reads it.
    pub fn text(&self, lang: Lang) -> String {
        let words = self.words(lang);
        let mut text = format!("{} ({})\n{}\n\n{}\n\n", self.code, self.severity.word(), words.title, words.cause);
        for remedy in &words.remedy {
            text.push_str("  > ");
            text.push_str(remedy);
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&words.prose);
        text.push('\n');
        text
    }
}

impl Words {
    fn parse(text: &str) -> Result<Self, String> {
        let mut words = Self::default();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next_if(|line| !line.trim().is_empty()) {
            let (name, value) = line.split_once(": ").ok_or_else(|| format!("not a `name: value` line: {line}"))?;
            let value = value.trim().to_owned();
            match name {
                "title" => words.title = value,
                "cause" => words.cause = value,
                "remedy" => words.remedy.push(value),
                other => return Err(format!("no such line: {other}")),
            }
        }
        words.prose = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
        let missing = [
            (words.title.is_empty(), "title"),
            (words.cause.is_empty(), "cause"),
            (words.remedy.is_empty(), "remedy"),
            (words.prose.is_empty(), "prose"),
        ];
        match missing.into_iter().find(|(missing, _)| *missing) {
            Some((_, what)) => Err(format!("no {what}")),
            None => Ok(words),
        }
    }

    /// Names in braces that the texts use.
    pub fn names(&self) -> Vec<&str> {
        let texts = std::iter::once(&self.title).chain([&self.cause]).chain(&self.remedy);
        let mut names: Vec<&str> = texts.flat_map(|text| braces(text)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// `{name}` parts of a text. Only letters and underscores make a name: `{a="b"}` of a metric is text.
fn braces(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let name = after.split('}').next().unwrap_or("");
        if after.len() > name.len() && is_name(name) {
            found.push(name);
        }
        rest = after;
    }
    found
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// A text with its figures. A figure the rule does not give stays a question mark.
pub fn fill(text: &str, facts: &Facts) -> String {
    let mut filled = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) if is_name(name) => {
                debug_assert!(facts.contains_key(name), "no fact `{name}` for: {text}");
                filled.push_str(facts.get(name).map_or("?", String::as_str));
                rest = tail;
            }
            _ => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A-CODE\nseverity: warning\nfamily: beats\ncauses: A01, A02\nsignals: S01\n\n\
        ## en\ntitle: T\ncause: {who} did {what}.\nremedy: nacre x '{who}'\nremedy: rate(m{a=\"b\"}[5m])\n\nProse.\n\
        More.\n\n## zh\ntitle: 标题\ncause: {who} {what}\nremedy: x\n\n文字\n";

    #[test]
    fn a_page_is_read() {
        let page = Page::parse(PAGE).expect("page");
        assert_eq!((page.code.as_str(), page.severity), ("A-CODE", Severity::Warning));
        assert_eq!(page.causes, ["A01", "A02"]);
        assert_eq!(page.en.remedy.len(), 2);
        assert_eq!(page.en.names(), ["what", "who"]);
        assert_eq!(page.en.prose, "Prose.\nMore.");
        let facts = Facts::from([("who", "x".to_owned()), ("what", "y".to_owned())]);
        assert_eq!(fill(&page.en.cause, &facts), "x did y.");
        assert_eq!(fill(&page.en.remedy[1], &facts), "rate(m{a=\"b\"}[5m])");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (cut, told) in
            [("remedy: x\n", "zh: no remedy"), ("family: beats\n", "no `family:`"), ("文字\n", "no prose")]
        {
            let error = Page::parse(&PAGE.replace(cut, "")).expect_err("must be refused");
            assert!(error.contains(told), "{error}");
        }
    }
}
