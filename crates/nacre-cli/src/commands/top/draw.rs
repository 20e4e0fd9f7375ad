//! The screen: six lines of figures, the tabs, one list, one line of keys. Words and blanks only, no frames, so that any terminal
//! shows it; without colours the marks in front of rows say what colours would.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{
    app::{App, Mood, View},
    figures::{quantiles, rate, seconds},
};
use crate::{
    commands::doctor::{finding::Severity, paper::wrapped, show},
    explain::Lang,
    output::{printable, width},
    time,
};

const HEAD: u16 = 8;
/// Milliseconds of silence that cost an instance its health, unless it asked for others.
pub const LONG_GAP: i64 = 15_000;

/// Colours, where they are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    pub colour: bool,
}

impl Palette {
    fn of(self, mood: Mood) -> Style {
        let colour = |colour| if self.colour { Style::new().fg(colour) } else { Style::new() };
        match mood {
            Mood::Plain => Style::new(),
            Mood::Good => colour(Color::Green),
            Mood::Warn => colour(Color::Yellow),
            Mood::Bad => {
                if self.colour {
                    colour(Color::Red)
                } else {
                    Style::new().add_modifier(Modifier::BOLD)
                }
            }
        }
    }
}

const fn mark(mood: Mood) -> &'static str {
    match mood {
        Mood::Plain | Mood::Good => " ",
        Mood::Warn => "!",
        Mood::Bad => "X",
    }
}

pub fn screen(frame: &mut Frame<'_>, app: &mut App, palette: Palette) {
    let area = frame.area();
    let columns = usize::from(area.width);
    let body = area.height.saturating_sub(HEAD + 1);
    app.page = usize::from(body).max(1);
    let mut lines = head(app, palette, columns);
    if let Some(detail) = &app.detail {
        lines.push(Line::styled(
            fit(&format!("{} (esc: back)", detail.title), columns),
            Style::new().add_modifier(Modifier::BOLD),
        ));
        let wide: Vec<String> = detail.lines.iter().flat_map(|line| folded(line, columns)).collect();
        let offset = detail.offset.min(wide.len().saturating_sub(usize::from(body)));
        lines.extend(wide.into_iter().skip(offset).take(usize::from(body)).map(Line::from));
    } else {
        lines.extend(list(app, palette, columns, usize::from(body)));
    }
    let above = Rect { height: area.height.saturating_sub(1), ..area };
    frame.render_widget(Paragraph::new(lines), above);
    let below = Rect { y: area.y + area.height.saturating_sub(1), height: 1.min(area.height), ..area };
    frame.render_widget(Paragraph::new(keys(app, columns)), below);
}

/// A line of a timeline or finding, folded without losing its indentation.
fn folded(line: &str, columns: usize) -> Vec<String> {
    if width(line) <= columns {
        return vec![line.to_owned()];
    }
    wrapped(line, columns.saturating_sub(15))
        .into_iter()
        .enumerate()
        .map(|(n, part)| if n == 0 { part } else { format!("{:15}{part}", "") })
        .collect()
}

