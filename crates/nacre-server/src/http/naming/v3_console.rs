//! `/v3/console/ns`: what the console of 3.x asks. Most of it is the admin API by another path.

use std::{ops::Range, sync::Arc};

use http::Method;
use nacre_model::{DEFAULT_CLUSTER, ErrorCode, NacosError, ServiceKey};
use nacre_wire::naming::InstanceJson;
use serde_json::json;

use super::{
    bodies, call,
    read::{InstanceForm, form_service, service_text},
    v2_service::ServiceForm,
    v3_admin::{
        bound_service, cluster, create_service, instances_of_cluster, remove_service, selector_types,
        service_subscribers, services,
    },
};
use crate::{
    app::App,
    http::{
        Ctx,
        bind::{Form, Java},
        refuse::Refusal,
        reply::{Reply, Style},
        table::{Answer, Auth, Check, DELETE, GET, Generation, POST, PUT, Row, Step},
    },
    later, now, step,
};

const AREA: (Generation, &str, Style) = (Generation::V3Console, "naming", Style::Api);
const G: Generation = Generation::V3Console;
const OTHERS: &[Method] = &[Method::POST, Method::PUT, Method::DELETE, Method::PATCH];

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v3/console/ns/service", AREA, Auth::Write, later!(create_service)),
    Row::new(DELETE, "/v3/console/ns/service", AREA, Auth::Write, later!(remove_service)),
    Row::new(PUT, "/v3/console/ns/service", AREA, Auth::Write, later!(change)),
    Row::new(GET, "/v3/console/ns/service", AREA, Auth::Read, now!(service)),
    Row::new(GET, "/v3/console/ns/service/list", AREA, Auth::Read, now!(services)),
    Row::new(GET, "/v3/console/ns/service/subscribers", AREA, Auth::Read, now!(service_subscribers)),
    Row::new(GET, "/v3/console/ns/service/selector/types", AREA, Auth::Read, now!(selector_types)),
    Row::new(PUT, "/v3/console/ns/service/cluster", AREA, Auth::Write, later!(cluster)),
    Row::new(GET, "/v3/console/ns/instance/list", AREA, Auth::Read, now!(list)),
    // The reference takes every method here, and checks the parameters of one.
    Row::new(OTHERS, "/v3/console/ns/instance/list", AREA, Auth::Read, now!(list)).checked(Check::Off),
    Row::new(PUT, "/v3/console/ns/instance", AREA, Auth::Write, later!(update)),
    Row::new(DELETE, "/v3/console/ns/instance", AREA, Auth::Write, step!(deregister)),
];

fn not_found(service: &ServiceKey) -> NacosError {
    NacosError::new(404, ErrorCode::SERVER_ERROR, format!("service {} is not found!", service.grouped()))
}

async fn change(app: Arc<App>, ctx: Ctx) -> Answer {
    let form = ServiceForm::read(&ctx, G)?;
    if !app.naming.service_exists(&form.service) {
        let text = format!("service {} is not exist.", service_text(&form.service, true));
        return Err(NacosError::new(404, ErrorCode::SERVICE_NOT_EXIST, text).into());
    }
    form.change(&app).await?;
    Ok(Reply::result("ok"))
}

fn service(app: &App, ctx: &Ctx) -> Answer {
    let service = bound_service(ctx)?;
    let detail = app.naming.service(&service).map_err(|_| not_found(&service))?;
    Ok(Reply::result(bodies::service_form(&detail, G)))
}

/// All of a cluster, page by page; `healthyOnly` is read and means nothing.
fn list(app: &App, ctx: &Ctx) -> Answer {
    let form = Form { params: &ctx.params, generation: G, name: "instanceListForm" };
    let paging = Form { name: "pageForm", ..form };
    form.truth("healthyOnly", Java::Boolean)?;
    let number = paging.number::<i32>("pageNo", Java::Int)?.unwrap_or(1);
    let size = paging.number::<i32>("pageSize", Java::Int)?.unwrap_or(100);
    let service = form_service(&form)?;
    let hosts = instances_of_cluster(app, &service, form.text("clusterName", DEFAULT_CLUSTER))?;
    let (page, pages) = cut(number.into(), size.into(), hosts.len())?;
    let grouped = service.grouped();
    let rows: Vec<_> = hosts[page].iter().map(|instance| json!(InstanceJson { instance, grouped: &grouped })).collect();
    Ok(Reply::result(json!({
        "totalCount": hosts.len(), "pageNumber": number, "pagesAvailable": pages, "pageItems": rows,
    })))
}

/// Where a page lies that nobody looked at, and how many there are: as the reference counts, and fails.
fn cut(number: i64, size: i64, total: usize) -> Result<(Range<usize>, i64), Refusal> {
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    if size == 0 {
        return Err(Refusal::exception("/ by zero"));
    }
    let start = (number - 1).saturating_mul(size).max(0);
    let end = start.saturating_add(size).min(total);
    let start = start.min(total);
    let page = match (usize::try_from(start), usize::try_from(end)) {
        (Ok(from), _) if start == total => from..from,
        (Ok(from), Ok(to)) if from <= to => from..to,
        _ => return Err(NacosError::invalid(format!("fromIndex({start}) > toIndex({end})")).into()),
    };
    Ok((page, total / size + 1))
}

async fn update(app: Arc<App>, ctx: Ctx) -> Answer {
    let form = InstanceForm::read(&ctx, G, false)?;
    form.check()?;
    call::update(&app, form.service, form.instance).await?;
    Ok(Reply::result("ok"))
}

/// The kind of the instance is looked up when the console does not tell: one click removes it (case C014).
fn deregister(app: &App, ctx: &Ctx) -> Result<Step, Refusal> {
    let told = ctx.params.non_blank("ephemeral").is_some();
    let mut form = InstanceForm::read(ctx, G, false)?;
    let instance = &form.instance;
    if !told && let Ok(held) = app.naming.instance(&form.service, &instance.ip, instance.port, &instance.cluster) {
        form.instance.ephemeral = held.ephemeral;
    }
    call::deregister(app, form.service, &form.instance, Reply::result("ok"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn pages_are_cut_and_counted_as_the_reference_does_it() {
        let cut = |number, size| super::cut(number, size, 2).map_err(|refusal| format!("{refusal:?}"));
        assert_eq!(cut(1, 1), Ok((0..1, 3)));
        assert_eq!(cut(1, 2), Ok((0..2, 2)));
        assert_eq!(cut(1, 100), Ok((0..2, 1)));
        assert_eq!(cut(3, 1), Ok((2..2, 3)));
        assert_eq!(cut(-2, 1), Ok((0..1, 3)));
        assert!(cut(1, 0).is_err_and(|text| text.contains("/ by zero")));
        assert!(cut(1, -1).is_err_and(|text| text.contains("fromIndex(0) > toIndex(-1)")));
    }
}
