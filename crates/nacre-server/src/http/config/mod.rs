//! The HTTP face of configuration: v1, v2, v3 client, v3 admin and v3 console.
//!
//! `write` is how every generation publishes and removes, `read` how it shows what it found, `poll` the long polling of
//! 1.x. The other files hold the handlers of one generation or one matter.

mod capacity;
mod clients;
mod history;
mod listeners;
pub mod metadata;
mod ops;
mod poll;
mod read;
mod search;
mod transfer;
mod v1;
mod v2;
mod v3;
mod write;
pub mod zip;

use http::{HeaderName, Method};
use nacre_config::Asker;

use super::{
    Ctx,
    reply::{JSON_UTF8, Reply, Style},
    table::{Auth, Check, GET, Generation, POST, PUT, Row},
};
use crate::{later, now, soon};

const V1: (Generation, &str, Style) = (Generation::V1, "config", Style::V1Config);
const V2: (Generation, &str, Style) = (Generation::V2, "config", Style::Api);
const CLIENT: (Generation, &str, Style) = (Generation::V3Client, "config", Style::V1Config);
const ADMIN: (Generation, &str, Style) = (Generation::V3Admin, "config", Style::Api);

const CONSOLE: (Generation, &str, Style) = (Generation::V3Console, "config", Style::Api);

const DELETE: &[Method] = &[Method::DELETE];

