//! Chinese of what is said of a path and of a server from outside. The source says everything in English; the catalogue `zh.txt` has the
//! Chinese of each sentence, with holes for what is filled in. A sentence that was filled in is found again by its fixed parts, and what
//! fills its holes is looked up in the same way.

use std::sync::LazyLock;

use crate::explain::Lang;

/// Sentences within sentences within sentences.
const DEPTH: u32 = 4;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read(include_str!("zh.txt")));

/// The text in that language. What the catalogue does not know stays as it is: names, addresses, words of a server.
pub fn say(lang: Lang, text: &str) -> String {
    match lang {
        Lang::En => text.to_owned(),
        Lang::Zh => text.split('\n').map(|line| CATALOGUE.chinese(line, DEPTH)).collect::<Vec<_>>().join("\n"),
    }
}

struct Template {
    english: &'static str,
    /// The fixed parts; a hole between each two.
    parts: Vec<&'static str>,
    /// Letters that are fixed: of several templates that fit, the one with most is meant.
    fixed: usize,
    chinese: &'static str,
}

#[derive(Default)]
struct Catalogue {
    templates: Vec<Template>,
    /// What is the same in both.
    #[cfg_attr(not(test), allow(dead_code, reason = "for the test"))]
    same: Vec<&'static str>,
    /// Lines that could not be read: none, a test says.
    #[cfg_attr(not(test), allow(dead_code, reason = "for the test"))]
    wrong: Vec<String>,
}

impl Catalogue {
    fn read(text: &'static str) -> Self {
        let mut out = Self::default();
        let mut open: Option<&'static str> = None;
        for line in text.lines() {
            let english = line.strip_prefix("> ");
            let same = line.strip_prefix("= ");
            if open.is_some() == (english.is_some() || same.is_some() || line.is_empty() || line.starts_with("// ")) {
                out.wrong.push(line.to_owned());
            } else if let Some(english) = english {
                open = Some(english);
            } else if let Some(same) = same {
                out.same.push(same);
            } else if let Some(english) = open.take() {
                out.templates.push(Template::new(english, line));
            }
        }
        out.templates.sort_by_key(|template| std::cmp::Reverse(template.fixed));
        out
    }

    fn chinese(&self, text: &str, depth: u32) -> String {
        if depth == 0 {
            return text.to_owned();
        }
        if let Some((template, holes)) = self.templates.iter().find_map(|t| Some((t, t.fits(text)?))) {
            return filled(template, &holes.iter().map(|hole| self.chinese(hole, depth - 1)).collect::<Vec<_>>());
        }
        // What is appended to a sentence begins with a blank or a comma.
        for (at, _) in text.match_indices([' ', ',']).filter(|(at, _)| *at > 0) {
            let (head, tail) = text.split_at(at);
            let appended = self.templates.iter().filter(|t| t.english.starts_with([' ', ',']));
            if let Some((template, holes)) = appended.into_iter().find_map(|t| Some((t, t.fits(tail)?))) {
                let holes: Vec<_> = holes.iter().map(|hole| self.chinese(hole, depth - 1)).collect();
                return format!("{}{}", self.chinese(head, depth - 1), filled(template, &holes));
            }
        }
        if let Some((head, tail)) = text.split_once("; ") {
            return format!("{}；{}", self.chinese(head, depth - 1), self.chinese(tail, depth));
        }
        // An address, and what is said of it.
        match text.split_once(' ') {
            Some((first, rest)) if first.contains(|c: char| c.is_ascii_digit()) => {
                format!("{first} {}", self.chinese(rest, depth - 1))
            }
            _ => text.to_owned(),
        }
    }
}

impl Template {
    fn new(english: &'static str, chinese: &'static str) -> Self {
        let parts: Vec<_> = english.split("{}").collect();
        Self { english, fixed: parts.iter().map(|part| part.len()).sum(), parts, chinese }
    }

    /// What fills the holes, when the text is made of this template.
    fn fits<'a>(&self, text: &'a str) -> Option<Vec<&'a str>> {
        let (first, rest) = self.parts.split_first()?;
        let mut left = text.strip_prefix(first)?;
        let Some((last, middle)) = rest.split_last() else { return left.is_empty().then(Vec::new) };
        left = left.strip_suffix(last)?;
        let mut holes = Vec::with_capacity(rest.len());
        for part in middle {
            let (hole, after) = left.split_once(part)?;
            holes.push(hole);
            left = after;
        }
        holes.push(left);
        Some(holes)
    }
}

