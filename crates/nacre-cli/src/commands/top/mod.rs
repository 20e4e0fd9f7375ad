//! `nacre top`: a server at a glance, kept up to date.

mod app;
mod draw;
mod figures;
mod look;
#[cfg(test)]
mod tests;

use std::{
    future::{Future, poll_fn},
    io::{IsTerminal, stdout},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{self, Event, KeyEventKind},
};
use serde_json::json;
use tokio::{sync::mpsc, time::sleep};

use super::Session;
use crate::{
    api::Client,
    error::{CliError, Outcome},
    explain::Lang,
};
use app::{App, Detail, View, Wish};
use draw::Palette;
use look::{Shot, Target, look, open};

/// Columns and lines of `--once`, as a small terminal has them.
const SMALL: (u16, u16) = (80, 24);
/// The keyboard is asked so often whether anybody still listens.
const LISTEN: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Keys: 1-5 lists, up/down and enter open, s sort, r reverse, / filter, p pause, ? help, q quit.\n\nExamples:\n  nacre top\n  NO_COLOR=1 nacre -s http://nacos.example.org:8848 top --interval 5s\n  nacre top --once"
)]
pub struct Top {
    /// How often to look.
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = crate::time::parse_span)]
    pub interval: i64,
    /// Write one screen and end; it is so when the output is not a terminal, or one that cannot move its cursor (TERM=dumb), too.
    #[arg(long)]
    pub once: bool,
    /// Language of the texts [default: by LC_ALL, LC_MESSAGES or LANG].
    #[arg(long, value_enum)]
    pub lang: Option<Lang>,
}

pub async fn run(session: &Session, top: &Top) -> Outcome {
    let Session { client, screen } = session;
    let interval = Duration::from_millis(u64::try_from(top.interval).unwrap_or(0)).max(LISTEN);
    let lang = top.lang.unwrap_or_else(Lang::of_environment);
    let mut app = App { lang, ..App::new(client.address.to_string()) };
    if top.once || screen.json || !stdout().is_terminal() || is_dumb() {
        let shot = look(client, screen.json, lang).await;
        if let Some(error) = &shot.error {
            return Err(CliError::Failed(format!("{}: {error}", client.address)));
        }
        if screen.json {
            return screen.value(&summary(&shot));
        }
        app.take(shot);
        return screen.raw(text(&mut app, SMALL)?.as_bytes());
    }
    // Terminals of that family have no colours, whatever they are sent.
    let vt = std::env::var("TERM").is_ok_and(|term| term.starts_with("vt"));
    let palette = Palette { colour: screen.colour && !vt };
    // Listened for before the terminal is touched: whoever ends this finds it in order, however early.
    let mut stop = pin!(crate::asked_to_stop());
    if poll_fn(|context| Poll::Ready(stop.as_mut().poll(context).is_ready())).await {
        return Ok(());
    }
    let mut terminal = ratatui::try_init()?;
    let outcome = tokio::select! {
        outcome = drive(client, &mut app, palette, interval, &mut terminal) => outcome,
        () = &mut stop => Ok(()),
    };
    ratatui::restore();
    outcome
}

/// A terminal that shows text line by line only.
fn is_dumb() -> bool {
    std::env::var("TERM").is_ok_and(|term| term == "dumb")
}

async fn drive(
    client: &Client,
    app: &mut App,
    palette: Palette,
    interval: Duration,
    terminal: &mut ratatui::DefaultTerminal,
) -> Outcome {
    let lang = app.lang;
    type Work<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
    let next = |after: Duration, view: View| -> Work<'_, Shot> {
        Box::pin(async move {
            sleep(after).await;
            look(client, view == View::Instances, lang).await
        })
    };
    let read = |target: Target| -> Work<'_, Detail> {
        Box::pin(
            async move { Detail { title: target.title(lang), lines: open(client, &target, lang).await, offset: 0 } },
        )
    };
    let mut typed = keyboard();
    let mut work = next(Duration::ZERO, app.view);
    let mut opening: Option<Work<'_, Detail>> = None;
    loop {
        terminal.draw(|frame| draw::screen(frame, app, palette))?;
        tokio::select! {
            event = typed.recv() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => match app.key(key) {
                    Wish::Nothing => {}
                    Wish::Quit => return Ok(()),
                    Wish::Look => work = next(Duration::ZERO, app.view),
                    Wish::Open(target) => {
                        app.detail = Some(Detail { title: target.title(lang), lines: vec!["...".to_owned()], offset: 0 });
                        opening = Some(read(target));
                    }
                },
                Some(_) => {}
                None => return Ok(()),
            },
            shot = &mut work => {
                app.take(shot);
                work = next(interval, app.view);
            }
            // Keys go on while a slow server is asked: whoever left the page meanwhile is not called back.
            detail = opened(&mut opening) => {
                opening = None;
                if app.detail.as_ref().is_some_and(|open| open.title == detail.title) {
                    app.detail = Some(detail);
                }
            }
        }
    }
}

/// What is being opened, once it is there; nothing is never there.
async fn opened<F: Future<Output = Detail> + Unpin>(opening: &mut Option<F>) -> Detail {
    match opening {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

/// Keys and resizes, read by a thread of their own.
fn keyboard() -> mpsc::Receiver<Event> {
    let (send, receive) = mpsc::channel(64);
    std::thread::spawn(move || {
        while !send.is_closed() {
            match event::poll(LISTEN) {
                Ok(false) => {}
                Ok(true) => {
                    let Ok(event) = event::read() else { return };
                    if send.blocking_send(event).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    });
    receive
}

/// The screen as plain lines.
fn text(app: &mut App, (columns, lines): (u16, u16)) -> Outcome<String> {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, lines));
    let Ok(_) = terminal.draw(|frame| draw::screen(frame, app, Palette { colour: false }));
    let buffer = terminal.backend().buffer();
    let cells = buffer.content().chunks(usize::from(columns));
    let mut out = String::new();
    for line in cells {
        let mut skip = 0;
        let mut shown = String::new();
        for cell in line {
            // The second half of a wide character is a cell of its own.
            if skip > 0 {
                skip -= 1;
                continue;
            }
            shown.push_str(cell.symbol());
            skip = crate::output::width(cell.symbol()).saturating_sub(1);
        }
        out.push_str(shown.trim_end());
        out.push('\n');
    }
    Ok(out)
}

fn summary(shot: &Shot) -> serde_json::Value {
    let services = shot.services.iter().map(|row| {
        json!({
            "namespaceId": row.place.namespace, "groupName": row.place.group, "serviceName": row.place.service,
            "instances": row.all, "healthy": row.healthy,
        })
    });
    let gaps = shot.gaps.iter().map(|gap| {
        json!({"until": gap.until, "gapMs": gap.gap, "expectedMs": gap.expected, "instance": gap.instance, "serviceName": gap.service})
    });
    json!({
        "at": shot.at, "version": shot.version, "mode": shot.mode, "ready": shot.unready.is_none(),
        "connections": shot.sum("nacos_monitor", &[("module", "core"), ("name", "longConnection")]),
        "limitHits": shot.sum("nacre_limit_hits_total", &[]), "services": services.collect::<Vec<_>>(),
        "gaps": gaps.collect::<Vec<_>>(),
        "findings": shot.findings.as_ref().map(|all| all.iter().map(crate::commands::doctor::finding::Finding::json).collect::<Vec<_>>()),
    })
}
