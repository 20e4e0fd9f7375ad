//! An answer: what was asked for, put beside what a server shows.

use super::{
    Entry, Lang, TABLE, Table,
    ask::{self, Claim, Knowledge, Selector},
    judge::{self, Judge, Level, Seen, Server, Verdict, number},
    said::Names,
    scrape::Sample,
};

/// Two looks at a server, the second some seconds later; counters that stood at 0 need none.
#[derive(Debug, Default)]
pub struct Looks {
    pub server: Server,
    pub first: Vec<Sample>,
    /// And the seconds between.
    pub second: Option<(Vec<Sample>, f64)>,
}

/// One series a server shows.
#[derive(Debug)]
pub struct Live {
    pub series: String,
    pub seen: Seen,
    pub verdict: Verdict,
}

/// One selector's entry.
#[derive(Debug)]
pub struct Part {
    pub entry: &'static Entry,
    /// The series of the entry that are meant.
    pub title: String,
    pub claim: Option<Claim>,
    pub live: Vec<Live>,
    /// Series beyond those in `live`.
    pub more: usize,
    /// Why there is no live value; only where a server was asked.
    pub absent: Option<String>,
    /// Of what was seen live, or of what the asker saw.
    pub verdict: Option<Verdict>,
}

/// What a question comes to.
#[derive(Debug, Default)]
pub struct Question {
    pub selectors: Vec<Selector>,
    pub codes: Vec<(String, Vec<&'static Entry>)>,
    /// Codes of findings, which are not in the table.
    pub findings: Vec<String>,
    /// Names that look like metrics and are not known.
    pub strangers: Vec<String>,
    /// Lines of logs, exceptions and sentences.
    pub said: Vec<&'static Entry>,
    pub names: Names,
}

/// Series of one entry that are shown.
const SHOWN: usize = 12;

impl Question {
    pub fn read(text: &str) -> Self {
        let table: &'static Table = &TABLE;
        let text = text.trim();
        let single = !text.contains(|c: char| c.is_whitespace() || c == '{');
        let known = |word: &str| table.known(word, single && word == text);
        let named = |pattern: &ask::Matcher| table.named(pattern);
        let mut selectors = ask::selectors(text, &Knowledge { known, named });
        for selector in &mut selectors {
            table.respell(selector);
        }
        let mut question = Self { selectors, ..Self::default() };
        let mut codes = ask::codes(text);
        if !question.selectors.is_empty() {
            // Numbers beside a metric are its values, but a code in its labels is one.
            codes.retain(|code| ask::is_finding(code));
            let labelled = question.selectors.iter().flat_map(|selector| &selector.matchers);
            let coded = labelled.filter(|m| matches!(&*m.label, "errorCode" | "status" | "res_code" | "code"));
            codes.extend(coded.map(|m| m.value.clone()));
        }
        for code in codes {
            let entries = table.code(&code);
            if !entries.is_empty() {
                question.codes.push((code, entries));
            } else if ask::is_finding(&code) {
                question.findings.push(code);
            }
        }
        question.strangers = strangers(text, table);
        // A name with a slip of the pen is no sentence.
        let sentence = text.contains(' ') || !text.is_ascii();
        if question.selectors.is_empty() {
            question.said = table.said(text, question.is_empty() && question.strangers.is_empty() && sentence);
        }
        let names = Names::read(text);
        if question.is_empty() && sentence && question.strangers.is_empty() && names.address.is_some() {
            // Whatever is asked of an instance, its story is the answer.
            question.said = table.said("an instance is gone", true);
        }
        if !question.said.is_empty() {
            question.names = names;
            // Words in brackets at the head of a line look like codes of findings.
            question.findings.retain(|code| nacre_doctor::page(code).is_some());
        }
        question
    }

    pub fn is_empty(&self) -> bool {
        self.selectors.is_empty() && self.codes.is_empty() && self.findings.is_empty() && self.said.is_empty()
    }

