//! `nacre timeline`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Session;
use crate::{
    api::{journal::Everything, timeline::Question},
    args::Timeline,
    error::Outcome,
    explain::Lang,
    output::{Screen, Table, Tone, printable, remark, shortened, width},
    time,
};

/// Columns of a terminal.
const COLUMNS: usize = 80;
/// Cells of the bar that shows healthy instances among all.
const BAR: usize = 8;

pub async fn run(session: &Session, args: Timeline) -> Outcome {
    if args.service.is_none() && args.config.is_none() {
        return everything(session, args).await;
    }
    let question = Question {
        service: args.service,
        config: args.config,
        group: args.group,
        instance: args.instance,
        from: args.from,
        to: args.to,
        at: args.at,
        limit: usize::from(args.limit),
        lang: args.lang.unwrap_or_else(Lang::of_environment),
    };
    let past = session.client.timeline(&question).await?;
    if session.screen.json {
        return session.screen.value(&past);
    }
    let view = View { screen: &session.screen, past: &past, lang: question.lang };
    match (question.config.is_some(), question.at.is_some()) {
        (true, _) => view.config(),
        (false, true) => view.moment(),
        (false, false) => view.span(),
    }
}

/// What happened on the whole server, newest last.
async fn everything(session: &Session, args: Timeline) -> Outcome {
    let lang = args.lang.unwrap_or_else(Lang::of_environment);
    let narrowed = !args.kind.is_empty() || args.address.is_some() || args.instance.is_some();
    let question = Everything {
        kinds: args.kind,
        address: args.address,
        instance: args.instance,
        group: args.group,
        from: args.from.or_else(|| (!narrowed).then(|| "10m".to_owned())),
        to: args.to,
        limit: usize::from(args.limit),
        lang,
    };
    let (mut events, more) = session.client.happened(&question).await?;
    events.reverse();
    let screen = &session.screen;
    if screen.json {
        let events: Vec<&Value> = events.iter().map(|event| &event.raw).collect();
        return screen.value(&serde_json::json!({ "events": events, "more": more }));
    }
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return screen.line(lang.pick("nothing happened that fits", "没有符合条件的事件"));
    };
    let days = days(first.at, last.at);
    if !days {
        screen.line(&screen.paint(Tone::Dim, &time::stamp(first.at)[..10]))?;
    }
    if more {
        remark(lang.pick(
            "nacre: more happened before; raise --limit or shorten the span",
            "nacre：之前还有更多；请调大 --limit 或缩短时间范围",
        ));
    }
    for event in &events {
        let stamp = if days { time::stamp(event.at) } else { clock(event.at) };
        let margin = stamp.len() + 2;
        for (n, line) in wrapped(&printable(&event.text), COLUMNS.saturating_sub(margin)).iter().enumerate() {
            let left = if n == 0 { format!("{}  ", screen.paint(Tone::Dim, &stamp)) } else { " ".repeat(margin) };
            screen.line(&format!("{left}{line}"))?;
        }
    }
    Ok(())
}

struct View<'a> {
    screen: &'a Screen,
    past: &'a Value,
    lang: Lang,
}

