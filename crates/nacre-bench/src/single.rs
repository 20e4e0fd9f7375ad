//! One operation, on one server or on several in turns.

use std::sync::Arc;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    args::{Bare, Load},
    baseline::Baseline,
    contest::{self, Contender},
    error::Error,
    grpc::{
        client::{Grpc, Plan as GrpcPlan},
        operations::Operation as GrpcOperation,
    },
    http::{
        client::{Http, Plan},
        operations::{Api, Caller, Operation},
    },
    load::{Length, Shape},
    process,
    progress::Progress,
    report::{self, Report},
    target::Endpoint,
    template::Subject,
};

/// Name, address, process.
type Server<'a> = (&'a str, &'a Endpoint, Option<u32>);

/// Every server of a run, the target first.
fn servers<'a>(target: &'a Endpoint, load: &'a Load) -> Result<Vec<Server<'a>>, Error> {
    let mut all = vec![("target", target, load.common.pid)];
    all.extend(load.against.iter().map(|(name, at)| (name.as_str(), at, None)));
    for (_, at, pid) in &mut all {
        at.allow(load.common.i_own_this_server)?;
        let here = at.http()?.ip().to_canonical().is_loopback();
        *pid = pid.or_else(|| here.then(|| process::listener(at.port)).flatten());
    }
    Ok(all)
}

fn rounds(load: &Load) -> u32 {
    load.rounds.unwrap_or(if load.baseline || !load.against.is_empty() { 5 } else { 1 })
}

fn settings(load: &Load, shape: &Shape, rounds: u32, api: Api) -> Value {
    json!({
        "api": name_of(api),
        "connections": shape.connections,
        "threads": shape.threads,
        "rounds": rounds,
        "seconds_a_round": match shape.length { Length::Time(span) => json!(span.as_secs_f64()), Length::Count(_) => Value::Null },
        "count_a_round": match shape.length { Length::Count(count) => json!(count), Length::Time(_) => Value::Null },
        "warm_up_seconds": shape.warm_up.as_secs_f64(),
        "rate": shape.rate,
        "keys": shape.keys,
        "instances": shape.instances,
        "content_bytes": load.size,
    })
}

/// The name of a value as it is typed.
fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
}

/// Subjects that a run may have touched, for the clean-up: a count that is smaller than the pool leaves most of it alone.
fn touched(shape: &Shape, rounds: u32) -> u64 {
    match shape.length {
        Length::Count(count) => count.saturating_mul(u64::from(rounds)),
        Length::Time(_) => u64::MAX,
    }
}

fn unreachable(at: &Endpoint, error: &std::io::Error) -> Error {
    Error::Unreachable { address: at.authority(), why: error.to_string() }
}

/// An operation over HTTP.
pub fn http(target: &Endpoint, namespace: &str, operation: Operation, api: Api, load: &Load) -> Result<Report, Error> {
    let rounds = rounds(load);
    let shape = contest::shape(load, rounds, operation.subjects(), false);
    let mut progress = Progress::new();
    let mut first = 0;
    let mut contenders: Vec<Contender<Http>> = Vec::new();
    for (name, at, pid) in servers(target, load)? {
        std::net::TcpStream::connect(at.http()?).map_err(|error| unreachable(at, &error))?;
        let caller = Caller { at, api, namespace, size: load.size as usize };
        let kit = caller.kit(operation, shape.keys, shape.instances, touched(&shape, rounds))?;
        contest::prepare(kit.plan.address, &kit.setup, &shape, &mut first, &mut progress)?;
        contenders.push(Contender {
            name: name.to_owned(),
            address: at.authority(),
            pid,
            http: kit.plan.address,
            plan: Arc::new(kit.plan),
            refresh: kit.refresh,
            teardown: if load.keep { Vec::new() } else { kit.teardown },
            _child: None,
            rounds: Vec::new(),
            before: None,
            after: None,
        });
    }
    if load.baseline {
        contest::prepare(contenders[0].http, &contenders[0].refresh.clone(), &shape, &mut first, &mut progress)?;
        let (head, body) = record(&contenders[0].plan)?;
        let child = Baseline::start(Bare::Http, &head, &body)?;
        let plan = Plan { address: child.address, ..contenders[0].plan.as_ref().clone() };
        contenders.push(bare(child, plan, Bare::Http));
    }
    contest::run(&mut contenders, &shape, rounds, &mut first, &mut progress)?;
    let name = format!("http {} {}", name_of(operation), name_of(api));
    Ok(report::contest(&name, settings(load, &shape, rounds, api), &contenders))
}

