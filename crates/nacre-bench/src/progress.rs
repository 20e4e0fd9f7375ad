//! One line that shows how far a run is, on a terminal only.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

const WIDTH: usize = 24;
const EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Progress {
    on: bool,
    drawn: Option<Instant>,
}

impl Progress {
    pub fn new() -> Self {
        Self { on: std::io::stderr().is_terminal(), drawn: None }
    }

    /// Shows a part from 0 to 1; seldom enough to cost nothing.
    pub fn show(&mut self, what: &str, part: f64, note: &str) {
        if !self.on || self.drawn.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        self.drawn = Some(Instant::now());
        let full = ((part.clamp(0.0, 1.0) * WIDTH as f64) as usize).min(WIDTH);
        let bar = format!("{}{}", "#".repeat(full), "-".repeat(WIDTH - full));
        let _ = write!(std::io::stderr(), "\r\x1b[2K{what} [{bar}] {:>3.0} %  {note}", part * 100.0);
        let _ = std::io::stderr().flush();
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.on && self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
            let _ = std::io::stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
