//! Whether a value is a problem: from one look, from two, or from what the asker saw.

use super::Lang;

/// How values of an entry are judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Judge {
    /// A figure that is neither good nor bad.
    #[default]
    Info,
    /// Failures since the start of the process: growing is bad, a number that stands still is past.
    Failures,
    /// The same, begun anew at midnight.
    Today,
    /// 1 leader, 0 follower, 2 neither; and in most Java versions nothing at all.
    Leader,
    /// Anything but 0 is a problem.
    Zero,
    /// This much and more is a problem.
    Below(f64),
    /// This share of another metric and more is a problem.
    Of(&'static str, f64),
    /// Less than this share of another metric is a problem.
    Least(&'static str, f64),
    /// Constant in Java Nacos: the value says nothing.
    Never,
}

impl Judge {
    pub fn parse(text: &'static str) -> Option<Self> {
        let mut words = text.split(' ');
        let judge = match words.next()? {
            "info" => Self::Info,
            "failures" => Self::Failures,
            "today" => Self::Today,
            "leader" => Self::Leader,
            "zero" => Self::Zero,
            "never" => Self::Never,
            "below" => Self::Below(words.next()?.parse().ok()?),
            "of" => Self::Of(words.next()?, words.next()?.parse().ok()?),
            "least" => Self::Least(words.next()?, words.next()?.parse().ok()?),
            _ => return None,
        };
        words.next().is_none().then_some(judge)
    }

    /// Whether a second look tells more.
    pub const fn wants_second_look(&self) -> bool {
        matches!(self, Self::Failures | Self::Today)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Fine,
    /// It was a problem, or may become one.
    Watch,
    Problem,
    Unknown,
}

impl Level {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Watch => "watch",
            Self::Problem => "problem",
            Self::Unknown => "unknown",
        }
    }
}

/// What is seen of a series.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub value: f64,
    /// A second look: the value then, and the seconds between.
    pub later: Option<(f64, f64)>,
    /// The figure that a share is of.
    pub whole: Option<f64>,
}

/// Who was asked.
#[derive(Clone, Debug, Default)]
pub struct Server {
    pub nacre: bool,
    /// As it says itself, `2.5.1`.
    pub version: Option<String>,
    pub standalone: bool,
}

impl Server {
    /// Major and minor.
    pub fn numbers(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.as_deref()?.trim_start_matches('v').split('.');
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok());
        Some((number(parts.next())?, number(parts.next())?))
    }

    /// A Java Nacos whose old raft is gone.
    pub fn without_old_raft(&self) -> bool {
        !self.nacre && self.numbers().is_some_and(|version| version >= (2, 2))
    }
}

/// A judgement and its sentence.
pub type Verdict = (Level, String);

/// Numbers as people write them.
pub fn number(value: f64) -> String {
    if value.is_finite() && value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let text = if value.abs() >= 100.0 { format!("{value:.1}") } else { format!("{value:.4}") };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "0" || text == "-0" { format!("{value:e}") } else { text.to_owned() }
}

