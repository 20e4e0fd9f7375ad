//! `nacre explain`.

use std::time::Duration;

use serde_json::{Value, json};

use super::Session;
use crate::{
    api::cluster::{Member, Scrape},
    args::Explain,
    commands::doctor::{finding::Finding, own, show},
    error::{CliError, Outcome},
    explain::{
        Entry, Lang, TABLE,
        answer::{Looks, Part, Question, compared},
        judge::{Level, Server, number},
        said,
    },
    http::Params,
    output::{Screen, Tone, printable, remark, shortened, width},
    time,
};

/// Columns of text that a person reads.
const COLUMNS: usize = 92;
/// More entries than this are listed, not explained.
const EXPLAINED: usize = 4;
/// Open findings that are shown.
const FINDINGS: usize = 5;

pub async fn run(session: &Session, explain: &Explain) -> Outcome {
    let lang = explain.lang.unwrap_or_else(Lang::of_environment);
    let text = explain.question.join(" ");
    let question = Question::read(&text);
    if question.is_empty() {
        return Err(unknown(&text, &question, lang));
    }
    let mut live = Live::default();
    if !explain.offline && !question.selectors.is_empty() {
        live = look(session, &question, explain.wait, lang).await?;
    }
    if !explain.offline && !question.said.is_empty() {
        live.open = fitting(session, &question, lang).await;
    }
    let parts = question.parts(live.looks.as_ref(), lang);
    let findings = findings(&question, lang);
    let page = Page {
        screen: &session.screen,
        lang,
        server: session.client.address.to_string(),
        live: &live,
        names: &question.names,
    };
    if session.screen.json {
        return session.screen.value(&page.json(&text, &question, &parts, &findings));
    }
    page.show(&question, &parts, &findings)
}

/// What the server told.
#[derive(Default)]
struct Live {
    looks: Option<Looks>,
    members: Vec<Member>,
    /// Open findings that fit what was pasted; `None` from a server that has none to tell, or was not asked.
    open: Option<Vec<Finding>>,
    /// Why nothing live is known.
    blind: Option<String>,
}

async fn look(session: &Session, question: &Question, wait: i64, lang: Lang) -> Outcome<Live> {
    let client = &session.client;
    let mut live = Live::default();
    let first = match client.scrape().await {
        Ok(Scrape::Samples(samples)) => samples,
        Ok(Scrape::Hidden(status)) => {
            live.blind = Some(match lang {
                Lang::En => format!(
                    "{} answers HTTP {status} to /actuator/prometheus: it does not export metrics. Java Nacos does with \
                     management.endpoints.web.exposure.include=prometheus in application.properties",
                    client.address
                ),
                Lang::Zh => format!(
                    "{} 对 /actuator/prometheus 返回 HTTP {status}：没有导出指标。Java Nacos 需在 application.properties 中设置 \
                     management.endpoints.web.exposure.include=prometheus",
                    client.address
                ),
            });
            if question.wants_members() {
                live.members = client.members().await.unwrap_or_default();
            }
            return Ok(live);
        }
        Err(error) if error.is_unreachable() => {
            let error = error.to_string();
            let why = error.lines().next().unwrap_or_default();
            live.blind = Some(match lang {
                Lang::En => {
                    format!("no live value was seen: {why}. Name a server with --server URL to have its values judged")
                }
                Lang::Zh => format!("没有看到实时值：{why}。用 --server URL 指定服务端即可判断其当前值"),
            });
            return Ok(live);
        }
        Err(error) => return Err(error),
    };
    let nacre = first.iter().find(|sample| sample.name == "nacre_build_info");
    let (version, mode) = match nacre {
        Some(build) => (build.label("version").map(str::to_owned), None),
        None => client.version().await.unwrap_or_default(),
    };
    let server = Server {
        nacre: nacre.is_some(),
        version,
        standalone: mode.is_some_and(|mode| mode.eq_ignore_ascii_case("standalone")),
    };
    if question.wants_members() {
        live.members = client.members().await.unwrap_or_default();
    }
    let mut looks = Looks { server, first, second: None };
    let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
    if !wait.is_zero() && question.wants_second_look(&looks.first) {
        if !session.screen.json {
            let seconds = number(wait.as_secs_f64());
            remark(&match lang {
                Lang::En => format!("looking again in {seconds} s ..."),
                Lang::Zh => format!("{seconds} 秒后再看一次……"),
            });
        }
        tokio::time::sleep(wait).await;
        if let Ok(Scrape::Samples(samples)) = client.scrape().await {
            looks.second = Some((samples, wait.as_secs_f64()));
        }
    }
    live.looks = Some(looks);
    Ok(live)
}

