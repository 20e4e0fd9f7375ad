//! The endpoint table: one [`Row`] per HTTP endpoint, declared beside its handlers and gathered here. Routing, the
//! parameter check, metric labels, the docs' endpoint list and the coverage test are all made from these rows.

use std::{future::Future, pin::Pin, sync::Arc};

use http::Method;
use nacre_naming::NamingCommand;

use super::{
    Ctx,
    refuse::Refusal,
    reply::{Reply, Style},
};
use crate::app::App;

/// Which API an endpoint belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    V1,
    V2,
    V3Client,
    V3Admin,
    V3Console,
    /// Actuator, Prometheus discovery and the like.
    Other,
}

impl Generation {
    /// One of 3.x.
    pub fn is_third(self) -> bool {
        matches!(self, Self::V3Client | Self::V3Admin | Self::V3Console)
    }
}

/// What a caller needs; enforced once authentication lands, shown in the docs already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    None,
    /// Read on the request's own resource.
    Read,
    Write,
    Admin,
    /// A cluster member's identity.
    Identity,
}

/// How the parameter check of Nacos 2.3+ reads this endpoint's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// All parameters by their accepted names.
    Params,
    /// Naming, instance lists: service and `clusters`, nothing else.
    List,
    /// Naming, metadata batch: service, metadata and the `instances` JSON.
    Batch,
    /// Config, the read of 1.x that can be a search: as [`Check::Params`], or as [`Check::Search`].
    Config,
    /// Config, searches: `tenant`, `dataId` and `group` by these names only, and nothing when they say `search=blur`.
    Search,
    /// Console: id and name of a namespace.
    Console,
    /// Naming, heartbeats: service, ip, port and the `beat` JSON.
    Beat,
    /// Not checked (searches with wildcards, probes).
    Off,
}

/// A handler's answer or refusal.
pub type Answer = Result<Reply, Refusal>;
/// What an asynchronous handler returns.
pub type Pending = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What came of a call that needs the write road for some of its requests only.
pub enum Step {
    Done(Reply),
    /// To be written durably; then the answer is given.
    Write(Box<NamingCommand>, Reply),
}

impl Step {
    pub async fn finish(self, app: &App) -> Answer {
        match self {
            Self::Done(reply) => Ok(reply),
            Self::Write(command, reply) => {
                // Boxed: no other request's future grows by it.
                Box::pin(app.write_naming(*command)).await?;
                Ok(reply)
            }
        }
    }
}

/// Handlers that only read memory answer at once; those that write durably or wait are futures. Between them are those
/// of ephemeral and of persistent instances: what is ephemeral is done at once, and pays for no future. So do those that
/// answer nearly all they are asked at once, and the rest by a future that can do it all.
#[derive(Clone, Copy)]
pub enum Handler {
    Now(fn(&App, &Ctx) -> Answer),
    Step(fn(&App, &Ctx) -> Result<Step, Refusal>),
    Soon(fn(&App, &Ctx) -> Option<Answer>, fn(Arc<App>, Ctx) -> Pending),
    Later(fn(Arc<App>, Ctx) -> Pending),
}

/// One endpoint.
#[derive(Clone, Copy)]
pub struct Row {
    /// Methods it answers; `GET` answers `HEAD` as well.
    pub methods: &'static [Method],
    /// Below the context path, `{name}` for a path variable.
    pub path: &'static str,
    pub generation: Generation,
    /// `config`, `naming`, `core`, `console`, `auth`, `actuator`, `diagnosis`.
    pub module: &'static str,
    pub auth: Auth,
    pub style: Style,
    pub check: Check,
    pub handler: Handler,
}

pub const GET: &[Method] = &[Method::GET];
pub const POST: &[Method] = &[Method::POST];
pub const PUT: &[Method] = &[Method::PUT];
pub const DELETE: &[Method] = &[Method::DELETE];
pub const PATCH: &[Method] = &[Method::PATCH];
pub const ANY: &[Method] = &[Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];

impl Row {
    /// A row with the common settings of an area: parameters checked.
    pub const fn new(
        methods: &'static [Method],
        path: &'static str,
        area: (Generation, &'static str, Style),
        auth: Auth,
        handler: Handler,
    ) -> Self {
        Self { methods, path, generation: area.0, module: area.1, style: area.2, auth, check: Check::Params, handler }
    }

    pub const fn checked(mut self, check: Check) -> Self {
        self.check = check;
        self
    }
}

/// Every endpoint of the server.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    super::AREAS.iter().flat_map(|area| area.iter())
}

/// Wraps an `async fn(Arc<App>, Ctx) -> Answer` as a [`Handler::Later`].
#[macro_export]
macro_rules! later {
    ($handler:path) => {
        $crate::http::table::Handler::Later(|app, ctx| Box::pin($handler(app, ctx)))
    };
}
/// Wraps a `fn(&App, &Ctx) -> Option<Answer>` and an `async fn(Arc<App>, Ctx) -> Answer` as a [`Handler::Soon`].
#[macro_export]
macro_rules! soon {
    ($handler:path, $later:path) => {
        $crate::http::table::Handler::Soon($handler, |app, ctx| Box::pin($later(app, ctx)))
    };
}
/// Wraps a `fn(&App, &Ctx) -> Answer` as a [`Handler::Now`].
#[macro_export]
macro_rules! now {
    ($handler:path) => {
        $crate::http::table::Handler::Now($handler)
    };
}
/// Wraps a `fn(&App, &Ctx) -> Result<Step, Refusal>` as a [`Handler::Step`].
#[macro_export]
macro_rules! step {
    ($handler:path) => {
        $crate::http::table::Handler::Step($handler)
    };
}
