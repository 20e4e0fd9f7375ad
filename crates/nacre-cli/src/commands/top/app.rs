//! What is on the screen and what keys do with it. No terminal in here.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    figures::seconds,
    look::{Place, Shot, Target},
};
use crate::{commands::doctor::show, explain::Lang, time};

/// A list that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Services,
    Instances,
    Findings,
    Gaps,
    Limits,
}

impl View {
    pub const ALL: [Self; 5] = [Self::Services, Self::Instances, Self::Findings, Self::Gaps, Self::Limits];

    pub const fn name(self, lang: Lang) -> &'static str {
        match self {
            Self::Services => lang.pick("services", "服务"),
            Self::Instances => lang.pick("instances", "实例"),
            Self::Findings => lang.pick("findings", "诊断"),
            Self::Gaps => lang.pick("gaps", "间隔"),
            Self::Limits => lang.pick("limits", "限额"),
        }
    }

    /// The head of a column as it is shown.
    pub fn head(name: &'static str, lang: Lang) -> &'static str {
        const CHINESE: [(&str, &str); 19] = [
            ("SERVICE", "服务"),
            ("GROUP", "分组"),
            ("NAMESPACE", "命名空间"),
            ("HEALTHY", "健康"),
            ("ALL", "全部"),
            ("ADDRESS", "地址"),
            ("STATE", "状态"),
            ("WEIGHT", "权重"),
            ("SEVERITY", "级别"),
            ("CODE", "代码"),
            ("ABOUT", "对象"),
            ("COUNT", "数量"),
            ("SINCE", "已持续"),
            ("WHEN", "时间"),
            ("GAP", "间隔"),
            ("EXPECTED", "应为"),
            ("INSTANCE", "实例"),
            ("LIMIT OR COUNTER", "限额或计数"),
            ("VALUE", "值"),
        ];
        let zh = CHINESE.into_iter().find(|(en, _)| *en == name).map_or(name, |(_, zh)| zh);
        lang.pick(name, zh)
    }

    /// Heads of the columns with their width; 0 takes what is left.
    pub const fn columns(self) -> &'static [(&'static str, usize)] {
        match self {
            Self::Services => &[("SERVICE", 0), ("GROUP", 16), ("NAMESPACE", 12), ("HEALTHY", 8), ("ALL", 6)],
            Self::Instances => &[("ADDRESS", 24), ("SERVICE", 0), ("NAMESPACE", 12), ("STATE", 9), ("WEIGHT", 6)],
            Self::Findings => &[("SEVERITY", 9), ("CODE", 30), ("ABOUT", 0), ("COUNT", 5), ("SINCE", 8)],
            Self::Gaps => &[("WHEN", 8), ("GAP", 8), ("EXPECTED", 9), ("INSTANCE", 28), ("SERVICE", 0)],
            Self::Limits => &[("LIMIT OR COUNTER", 0), ("VALUE", 12)],
        }
    }
}

/// How a row looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub cells: Vec<String>,
    pub mood: Mood,
    pub target: Option<Target>,
    /// What rows are sorted by, a column each: numbers before texts.
    keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Key {
    Number(f64),
    Text(String),
}

/// Something that was opened.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    pub title: String,
    pub lines: Vec<String>,
    pub offset: usize,
}

/// What a key wants of whoever drives the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    Nothing,
    Quit,
    /// Look again at once: another list is shown.
    Look,
    Open(Target),
}

pub struct App {
    pub address: String,
    pub lang: Lang,
    pub shot: Shot,
    pub before: Option<Shot>,
    pub view: View,
    /// Column that rows are sorted by, and whether backwards.
    pub sort: (usize, bool),
    pub filter: String,
    pub typing: bool,
    pub paused: bool,
    /// Somebody asked for a look: it is taken, paused or not.
    pub due: bool,
    pub selected: usize,
    pub detail: Option<Detail>,
    /// Rows of a page, as last drawn.
    pub page: usize,
}