/// Open findings of the server about the address in the text, or with a code that the entries name.
async fn fitting(session: &Session, question: &Question, lang: Lang) -> Option<Vec<Finding>> {
    let told = own::ask(&session.client, Params::default(), lang).await.ok().flatten()?;
    let codes: Vec<&str> = question.said.iter().flat_map(|entry| entry.see.iter().copied()).collect();
    let about = |finding: &Finding| {
        question.names.address.as_ref().is_some_and(|address| finding.json().to_string().contains(address.as_str()))
    };
    // What is about the very address answers best; the same cause elsewhere comes behind.
    let (mut first, rest): (Vec<_>, Vec<_>) = told.open.into_iter().partition(about);
    first.extend(rest.into_iter().filter(|finding| codes.contains(&&*finding.code)));
    first.truncate(FINDINGS);
    Some(first)
}

/// The pages of findings, where their codes are known.
fn findings(question: &Question, lang: Lang) -> Vec<(String, Option<String>)> {
    let lang = match lang {
        Lang::En => nacre_doctor::Lang::En,
        Lang::Zh => nacre_doctor::Lang::Zh,
    };
    let page = |code: &String| (code.clone(), nacre_doctor::page(code).map(|page| page.text(lang)));
    question.findings.iter().map(page).collect()
}

fn unknown(text: &str, question: &Question, lang: Lang) -> CliError {
    let word = question.strangers.first().map_or(text.trim(), String::as_str);
    let word = shortened(&printable(word), 80);
    let near = TABLE.near(text);
    let mut said = match lang {
        Lang::En => format!("nothing is known of {word}; a metric's name, an expression with one, or a code is wanted"),
        Lang::Zh => format!("没有关于 {word} 的内容；请给出指标名、含指标的表达式或错误码"),
    };
    if !near.is_empty() {
        said.push_str(lang.pick("\n  is it one of these? ", "\n  是否为以下之一？"));
        said.push_str(&near.join("\n    "));
    }
    CliError::NotFound(said)
}

/// Everything that is written.
struct Page<'a> {
    screen: &'a Screen,
    lang: Lang,
    server: String,
    live: &'a Live,
    names: &'a said::Names,
}

const fn tone(level: Level) -> Tone {
    match level {
        Level::Fine => Tone::Good,
        Level::Watch => Tone::Warn,
        Level::Problem => Tone::Bad,
        Level::Unknown => Tone::Dim,
    }
}

