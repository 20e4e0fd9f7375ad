//! The HTTP face of configuration: v1, v2, v3 client, v3 admin and v3 console.
//!
//! `write` is how every generation publishes and removes, `read` how it shows what it found, `poll` the long polling of
//! 1.x. The other files hold the handlers of one generation or one matter.

mod poll;
mod read;
mod v1;
mod v2;
mod v3;
mod write;

use http::Method;
use nacre_config::Asker;

use super::{
    Ctx,
    reply::{JSON_UTF8, Reply, Style},
    table::{Auth, Check, GET, Generation, POST, Row},
};
use crate::{later, now};

const V1: (Generation, &str, Style) = (Generation::V1, "config", Style::V1Config);
const V2: (Generation, &str, Style) = (Generation::V2, "config", Style::Api);
const CLIENT: (Generation, &str, Style) = (Generation::V3Client, "config", Style::V1Config);
const ADMIN: (Generation, &str, Style) = (Generation::V3Admin, "config", Style::Api);

const DELETE: &[Method] = &[Method::DELETE];

/// The order of the rows of a path is the order of its `Allow` header.
pub const ROWS: &[Row] = &[
    Row::new(GET, "/v1/cs/configs", V1, Auth::Read, later!(v1::get)).checked(Check::Config),
    Row::new(DELETE, "/v1/cs/configs", V1, Auth::Write, later!(v1::delete)),
    Row::new(POST, "/v1/cs/configs", V1, Auth::Write, later!(v1::post)),
    Row::new(POST, "/v1/cs/configs/listener", V1, Auth::Read, later!(poll::poll)),
    Row::new(GET, "/v2/cs/config", V2, Auth::Read, now!(v2::get)),
    Row::new(POST, "/v2/cs/config", V2, Auth::Write, later!(v2::publish)),
    Row::new(DELETE, "/v2/cs/config", V2, Auth::Write, later!(v2::delete)),
    Row::new(GET, "/v3/client/cs/config", CLIENT, Auth::Read, now!(v3::client_read)),
    Row::new(DELETE, "/v3/admin/cs/config", ADMIN, Auth::Write, later!(v3::delete)),
    Row::new(POST, "/v3/admin/cs/config", ADMIN, Auth::Write, later!(v3::publish)),
    Row::new(GET, "/v3/admin/cs/config", ADMIN, Auth::Read, now!(v3::detail)),
    Row::new(DELETE, "/v3/admin/cs/config/beta", ADMIN, Auth::Write, later!(v3::stop_beta)),
    Row::new(GET, "/v3/admin/cs/config/beta", ADMIN, Auth::Read, now!(v3::beta)),
];

/// Name of the header that selects a tag version.
const TAG_HEADER: &str = "vipserver-tag";

/// The asker of a read: the address decides over beta versions, the tag over tag versions.
fn asker<'a>(ctx: &'a Ctx, ip: &'a str, tag: Option<&'a str>) -> Asker<'a> {
    Asker { ip, tag, auto_tag: ctx.header(TAG_HEADER), labels: None }
}

/// JSON below `/v1/cs`, where the reference presets the charset.
fn preset_json(value: &impl serde::Serialize) -> Reply {
    Reply::json(value).typed(JSON_UTF8)
}