    /// Whether another look some seconds later tells more than the first.
    pub fn wants_second_look(&self, first: &[Sample]) -> bool {
        self.selectors.iter().any(|selector| {
            TABLE.find(selector).iter().any(|entry| {
                entry.judge.wants_second_look()
                    && first.iter().any(|sample| sample.value > 0.0 && is_meant(entry, selector, sample))
            })
        })
    }

    /// Whether the members of the cluster belong to the answer.
    pub fn wants_members(&self) -> bool {
        self.selectors.iter().flat_map(|selector| TABLE.find(selector)).any(|entry| {
            entry.judge == Judge::Leader
                || entry.heads.iter().any(|head| {
                    head.name.contains("send_beat_failed")
                        || head
                            .label("name")
                            .is_some_and(|name| name == "leaderSendBeatFailed" || name == "configNotify")
                })
        })
    }

    pub fn parts(&self, looks: Option<&Looks>, lang: Lang) -> Vec<Part> {
        let parts = |selector: &Selector| {
            TABLE.find(selector).into_iter().map(|entry| part(entry, selector, looks, lang)).collect::<Vec<_>>()
        };
        let mut all: Vec<Part> = Vec::new();
        for part in self.selectors.iter().flat_map(parts) {
            match all.iter_mut().find(|seen| std::ptr::eq(seen.entry, part.entry)) {
                // Numerator and denominator of one quotient.
                Some(seen) => {
                    for live in part.live {
                        if !seen.live.iter().any(|known| known.series == live.series) {
                            seen.live.push(live);
                        }
                    }
                }
                None => all.push(part),
            }
        }
        all
    }

    pub fn together(&self) -> Vec<&'static Entry> {
        TABLE.together(&self.selectors)
    }

    /// Selectors whose name is known and whose labels fit nothing.
    pub fn unknown_labels(&self) -> Vec<&Selector> {
        self.selectors.iter().filter(|selector| TABLE.find(selector).is_empty()).collect()
    }
}

fn strangers(text: &str, table: &Table) -> Vec<String> {
    const OURS: [&str; 9] =
        ["nacos_", "nacre_", "jvm_", "tomcat_", "process_", "system_", "grpc_server_", "http_server_", "disk_"];
    let mut strangers: Vec<String> = Vec::new();
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        let is_metric = OURS.iter().any(|prefix| word.starts_with(prefix) && word.len() > prefix.len());
        if is_metric && table.known(word, false).is_none() && !strangers.iter().any(|known| known == word) {
            strangers.push(word.to_owned());
        }
    }
    strangers
}

/// Whether the selector, in this entry, is about the sample.
fn is_meant(entry: &Entry, selector: &Selector, sample: &Sample) -> bool {
    let endings = ["_count", "_sum", "_max", "_bucket"];
    let exact = endings.iter().any(|ending| selector.name.ends_with(ending));
    let named = if exact {
        sample.name == selector.name
    } else {
        super::forms(&sample.name).any(|name| name == selector.name) && !sample.name.ends_with("_bucket")
    };
    named && entry.heads.iter().any(|head| head.covers(sample)) && selector.fits(|label| sample.label(label))
}

fn part(entry: &'static Entry, selector: &Selector, looks: Option<&Looks>, lang: Lang) -> Part {
    let meant: Vec<String> = entry
        .heads
        .iter()
        .filter(|head| super::forms(&selector.name).any(|name| head.is_named(name)))
        .filter(|head| selector.fits(|label| head.label(label)))
        .map(|head| if head.name.ends_with('*') { selector.name.clone() } else { head.series() })
        .collect();
    let mut part = Part {
        entry,
        title: meant.join(", "),
        claim: selector.claim,
        live: Vec::new(),
        more: 0,
        absent: None,
        verdict: None,
    };
    if let Some(looks) = looks {
        let mut samples: Vec<&Sample> = looks.first.iter().filter(|sample| is_meant(entry, selector, sample)).collect();
        samples.sort_by(|a, b| b.value.total_cmp(&a.value));
        part.more = samples.len().saturating_sub(SHOWN);
        let worst = |live: &Live| match live.verdict.0 {
            Level::Problem => 3,
            Level::Watch => 2,
            Level::Unknown => 1,
            Level::Fine => 0,
        };
        let mut live: Vec<Live> = samples.into_iter().map(|sample| look(entry, sample, looks, lang)).collect();
        if let Some(worst) = live.iter().rev().max_by_key(|live| worst(live)) {
            part.verdict = Some(worst.verdict.clone());
        }
        live.truncate(SHOWN);
        part.live = live;
        if part.live.is_empty() {
            part.absent = Some(absence(entry, &looks.server, lang));
        }
    }
    if part.live.is_empty() {
        let said = selector.claim.filter(|claim| claim.seen);
        part.verdict = said.and_then(|claim| judge::said(&entry.judge, claim.value, lang));
    }
    part
}

