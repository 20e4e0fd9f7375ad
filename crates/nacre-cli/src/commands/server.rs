//! `nacre server`, and what it would start with.

use std::process::ExitCode;

use nacre_server::properties::{self, LoadOptions};

use crate::{
    args::{Server, Settings},
    error::{CliError, Outcome},
    output::{Screen, remark},
};

/// Settings on the command line are wrong as a command is wrong.
const WRONG_SETTING: u8 = 2;

pub fn run(screen: &Screen, server: Server) -> Outcome<ExitCode> {
    let options = options(server.settings);
    if server.print_config {
        return print(screen, &options).map(|()| ExitCode::SUCCESS);
    }
    let properties = properties::load(&options).map_err(|error| wrong(&error.problems))?;
    for note in properties.notes() {
        remark(&format!("note: {note}"));
    }
    Ok(nacre_server::run(properties))
}

/// `--print-config`: everything, also what is wrong.
pub fn show(screen: &Screen, settings: Settings) -> Outcome {
    print(screen, &options(settings))
}

fn options(settings: Settings) -> LoadOptions {
    LoadOptions {
        home: settings.home,
        config: settings.config,
        overrides: settings.define,
        environment: properties::process_environment(),
    }
}

fn print(screen: &Screen, options: &LoadOptions) -> Outcome {
    let explained = properties::explain(options);
    if screen.json {
        screen.value(&explained.json())?;
    } else {
        screen.raw(explained.text().as_bytes())?;
    }
    for note in explained.notes() {
        remark(&format!("note: {note}"));
    }
    if explained.problems().is_empty() { Ok(()) } else { Err(wrong(explained.problems())) }
}

fn wrong(problems: &[properties::Problem]) -> CliError {
    let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
    let settings = if problems.len() == 1 { "a setting is wrong" } else { "settings are wrong" };
    debug_assert_eq!(CliError::Usage(String::new()).code(), WRONG_SETTING);
    CliError::Usage(format!("the server is not started: {settings}\n{}", lines.join("\n")))
}
