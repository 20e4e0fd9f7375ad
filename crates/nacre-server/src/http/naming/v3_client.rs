//! `/v3/client/ns/instance`: register and heartbeat, deregister, list.

use nacre_model::{DEFAULT_CLUSTER, ErrorCode};
use nacre_naming::{Beat, Query};
use serde_json::Value;

use super::{
    bodies, call,
    read::{InstanceForm, form_service},
};
use crate::{
    app::App,
    doctor::sighting,
    http::{
        Ctx,
        bind::{Declared, Form, Java},
        refuse::Refusal,
        reply::{Reply, Style},
        table::{Answer, Auth, Check, DELETE, GET, Generation, POST, Row, Step},
    },
    now, step,
};

const AREA: (Generation, &str, Style) = (Generation::V3Client, "naming", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v3/client/ns/instance", AREA, Auth::Write, step!(register)),
    Row::new(DELETE, "/v3/client/ns/instance", AREA, Auth::Write, step!(deregister)),
    Row::new(GET, "/v3/client/ns/instance/list", AREA, Auth::Read, now!(list)).checked(Check::List),
];

fn register(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let default = app.naming.switches().default_instance_ephemeral;
    let heart_beat = Declared { params: &ctx.params, generation: Generation::V3Client }
        .truth("heartBeat", Java::PrimitiveBoolean)?
        .unwrap_or(false);
    let form = InstanceForm::read(ctx, Generation::V3Client, default)?;
    // A heartbeat registers nothing: what it says besides the address is not looked at.
    if !heart_beat {
        form.check()?;
        return call::register(app, ctx, form.service, form.instance, Reply::result("ok"));
    }
    let instance = &form.instance;
    let beat = Beat {
        service: &form.service,
        ip: &instance.ip,
        port: instance.port,
        cluster: &instance.cluster,
        info: None,
        sender: &ctx.client_ip(),
    };
    let (answer, effects) = app.naming.beat(&beat, ctx.now)?;
    app.effects.naming(effects);
    if answer.found() {
        return Ok(Step::Done(Reply::result("ok")));
    }
    // Not an error of HTTP: the client registers again.
    Ok(Step::Done(Reply::result_code(ErrorCode::INSTANCE_NOT_FOUND, Value::Null)))
}

fn deregister(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let default = app.naming.switches().default_instance_ephemeral;
    let form = InstanceForm::read(ctx, Generation::V3Client, default)?;
    call::deregister(app, form.service, &form.instance, Reply::result("ok"))
}

fn list(app: &App, ctx: &Ctx) -> Answer {
    let form = Form { params: &ctx.params, generation: Generation::V3Client, name: "instanceListForm" };
    // Read for its errors only, as in 3.1: unhealthy instances are listed whatever it says.
    form.truth("healthyOnly", Java::Boolean)?;
    let service = form_service(&form)?;
    let clusters = form.text("clusterName", DEFAULT_CLUSTER);
    let query = Query { clusters, healthy_only: false, consumer_ip: "" };
    let view = app.naming.list(&service, &query, ctx.now);
    if view.hosts.is_empty() {
        sighting::no_instances(app, ctx, &service, clusters);
    }
    let grouped = service.grouped();
    Ok(Reply::result(bodies::Instances { hosts: &view.hosts, grouped: &grouped }))
}