/// The Chinese with its holes filled, in order or by number.
fn filled(template: &Template, holes: &[String]) -> String {
    let mut out = String::new();
    let mut rest = template.chinese;
    let mut next = 0;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let hole = from.split_once('}').and_then(|(number, after)| {
            let index = match &number[1..] {
                "" => next,
                number => number.parse::<usize>().ok()?.checked_sub(1)?,
            };
            Some((holes.get(index)?, after))
        });
        match hole {
            Some((hole, after)) => {
                out.push_str(hole);
                next += 1;
                rest = after;
            }
            // A brace that is meant.
            None => {
                out.push('{');
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        path::{Path, PathBuf},
    };

    use super::*;

    /// Words that a source compares with or sends, and never says.
    const NEVER_SAID: &[&str] = &[
        "/32 host LOCAL",
        "authorization failed",
        "broke off",
        "closed before an answer",
        "does not have this api",
        "held open",
        "is not HTTP",
        "log in",
        "not ready",
        "speak TLS",
        "TLS handshake",
        "user not found",
        "an http:// address may be meant",
    ];

    fn sources() -> Vec<PathBuf> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/doctor");
        let files = ["client", "foreign"].iter().flat_map(|folder| std::fs::read_dir(here.join(folder)).unwrap());
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).chain([here.join("step.rs")]).collect();
        files.sort();
        files
    }

    /// The texts of a source before its tests, as they are when they run, with `{}` for each hole.
    fn literals(source: &str) -> Vec<String> {
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        let source: String = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .map(|line| format!("{line}\n"))
            .collect();
        let (mut out, mut rest) = (Vec::new(), source.as_str());
        while let Some(at) = rest.find('"') {
            rest = &rest[at + 1..];
            let (mut text, mut hole) = (String::new(), false);
            let mut chars = rest.char_indices().peekable();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        rest = &rest[at + 1..];
                        break;
                    }
                    '\\' => match chars.next() {
                        Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                        Some((_, 'n')) => text.push('\n'),
                        Some((_, c)) => text.push(c),
                        None => {}
                    },
                    '{' if chars.next_if(|(_, c)| *c == '{').is_some() => text.push('{'),
                    '}' if chars.next_if(|(_, c)| *c == '}').is_some() => text.push('}'),
                    '{' => hole = true,
                    '}' if hole => {
                        text.push_str("{}");
                        hole = false;
                    }
                    c if !hole => text.push(c),
                    _ => {}
                }
            }
            out.push(text);
        }
        out
    }

    /// A text for people, by its look: words with a blank between.
    fn is_said(text: &str) -> bool {
        text.contains(' ') && text.as_bytes().windows(2).any(|two| two.iter().all(u8::is_ascii_lowercase))
    }

    #[test]
    fn every_sentence_has_chinese_and_no_chinese_is_left_over() {
        assert_eq!(CATALOGUE.wrong, Vec::<String>::new());
        let mut said = BTreeMap::new();
        for file in sources() {
            for text in literals(&std::fs::read_to_string(&file).unwrap()).iter().flat_map(|text| text.split('\n')) {
                said.insert(text.to_owned(), file.file_name().unwrap().to_owned());
            }
        }
        assert!(said.len() > 300, "the sources are read: {}", said.len());
        let all = || CATALOGUE.templates.iter().map(|template| template.english).chain(CATALOGUE.same.iter().copied());
        let known: BTreeSet<&str> = all().collect();
        assert_eq!(known.len(), all().count(), "a sentence stands twice");
        let missing: Vec<_> = said
            .iter()
            .filter(|(text, _)| is_said(text) && !known.contains(text.as_str()) && !NEVER_SAID.contains(&text.as_str()))
            .collect();
        assert!(missing.is_empty(), "without Chinese: {missing:#?}");
        let left: Vec<_> = known.iter().filter(|english| !said.contains_key(**english)).collect();
        assert!(left.is_empty(), "nobody says: {left:#?}");
    }

    #[test]
    fn chinese_fills_the_same_holes_and_is_chinese() {
        for Template { english, parts, chinese, .. } in &CATALOGUE.templates {
            let holes: Vec<String> = (1..parts.len()).map(|n| format!("<{n}>")).collect();
            let text = filled(&Template::new(english, chinese), &holes);
            for hole in &holes {
                assert_eq!(text.matches(hole.as_str()).count(), 1, "{hole} of {english}: {text}");
            }
            assert!(chinese.chars().any(|c| ('\u{4e00}'..'\u{a000}').contains(&c)), "{chinese}");
        }
    }

    #[test]
    fn a_sentence_is_known_again_with_what_fills_it() {
        let zh = |text: &str| say(Lang::Zh, text);
        assert_eq!(
            zh("10.0.0.7:9848 refused; 10.0.0.8:9848 connected in 1.5 ms"),
            "10.0.0.7:9848 被拒绝；10.0.0.8:9848 1.5 毫秒连上"
        );
        assert_eq!(
            zh("nacre 0.1.0 (standalone) answers at http://h:8848/nacos, through a proxy: nginx"),
            "http://h:8848/nacos，经过代理：nginx 上应答的是 nacre 0.1.0（standalone）"
        );
        assert_eq!(
            zh(
                "14 beats over HTTP for 10.0.0.7:80: gaps median 1.00 s, longest 1.01 s, answers min 0.4, median 0.9, p95 1.5 ms; 2 failed"
            ),
            "为 10.0.0.7:80 发送 14 次HTTP 心跳：间隔中位数 1.00 秒，最长 1.01 秒，应答 最小 0.4、中位 0.9、p95 1.5 毫秒；2 次失败"
        );
        assert_eq!(
            zh(
                "There is no route from here to that address, or a firewall says so.\nThe port belongs to another program."
            ),
            "从这里到该地址没有路由，或者是防火墙这样回答。\n这个端口属于别的程序。"
        );
        assert_eq!(zh("whatever a server says itself"), "whatever a server says itself");
        assert_eq!(say(Lang::En, "nothing was registered (--seconds 0)"), "nothing was registered (--seconds 0)");
    }
}
