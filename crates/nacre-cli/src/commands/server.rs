//! `nacre server`, and what it would start with.

use std::{io::Write, net::IpAddr, time::Instant};

use nacre_server::{
    app::App,
    logging::{self, Logging},
    properties::{self, LoadOptions, Properties},
};

use crate::{
    args::{Server, Settings},
    error::{CliError, Outcome},
    output::{Screen, Tone, remark},
    time,
};

/// Names that stand for every address of the machine.
const fn is_wide(ip: IpAddr) -> bool {
    !ip.is_loopback()
}

pub fn run(screen: Screen, server: Server) -> Outcome {
    let begun = Instant::now();
    let options = options(server.settings);
    if server.print_config {
        return print(&screen, &options);
    }
    let properties = properties::load(&options).map_err(|error| wrong(&error.problems))?;
    for note in properties.notes() {
        remark(&format!("note: {note}"));
    }
    let logging = log_to_stderr(&properties)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("nacre").build()?;
    let listen = properties.addresses("nacre.listen").to_vec();
    let mut serving = false;
    let greet = Box::new(|app: &App| {
        serving = true;
        // Whoever reads our output may have gone; that is no reason not to serve.
        let _ = std::io::stdout().write_all(welcome(&screen, app, begun).as_bytes());
        if let Some(wide) = listen.iter().find(|ip| is_wide(**ip)) {
            remark(&format!(
                "warning: everybody who can reach {wide} may read and write everything: this version has no authentication"
            ));
        }
    });
    let outcome = runtime.block_on(nacre_server::run::run(properties, logging, greet));
    outcome.map_err(|error| {
        let text = error.to_string();
        let hint = if text.contains("cannot listen on") {
            "\n  another server may be running there; -D server.port=PORT takes another port (gRPC is 1000 above it)"
        } else {
            ""
        };
        let what = if serving { "the server stopped" } else { "the server did not start" };
        CliError::Failed(format!("{what}: {text}{hint}"))
    })
}

fn log_to_stderr(properties: &Properties) -> Result<Logging, CliError> {
    let wanted = properties.str("nacre.logging");
    Logging::check(wanted).map_err(|error| {
        let origin = properties.origin("nacre.logging");
        CliError::Usage(format!("the server is not started: a setting is wrong\n  {origin}: nacre.logging: {error}"))
    })?;
    Logging::install(wanted, logging::stderr_has_colours(), logging::Stderr).map_err(CliError::Failed)
}

/// One screen: where it is, where its data is, what to do first.
fn welcome(screen: &Screen, app: &App, begun: Instant) -> String {
    let settings = &app.settings;
    let took = time::span(i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX));
    let at = |ip: IpAddr, port: u16| std::net::SocketAddr::new(ip, port).to_string();
    let ip = settings.listen.first().copied().unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let reachable = if ip.is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { ip };
    let url = format!("http://{}{}", at(reachable, settings.main_port), settings.context);
    let all = |port: u16| settings.listen.iter().map(|ip| at(*ip, port)).collect::<Vec<_>>().join(", ");
    let only_here = if settings.listen.iter().copied().any(is_wide) {
        ""
    } else {
        "; this machine only (nacre.listen=0.0.0.0 opens it to others)"
    };
    let home = app.props.home().display();
    let set = match app.props.set_count() {
        0 => "defaults".to_owned(),
        1 => "1 set".to_owned(),
        n => format!("{n} set"),
    };
    let server =
        if settings.main_port == 8848 && reachable == IpAddr::from([127, 0, 0, 1]) && settings.context == "/nacos" {
            String::new()
        } else {
            format!(" --server {url}")
        };
    let dim = |text: &str| screen.paint(Tone::Dim, text);
    let lines = [
        screen.paint(
            Tone::Head,
            &format!("nacre {} serves Nacos clients of every generation", env!("CARGO_PKG_VERSION")),
        ),
        // Scripts of many installations wait for this sentence.
        "Nacos started successfully in stand alone mode. use embedded storage".to_owned(),
        format!("  {} {url}  (ready after {took})", dim("http    ")),
        format!("  {} {}, and on {}{only_here}", dim("grpc    "), all(settings.grpc_port), all(settings.main_port)),
        format!("  {} {}", dim("data    "), app.props.data_dir().display()),
        format!(
            "  {} {home}/conf/application.properties ({set}; nacre server --print-config shows all)",
            dim("settings")
        ),
        format!("  {} none in this version; `nacre --help` lists commands that do its work", dim("console ")),
        String::new(),
        "First steps:".to_owned(),
        format!("  curl -X POST '{url}/v1/ns/instance?serviceName=hello&ip=127.0.0.1&port=8080'"),
        format!("  nacre{server} instance ls hello"),
        format!("  curl {url}/v1/cs/configs -d dataId=hello.yaml -d group=DEFAULT_GROUP -d 'content=greeting: hi'"),
        format!("  nacre{server} config get hello.yaml"),
        "Ctrl-C stops the server; everything acknowledged is kept.".to_owned(),
    ];
    lines.map(|line| line + "\n").concat()
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
    CliError::Usage(format!("the server is not started: {settings}\n{}", lines.join("\n")))
}
