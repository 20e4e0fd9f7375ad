//! `nacre doctor`: what is wrong, why, and what to do.

pub mod args;
mod client;
mod paper;
mod step;

use super::Session;
use crate::error::{CliError, Outcome};
use args::{Doctor, Of};

/// The exit code of a check that could not be made.
const NOT_MADE: u8 = 3;

pub async fn run(mut session: Session, doctor: Doctor) -> Outcome {
    session.screen.json |= doctor.json;
    let code = match doctor.of {
        Some(Of::Client(client)) => client::run(&session, &client).await,
        None => Err(CliError::Usage("nothing to do yet".to_owned())),
    };
    match code {
        Ok(0) => Ok(()),
        Ok(code) => Err(CliError::Silent(code)),
        Err(error @ (CliError::Pipe | CliError::Interrupted)) => Err(error),
        Err(error) => {
            crate::output::remark(&format!("nacre: {error}"));
            Err(CliError::Silent(NOT_MADE))
        }
    }
}