/// An operation over gRPC.
pub fn grpc(
    target: &Endpoint,
    namespace: &str,
    operation: GrpcOperation,
    api: Api,
    load: &Load,
) -> Result<Report, Error> {
    let rounds = rounds(load);
    let shape = contest::shape(load, rounds, operation.subjects(), operation.owns());
    let mut progress = Progress::new();
    let mut first = 0;
    let mut contenders: Vec<Contender<Grpc>> = Vec::new();
    for (name, at, pid) in servers(target, load)? {
        let address = at.grpc()?;
        std::net::TcpStream::connect(address).map_err(|error| unreachable(at, &error))?;
        let caller = Caller { at, api, namespace, size: load.size as usize };
        let [setup, refresh, teardown] =
            operation.batches(&caller, shape.keys, shape.instances, touched(&shape, rounds));
        contest::prepare(at.http()?, &setup, &shape, &mut first, &mut progress)?;
        let (before, call) = operation.calls(namespace, load.size as usize);
        let plan = GrpcPlan { address, authority: at.authority(), namespace: namespace.to_owned(), before, call };
        contenders.push(Contender {
            name: name.to_owned(),
            address: at.authority(),
            pid,
            http: at.http()?,
            plan: Arc::new(plan),
            refresh,
            teardown: if load.keep { Vec::new() } else { teardown },
            _child: None,
            rounds: Vec::new(),
            before: None,
            after: None,
        });
    }
    if load.baseline {
        contest::prepare(contenders[0].http, &contenders[0].refresh.clone(), &shape, &mut first, &mut progress)?;
        let answer = record_grpc(&contenders[0].plan)?;
        let child = Baseline::start(Bare::Grpc, &[], &answer)?;
        let plan = GrpcPlan { address: child.address, ..contenders[0].plan.as_ref().clone() };
        contenders.push(bare(child, plan, Bare::Grpc));
    }
    contest::run(&mut contenders, &shape, rounds, &mut first, &mut progress)?;
    let name = format!("grpc {}", name_of(operation));
    Ok(report::contest(&name, settings(load, &shape, rounds, api), &contenders))
}

/// The payload of the target's own answer.
fn record_grpc(plan: &GrpcPlan) -> Result<Vec<u8>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wrong = runtime.block_on(async {
        let mut connection = Grpc::connect(plan.address, &plan.authority, &plan.namespace).await?;
        let subject = Subject { seq: 999_999_999_999, ..Subject::default() };
        for call in plan.before.iter().chain([&plan.call]) {
            if let Some(wrong) = connection.call(call, subject).await? {
                return Ok(Err(wrong));
            }
        }
        std::io::Result::Ok(Ok(connection.answer().to_vec()))
    })?;
    wrong.map_err(|wrong| Error::Failed(format!("the server answers with {wrong}")))
}

fn bare<L: crate::load::Link>(child: Baseline, plan: L::Plan, kind: Bare) -> Contender<L> {
    Contender {
        name: kind.name().to_owned(),
        address: child.address.to_string(),
        pid: Some(child.pid()),
        http: child.address,
        plan: Arc::new(plan),
        refresh: Vec::new(),
        teardown: Vec::new(),
        _child: Some(child),
        rounds: Vec::new(),
        before: None,
        after: None,
    }
}

/// Head and body of the target's own answer.
fn record(plan: &Plan) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let mut connection = Http::connect(plan.address).await?;
        if let Some(before) = &plan.before {
            connection.ask(&before.first()).await?;
        }
        connection.ask(&plan.call.first()).await
    });
    let (status, head, body) = answer?;
    if status != 200 || memchr::memmem::find(&body, plan.call.expect).is_none() {
        let text = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        return Err(Error::Failed(format!("the server answers with status {status}: {text}")));
    }
    Ok((head, body))
}