fn head(app: &App, palette: Palette, columns: usize) -> Vec<Line<'static>> {
    let shot = &app.shot;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let clock = time::stamp(shot.at)[11..19].to_owned();
    let left = format!("nacre top  {}  {} {}", app.address, shot.version, shot.mode);
    let lang = app.lang;
    let state = if app.paused { lang.pick("PAUSED ", "已暂停 ") } else { "" };
    let first = Line::styled(spread(&left, &format!("{state}{clock}"), columns), bold);
    let trouble = match (&shot.error, &shot.unready) {
        (Some(error), _) => Some(format!("{}{error}", lang.pick("NO ANSWER: ", "没有应答："))),
        (None, Some(reason)) => Some(format!("{}{reason}", lang.pick("NOT READY: ", "未就绪："))),
        (None, None) => None,
    };
    let second = match trouble {
        Some(trouble) => Line::styled(fit(&trouble, columns), palette.of(Mood::Bad)),
        None => findings(app, palette),
    };
    let number =
        |name: &str, labels: &[(&str, &str)]| shot.sum(name, labels).map_or_else(|| "-".to_owned(), |v| v.to_string());
    let all: u64 = shot.services.iter().map(|row| row.all).sum();
    let healthy: u64 = shot.services.iter().map(|row| row.healthy.min(row.all)).sum();
    let (services, sick) = (shot.services.len(), all - healthy);
    let connections = number("nacos_monitor", &[("module", "core"), ("name", "longConnection")]);
    let polls = number("nacos_monitor", &[("name", "longPolling")]);
    let subs = number("nacos_monitor", &[("name", "subscriberCount")]);
    let third = match lang {
        Lang::En => format!(
            "services {services}  instances {all}, {sick} unhealthy  connections {connections}  long polls {polls}  \
             subs {subs}"
        ),
        Lang::Zh => {
            format!("服务 {services}  实例 {all}，不健康 {sick}  连接 {connections}  长轮询 {polls}  订阅 {subs}")
        }
    };
    let times = |name: &str| match quantiles(app.before.as_ref(), shot, name, [0.5, 0.99]) {
        Some([median, high]) => format!("{} / {}", seconds(median), seconds(high)),
        None => "-".to_owned(),
    };
    // A Java Nacos tells a mean and a maximum, -1 when it has none.
    let cost = |name: &str| shot.sum("nacos_monitor", &[("name", name)]).filter(|ms| *ms >= 0.0);
    let push = match (times("nacre_push_seconds"), cost("avgPushCost"), cost("maxPushCost")) {
        (own, Some(mean), Some(most)) if own == "-" => {
            let (mean, most) = (seconds(mean / 1000.0), seconds(most / 1000.0));
            format!("{} {mean}, {} {most}", lang.pick("mean", "平均"), lang.pick("max", "最大"))
        }
        (own, ..) => own,
    };
    let fourth = format!(
        "{} {}  {} {push}  {} {}  fsync {}",
        lang.pick("median/p99: beat gap", "中位数/p99：心跳间隔"),
        times("nacre_beat_gap_seconds"),
        lang.pick("push", "推送"),
        lang.pick("listener", "监听"),
        times("nacre_config_listener_seconds"),
        times("nacre_log_fsync_seconds"),
    );
    let per = |name: &str| rate(app.before.as_ref(), shot, name).map_or_else(|| "-".to_owned(), |v| format!("{v:.0}"));
    let fifth = format!(
        "{} http {}  grpc {}  {} {}   {} {}  {} {}",
        lang.pick("a second:", "每秒："),
        per("http_server_requests_seconds_count"),
        per("grpc_server_requests_seconds_count"),
        lang.pick("writes", "写入"),
        per("nacre_writes_total"),
        lang.pick("limits hit", "触及限额"),
        // nacre counts from the first one on.
        shot.sum("nacre_limit_hits_total", &[]).map_or_else(
            || if shot.findings.is_some() { "0".to_owned() } else { "-".to_owned() },
            |hits| hits.to_string()
        ),
        lang.pick("exceptions", "异常"),
        number("nacos_exception_total", &[]),
    );
    let plain = |text: String| Line::from(fit(&text, columns));
    vec![first, second, plain(third), plain(fourth), plain(fifth), worst(app, palette, columns), tabs(app)]
}

/// The longest silence that is remembered, and whose it was.
fn worst(app: &App, palette: Palette, columns: usize) -> Line<'static> {
    let lang = app.lang;
    let Some(gap) = app.shot.gaps.iter().max_by_key(|gap| gap.gap) else {
        let known = app.shot.findings.is_some();
        return Line::from(if known {
            lang.pick("worst gap: none, no beat was late", "最长间隔：无，没有迟到的心跳")
        } else {
            lang.pick("worst gap: not told by this server", "最长间隔：该服务端不提供")
        });
    };
    let until = gap.until.map(|at| time::stamp(at)[11..19].to_owned());
    let (long, instance) = (seconds(gap.gap as f64 / 1000.0), printable(&gap.instance));
    let service = printable(&gap.service);
    let text = match (lang, until) {
        (Lang::En, None) => format!("worst gap: {long} until now, {instance} of {service}"),
        (Lang::En, Some(at)) => format!("worst gap: {long} before {at}, {instance} of {service}"),
        (Lang::Zh, None) => format!("最长间隔：{long}，至今，{service} 的 {instance}"),
        (Lang::Zh, Some(at)) => format!("最长间隔：{long}，{at} 之前，{service} 的 {instance}"),
    };
    Line::styled(fit(&text, columns), palette.of(if gap.gap >= LONG_GAP { Mood::Bad } else { Mood::Warn }))
}

