//! What a person pasted: metric selectors inside any expression or sentence, values said of them, and codes.
//!
//! This is no parser of PromQL: functions, aggregations and words around a selector are passed over, so that a panel's
//! expression, a line of an exposition, an alert and a sentence are read alike.

/// How a label must be for a matcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Is,
    IsNot,
    Like,
    Unlike,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    pub label: String,
    pub op: Op,
    pub value: String,
}

impl Matcher {
    /// As in PromQL: a regular expression matches from end to end. One that cannot be read matches everything.
    pub fn accepts(&self, value: &str) -> bool {
        let like = || match regex_lite::Regex::new(&format!("^(?:{})$", self.value)) {
            Ok(pattern) => pattern.is_match(value),
            Err(_) => true,
        };
        match self.op {
            Op::Is => self.value == value,
            Op::IsNot => self.value != value,
            Op::Like => like(),
            Op::Unlike => !like(),
        }
    }
}

/// What is said of a series: `is 2`, `> 0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// Whether the value was seen; otherwise it is the bound of a condition.
    pub seen: bool,
    pub value: f64,
}

/// One selector of the question.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    pub name: String,
    pub matchers: Vec<Matcher>,
    pub claim: Option<Claim>,
}

impl Selector {
    /// Whether the labels fit; labels in the question that the series has not (`instance`, `job`) are the scraper's.
    pub fn fits<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.matchers.iter().all(|matcher| label(&matcher.label).is_none_or(|value| matcher.accepts(value)))
    }
}

/// Most of a question that is read; nobody types more, and work stays bounded.
const LONGEST: usize = 64 * 1024;

/// Words that stand for a code: `20404`, `-401`, `BEAT-GAP-NETWORK`. Of figures only those that stand by themselves: parts of
/// addresses, of times and of names are none, and short ones only where the text says that they are codes.
pub fn codes(question: &str) -> Vec<String> {
    let mut codes: Vec<String> = Vec::new();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let whole = question.trim().trim_end_matches(['?', '？']);
    let mut at = 0;
    while let Some(start) = question[at..].find(is_part).map(|start| at + start) {
        let end = question[start..].find(|c: char| !is_part(c)).map_or(question.len(), |length| start + length);
        let word = &question[start..end];
        at = end;
        let number = word.strip_prefix('-').unwrap_or(word);
        let is_number = !number.is_empty() && number.len() <= 6 && number.bytes().all(|b| b.is_ascii_digit());
        let (before, after) = (&question[..start], &question[end..]);
        let joined = |c: char| matches!(c, '.' | ':' | '/' | '@' | '#');
        let within = (before.ends_with(joined) && before[..before.len() - 1].ends_with(|c: char| c.is_ascii_digit()))
            || (after.starts_with(joined) && after[1..].starts_with(|c: char| c.is_ascii_alphanumeric()));
        let meant = whole == word || called_code(before) || (number.len() >= 3 && !within && !measured(after));
        if (is_number && meant || is_finding(word)) && !codes.iter().any(|code| code == word) {
            codes.push(word.to_owned());
        }
    }
    codes
}

/// Whether the text before a figure says that a code follows: `errCode: `, `status=`, `HTTP `, `错误码`.
fn called_code(before: &str) -> bool {
    const WORDS: &[&str] = &["code", "status", "http", "错误码", "返回码", "状态码"];
    let said = before.trim_end_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    before.len() - said.len().min(before.len()) <= 4 && WORDS.iter().any(|word| said.ends_with(word))
}

/// Whether a unit stands behind a figure: `500 ms` is no code.
fn measured(after: &str) -> bool {
    const UNITS: &[&str] =
        &["ms", "milli", "s ", "sec", "min", "%", "毫秒", "秒", "分钟", "个", "instances", "clients", "times"];
    let after = after.trim_start();
    UNITS.iter().any(|unit| after.starts_with(unit)) || after == "s"
}

/// Whether a word looks like a finding's code.
pub fn is_finding(word: &str) -> bool {
    word.contains('-')
        && word
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
        && word.starts_with(|c: char| c.is_ascii_uppercase())
}

/// What a word, or a pattern for names, stands for.
pub struct Knowledge<K, N> {
    /// The name of the metric that a word means, with the matchers that go with it: `leaderStatus` is
    /// `nacos_monitor{name="leaderStatus"}`.
    pub known: K,
    /// The names that a matcher of `__name__` accepts.
    pub named: N,
}

