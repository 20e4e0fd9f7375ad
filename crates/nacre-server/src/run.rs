//! Start and stop, in order: nothing serves before the state machine is ready, and a stop drains before it cuts.

use std::{
    io::{self, Write},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use arc_swap::ArcSwap;
use nacre_cluster::{Consensus, StartError};
use nacre_config::{FuzzyWatch, Listeners, StaleAnswers};
use nacre_journal::Journal;
use nacre_model::{Cause, Event, Subject};
use nacre_naming::Naming;
use nacre_store::{DirLock, Store, StoreError, StoreEvent, StoreOptions};
use parking_lot::Mutex;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, Settings},
    clock::{Clock, TICK},
    doctor::{self, Doctor},
    effects::Effector,
    grpc::{self, Hub},
    health::{self, Health},
    http::router::Router,
    journal,
    listen::{self, Door},
    live::{self, Live},
    log_files,
    logging::{self, Logging},
    machine::MachineReader,
    metrics::Metrics,
    neighbour,
    properties::Properties,
    retention,
    room::Room,
    state::Machine,
    traces::{self, Traces},
    udp::Udp,
    workers::Workers,
};

/// How long the replay of the log may take before the start is given up.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// The naming core's timers are looked at this often; its granularity of expiry.
const NAMING_TICK: Duration = Duration::from_millis(100);

/// Why the server did not start. Every text says what to do.
#[derive(Debug, Error)]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Consensus(#[from] StartError),
    #[error("{0}")]
    Machine(#[from] nacre_cluster::MachineError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no traces: {0}")]
    Traces(String),
}

/// What [`run`] calls once everything is served, with the addresses.
pub type Greet<'a> = Box<dyn FnOnce(&App) + 'a>;

/// Runs until SIGTERM or SIGINT.
///
/// Boxed on purpose: a generic function or a bare future would be compiled in the binary's crate, and with it all that is
/// awaited and spawned below it, for size as the rest of that crate is.
pub fn run<'a>(
    props: Properties,
    logging: Logging,
    greet: Greet<'a>,
) -> Pin<Box<dyn Future<Output = Result<(), RunError>> + 'a>> {
    Box::pin(async move {
        let app = start_with(props, logging).await?;
        greet(&app);
        let _ = io::stdout().flush();
        let reason = stop_signal().await?;
        stop(&app, reason).await;
        Ok(())
    })
}

/// As [`start_with`], in a process whose log is not ours.
pub async fn start(props: Properties) -> Result<Arc<App>, RunError> {
    let logging = Logging::detached(props.str("nacre.logging"));
    start_with(props, logging).await
}

