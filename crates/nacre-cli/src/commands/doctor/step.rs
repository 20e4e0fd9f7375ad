//! One step of a check: how it went, the figure that was measured, what that means and what to do.

use serde_json::{Map, Value, json};

use super::{
    paper::{WIDTH, wrapped},
    tongue::say,
};
use crate::{
    error::Outcome,
    explain::Lang,
    output::{Screen, Tone, printable, shortened},
};

/// How a step went, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    /// Well, with something worth knowing.
    Note,
    /// Not done, because something before it failed or nobody asked for it.
    Skipped,
    Warn,
    Fail,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Skipped => "skip",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    const fn tone(self) -> Tone {
        match self {
            Self::Ok => Tone::Good,
            Self::Note => Tone::Accent,
            Self::Skipped => Tone::Dim,
            Self::Warn => Tone::Warn,
            Self::Fail => Tone::Bad,
        }
    }

    /// The exit code of a run whose worst step this is.
    pub const fn exit(self) -> u8 {
        match self {
            Self::Ok | Self::Note | Self::Skipped => 0,
            Self::Warn => 1,
            Self::Fail => 2,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Step {
    /// Short and stable: `tcp`, `grpc`, …
    pub id: &'static str,
    pub state: State,
    /// Stable name of what is wrong; empty when nothing is.
    pub code: &'static str,
    /// What was measured, in one sentence.
    pub title: String,
    /// Lines that are shown as they are: a histogram, a list.
    pub drawing: Vec<String>,
    pub meaning: String,
    pub remedy: Vec<String>,
    pub figures: Map<String, Value>,
}

impl Step {
    pub fn new(id: &'static str, state: State, title: impl Into<String>) -> Self {
        Self {
            id,
            state,
            code: "",
            title: title.into(),
            drawing: Vec::new(),
            meaning: String::new(),
            remedy: Vec::new(),
            figures: Map::new(),
        }
    }

    pub fn ok(id: &'static str, title: impl Into<String>) -> Self {
        Self::new(id, State::Ok, title)
    }

    pub fn skipped(id: &'static str, title: impl Into<String>) -> Self {
        Self::new(id, State::Skipped, title)
    }

    pub fn warn(id: &'static str, code: &'static str, title: impl Into<String>) -> Self {
        Self { code, ..Self::new(id, State::Warn, title) }
    }

    pub fn fail(id: &'static str, code: &'static str, title: impl Into<String>) -> Self {
        Self { code, ..Self::new(id, State::Fail, title) }
    }

    pub fn means(mut self, text: impl Into<String>) -> Self {
        self.meaning = text.into();
        self
    }

    pub fn draws(mut self, lines: Vec<String>) -> Self {
        self.drawing = lines;
        self
    }

    /// One thing to do.
    pub fn remedy(mut self, text: impl Into<String>) -> Self {
        self.remedy.push(text.into());
        self
    }

    pub fn figure(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.figures.insert(name.to_owned(), value.into());
        self
    }

    /// With its texts in that language.
    fn told(mut self, lang: Lang) -> Self {
        self.title = say(lang, &self.title);
        self.meaning = say(lang, &self.meaning);
        self.remedy = self.remedy.iter().map(|text| say(lang, text)).collect();
        self
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id, "state": self.state.name(), "code": self.code, "title": self.title,
            "meaning": self.meaning, "remedy": self.remedy, "figures": self.figures,
        })
    }

    fn render(&self, screen: &Screen) -> String {
        const INDENT: usize = 15;
        let mut out = String::new();
        let head = format!("{:<4}", self.state.name());
        let mut lines = wrapped(&printable(&self.title), WIDTH - INDENT).into_iter();
        out.push_str(&format!(
            "{} {:<9} {}\n",
            screen.paint(self.state.tone(), &head),
            self.id,
            lines.next().unwrap_or_default()
        ));
        let indent = " ".repeat(INDENT);
        for line in lines {
            out.push_str(&format!("{indent}{line}\n"));
        }
        if !self.code.is_empty() {
            out.push_str(&format!("{indent}{}\n", screen.paint(self.state.tone(), self.code)));
        }
        for line in &self.drawing {
            out.push_str(&format!("{indent}{}\n", shortened(&printable(line), WIDTH - INDENT)));
        }
        for paragraph in self.meaning.lines() {
            for line in wrapped(&printable(paragraph), WIDTH - INDENT) {
                out.push_str(&format!("{indent}{}\n", screen.paint(Tone::Dim, &line)));
            }
        }
        for remedy in &self.remedy {
            for (n, line) in wrapped(&printable(remedy), WIDTH - INDENT - 3).into_iter().enumerate() {
                out.push_str(&format!("{indent}{} {line}\n", if n == 0 { "->" } else { "  " }));
            }
        }
        out
    }
}

