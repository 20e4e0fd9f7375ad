//! Figures that nobody else keeps: calls, times and failures, counted where they happen. Everything else is read live
//! from its owner when Prometheus asks (`text`). Nobody keeps second books.

pub mod cgroup;
mod changes;
mod jvm;
mod latency;
pub mod process;
mod slow;
mod text;
mod timer;

use std::{
    hash::{BuildHasher, Hash},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use http::Method;
use nacre_journal::Witness;
use nacre_model::{Cause, ErrorCode, NacosError};
use nacre_naming::HealthChecker;

pub use latency::Latency;
pub use slow::{LONG_NANOS, Slow};
pub use text::{CONTENT_TYPE, exposition};
pub use timer::Timer;

use crate::{http::table::Row, quick::Quick};

/// Everything counted. Shared behind the application; every call is a few atomic additions.
#[derive(Default)]
pub struct Metrics {
    pub config: ConfigFigures,
    pub push: PushFigures,
    pub health: HealthFigures,
    pub exceptions: Exceptions,
    pub calls: Calls,
    pub slow: Slow,
    /// How often a limit was hit, by its name; there are as many as limits.
    limits: papaya::HashMap<String, AtomicU64>,
    usage: process::Usage,
    /// Start of the process by the wall clock, seconds.
    started: OnceLock<f64>,
    http: papaya::HashMap<HttpKey, Timer, Quick>,
    grpc: papaya::HashMap<GrpcKey, Timer, Quick>,
}

/// `nacos_monitor{module="config"}` and the timers of config calls.
#[derive(Default)]
pub struct ConfigFigures {
    /// Reads; listening counts, too, as in the reference.
    pub read: Daily,
    pub published: Daily,
    pub fuzzy_search: Daily,
    pub read_time: Timer,
    pub write_time: Timer,
    /// From the change to the acknowledgement of a gRPC listener.
    pub heard: Latency,
}

/// `nacos_monitor{module="naming"}` of pushes: gRPC and UDP alike.
#[derive(Default)]
pub struct PushFigures {
    pub total: Daily,
    pub failed: Daily,
    /// Pushes of services without instances.
    pub empty: Daily,
    /// From the change to the acknowledgement.
    pub cost: Timer,
    latency: Latency,
}

impl PushFigures {
    /// A subscriber has the change, this long after it.
    pub fn acknowledged(&self, took_ms: u64, mono_ms: u64) {
        self.cost.record(took_ms.saturating_mul(1_000_000), mono_ms);
        self.latency.0.record(took_ms);
    }
}

/// Unary gRPC calls that began and ended.
#[derive(Default)]
pub struct Calls {
    began: AtomicU64,
    ended: AtomicU64,
}

impl Calls {
    /// The call is under way until the answer is dropped: also when its client gives up.
    pub fn begin(&self) -> UnderWay<'_> {
        self.began.fetch_add(1, Ordering::Relaxed);
        UnderWay(&self.ended)
    }
}

pub struct UnderWay<'a>(&'a AtomicU64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// `nacos_monitor{module="naming"}` of active checks: probes since the start.
#[derive(Default)]
pub struct HealthFigures {
    pub tcp: AtomicU64,
    pub http: AtomicU64,
    pub mysql: AtomicU64,
}