impl View<'_> {
    /// The list at one moment.
    fn moment(&self) -> Outcome {
        let at = number(&self.past["at"]);
        let (healthy, total) = counts(self.past);
        let lang = self.lang;
        self.head(&format!("{} {} {}", self.service(), lang.pick("at", "在"), time::stamp(at)))?;
        let exact = match self.past["exact"] == true {
            true => lang.pick("exact", "准确"),
            false => lang.pick("not exact", "不准确"),
        };
        self.screen.line(&format!("{} ({exact})", self.counted((healthy, total))))?;
        self.list(&self.past["instances"])?;
        self.doubts();
        Ok(())
    }

    fn list(&self, instances: &Value) -> Outcome {
        let lang = self.lang;
        let mut table = Table::new(&[
            lang.pick("INSTANCE", "实例"),
            lang.pick("STATE", "状态"),
            lang.pick("WEIGHT", "权重"),
            lang.pick("CLUSTER", "集群"),
            lang.pick("METADATA", "元数据"),
        ]);
        for instance in array(instances) {
            let metadata: Vec<String> = instance["metadata"]
                .as_object()
                .map(|pairs| pairs.iter().map(|(key, value)| format!("{key}={}", word(value))).collect())
                .unwrap_or_default();
            let (tone, state) = state(instance, lang);
            let row = [endpoint(instance), state, word(&instance["weight"]), word(&instance["clusterName"])];
            let left = COLUMNS.saturating_sub(row.iter().map(|cell| width(cell) + 2).sum::<usize>()).max(8);
            let [at, state, weight, cluster] = row;
            table.row(vec![
                (Tone::Plain, at),
                (tone, state),
                (Tone::Plain, weight),
                (Tone::Plain, cluster),
                (Tone::Dim, shortened(&metadata.join(","), left)),
            ]);
        }
        self.screen.table(&table)
    }

    /// What happened, line by line, between the two states.
    fn span(&self) -> Outcome {
        let (from, to) = (number(&self.past["from"]), number(&self.past["to"]));
        self.head(&self.service())?;
        let start = counts(&self.past["start"]);
        let end = counts(&self.past["end"]);
        let most = array(&self.past["changes"]).iter().map(|change| counts(change).1).chain([start.1, end.1]).max();
        let most = most.unwrap_or(0);
        let days = days(from, to);
        let stamp = |at: i64| if days { time::stamp(at) } else { clock(at) };
        let line = |at: i64, (healthy, total): (u64, u64), tone: Tone, text: &str| {
            let bar = self.bar(healthy, total, most);
            let left = format!("{}  {bar} {:>7}  ", stamp(at), format!("{healthy}/{total}"));
            let plain = stamp(at).len() + 2 + BAR + 1 + 7.max(format!("{healthy}/{total}").len()) + 2;
            let mut lines = wrapped(text, COLUMNS.saturating_sub(plain).max(20)).into_iter();
            let first = lines.next().unwrap_or_default();
            self.screen.line(&format!("{left}{}", self.screen.paint(tone, &first)))?;
            lines.try_for_each(|more| {
                self.screen.line(&format!("{}{}", " ".repeat(plain), self.screen.paint(tone, &more)))
            })
        };
        if !days {
            self.screen.line(&self.screen.paint(Tone::Dim, &time::stamp(from)[..10]))?;
        }
        line(from, start, Tone::Dim, &self.counted(start))?;
        let mut before = start;
        for change in array(&self.past["changes"]) {
            let after = counts(change);
            let tone = match word(&change["kind"]).as_str() {
                "instanceRemoved" | "instanceUnhealthy" | "serverStarted" => Tone::Bad,
                "instanceRegistered" | "instanceHealthy" => Tone::Good,
                _ if after == before => Tone::Plain,
                _ => Tone::Warn,
            };
            line(number(&change["at"]), after, tone, &self.said(change))?;
            before = after;
        }
        if let Some(next) = self.past["next"].as_i64() {
            remark(&match self.lang {
                Lang::En => format!("nacre: more happened; go on with --from {next} or raise --limit"),
                Lang::Zh => format!("nacre：还有更多；用 --from {next} 继续，或调大 --limit"),
            });
        }
        line(to, end, Tone::Dim, &self.counted(end))?;
        self.doubts();
        Ok(())
    }

    fn counted(&self, (healthy, total): (u64, u64)) -> String {
        match self.lang {
            Lang::En => format!("{total} instances, {healthy} healthy"),
            Lang::Zh => format!("{total} 个实例，{healthy} 个健康"),
        }
    }

    /// An event without what the head says already.
    fn said(&self, change: &Value) -> String {
        if self.lang == Lang::Zh {
            return said_in_chinese(change);
        }
        let text = word(&change["text"]);
        let subject = &change["subject"];
        let place = format!(
            "service {}@@{} in {}",
            word(&subject["groupName"]),
            word(&subject["serviceName"]),
            word(&subject["namespaceId"])
        );
        // A client of HTTP is the address that it registers.
        let instance = word(&subject["instance"]);
        let address = instance.rsplit_once(':').map_or("", |(address, _)| address);
        let client = word(&subject["client"]);
        let text = match client.strip_prefix(address) {
            Some("#true" | "#false") => text.replacen(&format!(", client {client}"), "", 1),
            _ => text,
        };
        let mut text = text.replace(&format!("{place}, "), "").replace(&format!(", {place}"), "");
        if let Some(rest) = text.strip_prefix(&format!("{place}: ")) {
            text = rest.to_owned();
        }
        let text = text.strip_prefix("instance ").unwrap_or(&text);
        printable(&text.replace(":DEFAULT", ""))
    }

    /// `#####---`: healthy and other instances, against the most there were.
    fn bar(&self, healthy: u64, total: u64, most: u64) -> String {
        let cells = |count: u64| {
            if count == 0 || most == 0 {
                return 0;
            }
            usize::try_from(u128::from(count) * BAR as u128 / u128::from(most)).unwrap_or(BAR).max(1)
        };
        let (good, all) = (cells(healthy), cells(total));
        let good_text = "#".repeat(good);
        let bad = "-".repeat(all.saturating_sub(good).max(usize::from(healthy < total && all == good)));
        let bad = &bad[..bad.len().min(BAR - good)];
        let blank = " ".repeat(BAR - good - bad.len());
        format!("{}{}{blank}", self.screen.paint(Tone::Good, &good_text), self.screen.paint(Tone::Bad, bad))
    }

    fn config(&self) -> Outcome {
        let past = self.past;
        let (from, to) = (number(&past["from"]), number(&past["to"]));
        let lang = self.lang;
        self.head(&self.placed(&word(&past["dataId"])))?;
        let in_force = |state: &Value| match (state["md5"].as_str(), state["removedAt"].as_i64()) {
            (Some(md5), _) => {
                format!(
                    "md5 {md5}, {} {}",
                    lang.pick("published", "发布于"),
                    time::stamp(number(&state["publishedAt"]))
                )
            }
            (None, Some(at)) => format!("{} {}", lang.pick("removed", "删除于"), time::stamp(at)),
            (None, None) => lang
                .pick(
                    "not known: its last publish lies before what the journal remembers",
                    "未知：最近一次发布早于日志所记",
                )
                .to_owned(),
        };
        let mut table = Table::new(&[lang.pick("WHEN", "时间"), lang.pick("WHAT", "事件")]);
        table.row(vec![(Tone::Dim, time::stamp(from)), (Tone::Dim, in_force(&past["start"]))]);
        for change in array(&past["changes"]) {
            let text = word(&change["text"]);
            let colon = lang.pick(": ", "：");
            let text = text.split_once(colon).map_or(text.clone(), |(_, rest)| rest.to_owned());
            let client = word(&change["subject"]["client"]);
            let text = if client.is_empty() { text } else { format!("{text} ({client})") };
            table.row(vec![(Tone::Dim, time::stamp(number(&change["at"]))), (Tone::Plain, text)]);
        }
        table.row(vec![(Tone::Dim, time::stamp(to)), (Tone::Dim, in_force(&past["end"]))]);
        self.screen.table(&table)
    }

    fn service(&self) -> String {
        let past = self.past;
        let text = self.placed(&word(&past["serviceName"]));
        match (past["instance"].as_str(), self.lang) {
            (None, _) => text,
            (Some(instance), Lang::En) => format!("{instance} of {text}"),
            (Some(instance), Lang::Zh) => format!("{text} 的 {instance}"),
        }
    }

    fn placed(&self, name: &str) -> String {
        let (group, namespace) = (word(&self.past["groupName"]), word(&self.past["namespaceId"]));
        match self.lang {
            Lang::En => format!("{name} (group {group}, namespace {namespace})"),
            Lang::Zh => format!("{name}（分组 {group}，命名空间 {namespace}）"),
        }
    }

    fn head(&self, text: &str) -> Outcome {
        self.screen.line(&self.screen.paint(Tone::Head, &printable(text)))
    }

    fn doubts(&self) {
        let doubts: BTreeSet<String> = array(&self.past["doubts"]).iter().map(word).collect();
        for doubt in doubts {
            remark(&format!("{}{}", self.lang.pick("nacre: not exact: ", "nacre：不准确："), printable(&doubt)));
        }
        if let Some(since) = self.past["knownSince"].as_i64() {
            remark(&match self.lang {
                Lang::En => format!("nacre: lists are exact since {}", time::stamp(since)),
                Lang::Zh => format!("nacre：列表自 {} 起准确", time::stamp(since)),
            });
        }
    }
}