impl Page<'_> {
    fn show(&self, question: &Question, parts: &[Part], findings: &[(String, Option<String>)]) -> Outcome {
        let lang = self.lang;
        if let Some(blind) = &self.live.blind {
            self.text(Tone::Dim, "", blind)?;
            self.line("")?;
        }
        if let Some(looks) = &self.live.looks {
            let kind = if looks.server.nacre { "nacre" } else { "Nacos" };
            let version = looks.server.version.as_deref().unwrap_or("?");
            let mode = if looks.server.standalone { ", standalone" } else { "" };
            self.text(Tone::Dim, "", &format!("{}: {kind} {}{mode}", self.server, printable(version)))?;
            self.line("")?;
        }
        for pair in question.together() {
            self.line(&self.screen.paint(Tone::Head, lang.pick("Both together", "合起来看")))?;
            self.text(Tone::Plain, "  ", pair.text(lang, "what"))?;
            self.steps(pair)?;
            self.line("")?;
        }
        for entry in &question.said {
            let title = entry.title.split([';', '&', '/']).next().unwrap_or_default().trim();
            if entry.kind != "question" {
                self.line(&format!(
                    "{}  {}",
                    self.screen.paint(Tone::Head, title),
                    self.screen.paint(Tone::Dim, entry.kind)
                ))?;
            }
            self.text(Tone::Plain, "  ", entry.text(lang, "what"))?;
            self.steps(entry)?;
            self.line("")?;
        }
        if let Some(open) = &self.live.open {
            self.line(&self.screen.paint(Tone::Head, said::head(!open.is_empty(), lang)))?;
            for finding in open {
                self.line(&show::finding(self.screen, finding, time::now_ms(), lang))?;
            }
            self.line("")?;
        }
        let brief = parts.len() > EXPLAINED;
        for part in parts {
            if brief { self.brief(part)? } else { self.part(part)? }
        }
        if brief {
            self.text(Tone::Dim, "", lang.pick("Ask for one of them to read more.", "指定其中一个可查看详细说明。"))?;
        }
        for selector in question.unknown_labels() {
            let labels: Vec<&str> = selector.matchers.iter().map(|m| m.value.as_str()).collect();
            let near = TABLE.near(&labels.join(" "));
            let text = match lang {
                Lang::En => format!("{}: no series with {} is known", selector.name, labels.join(", ")),
                Lang::Zh => format!("{}：没有标签为 {} 的序列", selector.name, labels.join("、")),
            };
            self.text(Tone::Warn, "", &printable(&text))?;
            for series in near {
                self.line(&format!("    {series}"))?;
            }
        }
        for name in &question.strangers {
            let text = match lang {
                Lang::En => format!("{name}: no metric of Nacos, its client or nacre has this name"),
                Lang::Zh => format!("{name}：Nacos、其客户端与 nacre 都没有这个指标"),
            };
            self.text(Tone::Warn, "", &text)?;
        }
        self.members()?;
        for (code, entries) in &question.codes {
            for entry in entries {
                self.line(&format!(
                    "{}  {}",
                    self.screen.paint(Tone::Head, code),
                    self.screen.paint(Tone::Dim, entry.kind)
                ))?;
                self.text(Tone::Plain, "  ", entry.text(lang, "what"))?;
                self.steps(entry)?;
                self.line("")?;
            }
        }
        for (code, page) in findings {
            match page {
                Some(page) => self.line(page)?,
                None => {
                    let text = match lang {
                        Lang::En => format!("{code}: no finding has this code"),
                        Lang::Zh => format!("{code}：没有这个诊断码"),
                    };
                    self.text(Tone::Warn, "", &text)?;
                }
            }
        }
        Ok(())
    }

    fn line(&self, text: &str) -> Outcome {
        self.screen.line(text)
    }

    /// Wrapped, each line behind `margin`.
    fn text(&self, tone: Tone, margin: &str, text: &str) -> Outcome {
        for line in wrapped(text, COLUMNS.saturating_sub(margin.len())) {
            self.line(&format!("{margin}{}", self.screen.paint(tone, &line)))?;
        }
        Ok(())
    }

    /// A heading and its text.
    fn section(&self, name: &str, text: &str) -> Outcome {
        if text.is_empty() {
            return Ok(());
        }
        self.line(&format!("  {}", self.screen.paint(Tone::Accent, name)))?;
        self.text(Tone::Plain, "    ", text)
    }

    fn part(&self, part: &Part) -> Outcome {
        let (lang, entry) = (self.lang, part.entry);
        let unit = if entry.unit.is_empty() { String::new() } else { format!(", {}", entry.unit) };
        self.line(&format!(
            "{}  {}",
            self.screen.paint(Tone::Head, &part.title),
            self.screen.paint(Tone::Dim, &format!("({}{unit})", entry.kind))
        ))?;
        self.values(part)?;
        self.section(lang.pick("In Nacos", "Nacos 中"), entry.text(lang, "nacos"))?;
        self.section(lang.pick("In nacre", "nacre 中"), entry.text(lang, "nacre"))?;
        self.section(lang.pick("Normal", "正常值"), entry.text(lang, "normal"))?;
        self.section(lang.pick("A problem", "异常"), entry.text(lang, "problem"))?;
        self.line(&format!("  {}", self.screen.paint(Tone::Accent, lang.pick("What to do", "处理办法"))))?;
        self.steps(entry)?;
        if !entry.see.is_empty() {
            self.section(lang.pick("See also", "相关"), &entry.see.join(", "))?;
        }
        self.line("")
    }

    /// Live values and the verdict, before anything else.
    fn values(&self, part: &Part) -> Outcome {
        let lang = self.lang;
        for live in &part.live {
            let later = live.seen.later.map_or(String::new(), |(later, seconds)| {
                let grown = number(later - live.seen.value);
                let sign = if later >= live.seen.value { "+" } else { "" };
                format!("  ({sign}{grown} / {} s)", number(seconds))
            });
            let value = self.screen.paint(tone(live.verdict.0), &number(live.seen.value));
            self.line(&format!("  {}  {value}{later}", printable(&live.series)))?;
        }
        if part.more > 0 {
            self.line(&match lang {
                Lang::En => format!("  ... and {} more series", part.more),
                Lang::Zh => format!("  ……另有 {} 个序列", part.more),
            })?;
        }
        if let Some(absent) = &part.absent {
            self.text(Tone::Dim, "  ", absent)?;
        }
        if let Some((level, text)) = &part.verdict {
            let word = match level {
                Level::Fine => lang.pick("FINE", "正常"),
                Level::Watch => lang.pick("PASSED OR TO WATCH", "已过去或需观察"),
                Level::Problem => lang.pick("PROBLEM", "有问题"),
                Level::Unknown => lang.pick("SAYS NOTHING", "无法判断"),
            };
            let seen =
                if part.live.is_empty() { lang.pick(" (by what you saw)", "（按你看到的值）") } else { "" };
            self.line(&format!("  {}{seen}", self.screen.paint(tone(*level), word)))?;
            self.text(tone(*level), "    ", text)?;
        }
        if let (Some(claim), [live]) = (part.claim, part.live.as_slice())
            && let Some(text) = compared(claim, live, lang)
        {
            self.text(Tone::Dim, "    ", &text)?;
        }
        Ok(())
    }

    /// A line or two of one among many.
    fn brief(&self, part: &Part) -> Outcome {
        self.line(&self.screen.paint(Tone::Head, &part.title))?;
        let text = part.entry.text(self.lang, "nacos");
        let end = text.find(['。', ';', '；']).or_else(|| text.find(". ")).unwrap_or(text.len());
        self.text(Tone::Plain, "    ", &text[..end])?;
        for live in part.live.iter().filter(|live| live.verdict.0 == Level::Problem) {
            self.text(Tone::Bad, "    ", &format!("{}: {}", printable(&live.series), live.verdict.1))?;
        }
        Ok(())
    }

    /// Steps are not wrapped: commands in them are copied.
    fn steps(&self, entry: &Entry) -> Outcome {
        if entry.kind == "question" {
            self.line(&format!("  {}", self.screen.paint(Tone::Accent, self.lang.pick("What to do", "处理办法"))))?;
        }
        for (n, step) in self.steps_of(entry).iter().enumerate() {
            self.line(&format!("    {}. {step}", n + 1))?;
        }
        Ok(())
    }

    /// Steps with the address of the server that was asked.
    fn steps_of(&self, entry: &Entry) -> Vec<String> {
        let known = self.live.looks.is_some() || self.live.open.is_some();
        let base = self.server.strip_suffix("/nacos").unwrap_or(&self.server);
        let fill = |step: &str| {
            if known {
                step.replace("http://HOST:8848/nacos", &self.server).replace("http://HOST:8848", base)
            } else {
                step.to_owned()
            }
        };
        let fill = |step: &str| self.names.fill(&fill(step));
        entry.steps(self.lang).into_iter().map(fill).collect()
    }

    fn members(&self) -> Outcome {
        if self.live.members.is_empty() {
            return Ok(());
        }
        self.line(
            &self.screen.paint(Tone::Head, self.lang.pick("Members as this server sees them", "该服务端看到的成员")),
        )?;
        for member in &self.live.members {
            let well = ["UP", "LEADER", "FOLLOWER"].contains(&&*member.state);
            let state = self.screen.paint(if well { Tone::Good } else { Tone::Bad }, &printable(&member.state));
            self.line(&format!("  {}  {state}  {}", printable(&member.address), printable(&member.version)))?;
            for (group, leader) in &member.leaders {
                self.line(&format!(
                    "      {} {group}: {leader}",
                    self.lang.pick("leader of", "Leader，组"),
                    leader = printable(leader),
                    group = printable(group)
                ))?;
            }
        }
        self.line("")
    }

    fn json(&self, text: &str, question: &Question, parts: &[Part], findings: &[(String, Option<String>)]) -> Value {
        let lang = self.lang;
        let server = self.live.looks.as_ref().map(|looks| {
            json!({
                "url": self.server, "kind": if looks.server.nacre { "nacre" } else { "nacos" },
                "version": looks.server.version, "standalone": looks.server.standalone,
            })
        });
        let about = |entry: &Entry, what: &str| entry.text(lang, what).to_owned();
        let metrics: Vec<Value> = parts
            .iter()
            .map(|part| {
                let live: Vec<Value> = part
                    .live
                    .iter()
                    .map(|live| {
                        json!({
                            "series": live.series, "value": live.seen.value, "later": live.seen.later.map(|later| later.0),
                            "level": live.verdict.0.word(),
                        })
                    })
                    .collect();
                json!({
                    "metric": part.title, "type": part.entry.kind, "unit": part.entry.unit,
                    "claimed": part.claim.map(|claim| json!({"value": claim.value, "seen": claim.seen})),
                    "live": live, "absent": part.absent,
                    "verdict": part.verdict.as_ref().map(|(level, text)| json!({"level": level.word(), "text": text})),
                    "nacos": about(part.entry, "nacos"), "nacre": about(part.entry, "nacre"),
                    "normal": about(part.entry, "normal"), "problem": about(part.entry, "problem"),
                    "do": self.steps_of(part.entry), "see": part.entry.see,
                })
            })
            .collect();
        let coded = |(code, entries): &(String, Vec<&'static Entry>)| {
            let meanings: Vec<Value> = entries
                .iter()
                .map(|entry| json!({"where": entry.kind, "what": about(entry, "what"), "do": self.steps_of(entry)}))
                .collect();
            json!({"code": code, "meanings": meanings})
        };
        let together: Vec<Value> = question
            .together()
            .iter()
            .map(|pair| json!({"what": about(pair, "what"), "do": self.steps_of(pair)}))
            .collect();
        let members: Vec<Value> = self
            .live
            .members
            .iter()
            .map(|member| json!({"address": member.address, "state": member.state, "version": member.version}))
            .collect();
        json!({
            "question": text, "lang": lang.word(), "server": server, "blind": self.live.blind, "together": together,
            "said": question.said.iter().map(|entry| json!({
                "where": entry.kind, "what": about(entry, "what"), "do": self.steps_of(entry), "see": entry.see,
            })).collect::<Vec<_>>(),
            "open": self.live.open.as_ref().map(|open| open.iter().map(Finding::json).collect::<Vec<_>>()),
            "metrics": metrics, "codes": question.codes.iter().map(coded).collect::<Vec<_>>(), "members": members,
            "findings": findings.iter().map(|(code, page)| json!({"code": code, "page": page})).collect::<Vec<_>>(),
            "unknown": question.strangers,
        })
    }
}

/// Lines of at most `columns`, broken at blanks, and between East Asian characters.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in words(text) {
        let wide = width(word);
        if used > 0 && used + width(word.trim_end()) > columns {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if used == 0 { word.trim_start() } else { word });
            used += wide;
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// Pieces that are not broken: a word with the blanks behind it, or one wide character with the signs behind it.
fn words(text: &str) -> Vec<&str> {
    let wide = |c: char| width(c.encode_utf8(&mut [0; 4])) == 2;
    let mut words = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        let sign = matches!(c, '，' | '。' | '：' | '；' | '、' | '）' | '”' | '！' | '？');
        let breaks = match last {
            Some(last) => {
                (last == ' ' && c != ' ')
                    || ((wide(c) || wide(last)) && !sign && c != ' ' && last != '（' && last != '“')
            }
            None => false,
        };
        if breaks {
            words.push(&text[start..at]);
            start = at;
        }
        last = Some(c);
    }
    words.push(&text[start..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_where_both_languages_allow_it() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("这是计数器，不是状态", 10), ["这是计数", "器，不是状", "态"].map(str::to_owned).to_vec());
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("averylongword", 5), ["averylongword"]);
    }
}