impl HealthFigures {
    pub fn count(&self, checker: &HealthChecker) {
        let counter = match checker {
            HealthChecker::Http { .. } => &self.http,
            HealthChecker::Mysql { .. } => &self.mysql,
            HealthChecker::Tcp | HealthChecker::None => &self.tcp,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// `nacos_exception_total{module="config"}`.
#[derive(Default)]
pub struct Exceptions {
    illegal_argument: AtomicU64,
    nacos: AtomicU64,
    db: AtomicU64,
}

impl Exceptions {
    pub fn note(&self, error: &NacosError) {
        let counter = if error.code == ErrorCode::DATA_ACCESS_ERROR || error.status == 503 {
            &self.db
        } else if error.code == ErrorCode::PARAMETER_VALIDATE_ERROR {
            &self.illegal_argument
        } else {
            &self.nacos
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// One endpoint and outcome. The row's address is its identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct HttpKey {
    /// `None`: answered before any row was found.
    path: Option<&'static str>,
    method: MethodName,
    status: u16,
}

/// Methods by name; what is no known method is one.
pub type MethodName = &'static str;

pub fn method_name(method: &Method) -> MethodName {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
    KNOWN.iter().find(|name| **name == method.as_str()).copied().unwrap_or("UNKNOWN")
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct GrpcKey {
    request: &'static str,
    module: &'static str,
    error_code: i32,
}

impl Metrics {
    /// A witness of the journal that counts what nobody else does, and shows every event to `next`.
    pub fn witness(self: &Arc<Self>, next: Witness) -> Witness {
        let metrics = Arc::clone(self);
        Box::new(move |event| {
            if let Cause::LimitHit { limit, .. } = &*event.cause {
                of(&metrics.limits.pin(), limit.clone()).fetch_add(1, Ordering::Relaxed);
            }
            next(event);
        })
    }

    /// Both families of calls are there from the first scrape on, so that sums over them are never empty.
    fn begin_families(&self) {
        let scrape = HttpKey { path: Some("/actuator/prometheus"), method: "GET", status: 200 };
        of(&self.http.pin(), scrape);
        let check = GrpcKey { request: "ServerCheckRequest", module: "internal", error_code: 0 };
        of(&self.grpc.pin(), check);
    }

    /// One HTTP request was answered.
    pub fn http(&self, row: Option<&'static Row>, method: &Method, status: u16, nanos: u64, mono_ms: u64) {
        let key = HttpKey { path: row.map(|row| row.path), method: method_name(method), status };
        of(&self.http.pin(), key).record(nanos, mono_ms);
    }

    /// One unary gRPC request was answered. `request` is the payload's type (`unknown` for what is none), `error_code`
    /// 0 for success.
    pub fn grpc(&self, request: &'static str, module: &'static str, error_code: i32, nanos: u64, mono_ms: u64) {
        let key = GrpcKey { request, module, error_code };
        of(&self.grpc.pin(), key).record(nanos, mono_ms);
    }
}

/// The counter of a key, made if there is none. Not `get_or_insert_with`: with it a table that grows is not copied on, and
/// look-ups walk through every table there ever was (papaya 0.2.5).
fn of<'p, K: Hash + Eq, V: Default, S: BuildHasher, G: papaya::Guard>(
    map: &'p papaya::HashMapRef<'_, K, V, S, G>,
    key: K,
) -> &'p V {
    match map.get(&key) {
        Some(found) => found,
        None => map.try_insert(key, V::default()).unwrap_or_else(|taken| taken.current),
    }
}

/// A count that begins anew each day (UTC), as the reference's gauges do at midnight.
#[derive(Default)]
pub struct Daily {
    day: AtomicI64,
    count: AtomicU64,
}

impl Daily {
    /// `wall` is now in milliseconds.
    pub fn add(&self, wall: i64) {
        self.turn(wall);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub fn today(&self, wall: i64) -> u64 {
        self.turn(wall);
        self.count.load(Ordering::Relaxed)
    }

    fn turn(&self, wall: i64) {
        let today = wall.div_euclid(86_400_000);
        let day = self.day.load(Ordering::Relaxed);
        if day != today && self.day.compare_exchange(day, today, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.count.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daily_counts_begin_anew_at_midnight() {
        let count = Daily::default();
        let noon = 1_704_200_000_000;
        count.add(noon);
        count.add(noon + 1);
        assert_eq!(count.today(noon + 2), 2);
        assert_eq!(count.today(noon + 86_400_000), 0);
        count.add(noon + 86_400_000);
        assert_eq!(count.today(noon + 86_400_001), 1);
    }

    #[test]
    fn exceptions_are_told_apart() {
        let exceptions = Exceptions::default();
        exceptions.note(&NacosError::invalid("x"));
        exceptions.note(&NacosError::new(500, ErrorCode::RESOURCE_CONFLICT, "x"));
        exceptions.note(&NacosError::new(503, ErrorCode::SERVER_ERROR, "x"));
        let seen = [&exceptions.illegal_argument, &exceptions.nacos, &exceptions.db];
        assert_eq!(seen.map(|counter| counter.load(Ordering::Relaxed)), [1, 1, 1]);
    }
}