/// As [`View::said`]: the service stands in the head, and a client of HTTP is the address that it registers.
fn said_in_chinese(change: &Value) -> String {
    let (text, subject) = (word(&change["text"]), &change["subject"]);
    let Some((about, rest)) = text.split_once('：') else { return text };
    let instance = word(&subject["instance"]);
    let address = instance.rsplit_once(':').map_or("", |(address, _)| address);
    let own = |part: &&str| {
        let client = part.strip_prefix("客户端 ").and_then(|client| client.strip_prefix(address));
        !part.starts_with("服务 ") && !part.starts_with("命名空间 ") && !matches!(client, Some("#true" | "#false"))
    };
    let parts: Vec<&str> = about.split('，').filter(own).collect();
    let about = parts.join("，").replacen("实例 ", "", 1).replace(":DEFAULT", "");
    printable(&if about.is_empty() { rest.to_owned() } else { format!("{about}：{rest}") })
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// Text as it is, anything else as JSON writes it; nothing for null.
fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

fn counts(value: &Value) -> (u64, u64) {
    (value["healthy"].as_u64().unwrap_or(0), value["total"].as_u64().unwrap_or(0))
}

fn endpoint(instance: &Value) -> String {
    let ip = word(&instance["ip"]);
    let ip = if ip.contains(':') { format!("[{ip}]") } else { ip };
    format!("{ip}:{}", word(&instance["port"]))
}

fn state(instance: &Value, lang: Lang) -> (Tone, String) {
    let mut words = Vec::new();
    let healthy = instance["healthy"] == true;
    words.push(if healthy { lang.pick("healthy", "健康") } else { lang.pick("unhealthy", "不健康") });
    if instance["enabled"] == false {
        words.push(lang.pick("disabled", "已禁用"));
    }
    if instance["ephemeral"] == false {
        words.push(lang.pick("persistent", "持久"));
    }
    let tone = match (healthy, instance["enabled"] == false) {
        (false, _) => Tone::Bad,
        (true, true) => Tone::Warn,
        (true, false) => Tone::Good,
    };
    (tone, words.join(","))
}

/// Whether the two moments lie on different days.
fn days(from: i64, to: i64) -> bool {
    time::stamp(from)[..10] != time::stamp(to)[..10]
}

/// `17:48:02.123` of a stamp.
fn clock(at: i64) -> String {
    time::stamp(at).get(11..23).unwrap_or_default().to_owned()
}

/// Lines of at most `columns`, broken between words where there are any.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(past: &Value) -> View<'_> {
        View { screen: &Screen { json: false, colour: false }, past, lang: Lang::En }
    }

    #[test]
    fn bars_show_healthy_and_other_instances_against_the_most() {
        let view = view(&Value::Null);
        let bar = |healthy, total, most| view.bar(healthy, total, most);
        assert_eq!(bar(0, 0, 0), "        ");
        assert_eq!(bar(8, 8, 8), "########");
        assert_eq!(bar(4, 8, 8), "####----");
        assert_eq!(bar(0, 4, 8), "----    ");
        assert_eq!(bar(1, 1, 1_000), "#       ", "one is never nothing");
        assert_eq!(bar(999, 1_000, 1_000), "#######-");
        for (healthy, total) in [(0, 1), (1, 2), (7, 9), (9, 9)] {
            assert_eq!(bar(healthy, total, 9).len(), BAR);
        }
    }

    #[test]
    fn lines_say_only_what_the_head_does_not() {
        let change = json!({
            "subject": {"groupName": "G", "serviceName": "orders", "namespaceId": "public"},
            "text": "instance 10.0.0.1:80:DEFAULT, service G@@orders in public, client 1_10.0.0.1_5: removed: no beat",
        });
        assert_eq!(view(&Value::Null).said(&change), "10.0.0.1:80, client 1_10.0.0.1_5: removed: no beat");
        let change = json!({
            "subject": {
                "groupName": "G", "serviceName": "orders", "namespaceId": "public",
                "instance": "10.0.0.1:80:DEFAULT", "client": "10.0.0.1:80#true",
            },
            "text": "instance 10.0.0.1:80:DEFAULT, service G@@orders in public, client 10.0.0.1:80#true: registered: http",
        });
        assert_eq!(view(&Value::Null).said(&change), "10.0.0.1:80: registered: http");
        let change = json!({
            "subject": {"groupName": "G", "serviceName": "orders", "namespaceId": "public"},
            "text": "service G@@orders in public: service created: by http",
        });
        assert_eq!(view(&Value::Null).said(&change), "service created: by http");
        let change = json!({
            "subject": {"instance": "10.0.0.1:80:DEFAULT", "client": "10.0.0.1:80#true"},
            "text": "实例 10.0.0.1:80:DEFAULT，服务 G@@orders（命名空间 public），客户端 10.0.0.1:80#true：已注册：http",
        });
        let view = View { lang: Lang::Zh, ..view(&Value::Null) };
        assert_eq!(view.said(&change), "10.0.0.1:80：已注册：http");
        assert_eq!(view.counted((1, 2)), "2 个实例，1 个健康");
    }

    #[test]
    fn long_lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("overlong word", 4), ["overlong", "word"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