/// Opens everything and begins to serve.
pub async fn start_with(props: Properties, logging: Logging) -> Result<Arc<App>, RunError> {
    let mut settings = settings(&props);
    let clock = Clock::start();
    let traces = Traces::of(&props, &clock).map_err(RunError::Traces)?;
    let data = props.data_dir();
    std::fs::create_dir_all(&data).map_err(|error| named(error, &data.display().to_string()))?;
    let started = crate::http::dates::iso8601(clock.now().wall);
    let lock = DirLock::acquire(&data, &started)?;

    // The doors are bound first, so that a port in use is told before minutes of replay; they answer after the replay.
    let doors = bind(&mut settings, props.u16("nacos.server.grpc.port.offset"))?;

    let metrics = Arc::<Metrics>::default();
    let journal =
        Journal::new(props.journal()).witnessed(metrics.witness(log_files::witness(&props, logging::witness())?));
    let journal = match props.journal_disk() {
        None => journal,
        Some(options) => tokio::task::spawn_blocking(|| journal.on_disk(options)).await.map_err(io::Error::other)?,
    };
    let journal = Arc::new(journal);
    let draining = CancellationToken::new();
    let naming = Arc::new(Naming::new(props.naming()));
    let configs = Arc::default();
    let listeners =
        Arc::new(Listeners::new(props.usize("nacre.limit.long-polls"), props.usize("nacre.limit.listened-keys")));
    let config_fuzzy = Arc::new(FuzzyWatch::new(props.config_fuzzy()));
    let (effects, proposals) =
        Effector::new(journal.clone(), Arc::clone(&configs), listeners.clone(), config_fuzzy.clone());
    let effects = Arc::new(effects);

    let mut options = StoreOptions::new(data.join("nacos.db"));
    options.on_event = store_events(clock.clone(), journal.clone());
    let store = tokio::task::spawn_blocking(move || Store::open(options));
    let store = Arc::new(store.await.map_err(io::Error::other)??);
    let machine = {
        let parts = (clock.clone(), Arc::clone(&configs), naming.clone(), store.clone(), effects.clone());
        let open = move || Machine::open(parts.0, parts.1, parts.2, parts.3, parts.4);
        Arc::new(tokio::task::spawn_blocking(open).await.map_err(io::Error::other)??)
    };
    let sink = journal.clone();
    let record = Arc::new(move |event| {
        sink.record(event);
    });
    let consensus = Consensus::start(props.write_road(), machine.clone(), record).await?;
    consensus.ready(READY_WITHIN).await?;

    let options = grpc::Options::of(&props);
    let grpc = Arc::new(Hub::new(options, clock.clone(), journal.clone(), metrics.clone(), naming.clone()));
    let udp = Arc::new(Udp::bind(clock.clone(), naming.clone(), journal.clone(), metrics.clone())?);
    if let Some(traces) = &traces {
        grpc.trace(traces);
        udp.trace(traces);
    }
    let doctor = Doctor::new(props.bool("nacre.doctor.enabled"), props.usize("nacre.doctor.subjects"));
    let app = Arc::new(App {
        grpc: grpc.clone(),
        router: Router::new(&settings.context),
        workers: Workers::new(clock.clone(), journal.clone(), draining.clone()),
        started: AtomicBool::new(false),
        room: Arc::new(Room::new(settings.max_connections)),
        lock,
        logging,
        live: ArcSwap::from_pointee(Live::of(&props)),
        refusal: Mutex::default(),
        props,
        settings,
        clock,
        journal,
        doctor,
        naming,
        configs,
        listeners,
        config_fuzzy,
        stale: StaleAnswers::default(),
        metrics,
        store,
        consensus,
        effects,
        udp,
        health: Health::default(),
        machine: MachineReader::default(),
        state: machine,
        draining,
        traces,
    });
    app.effects.set_faces(vec![grpc, app.udp.clone()]);
    spawn_workers(&app, proposals);
    app.udp.start(&app.workers);
    health::start(&app);
    doctor::start(&app);
    traces::start(&app);
    for (listener, door) in doors {
        tokio::spawn(listen::accept(app.clone(), listener, door));
    }
    app.started.store(true, std::sync::atomic::Ordering::Release);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    app.journal.record(Event::new(app.clock.now(), Subject::default(), Cause::ServerStarted { version }));
    if app.props.members().len() > 1 {
        let named: Vec<String> = app.props.members().iter().take(10).map(ToString::to_string).collect();
        let reason = format!("members of a cluster are named ({}), and this node runs alone", named.join(", "));
        let cause = Cause::Suspicious { call: "start".into(), reason };
        app.journal.record(Event::new(app.clock.now(), Subject::default(), cause));
    }
    Ok(app)
}

/// The journal hears when the database begins or ceases to refuse writes.
fn store_events(clock: Clock, journal: Arc<Journal>) -> nacre_store::OnEvent {
    Arc::new(move |event| {
        let cause = match event {
            StoreEvent::Failed(poison) if poison.retrying => {
                Cause::WriteFailed { reason: format!("the database refuses writes, trying again: {}", poison.reason) }
            }
            StoreEvent::Failed(poison) => Cause::StorePoisoned { reason: poison.reason },
            StoreEvent::Recovered { tries } => Cause::StoreRecovered { tries },
        };
        journal.record(Event::new(clock.now(), Subject::default(), cause));
    })
}

fn settings(props: &Properties) -> Settings {
    let main_port = props.u16("server.port");
    Settings {
        main_port,
        grpc_port: main_port.saturating_add(props.u16("nacos.server.grpc.port.offset")),
        context: props.str("server.servlet.contextPath").to_owned(),
        listen: props.addresses("nacre.listen").to_vec(),
        max_body: props.usize("nacre.http.max-body"),
        max_head: props.usize("nacre.http.max-head"),
        max_connections: props.usize("nacre.limit.connections"),
        max_content: props.u64("maxContent"),
        metadata_length: props.usize("nacos.naming.service.metadata.length"),
    }
}

/// Port 0 is any free pair of ports at the right distance; settings then hold what was found.
fn bind(settings: &mut Settings, offset: u16) -> io::Result<Vec<(tokio::net::TcpListener, Door)>> {
    const ATTEMPTS: usize = 50;
    if settings.main_port != 0 {
        return bind_pair(settings).map_err(|(port, error)| taken(port, error, settings, offset));
    }
    let mut last = io::Error::other("no pair of ports is free");
    for _ in 0..ATTEMPTS {
        let ip = settings.listen.first().copied().unwrap_or(std::net::Ipv4Addr::LOCALHOST.into());
        let free = listen::bind(SocketAddr::new(ip, 0))?.local_addr()?.port();
        let Some(grpc) = free.checked_add(offset) else { continue };
        (settings.main_port, settings.grpc_port) = (free, grpc);
        match bind_pair(settings) {
            Ok(doors) => return Ok(doors),
            Err((_, error)) => last = error,
        }
    }
    Err(last)
}