fn findings(app: &App, palette: Palette) -> Line<'static> {
    let lang = app.lang;
    let Some(all) = &app.shot.findings else {
        return Line::from(lang.pick(
            "findings: this server makes none (nacre doctor looks from outside)",
            "诊断：该服务端不提供（nacre doctor 从外部查看）",
        ));
    };
    if all.is_empty() {
        return Line::styled(lang.pick("no findings", "没有诊断结果"), palette.of(Mood::Good));
    }
    let mut spans = vec![Span::from(lang.pick("findings: ", "诊断："))];
    for (severity, mood) in
        [(Severity::Critical, Mood::Bad), (Severity::Warning, Mood::Warn), (Severity::Info, Mood::Plain)]
    {
        let count = all.iter().filter(|finding| finding.severity == severity).count();
        if count > 0 {
            spans.push(Span::styled(format!("{count} {}  ", show::word(severity, lang)), palette.of(mood)));
        }
    }
    Line::from(spans)
}

fn tabs(app: &App) -> Line<'static> {
    let mut spans = Vec::new();
    for (n, view) in View::ALL.into_iter().enumerate() {
        let text = format!("{} {}", n + 1, view.name(app.lang));
        let style = if view == app.view { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        spans.push(Span::styled(format!(" {text} "), style));
        spans.push(Span::from(" "));
    }
    if app.typing || !app.filter.is_empty() {
        spans.push(Span::from(format!(
            " {}{}{}",
            app.lang.pick("filter: ", "筛选："),
            printable(&app.filter),
            if app.typing { "_" } else { "" }
        )));
    }
    Line::from(spans)
}

fn list(app: &App, palette: Palette, columns: usize, height: usize) -> Vec<Line<'static>> {
    let rows = app.rows();
    let layout = widths(app.view, columns.saturating_sub(2));
    let heads: Vec<String> = app
        .view
        .columns()
        .iter()
        .enumerate()
        .map(|(n, (name, _))| {
            let name = View::head(name, app.lang);
            if n == app.sort.0 { format!("{name}{}", if app.sort.1 { "^" } else { "v" }) } else { name.to_owned() }
        })
        .collect();
    let mut lines =
        vec![Line::styled(format!("  {}", joined(&heads, &layout)), Style::new().add_modifier(Modifier::BOLD))];
    if rows.is_empty() {
        let what = if app.filter.is_empty() {
            app.lang.pick("nothing here", "这里没有内容")
        } else {
            app.lang.pick("nothing fits the filter", "没有符合筛选的内容")
        };
        lines.push(Line::from(format!("  {what}")));
    }
    let first = (app.selected + 1).saturating_sub(height);
    for (n, row) in rows.iter().enumerate().skip(first).take(height) {
        let mut style = palette.of(row.mood);
        if n == app.selected {
            style = style.add_modifier(Modifier::REVERSED);
        }
        let at = if n == app.selected { ">" } else { " " };
        lines.push(Line::styled(format!("{at}{}{}", mark(row.mood), joined(&row.cells, &layout)), style));
    }
    lines
}

fn widths(view: View, columns: usize) -> Vec<usize> {
    let fixed: usize = view.columns().iter().map(|(_, width)| width + 1).sum();
    let rest = (columns + 1).saturating_sub(fixed).max(8);
    view.columns().iter().map(|(_, width)| if *width == 0 { rest } else { *width }).collect()
}

fn joined(cells: &[String], widths: &[usize]) -> String {
    cells.iter().zip(widths).map(|(cell, wide)| fit(&printable(cell), *wide)).collect::<Vec<_>>().join(" ")
}

/// Exactly as wide: cut with a tilde, or filled with blanks.
fn fit(text: &str, columns: usize) -> String {
    let wide = width(text);
    if wide <= columns {
        return format!("{text}{}", " ".repeat(columns - wide));
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = width(c.encode_utf8(&mut [0; 4]));
        if used + next + 1 > columns {
            break;
        }
        out.push(c);
        used += next;
    }
    out.push('~');
    out.push_str(&" ".repeat(columns.saturating_sub(used + 1)));
    out
}

fn spread(left: &str, right: &str, columns: usize) -> String {
    let room = columns.saturating_sub(width(right) + 1);
    format!("{} {right}", fit(left, room))
}

fn keys(app: &App, columns: usize) -> Line<'static> {
    let text = if app.typing {
        app.lang.pick("type to filter   enter keeps   esc clears", "输入以筛选   enter 保留   esc 清除")
    } else if app.detail.is_some() {
        app.lang.pick("up/down scroll   esc back   q quit", "上/下 滚动   esc 返回   q 退出")
    } else {
        app.lang.pick(
            "q quit  ? help  1-5 tab list  up/down enter open  s sort  r reverse  / filter  p",
            "q 退出  ? 帮助  1-5 tab 列表  上/下 enter 打开  s 排序  r 反向  / 筛选  p 暂停",
        )
    };
    Line::styled(fit(text, columns), Style::new().add_modifier(Modifier::DIM))
}