/// Judges what a server showed.
pub fn live(judge: &Judge, seen: Seen, server: &Server, lang: Lang) -> Verdict {
    let value = number(seen.value);
    match judge {
        Judge::Info => (
            Level::Fine,
            lang.pick("a figure to read, not a fault by itself", "这是一个用于观察的数值，本身不表示故障").to_owned(),
        ),
        Judge::Failures | Judge::Today => failures(*judge == Judge::Today, seen, lang),
        Judge::Leader => leader(seen.value, Some(server), lang),
        Judge::Zero if seen.value == 0.0 => (Level::Fine, lang.pick("0, as it should be", "为 0，正常").to_owned()),
        Judge::Zero => (
            Level::Problem,
            match lang {
                Lang::En => format!("{value}: anything but 0 is a problem"),
                Lang::Zh => format!("{value}：不为 0 就是问题"),
            },
        ),
        Judge::Below(bound) => {
            let bad = seen.value >= *bound;
            let bound = number(*bound);
            let text = match (lang, bad) {
                (Lang::En, true) => format!("{value} is at or above {bound}"),
                (Lang::En, false) => format!("{value} is below {bound}"),
                (Lang::Zh, true) => format!("{value}，已达到或超过 {bound}"),
                (Lang::Zh, false) => format!("{value}，低于 {bound}"),
            };
            (if bad { Level::Problem } else { Level::Fine }, text)
        }
        Judge::Of(_, share) | Judge::Least(_, share) => {
            let Some(whole) = seen.whole.filter(|whole| *whole > 0.0) else {
                return (
                    Level::Unknown,
                    lang.pick("the figure it is a share of was not seen", "没有看到用于比较的总量").to_owned(),
                );
            };
            let part = seen.value / whole;
            let bad = if matches!(judge, Judge::Of(..)) { part >= *share } else { part < *share };
            let (part, share) = (number((part * 1e3).round() / 10.0), number(share * 100.0));
            let text = match (lang, matches!(judge, Judge::Of(..))) {
                (Lang::En, true) => format!("{part} % is used; from {share} % on it is a problem"),
                (Lang::En, false) => format!("{part} % is left; below {share} % it is a problem"),
                (Lang::Zh, true) => format!("已使用 {part}%，达到 {share}% 即为问题"),
                (Lang::Zh, false) => format!("剩余 {part}%，低于 {share}% 即为问题"),
            };
            (if bad { Level::Problem } else { Level::Fine }, text)
        }
        Judge::Never if server.nacre => (Level::Fine, lang.pick("live in nacre", "nacre 中为实时值").to_owned()),
        Judge::Never => (
            Level::Unknown,
            lang.pick(
                "nothing ever writes it in Java Nacos: the value says nothing",
                "Java Nacos 中没有任何代码写入它：该值没有意义",
            )
            .to_owned(),
        ),
    }
}

fn failures(today: bool, seen: Seen, lang: Lang) -> Verdict {
    let value = number(seen.value);
    let since = match today {
        true => lang.pick("since midnight", "自零点起"),
        false => lang.pick("since the process started", "自进程启动以来"),
    };
    match seen.later {
        Some((later, seconds)) if later > seen.value => {
            let (grown, seconds, later) = (number(later - seen.value), number(seconds.round()), number(later));
            (
                Level::Problem,
                match lang {
                    Lang::En => format!(
                        "it GROWS: {value} -> {later}, {grown} more within {seconds} s. It is going on right now"
                    ),
                    Lang::Zh => format!("正在增长：{value} -> {later}，{seconds} 秒内增加 {grown}。问题正在发生"),
                },
            )
        }
        _ if seen.value == 0.0 => (
            Level::Fine,
            match lang {
                Lang::En => format!("0 {since}"),
                Lang::Zh => format!("{since}为 0"),
            },
        ),
        Some((_, seconds)) => {
            let seconds = number(seconds.round());
            (
                Level::Watch,
                match lang {
                    Lang::En => format!(
                        "{value} {since}, and none more within {seconds} s: it happened and is not happening now. A counter never \
                     goes back to 0 by itself, so alert on its growth, not on its value"
                    ),
                    Lang::Zh => format!(
                        "{since}共 {value} 次，{seconds} 秒内没有增加：曾经发生过，现在没有发生。计数器不会自己归零，应对增量告警，而不是对数值告警"
                    ),
                },
            )
        }
        None => (
            Level::Watch,
            match lang {
                Lang::En => format!("{value} {since}; only a second look tells whether it still grows"),
                Lang::Zh => format!("{since}共 {value} 次；是否仍在增长需要再看一次"),
            },
        ),
    }
}