/// Both doors on every address; the error comes with its port.
fn bind_pair(settings: &Settings) -> Result<Vec<(tokio::net::TcpListener, Door)>, (u16, io::Error)> {
    let mut doors = Vec::new();
    for ip in &settings.listen {
        for (port, door) in [(settings.main_port, Door::Main), (settings.grpc_port, Door::Grpc)] {
            let listener = listen::bind(SocketAddr::new(*ip, port)).map_err(|error| (port, error))?;
            doors.push((listener, door));
        }
    }
    Ok(doors)
}

/// Says who has the port, when somebody has it.
fn taken(port: u16, error: io::Error, settings: &Settings, offset: u16) -> io::Error {
    let holder = match error.kind() {
        io::ErrorKind::AddrInUse => neighbour::explain(port, settings.main_port, offset),
        _ => None,
    };
    match holder {
        Some(holder) => io::Error::new(error.kind(), format!("{error}: {holder}")),
        None => error,
    }
}

fn spawn_workers(app: &Arc<App>, proposals: tokio::sync::mpsc::Receiver<nacre_naming::NamingCommand>) {
    let it = app.clone();
    app.workers.every("clock", TICK, move || {
        let report = it.clock.tick();
        if report.stalled_ms > 0 {
            let cause = Cause::ServerStalled { ms: report.stalled_ms };
            it.journal.record(Event::new(it.clock.now(), Subject::default(), cause));
        }
        if report.stepped_ms != 0 {
            let cause = Cause::ClockStepped { by_ms: report.stepped_ms };
            it.journal.record(Event::new(it.clock.now(), Subject::default(), cause));
        }
        std::future::ready(())
    });
    let it = app.clone();
    app.workers.every("naming timers", NAMING_TICK, move || {
        let effects = it.naming.tick(it.clock.now());
        it.effects.naming(effects);
        std::future::ready(())
    });
    let it = app.clone();
    let proposals = Arc::new(tokio::sync::Mutex::new(proposals));
    app.workers.spawn("housekeeping proposals", move |pulse| {
        let (app, proposals) = (it.clone(), proposals.clone());
        async move {
            let mut proposals = proposals.lock().await;
            while let Some(command) = proposals.recv().await {
                if let Err(error) = app.write_naming(command).await {
                    tracing::warn!(%error, "a housekeeping command was not done; its cleaner will ask again");
                }
                pulse.beat();
            }
        }
    });
    let it = app.clone();
    app.workers.spawn("config notices", move |pulse| {
        let effects = it.effects.clone();
        async move { effects.serve_notices(|| pulse.beat()).await }
    });
    let it = app.clone();
    app.workers.spawn("grpc pushes", move |pulse| {
        let hub = it.grpc.clone();
        async move { hub.serve_timers(|| pulse.beat()).await }
    });
    let it = app.clone();
    app.workers.every("grpc detection", Duration::from_secs(1), move || {
        it.grpc.scan();
        std::future::ready(())
    });
    let it = app.clone();
    app.workers.every("fuzzy watch trim", Duration::from_secs(30), move || {
        it.config_fuzzy.trim();
        std::future::ready(())
    });
    journal::start(app);
    live::watch(app);
    let it = app.clone();
    app.workers.every("config history", retention::ROUND, move || retention::round(it.clone()));
}

async fn stop_signal() -> io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    })
}

/// Stops accepting, lets clients move, finishes writes, closes the store. Within `nacre.shutdown.timeout`.
pub async fn stop(app: &Arc<App>, reason: &str) {
    let cause = Cause::ServerStopping { reason: reason.to_owned() };
    app.journal.record(Event::new(app.clock.now(), Subject::default(), cause));
    let orderly = async {
        app.draining.cancel();
        app.workers.ended().await;
        app.consensus.stop().await;
        let store = app.store.clone();
        match tokio::task::spawn_blocking(move || store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the database did not close cleanly; the log is replayed at the next start")
            }
            Err(error) => tracing::error!(%error, "closing the database failed"),
        }
        journal::close(app).await;
        if let Some(traces) = &app.traces {
            traces.flush().await;
        }
    };
    if tokio::time::timeout(app.props.duration("nacre.shutdown.timeout"), orderly).await.is_err() {
        tracing::warn!("the stop took too long; what is still open is cut, nothing acknowledged is lost");
    }
}

fn named(error: io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