fn look(entry: &Entry, sample: &Sample, looks: &Looks, lang: Lang) -> Live {
    let again = looks.second.as_ref().and_then(|(samples, seconds)| {
        let same = samples.iter().find(|later| later.name == sample.name && later.labels == sample.labels)?;
        Some((same.value, *seconds))
    });
    let whole = match entry.judge {
        Judge::Of(other, _) | Judge::Least(other, _) => whole(other, sample, &looks.first),
        _ => None,
    };
    let seen = Seen { value: sample.value, later: again, whole };
    Live { series: sample.series(), verdict: judge::live(&entry.judge, seen, &looks.server, lang), seen }
}

/// The sum of another metric where it has the same labels.
fn whole(other: &str, part: &Sample, samples: &[Sample]) -> Option<f64> {
    let beside = |sample: &&Sample| {
        sample.name == other
            && part.labels.iter().all(|(name, value)| sample.label(name).is_none_or(|own| own == value))
    };
    let sum: f64 = samples.iter().filter(beside).map(|sample| sample.value).sum();
    (sum > 0.0).then_some(sum)
}

/// Why a server that was asked does not show a metric.
fn absence(entry: &Entry, server: &Server, lang: Lang) -> String {
    let is = |name: &str| entry.heads.iter().any(|head| head.label("name") == Some(name));
    let text = if server.nacre {
        lang.pick(
            "this server does not show it now: see below what nacre does, or it appears with its first event",
            "该服务端当前没有此序列：nacre 的做法见下文，或首次发生时才出现",
        )
    } else if is("leaderSendBeatFailed") && server.without_old_raft() {
        lang.pick(
            "this server does not have it: nothing counts it in Nacos 2.2 and later. Its absence says nothing about the cluster; \
             look at the members below and at logs/alipay-jraft.log",
            "该服务端没有此序列：Nacos 2.2 及以后没有代码计数。没有它并不说明集群状态；请看下面的成员和 logs/alipay-jraft.log",
        )
    } else if entry.heads.iter().any(|head| head.name.starts_with("nacos_client_")) {
        lang.pick(
            "no server shows it: Java clients count it, in the metrics of the application",
            "服务端没有此序列：由 Java 客户端计数，在应用自己的指标中",
        )
    } else if entry.judge == Judge::Failures {
        lang.pick(
            "this server does not show it: counters of Java Nacos appear with their first event, so nothing was counted since it \
             started",
            "该服务端没有此序列：Java Nacos 的计数器首次发生时才出现，说明启动以来没有发生过",
        )
    } else {
        lang.pick("this server does not show it", "该服务端没有此序列")
    };
    text.to_owned()
}

/// What the value said and the value seen tell together.
pub fn compared(claim: Claim, live: &Live, lang: Lang) -> Option<String> {
    let now = live.seen.later.map_or(live.seen.value, |(later, _)| later);
    if !claim.seen || claim.value == now {
        return None;
    }
    let (said, now) = (number(claim.value), number(now));
    Some(match lang {
        Lang::En => format!(
            "you saw {said}; this server shows {now} now (another moment, another node, or a restart in between)"
        ),
        Lang::Zh => format!("你看到的是 {said}；该服务端现在是 {now}（时刻不同、节点不同，或中间重启过）"),
    })
}
