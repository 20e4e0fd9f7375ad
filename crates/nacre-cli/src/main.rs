//! The binary `nacre`: runs a server, and talks to one.
//!
//! What lives here: the command line ([`args`]), the public HTTP APIs as a client of any generation sees them ([`api`]),
//! one module a noun ([`commands`]), and what a person sees ([`output`], [`diff`], [`time`]). What does not: the server; that
//! is `nacre-server`.

mod address;
mod api;
mod args;
mod commands;
mod diff;
mod error;
mod explain;
mod grpc;
mod http;
mod output;
mod time;
mod tls;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::{
    api::{Client, Login},
    args::{Cli, Command, Config, Global, Instance, Output},
    commands::Session,
    error::{CliError, Outcome},
    output::Screen,
    tls::trust,
};

/// Publishes cost a fifth less processor time with it than with the C library's, and a busy server a fifth less memory.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let screen = Screen::new(global.output == Output::Json, global.color);
    match dispatch(screen, global, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            if !text.is_empty() {
                output::remark(&format!("nacre: {text}"));
            }
            ExitCode::from(error.code())
        }
    }
}

fn dispatch(screen: Screen, global: Global, command: Command) -> Outcome {
    match command {
        Command::Server(server) => commands::server::run(screen, server),
        Command::Config(Config::Show { settings }) => commands::server::show(&screen, settings),
        Command::Bench(bench) => commands::bench::run(screen, &global, &bench),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nacre", &mut script);
            screen.raw(&script)
        }
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(talk(screen, global, command))
        }
    }
}

/// Commands that speak to a server.
async fn talk(screen: Screen, global: Global, command: Command) -> Outcome {
    let login = match (global.username, global.password) {
        (Some(username), Some(password)) => Some(Login { username, password }),
        _ => None,
    };
    let session =
        Session { client: Client::new(global.server, global.namespace, login, trust(global.ca_file)), screen };
    let is_watch = matches!(command, Command::Config(Config::Watch { .. }) | Command::Instance(Instance::Watch { .. }));
    // A kept instance is deregistered on Ctrl-C; it listens for that itself.
    let ends_itself = match &command {
        Command::Instance(Instance::Register(register)) => register.keep,
        // So are the registrations of a check.
        Command::Doctor(_) => true,
        // The terminal is put in order first.
        Command::Top(_) => true,
        _ => false,
    };
    let work = async {
        match command {
            Command::Config(config) => commands::config::run(&session, config).await,
            Command::Instance(instance) => commands::instance::run(&session, instance).await,
            Command::Service(service) => commands::service::run(&session, service).await,
            Command::Status => commands::status::run(&session).await,
            Command::Timeline(timeline) => commands::timeline::run(&session, timeline).await,
            Command::Explain(explain) => commands::explain::run(&session, &explain).await,
            Command::Doctor(doctor) => commands::doctor::run(session, *doctor).await,
            Command::Top(top) => commands::top::run(&session, &top).await,
            Command::Server(_) | Command::Bench(_) | Command::Completions { .. } => Ok(()),
        }
    };
    if ends_itself {
        return work.await;
    }
    tokio::select! {
        outcome = work => outcome,
        // Ctrl-C is how a watch ends.
        () = asked_to_stop() => if is_watch { Ok(()) } else { Err(CliError::Interrupted) },
    }
}

/// Ctrl-C, or SIGTERM.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(_) => return std::future::pending().await,
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