impl App {
    pub fn new(address: String) -> Self {
        Self {
            address,
            lang: Lang::En,
            shot: Shot::default(),
            before: None,
            view: View::Services,
            sort: usual(View::Services),
            filter: String::new(),
            typing: false,
            paused: false,
            due: false,
            selected: 0,
            detail: None,
            page: 10,
        }
    }

    /// A new look. One that failed keeps what was seen before.
    pub fn take(&mut self, shot: Shot) {
        if self.paused && !std::mem::take(&mut self.due) {
            return;
        }
        if shot.error.is_some() {
            self.shot.error = shot.error;
            return;
        }
        let old = std::mem::replace(&mut self.shot, shot);
        if self.shot.instances.is_empty()
            && self.view == View::Instances
            && old.error.is_none()
            && self.shot.services.iter().any(|row| row.all > 0)
        {
            self.shot.instances.clone_from(&old.instances);
        }
        self.before = Some(old).filter(|old| old.at > 0);
        self.selected = self.selected.min(self.rows().len().saturating_sub(1));
    }

    /// Rows of the view, filtered and sorted.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = match self.view {
            View::Services => self.services(),
            View::Instances => self.instances(),
            View::Findings => self.findings(),
            View::Gaps => self.gaps(),
            View::Limits => self.limits(),
        };
        let wanted = self.filter.to_lowercase();
        rows.retain(|row| wanted.is_empty() || row.cells.iter().any(|cell| cell.to_lowercase().contains(&wanted)));
        let (column, backwards) = self.sort;
        rows.sort_by(|a, b| {
            let order = a.keys.get(column).partial_cmp(&b.keys.get(column)).unwrap_or(std::cmp::Ordering::Equal);
            let order = if backwards { order.reverse() } else { order };
            order.then_with(|| a.cells.cmp(&b.cells))
        });
        rows
    }

    fn services(&self) -> Vec<Row> {
        let row = |row: &super::look::ServiceRow| {
            let sick = row.all - row.healthy.min(row.all);
            Row {
                cells: vec![
                    row.place.service.clone(),
                    row.place.group.clone(),
                    row.place.namespace.clone(),
                    row.healthy.to_string(),
                    row.all.to_string(),
                ],
                mood: match (row.all, row.healthy) {
                    (0, _) => Mood::Plain,
                    (_, 0) => Mood::Bad,
                    (all, healthy) if healthy < all => Mood::Warn,
                    _ => Mood::Good,
                },
                target: Some(Target::Service(row.place.clone())),
                keys: vec![
                    Key::Text(row.place.service.clone()),
                    Key::Text(row.place.group.clone()),
                    Key::Text(row.place.namespace.clone()),
                    // The sickest first.
                    Key::Number(-(sick as f64)),
                    Key::Number(-(row.all as f64)),
                ],
            }
        };
        self.shot.services.iter().map(row).collect()
    }

    fn instances(&self) -> Vec<Row> {
        let row = |row: &super::look::InstanceRow| {
            let instance = &row.instance;
            let (state, rank, mood) = match (instance.healthy, instance.enabled) {
                (_, false) => (self.lang.pick("disabled", "已禁用"), 1.0, Mood::Warn),
                (false, true) => (self.lang.pick("unhealthy", "不健康"), 0.0, Mood::Bad),
                (true, true) if instance.weight == 0.0 => (self.lang.pick("healthy", "健康"), 2.0, Mood::Warn),
                (true, true) => (self.lang.pick("healthy", "健康"), 3.0, Mood::Good),
            };
            let at = instance.endpoint();
            Row {
                cells: vec![
                    at.clone(),
                    row.place.service.clone(),
                    row.place.namespace.clone(),
                    state.to_owned(),
                    instance.weight.to_string(),
                ],
                mood,
                target: Some(Target::Instance {
                    place: row.place.clone(),
                    instance: format!("{at}:{}", instance.cluster),
                }),
                keys: vec![
                    Key::Text(at),
                    Key::Text(row.place.service.clone()),
                    Key::Text(row.place.namespace.clone()),
                    Key::Number(rank),
                    Key::Number(instance.weight),
                ],
            }
        };
        self.shot.instances.iter().map(row).collect()
    }

    fn findings(&self) -> Vec<Row> {
        use crate::commands::doctor::finding::Severity;
        let row = |finding: &crate::commands::doctor::finding::Finding| {
            let about = show::subject(&finding.subject, self.lang);
            Row {
                cells: vec![
                    show::word(finding.severity, self.lang).to_owned(),
                    finding.code.clone(),
                    about.clone(),
                    finding.count.to_string(),
                    short(self.shot.at - finding.since),
                ],
                mood: match finding.severity {
                    Severity::Critical => Mood::Bad,
                    Severity::Warning => Mood::Warn,
                    Severity::Info => Mood::Plain,
                },
                target: Some(Target::Finding(Box::new(finding.clone()))),
                keys: vec![
                    Key::Number(-f64::from(finding.severity.exit())),
                    Key::Text(finding.code.clone()),
                    Key::Text(about),
                    Key::Number(-(finding.count as f64)),
                    Key::Number(-(finding.since as f64)),
                ],
            }
        };
        self.shot.findings.iter().flatten().map(row).collect()
    }

    fn gaps(&self) -> Vec<Row> {
        let row = |gap: &super::look::Gap| {
            let expected = if gap.expected > 0 { seconds(gap.expected as f64 / 1000.0) } else { "-".to_owned() };
            Row {
                cells: vec![
                    gap.until.map_or_else(
                        || self.lang.pick("now", "现在").to_owned(),
                        |at| time::stamp(at)[11..19].to_owned(),
                    ),
                    seconds(gap.gap as f64 / 1000.0),
                    expected,
                    gap.instance.clone(),
                    gap.service.clone(),
                ],
                mood: if gap.gap >= super::draw::LONG_GAP { Mood::Bad } else { Mood::Warn },
                target: Some(Target::Instance { place: Place::default(), instance: gap.instance.clone() }),
                keys: vec![
                    Key::Number(gap.until.map_or(f64::NEG_INFINITY, |at| -(at as f64))),
                    Key::Number(-(gap.gap as f64)),
                    Key::Number(gap.expected as f64),
                    Key::Text(gap.instance.clone()),
                    Key::Text(gap.service.clone()),
                ],
            }
        };
        self.shot.gaps.iter().map(row).collect()
    }

    /// What was refused, lost or failed.
    fn limits(&self) -> Vec<Row> {
        const NAMES: [&str; 7] = [
            "nacre_limit_hits_total",
            "nacos_exception_total",
            "nacre_journal_dropped_total",
            "nacre_journal_tail_missed_total",
            "nacre_worker_restarts_total",
            "nacre_naming_braked_services",
            "nacre_store_poisoned",
        ];
        let wanted = self.shot.samples.iter().filter(|sample| NAMES.contains(&sample.name.as_str()));
        let row = |sample: &crate::explain::scrape::Sample| Row {
            cells: vec![sample.series(), sample.value.to_string()],
            mood: if sample.value > 0.0 { Mood::Warn } else { Mood::Plain },
            target: None,
            keys: vec![Key::Text(sample.series()), Key::Number(-sample.value)],
        };
        wanted.map(row).collect()
    }

    /// What a key does.
    pub fn key(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Wish::Quit;
        }
        if self.typing {
            return self.type_filter(key.code);
        }
        if self.detail.is_some() {
            return self.read(key.code);
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') => self.detail = Some(help(self.lang)),
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('s') => {
                self.sort = ((self.sort.0 + 1) % self.view.columns().len(), false);
                self.selected = 0;
            }
            KeyCode::Char('r') => self.sort.1 = !self.sort.1,
            KeyCode::Char(c @ '1'..='5') => return self.change(View::ALL[c as usize - '1' as usize]),
            KeyCode::Tab | KeyCode::Right => return self.change(View::ALL[(self.position() + 1) % View::ALL.len()]),
            KeyCode::BackTab | KeyCode::Left => {
                return self.change(View::ALL[(self.position() + View::ALL.len() - 1) % View::ALL.len()]);
            }
            KeyCode::Enter => {
                if let Some(target) = self.rows().into_iter().nth(self.selected).and_then(|row| row.target) {
                    return Wish::Open(target);
                }
            }
            code => self.selected = moved(self.selected, code, self.page, self.rows().len()),
        }
        Wish::Nothing
    }

    fn position(&self) -> usize {
        View::ALL.iter().position(|view| *view == self.view).unwrap_or(0)
    }

    fn change(&mut self, view: View) -> Wish {
        (self.view, self.sort, self.selected) = (view, usual(view), 0);
        if view != View::Instances {
            return Wish::Nothing;
        }
        self.due = true;
        Wish::Look
    }

    fn type_filter(&mut self, code: KeyCode) -> Wish {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
        self.selected = 0;
        Wish::Nothing
    }

    fn read(&mut self, code: KeyCode) -> Wish {
        match code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace | KeyCode::Left => self.detail = None,
            code => {
                if let Some(detail) = &mut self.detail {
                    detail.offset = moved(detail.offset, code, self.page, detail.lines.len());
                }
            }
        }
        Wish::Nothing
    }
}

