//! Login while authentication is off.
//!
//! Clients with a user name and password in their settings log in before anything else and complain, or stop, when that
//! fails. With authentication off a token opens nothing that is not open, so every named user gets one, as 2.x gives its
//! users a token that says what it is. Users, passwords and tokens with a meaning come with authentication itself.

use serde_json::json;

use super::{
    Ctx,
    bind::v1_text,
    refuse::Refusal,
    reply::{Reply, Style},
    table::{Answer, Auth, Check, Generation, POST, Row},
};
use crate::{app::App, now};

const V1: (Generation, &str, Style) = (Generation::V1, "auth", Style::V1Console);
const V3: (Generation, &str, Style) = (Generation::V3Admin, "auth", Style::Api);

pub const ROWS: &[Row] = &[
    Row::new(POST, "/v1/auth/login", V1, Auth::None, now!(v1_login)).checked(Check::Off),
    Row::new(POST, "/v1/auth/users/login", V1, Auth::None, now!(v1_login)).checked(Check::Off),
    Row::new(POST, "/v3/auth/user/login", V3, Auth::None, now!(v3_login)).checked(Check::Off),
];

/// What 2.x and 3.x answer for a token while authentication is off and no secret is set.
const TOKEN: &str = "AUTH_DISABLED";

fn v1_login(app: &App, ctx: &Ctx) -> Answer {
    let (user, password) = (v1_text(&ctx.params, "username")?, v1_text(&ctx.params, "password")?);
    if user.trim().is_empty() || password.is_empty() {
        return Ok(Reply::text("user not found!").status(403));
    }
    Ok(token(app, user))
}

fn v3_login(app: &App, ctx: &Ctx) -> Answer {
    match (ctx.params.non_blank("username"), ctx.params.get("password").filter(|p| !p.is_empty())) {
        (Some(user), Some(_)) => Ok(token(app, user)),
        _ => Err(Refusal::container(403, "User not found! Please check user exist or password is right!")),
    }
}

/// Never wrapped in an envelope, not even in v3; the ttl is a number, or Go clients panic.
fn token(app: &App, user: &str) -> Reply {
    let ttl = app.props.duration("nacos.core.auth.plugin.nacos.token.expire.seconds").as_secs();
    Reply::json(&json!({ "accessToken": TOKEN, "tokenTtl": ttl, "globalAdmin": false, "username": user }))
        .header("authorization", &format!("Bearer {TOKEN}"))
}
