//! `nacre doctor`: what is wrong, why, and what to do.

pub mod args;
mod client;
pub mod finding;
mod foreign;
pub mod own;
pub mod paper;
pub mod show;
mod step;
pub mod tongue;

use std::time::Duration;

use super::Session;
use crate::{
    api::Client,
    error::{CliError, Outcome},
    explain::Lang,
    output::remark,
};
use args::{Doctor, Of};

/// The exit code of a check that could not be made.
const NOT_MADE: u8 = 3;
/// A watch looks no oftener.
const OFTEN: Duration = Duration::from_millis(100);

pub async fn run(mut session: Session, doctor: Doctor) -> Outcome {
    session.screen.json |= doctor.json;
    let lang = doctor.lang.unwrap_or_else(Lang::of_environment);
    let code = match &doctor.of {
        // It removes what it registered before it ends.
        Some(Of::Client(client)) => client::run(&session, client, lang).await,
        _ => tokio::select! {
            code = findings(&session, &doctor, lang) => code,
            // Ctrl-C is how a watch ends.
            () = crate::asked_to_stop() => if doctor.watch.is_some() { Ok(0) } else { Err(CliError::Interrupted) },
        },
    };
    match code {
        Ok(0) => Ok(()),
        Ok(code) => Err(CliError::Silent(code)),
        Err(error @ (CliError::Pipe | CliError::Interrupted)) => Err(error),
        Err(error) => {
            remark(&format!("nacre: {error}"));
            Err(CliError::Silent(NOT_MADE))
        }
    }
}

async fn findings(session: &Session, doctor: &Doctor, lang: Lang) -> Outcome<u8> {
    if let Some(every) = doctor.watch {
        let every = Duration::from_millis(u64::try_from(every).unwrap_or(0)).max(OFTEN);
        return own::watch(session, doctor, every, lang).await;
    }
    if doctor.foreign || doctor.probe {
        return foreign::run(session, doctor, lang).await;
    }
    match own::ask(&session.client, own::conditions(doctor), lang).await? {
        Some(told) => own::show(session, doctor, told, lang).await,
        None => foreign::run(session, doctor, lang).await,
    }
}

fn no_findings(client: &Client) -> CliError {
    CliError::Failed(format!("{} makes no findings: only nacre has this API", client.address))
}