/// The steps so far; each is shown as soon as it is done.
pub struct Report {
    screen: Screen,
    lang: Lang,
    steps: Vec<Step>,
}

impl Report {
    pub fn new(screen: Screen, lang: Lang) -> Self {
        Self { screen, lang, steps: Vec::new() }
    }

    pub fn add(&mut self, step: Step) -> Outcome<State> {
        let (state, step) = (step.state, step.told(self.lang));
        if !self.screen.json {
            self.screen.raw(step.render(&self.screen).as_bytes())?;
        }
        self.steps.push(step);
        Ok(state)
    }

    pub fn worst(&self) -> State {
        self.steps.iter().map(|step| step.state).max().unwrap_or(State::Ok)
    }

    /// The state of a step, if it was made.
    pub fn state(&self, id: &str) -> Option<State> {
        self.steps.iter().rev().find(|step| step.id == id).map(|step| step.state)
    }

    /// Ends the report; `facts` are what a program wants to know besides the steps.
    pub fn finish(self, mut facts: Map<String, Value>) -> Outcome<State> {
        let worst = self.worst();
        let count = |state: State| self.steps.iter().filter(|step| step.state == state).count();
        let (fails, warns) = (count(State::Fail), count(State::Warn));
        if self.screen.json {
            facts.insert("worst".to_owned(), worst.name().into());
            facts.insert("counts".to_owned(), json!({"fail": fails, "warn": warns}));
            facts.insert("steps".to_owned(), self.steps.iter().map(Step::json).collect());
            self.screen.value(&facts.into())?;
            return Ok(worst);
        }
        self.screen.line("")?;
        let sum = match (fails, warns) {
            (0, 0) => "nothing wrong was found between this machine and the server".to_owned(),
            (0, warns) => format!("{warns} to look at"),
            (fails, 0) => format!("{fails} wrong"),
            (fails, warns) => format!("{fails} wrong, {warns} to look at"),
        };
        let tone = if worst == State::Note || worst == State::Skipped { Tone::Good } else { worst.tone() };
        self.screen.line(&self.screen.paint(tone, &say(self.lang, &sum)))?;
        Ok(worst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_fits_into_80_columns_and_keeps_its_parts_apart() {
        let step = Step::fail("grpc-port", "PATH-GRPC-PORT-REFUSED", "word ".repeat(30))
            .means("meaning ".repeat(20))
            .remedy("remedy ".repeat(20))
            .figure("ms", 1);
        let text = step.render(&Screen { json: false, colour: false });
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.starts_with("fail grpc-port word word"), "{text}");
        assert!(text.contains("\n               PATH-GRPC-PORT-REFUSED\n"), "{text}");
        assert!(text.contains("\n               -> remedy"), "{text}");
        assert_eq!(step.json()["figures"]["ms"], 1);
    }

    #[test]
    fn the_worst_step_decides() {
        let mut report = Report::new(Screen { json: true, colour: false }, Lang::En);
        assert_eq!(report.worst().exit(), 0);
        report.add(Step::warn("a", "A", "")).unwrap();
        report.add(Step::skipped("b", "")).unwrap();
        assert_eq!((report.worst().exit(), report.state("b")), (1, Some(State::Skipped)));
        report.add(Step::fail("c", "C", "")).unwrap();
        assert_eq!(report.worst().exit(), 2);
    }
}