/// `server` is unknown when nobody was asked.
fn leader(value: f64, server: Option<&Server>, lang: Lang) -> Verdict {
    let say = |level, en: &str, zh: &str| (level, lang.pick(en, zh).to_owned());
    if server.is_some_and(Server::without_old_raft) {
        return say(
            Level::Unknown,
            "nothing writes this gauge in Nacos 2.2 and later: it is 0 on every node, the leader included. It says nothing \
             about your cluster; the raft groups' real leaders are in the list of members (below)",
            "Nacos 2.2 及以后没有代码写这个指标：所有节点（包括 Leader）都恒为 0，与集群状态无关；真正的 Leader 请看下面的成员列表",
        );
    }
    let frozen =
        server.is_some_and(|server| !server.nacre && server.numbers().is_some_and(|version| version >= (1, 4)));
    match value as i64 {
        1 if frozen => say(
            Level::Watch,
            "1: leader when it was last written. From 1.4 on it freezes when the cluster changes over to JRaft; an old 1 may stay for ever",
            "1：最后一次写入时是 Leader。1.4 起集群切换到 JRaft 后该值冻结，旧的 1 可能永远保留",
        ),
        1 => say(Level::Fine, "1: this node leads. That is a good value", "1：本节点是 Leader，正常"),
        0 if server.is_none() => say(
            Level::Unknown,
            "0: a follower with a known leader - or a Java Nacos of 2.2 or later, where it is always 0 and says nothing",
            "0：有 Leader 的 Follower；若是 Java Nacos 2.2 及以后，则恒为 0，没有意义",
        ),
        0 => say(
            Level::Fine,
            "0: this node follows a known leader. That is a good value",
            "0：本节点是 Follower 且有 Leader，正常",
        ),
        2 => say(
            Level::Problem,
            "2: neither leader nor follower: there is no leader, or this node does not see it. For seconds it is an election; \
             for more than a minute it is a fault",
            "2：既不是 Leader 也不是 Follower：没有 Leader，或本节点看不到它。持续几秒是选举，超过一分钟就是故障",
        ),
        _ => say(Level::Unknown, "not a value this gauge has", "该指标没有这个取值"),
    }
}

/// Judges what the asker says to have seen.
pub fn said(judge: &Judge, value: f64, lang: Lang) -> Option<Verdict> {
    match judge {
        Judge::Info | Judge::Of(..) | Judge::Least(..) => None,
        Judge::Leader => Some(leader(value, None, lang)),
        Judge::Never => Some((
            Level::Unknown,
            lang.pick("in Java Nacos nothing writes it", "Java Nacos 中没有代码写入它").to_owned(),
        )),
        judge => Some(live(judge, Seen { value, ..Seen::default() }, &Server::default(), lang)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(judge: Judge, value: f64, later: Option<f64>) -> Level {
        let seen = Seen { value, later: later.map(|later| (later, 6.0)), whole: Some(100.0) };
        live(&judge, seen, &Server { nacre: true, ..Server::default() }, Lang::En).0
    }

    #[test]
    fn failures_are_judged_by_their_growth() {
        assert_eq!(level(Judge::Failures, 2.0, Some(2.0)), Level::Watch);
        assert_eq!(level(Judge::Failures, 2.0, Some(3.0)), Level::Problem);
        assert_eq!(level(Judge::Failures, 0.0, Some(0.0)), Level::Fine);
        assert_eq!(level(Judge::Failures, 0.0, Some(1.0)), Level::Problem);
        assert_eq!(level(Judge::Failures, 2.0, None), Level::Watch);
    }

    #[test]
    fn gauges_are_judged_by_their_bounds() {
        assert_eq!(level(Judge::Below(5.0), 5.0, None), Level::Problem);
        assert_eq!(level(Judge::Below(5.0), 4.9, None), Level::Fine);
        assert_eq!(level(Judge::Of("x", 0.8), 80.0, None), Level::Problem);
        assert_eq!(level(Judge::Least("x", 0.1), 11.0, None), Level::Fine);
        assert_eq!(level(Judge::Zero, 1.0, None), Level::Problem);
    }

    #[test]
    fn the_leaders_gauge_depends_on_who_shows_it() {
        let of = |version: &str, nacre, value| {
            let server = Server { nacre, version: Some(version.to_owned()), standalone: false };
            live(&Judge::Leader, Seen { value, ..Seen::default() }, &server, Lang::En).0
        };
        assert_eq!(of("2.5.1", false, 0.0), Level::Unknown);
        assert_eq!(of("1.3.2", false, 0.0), Level::Fine);
        assert_eq!(of("1.4.8", false, 1.0), Level::Watch);
        assert_eq!(of("1.3.2", false, 2.0), Level::Problem);
        assert_eq!(of("0.1.0", true, 1.0), Level::Fine);
        assert_eq!(of("0.1.0", true, 2.0), Level::Problem);
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(2.0, "2"), (0.25, "0.25"), (1234.56, "1234.6"), (1e-7, "1e-7"), (-1.0, "-1"), (0.0, "0")]
        {
            assert_eq!(number(value), text);
        }
    }
}
