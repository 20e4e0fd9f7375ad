//! Refused writes are events: an instance that its owner believes registered and is not has a reason on record.

use nacre_model::{Cause, ConfigKey, DEFAULT_GROUP, Event, PUBLIC, ServiceKey, Subject, check};

use crate::{
    app::App,
    http::{
        Ctx,
        refuse::Refusal,
        table::{Answer, Auth, Row},
    },
};

/// Longest reason that is kept.
const REASON: usize = 300;

/// Calls whose refusal somebody will ask about.
pub fn is_watched(row: &Row) -> bool {
    matches!(row.module, "naming" | "config") && row.auth == Auth::Write
}

pub fn is_refusal(answer: &Answer) -> bool {
    answer.as_ref().map_or(true, |reply| reply.status >= 400)
}

/// Whom a call is about, by its parameters, whether they make sense or not.
pub fn about(ctx: &Ctx) -> Subject {
    let params = &ctx.params;
    let mut subject = Subject::client(&ctx.client_ip());
    if let Some(data_id) = params.non_blank("dataId") {
        let group = params.non_blank("group").unwrap_or_else(|| params.or("groupName", DEFAULT_GROUP));
        let namespace = params.non_blank("tenant").unwrap_or_else(|| params.or("namespaceId", PUBLIC));
        subject.config = Some(ConfigKey::new(&short(namespace), &short(group), &short(data_id)));
    }
    if let Some(name) = params.non_blank("serviceName") {
        let (group, name) = match name.split_once("@@") {
            Some(parts) => parts,
            None => (params.or("groupName", DEFAULT_GROUP), name),
        };
        subject.service = Some(ServiceKey::new(params.or("namespaceId", PUBLIC), &short(group), &short(name)));
    }
    if let (Some(ip), Some(port)) = (params.non_blank("ip"), params.non_blank("port")) {
        let cluster = params.or("clusterName", nacre_model::DEFAULT_CLUSTER);
        subject = subject.with_instance(&short(&format!("{ip}:{port}:{cluster}")));
    }
    subject
}

/// The same, with the size of the metadata, of which nothing is left when the call has been answered.
pub fn measured(ctx: &Ctx) -> (Subject, usize) {
    (about(ctx), ctx.parsed.metadata.as_deref().map_or(0, check::metadata_size))
}

/// Records a refusal; an answer that is none leaves no trace.
pub fn note(app: &App, row: &Row, (about, metadata): (Subject, usize), answer: &Answer) {
    let (code, mut reason) = match answer {
        Ok(reply) if reply.status < 400 => return,
        Ok(reply) => (i32::from(reply.status), String::from_utf8_lossy(&reply.body).trim_end().to_owned()),
        Err(Refusal::Nacos(error)) => (error.status, error.message.clone()),
        Err(Refusal::Exception { message, .. }) => (500, message.clone()),
        Err(Refusal::Container { status, message }) => (i32::from(*status), message.clone()),
    };
    if reason.contains(check::METADATA) {
        reason.push_str(&format!(" It has {metadata}."));
    }
    let method = row.methods.first().map_or("", |method| method.as_str());
    let cause = Cause::Refused { call: format!("{method} {}", row.path), code, reason: short(&reason) };
    app.effects.event(Event::new(app.clock.now(), about, cause));
}

fn short(text: &str) -> String {
    text.chars().take(REASON).collect()
}