/// The order of the rows of a path is the order of its `Allow` header.
pub const ROWS: &[Row] = &[
    Row::new(GET, "/v1/cs/configs", V1, Auth::Read, soon!(v1::get_at_once, v1::get)).checked(Check::Config),
    Row::new(DELETE, "/v1/cs/configs", V1, Auth::Write, later!(v1::delete)),
    Row::new(POST, "/v1/cs/configs", V1, Auth::Write, later!(v1::post)),
    Row::new(GET, "/v1/cs/configs/listener", V1, Auth::Read, now!(listeners::v1_of_config)),
    Row::new(POST, "/v1/cs/configs/listener", V1, Auth::Read, later!(poll::poll)),
    Row::new(GET, "/v1/cs/configs/catalog", V1, Auth::Read, now!(search::catalog)),
    Row::new(GET, "/v1/cs/listener", V1, Auth::Read, now!(listeners::v1_of_address)),
    Row::new(GET, "/v1/cs/communication/configWatchers", V1, Auth::Identity, now!(listeners::v1_config_watchers)),
    Row::new(GET, "/v1/cs/communication/watcherConfigs", V1, Auth::Identity, now!(listeners::v1_watcher_configs)),
    Row::new(GET, "/v1/cs/history", V1, Auth::Read, later!(history::v1_history)),
    Row::new(GET, "/v1/cs/history/previous", V1, Auth::Read, later!(history::v1_previous)),
    Row::new(GET, "/v1/cs/history/configs", V1, Auth::Read, later!(history::v1_configs)),
    Row::new(GET, "/v1/cs/capacity", V1, Auth::Read, later!(capacity::v1_get)),
    Row::new(POST, "/v1/cs/capacity", V1, Auth::Write, later!(capacity::v1_set)),
    Row::new(GET, "/v1/cs/metrics/current", V1, Auth::Admin, later!(clients::v1)),
    Row::new(GET, "/v1/cs/metrics/cluster", V1, Auth::Admin, later!(clients::v1)),
    Row::new(GET, "/v3/admin/cs/metrics/ip", ADMIN, Auth::Admin, later!(clients::v3)),
    Row::new(GET, "/v3/admin/cs/metrics/cluster", ADMIN, Auth::Admin, later!(clients::v3_cluster)),
    Row::new(GET, "/v1/cs/health", V1, Auth::None, now!(ops::v1_health)).checked(Check::Off),
    Row::new(POST, "/v1/cs/ops/localCache", V1, Auth::Admin, later!(ops::v1_local_cache)),
    Row::new(GET, "/v1/cs/ops/derby", V1, Auth::Admin, now!(ops::v1_derby)),
    Row::new(POST, "/v1/cs/ops/data/removal", V1, Auth::Admin, now!(ops::v1_derby_import)),
    Row::new(POST, "/v3/admin/cs/ops/localCache", ADMIN, Auth::Admin, later!(ops::v3_local_cache)),
    Row::new(GET, "/v3/admin/cs/ops/derby", ADMIN, Auth::Admin, now!(ops::v3_derby)),
    Row::new(POST, "/v3/admin/cs/ops/derby/import", ADMIN, Auth::Admin, now!(ops::v3_derby_import)),
    Row::new(GET, "/v2/cs/config", V2, Auth::Read, now!(v2::get)),
    Row::new(POST, "/v2/cs/config", V2, Auth::Write, later!(v2::publish)),
    Row::new(DELETE, "/v2/cs/config", V2, Auth::Write, later!(v2::delete)),
    Row::new(GET, "/v2/cs/config/searchDetail", V2, Auth::Read, later!(search::v2_search)).checked(Check::Search),
    Row::new(GET, "/v2/cs/history/list", V2, Auth::Read, later!(history::v2_list)),
    Row::new(GET, "/v2/cs/history", V2, Auth::Read, later!(history::v2_one)),
    Row::new(GET, "/v2/cs/history/detail", V2, Auth::Read, later!(history::v2_detail)),
    Row::new(GET, "/v2/cs/history/previous", V2, Auth::Read, later!(history::v2_previous)),
    Row::new(GET, "/v2/cs/history/configs", V2, Auth::Read, later!(history::v2_configs)),
    Row::new(GET, "/v3/client/cs/config", CLIENT, Auth::Read, now!(v3::client_read)),
    Row::new(DELETE, "/v3/admin/cs/config", ADMIN, Auth::Write, later!(v3::delete)),
    Row::new(POST, "/v3/admin/cs/config", ADMIN, Auth::Write, later!(v3::publish)),
    Row::new(GET, "/v3/admin/cs/config", ADMIN, Auth::Read, now!(v3::detail)),
    Row::new(PUT, "/v3/admin/cs/config/metadata", ADMIN, Auth::Write, later!(v3::update_metadata)),
    Row::new(DELETE, "/v3/admin/cs/config/beta", ADMIN, Auth::Write, later!(v3::stop_beta)),
    Row::new(GET, "/v3/admin/cs/config/beta", ADMIN, Auth::Read, now!(v3::beta)),
    Row::new(DELETE, "/v3/admin/cs/config/batch", ADMIN, Auth::Write, later!(ops::v3_remove_ids)),
    Row::new(GET, "/v3/admin/cs/config/list", ADMIN, Auth::Read, later!(search::admin_list)).checked(Check::Search),
    Row::new(GET, "/v3/admin/cs/config/listener", ADMIN, Auth::Read, now!(listeners::v3_of_config)),
    Row::new(GET, "/v3/admin/cs/listener", ADMIN, Auth::Read, now!(listeners::v3_of_address)),
    Row::new(GET, "/v3/admin/cs/config/export", ADMIN, Auth::Read, later!(transfer::v3_export)),
    Row::new(POST, "/v3/admin/cs/config/import", ADMIN, Auth::Write, later!(transfer::admin_import)),
    Row::new(POST, "/v3/admin/cs/config/clone", ADMIN, Auth::Write, later!(transfer::admin_clone)),
    Row::new(GET, "/v3/admin/cs/history/list", ADMIN, Auth::Read, later!(history::v3_list)),
    Row::new(GET, "/v3/admin/cs/history", ADMIN, Auth::Read, later!(history::v3_one)),
    Row::new(GET, "/v3/admin/cs/history/previous", ADMIN, Auth::Read, later!(history::v3_previous)),
    Row::new(GET, "/v3/admin/cs/history/configs", ADMIN, Auth::Read, later!(history::v3_configs)),
    Row::new(POST, "/v3/admin/cs/capacity", ADMIN, Auth::Write, later!(capacity::v3_set)),
    Row::new(GET, "/v3/admin/cs/capacity", ADMIN, Auth::Read, later!(capacity::v3_get)),
    Row::new(GET, "/v3/console/cs/config", CONSOLE, Auth::Read, now!(v3::console_detail)),
    Row::new(POST, "/v3/console/cs/config", CONSOLE, Auth::Write, later!(v3::publish)),
    Row::new(DELETE, "/v3/console/cs/config", CONSOLE, Auth::Write, later!(v3::delete)),
    Row::new(DELETE, "/v3/console/cs/config/batchDelete", CONSOLE, Auth::Write, later!(ops::v3_remove_ids)),
    Row::new(GET, "/v3/console/cs/config/list", CONSOLE, Auth::Read, later!(search::console_list))
        .checked(Check::Search),
    Row::new(GET, "/v3/console/cs/config/searchDetail", CONSOLE, Auth::Read, later!(search::console_search))
        .checked(Check::Search),
    Row::new(GET, "/v3/console/cs/config/listener", CONSOLE, Auth::Read, now!(listeners::v3_of_config)),
    Row::new(GET, "/v3/console/cs/config/listener/ip", CONSOLE, Auth::Read, now!(listeners::v3_of_address)),
    Row::new(GET, "/v3/console/cs/config/beta", CONSOLE, Auth::Read, now!(v3::console_beta)),
    Row::new(DELETE, "/v3/console/cs/config/beta", CONSOLE, Auth::Write, later!(v3::console_stop_beta)),
    Row::new(GET, "/v3/console/cs/config/export2", CONSOLE, Auth::Read, later!(transfer::v3_export)),
    Row::new(POST, "/v3/console/cs/config/import", CONSOLE, Auth::Write, later!(transfer::console_import)),
    Row::new(POST, "/v3/console/cs/config/clone", CONSOLE, Auth::Write, later!(transfer::console_clone)),
    Row::new(GET, "/v3/console/cs/history/list", CONSOLE, Auth::Read, later!(history::v3_list)),
    Row::new(GET, "/v3/console/cs/history", CONSOLE, Auth::Read, later!(history::v3_one)),
    Row::new(GET, "/v3/console/cs/history/previous", CONSOLE, Auth::Read, later!(history::v3_previous)),
    Row::new(GET, "/v3/console/cs/history/configs", CONSOLE, Auth::Read, later!(history::v3_configs)),
];

/// Name of the header that selects a tag version.
static TAG_HEADER: HeaderName = HeaderName::from_static("vipserver-tag");

/// The asker of a read: the address decides over beta versions, the tag over tag versions.
fn asker<'a>(ctx: &'a Ctx, ip: &'a str, tag: Option<&'a str>) -> Asker<'a> {
    Asker { ip, tag, auto_tag: ctx.header(&TAG_HEADER), labels: None }
}

/// JSON below `/v1/cs`, where the reference presets the charset.
fn preset_json(value: &impl serde::Serialize) -> Reply {
    Reply::json(value).typed(JSON_UTF8)
}