/// What keys do and marks mean.
fn help(lang: Lang) -> Detail {
    const CHINESE: &[&str] = &[
        "1 至 5, tab      服务、实例、诊断、间隔、限额",
        "上、下, j, k     选择一行；page up, page down, home, end",
        "enter            打开：时间线，或整个诊断",
        "s                按下一列排序；列名后的 v 或 ^ 表示方向",
        "r                反向",
        "/                只显示含此文字的行；enter 保留，esc 清除",
        "p                暂停：画面静止",
        "esc              返回",
        "q, ctrl-c        退出",
        "",
        "行首标记：X 死亡或严重，! 不正常。",
        "中位数与 p99 统计最近两次查看之间的数据。",
    ];
    const LINES: &[&str] = &[
        "1 to 5, tab      services, instances, findings, gaps, limits",
        "up, down, j, k   choose a row; page up, page down, home, end",
        "enter            open it: a timeline, or the whole finding",
        "s                sort by the next column; v or ^ stands behind its name",
        "r                the other way round",
        "/                only rows with this text; enter keeps it, esc clears it",
        "p                pause: the picture stands still",
        "esc              back",
        "q, ctrl-c        quit",
        "",
        "In front of a row: X dead or critical, ! not as it should be.",
        "Median and p99 are of what came between the last two looks.",
    ];
    let lines = if lang == Lang::Zh { CHINESE } else { LINES };
    let title = lang.pick("help", "帮助").to_owned();
    Detail { title, lines: lines.iter().map(|line| (*line).to_owned()).collect(), offset: 0 }
}

/// The column that says most.
const fn usual(view: View) -> (usize, bool) {
    match view {
        View::Services | View::Instances => (3, false),
        View::Findings | View::Gaps => (if matches!(view, View::Gaps) { 1 } else { 0 }, false),
        View::Limits => (1, false),
    }
}

fn moved(at: usize, code: KeyCode, page: usize, rows: usize) -> usize {
    let last = rows.saturating_sub(1);
    match code {
        KeyCode::Down | KeyCode::Char('j') => (at + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::PageDown => (at + page).min(last),
        KeyCode::PageUp => at.saturating_sub(page),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => at,
    }
}

/// `12s`, `3m`, `2h`, `4d`.
fn short(ms: i64) -> String {
    match ms.max(0) / 1000 {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3600 => format!("{}m", s / 60),
        s @ 3600..86_400 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}