/// Every selector whose name is known, in order.
pub fn selectors<K, N>(question: &str, of: &Knowledge<K, N>) -> Vec<Selector>
where
    K: Fn(&str) -> Option<(String, Vec<Matcher>)>,
    N: Fn(&Matcher) -> Vec<String>,
{
    let text: Vec<char> = unescaped(question).chars().take(LONGEST).map(plain).collect();
    let mut found: Vec<Selector> = Vec::new();
    // Open parentheses, and braces of a selector without a name before it.
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '{' => {
                let (matchers, next) = read_matchers(&text, at + 1);
                let names = nameless(&matchers, of);
                if !names.is_empty() {
                    let claim = claim(&text, next, depth > 0);
                    let rest: Vec<Matcher> = matchers.into_iter().filter(|m| m.label != NAME).collect();
                    for (name, mut own) in names {
                        own.extend(rest.iter().cloned());
                        add(&mut found, Selector { name, matchers: own, claim });
                    }
                    at = next;
                    continue;
                }
            }
            _ => {}
        }
        // A quoted word of a sentence may be a name; quoted label values are read with their selector.
        if !starts_name(text[at]) {
            at += 1;
            continue;
        }
        let end = end_of_name(&text, at);
        let word: String = text[at..end].iter().collect();
        let word = word.trim_end_matches([':', '.']);
        let after = skip_blanks(&text, end);
        let braces = text.get(after) == Some(&'{');
        let (matchers, next) = if braces { read_matchers(&text, after + 1) } else { (Vec::new(), end) };
        // Words of code, `MetricsMonitor.getIpCountMonitor()`, are looked at one by one where the whole is nothing.
        let meant = (of.known)(word).or_else(|| word.split('.').rev().find_map(|part| (of.known)(part)));
        at = next.max(end);
        let Some((name, mut implied)) = meant else { continue };
        implied.retain(|own| matchers.iter().all(|said| said.label != own.label));
        implied.extend(matchers);
        let claim = claim(&text, at, depth > 0);
        add(&mut found, Selector { name, matchers: implied, claim });
    }
    // `nacos.exception leaderSendBeatFailed`: the family is said and then what is meant of it.
    let narrowed: Vec<String> =
        found.iter().filter(|one| !one.matchers.is_empty()).map(|one| one.name.clone()).collect();
    found.retain(|one| !one.matchers.is_empty() || !narrowed.contains(&one.name));
    found
}

fn add(found: &mut Vec<Selector>, selector: Selector) {
    match found.iter_mut().find(|seen| seen.name == selector.name && seen.matchers == selector.matchers) {
        Some(seen) => seen.claim = seen.claim.or(selector.claim),
        None => found.push(selector),
    }
}

const NAME: &str = "__name__";

/// What braces without a name before them mean: `{__name__="..."}`, `{"nacos.monitor", name="ipCount"}`, an element of an
/// answer of Prometheus.
fn nameless<K, N>(matchers: &[Matcher], of: &Knowledge<K, N>) -> Vec<(String, Vec<Matcher>)>
where
    K: Fn(&str) -> Option<(String, Vec<Matcher>)>,
    N: Fn(&Matcher) -> Vec<String>,
{
    match matchers.iter().find(|m| m.label == NAME) {
        Some(name) if name.op == Op::Is => (of.known)(&name.value).into_iter().collect(),
        Some(name) => (of.named)(name).into_iter().map(|name| (name, Vec::new())).collect(),
        None => Vec::new(),
    }
}

/// A question as it was before a browser, a shell or a board wrote it into something else.
fn unescaped(question: &str) -> String {
    let mut text = question.to_owned();
    if text.contains("%7B") || text.contains("%7b") {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            let hex = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
            match (first, hex(tail.first()), hex(tail.get(1))) {
                (b'%', Some(high), Some(low)) => {
                    bytes.push(u8::try_from(high * 16 + low).unwrap_or(b' '));
                    rest = &tail[2..];
                }
                (b'+', ..) => {
                    bytes.push(b' ');
                    rest = tail;
                }
                _ => {
                    bytes.push(*first);
                    rest = tail;
                }
            }
        }
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    for (written, meant) in [
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&gt;", ">"),
        ("&lt;", "<"),
        ("&amp;", "&"),
    ] {
        if text.contains(written) {
            text = text.replace(written, meant);
        }
    }
    text
}

/// Typographic and full-width signs as the plain ones.
fn plain(c: char) -> char {
    match c {
        '‘' | '’' | '′' | '＇' => '\'',
        '“' | '”' | '″' | '＂' | '「' | '」' => '"',
        '｛' => '{',
        '｝' => '}',
        '（' => '(',
        '）' => ')',
        '，' | '、' => ',',
        '＝' => '=',
        '＞' => '>',
        '＜' => '<',
        '：' => ':',
        '～' => '~',
        '\u{a0}' | '\u{3000}' => ' ',
        c => c,
    }
}

fn is_quote(c: char) -> bool {
    matches!(c, '\'' | '"' | '`')
}

fn starts_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The end of a name; dots are part of it where something follows them.
fn end_of_name(text: &[char], from: usize) -> usize {
    let mut end = end_of(text, from, is_name);
    while text.get(end) == Some(&'.') && text.get(end + 1).copied().is_some_and(starts_name) {
        end = end_of(text, end + 1, is_name);
    }
    end
}

fn end_of(text: &[char], from: usize, part: impl Fn(char) -> bool) -> usize {
    text[from..].iter().position(|c| !part(*c)).map_or(text.len(), |length| from + length)
}

fn skip_blanks(text: &[char], from: usize) -> usize {
    end_of(text, from.min(text.len()), char::is_whitespace)
}

/// Matchers up to the closing brace; the place behind it. Values may be quoted in any way or not at all.
fn read_matchers(text: &[char], mut at: usize) -> (Vec<Matcher>, usize) {
    let mut matchers = Vec::new();
    loop {
        at = end_of(text, at, |c| c.is_whitespace() || c == ',' || c == ';');
        match text.get(at) {
            None => return (matchers, at),
            Some('}') => return (matchers, at + 1),
            Some(_) => {}
        }
        // Labels may be quoted: in JSON always, in PromQL since names may be anything.
        let quoted = text.get(at).copied().is_some_and(is_quote);
        let (label, end) = if quoted {
            read_value(text, at)
        } else {
            let end = end_of(text, at, |c| is_name(c) && c != ':');
            (text[at..end].iter().collect(), end)
        };
        let sign = skip_blanks(text, end);
        if quoted && matches!(text.get(sign), Some(',' | '}')) && matchers.is_empty() {
            // The metric's name.
            matchers.push(Matcher { label: NAME.to_owned(), op: Op::Is, value: label });
            at = sign;
            continue;
        }
        let (op, length) = match (text.get(sign), text.get(sign + 1)) {
            (Some('='), Some('~')) => (Op::Like, 2),
            (Some('!'), Some('~')) => (Op::Unlike, 2),
            (Some('!'), Some('=')) => (Op::IsNot, 2),
            (Some('='), Some('=')) => (Op::Is, 2),
            (Some('=' | ':'), _) => (Op::Is, 1),
            // No matcher: go on behind this character, so that every round gets on.
            _ => {
                at = end.max(at + 1);
                continue;
            }
        };
        let (value, next) = read_value(text, skip_blanks(text, sign + length));
        at = next;
        if !label.is_empty() {
            matchers.push(Matcher { label, op, value });
        }
    }
}

fn read_value(text: &[char], mut at: usize) -> (String, usize) {
    let mut value = String::new();
    // Shells and JSON leave quotes as \".
    if text.get(at) == Some(&'\\') && text.get(at + 1).copied().is_some_and(is_quote) {
        at += 1;
    }
    let Some(quote) = text.get(at).copied().filter(|c| is_quote(*c)) else {
        let end = end_of(text, at, |c| c != ',' && c != '}' && !c.is_whitespace());
        return (text[at..end].iter().collect(), end);
    };
    at += 1;
    while let Some(&c) = text.get(at) {
        at += 1;
        match c {
            '\\' => match text.get(at) {
                Some(&next) if next == quote => return (value, at + 1),
                Some('n') => (value.push('\n'), at += 1).1,
                Some(&next) => {
                    // A regular expression keeps its backslash: in PromQL it is written twice.
                    if next != '\\' {
                        value.push('\\');
                    }
                    value.push(next);
                    at += 1;
                }
                None => {}
            },
            c if c == quote => return (value, at),
            c => value.push(c),
        }
    }
    (value, at)
}

/// Words between a series and the value that was seen.
const SAYING: &[&str] = &[
    "is",
    "are",
    "was",
    "were",
    "at",
    "of",
    "value",
    "the",
    "now",
    "has",
    "have",
    "shows",
    "equals",
    "stays",
    "stuck",
    "still",
    "always",
    "constantly",
    "stands",
    "got",
    "counter",
    "metric",
    "gauge",
    "to",
    "up",
    "and",
    "its",
    "it",
    "reads",
    "says",
    "returns",
    "gives",
    "by",
];
const SAYING_ZH: &[&str] = &[
    "一直", "的", "值", "为", "是", "等于", "显示", "都", "变成", "变为", "达到", "总是", "始终", "指标", "了", "当前",
    "现在",
];
/// Characters that may stand between.
const BETWEEN: usize = 48;

/// The value said right behind a selector; what is compared within parentheses is a condition.
fn claim(text: &[char], mut at: usize, within: bool) -> Option<Claim> {
    let stop = text.len().min(at + BETWEEN);
    let mut condition = false;
    let mut inside = within;
    while at < stop {
        let c = text[at];
        if c == ',' && inside {
            // The next argument of a function.
            return None;
        }
        if c.is_whitespace() || matches!(c, ')' | ':' | ',' | '\'' | '"' | '`' | '}') {
            inside &= c != ')';
            at += 1;
        } else if c == '[' {
            // A sample of an answer of Prometheus: `[1700000000.1,"2"]`.
            let sample: String = text[at + 1..].iter().take_while(|c| **c != ']').collect();
            if let Some((_, value)) = sample.split_once(",\"")
                && let Ok(value) = value.trim_matches('"').parse()
            {
                return Some(Claim { seen: true, value });
            }
            at = end_of(text, at, |c| c != ']') + 1;
        } else if matches!(c, '>' | '<' | '!' | '=') {
            condition |= c != '=' || inside;
            at += 1;
        } else if c.is_ascii_digit() || (c == '-' && text.get(at + 1).is_some_and(char::is_ascii_digit)) {
            let end = end_of(text, at + 1, |c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E'));
            let number: String = text[at..end].iter().collect();
            let value = number.trim_end_matches(['.', 'e', 'E']).parse().ok()?;
            return Some(Claim { seen: !condition, value });
        } else if c == '(' {
            // The labels of `by (...)`.
            at = end_of(text, at, |c| c != ')') + 1;
        } else if c.is_ascii_alphabetic() {
            let end = end_of(text, at, |c| c.is_ascii_alphabetic());
            let word: String = text[at..end].iter().collect();
            if !SAYING.contains(&&*word.to_ascii_lowercase()) {
                return None;
            }
            at = end;
        } else {
            let rest: String = text[at..stop].iter().collect();
            let said = SAYING_ZH.iter().find(|word| rest.starts_with(**word))?;
            at += said.chars().count();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names with an underscore are metrics, and two words stand for series.
    fn known(word: &str) -> Option<(String, Vec<Matcher>)> {
        let is = |name: &str| vec![Matcher { label: "name".into(), op: Op::Is, value: name.into() }];
        match word {
            "leaderStatus" => Some(("nacos_monitor".into(), is(word))),
            "nacos_monitor" | "nacos_exception_total" | "http_server_requests_seconds_sum" => {
                Some((word.into(), Vec::new()))
            }
            _ => None,
        }
    }

    fn seen(question: &str) -> Vec<String> {
        let show = |selector: &Selector| {
            let matchers: Vec<String> =
                selector.matchers.iter().map(|m| format!("{}{:?}{}", m.label, m.op, m.value)).collect();
            let claim = selector
                .claim
                .map_or(String::new(), |claim| format!(" {}{}", if claim.seen { "" } else { "?" }, claim.value));
            format!("{}[{}]{claim}", selector.name, matchers.join(" "))
        };
        let named = |_: &Matcher| vec!["nacos_exception_total".to_owned()];
        selectors(question, &Knowledge { known, named }).iter().map(show).collect()
    }

    #[test]
    fn expressions_are_read_however_they_are_quoted() {
        for question in [
            "nacos_exception_total{name='leaderSendBeatFailed'}",
            "nacos_exception_total{name=\"leaderSendBeatFailed\"}",
            "nacos_exception_total { name = 'leaderSendBeatFailed' , }",
            "nacos_exception_total{name=leaderSendBeatFailed}",
            "nacos_exception_total{name=‘leaderSendBeatFailed’}",
            "`nacos_exception_total{name='leaderSendBeatFailed'}`",
            "nacos_exception_total{name=\\\"leaderSendBeatFailed\\\"}",
            "sum(rate(nacos_exception_total{name='leaderSendBeatFailed'}[1m]))*60",
            "sum by (name) (increase(nacos_exception_total{name='leaderSendBeatFailed'}[5m] offset 1h))",
            "what does nacos_exception_total{name='leaderSendBeatFailed'} mean?",
            "{__name__=\"nacos_exception_total\",name=\"leaderSendBeatFailed\"}",
            "{__name__=~'nacos_exception.*',name='leaderSendBeatFailed'}",
            "sum({\"nacos_exception_total\", name=\"leaderSendBeatFailed\"})",
            "{\"metric\":{\"__name__\":\"nacos_exception_total\",\"name\":\"leaderSendBeatFailed\"}}",
            "query=nacos_exception_total%7Bname%3D%22leaderSendBeatFailed%22%7D",
            "nacos_exception_total{name=&quot;leaderSendBeatFailed&quot;}",
        ] {
            assert_eq!(seen(question), ["nacos_exception_total[nameIsleaderSendBeatFailed]"], "{question}");
        }
    }

    #[test]
    fn values_that_were_seen_are_told_from_conditions() {
        for (question, claim) in [
            ("nacos_monitor{a='b'} is 2", " 2"),
            ("nacos_monitor{a='b'} = 2", " 2"),
            ("nacos_monitor{a=\"b\",} 5.0", " 5"),
            ("nacos_monitor{a='b'} == 0", " 0"),
            ("nacos_monitor{a='b'} > 0", " ?0"),
            ("sum(rate(nacos_monitor{a='b'}[1m])) >= 1.5 for 1m", " ?1.5"),
            ("nacos_monitor{a='b'} 一直为 -1", " -1"),
            ("nacos_monitor{a='b'} 的值是2", " 2"),
            ("nacos_monitor{a='b'} stays at 2.", " 2"),
            ("nacos_monitor{a='b'} differs from 2", ""),
            ("count(nacos_monitor{a='b'} == 1)", " ?1"),
            ("predict_linear(nacos_monitor{a='b'}[1h], 4*3600) < 0", ""),
            ("{\"metric\":{\"__name__\":\"nacos_monitor\",\"a\":\"b\"},\"value\":[1700000000.1,\"2\"]}", " 2"),
            ("nacos_monitor{a='b'}", ""),
        ] {
            assert_eq!(seen(question), [format!("nacos_monitor[aIsb]{claim}")], "{question}");
        }
    }

    #[test]
    fn a_sentence_may_ask_for_several() {
        let both =
            "nacos_exception_total{name='leaderSendBeatFailed'} is 2 while nacos_monitor{name='leaderStatus'} is 1";
        assert_eq!(
            seen(both),
            ["nacos_exception_total[nameIsleaderSendBeatFailed] 2", "nacos_monitor[nameIsleaderStatus] 1"]
        );
        assert_eq!(
            seen("why is leaderStatus always 0, and leaderStatus again"),
            ["nacos_monitor[nameIsleaderStatus] 0"]
        );
        assert_eq!(
            seen(
                "sum(http_server_requests_seconds_sum{uri=~'.*/cs/configs|.*/ns/instance.*', instance!='$instance'}) > 0"
            ),
            ["http_server_requests_seconds_sum[uriLike.*/cs/configs|.*/ns/instance.* instanceIsNot$instance] ?0"]
        );
    }

    #[test]
    fn matchers_are_promqls() {
        let matcher = |op, value: &str| Matcher { label: "a".into(), op, value: value.into() };
        assert!(matcher(Op::Like, ".*Check").accepts("tcpCheck") && !matcher(Op::Like, "Check").accepts("tcpCheck"));
        assert!(matcher(Op::Unlike, "a|b").accepts("c") && !matcher(Op::IsNot, "c").accepts("c"));
        assert!(matcher(Op::Like, "(").accepts("anything"));
    }

    #[test]
    fn codes_are_numbers_and_capital_words() {
        assert_eq!(codes("what is 20404?"), ["20404"]);
        assert_eq!(codes("errorCode=301, then -401"), ["301", "-401"]);
        assert_eq!(codes("BEAT-GAP-NETWORK or a-b or X"), ["BEAT-GAP-NETWORK"]);
        assert_eq!(codes("错误码：500"), ["500"]);
        assert_eq!(codes("0"), ["0"]);
        for none in [
            "10.0.0.5:500",
            "200.404.1.2",
            "127.0.0.1",
            "fixed-0",
            "after 500 ms",
            "500毫秒",
            "2 of 3",
            "fixed-10.0.0.1_500",
        ] {
            assert_eq!(codes(none), Vec::<String>::new(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(\\PC|nacos_monitor|[{}='\",\\\\\\[\\]()~!>0-9 ]){0,60}") {
            let named = |_: &Matcher| Vec::new();
            let _ = selectors(&text, &Knowledge { known, named });
            let _ = codes(&text);
        }
    }
}
