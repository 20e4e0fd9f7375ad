//! Old APIs that somebody switched off: what 3.x answers for them.
//!
//! 3.x keeps the calls of v1 and v2 behind three switches, `nacos.core.api.compatibility.{client,console,admin}.enabled`.
//! Here all three are on unless they are set otherwise, because old clients are what a replacement is for; an operator who
//! wants an old API closed closes it with the same keys.

use http::Method;
use serde_json::json;

use super::{
    params::Params,
    refuse::Refusal,
    table::{Generation, Row},
};
use crate::properties::Properties;

const CLIENT: &str = "nacos.core.api.compatibility.client.enabled";
const CONSOLE: &str = "nacos.core.api.compatibility.console.enabled";
const ADMIN: &str = "nacos.core.api.compatibility.admin.enabled";

/// The three switches; true keeps the old calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compatibility {
    pub client: bool,
    pub console: bool,
    pub admin: bool,
}

impl Compatibility {
    pub fn of(props: &Properties) -> Self {
        Self { client: props.bool(CLIENT), console: props.bool(CONSOLE), admin: props.bool(ADMIN) }
    }

    fn keeps(self, class: Class) -> bool {
        match class {
            Class::Client => self.client,
            Class::Console => self.console,
            Class::Admin | Class::Inner => self.admin,
        }
    }

    /// Refuses a call that was switched off.
    pub fn check(self, method: &Method, row: &Row, params: &Params) -> Result<(), Refusal> {
        let all = self.client && self.console && self.admin;
        if all || !matches!(row.generation, Generation::V1 | Generation::V2) {
            return Ok(());
        }
        let Some(old) = find(method, row.path, params).filter(|old| !self.keeps(old.class)) else { return Ok(()) };
        let message = old.message();
        Err(Refusal::container(410, json!({ "code": DEPRECATED, "message": message }).to_string()))
    }
}

/// The code of 3.x for an API that is going away.
const DEPRECATED: i32 = 40_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Client,
    Console,
    Admin,
    /// Between servers of old generations.
    Inner,
}

/// Of a call that is answered whatever the method.
const ANY: &str = "ANY";

/// One old call.
#[derive(Clone, Copy, Debug)]
struct Old {
    class: Class,
    method: &'static str,
    path: &'static str,
    /// `name=value` of a parameter that makes it another call of the same path, or empty.
    condition: &'static str,
    /// What 3.x says to use, letter by letter; empty where it names nothing.
    instead: &'static str,
}

impl Old {
    fn fits(&self, params: &Params) -> bool {
        let Some((name, value)) = self.condition.split_once('=') else { return true };
        params.first(name) == Some(value)
    }

    fn message(&self) -> String {
        let key = match self.class {
            Class::Client => CLIENT,
            Class::Console => CONSOLE,
            Class::Admin => ADMIN,
            Class::Inner => return format!("Old Inner API /nacos{} is deprecated", self.path),
        };
        if self.instead.is_empty() {
            return format!(
                "Current API will be deprecated, If wanted continue to use, please set `{key}=true` in \
                 application.properties."
            );
        }
        let instead = self.instead;
        format!(
            "Current API will be deprecated, please use API(s) `{instead}` instead, or set `{key}=true` in \
             application.properties."
        )
    }
}

/// The call of a request: of several of one path the one whose condition holds.
fn find(method: &Method, path: &str, params: &Params) -> Option<&'static Old> {
    // HEAD asks what GET asks.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    CALLS.iter().find(|old| old.path == path && (old.method == method || old.method == ANY) && old.fits(params))
}

const fn old(
    class: Class,
    method: &'static str,
    path: &'static str,
    condition: &'static str,
    instead: &'static str,
) -> Old {
    Old { class, method, path, condition, instead }
}

const fn client(method: &'static str, path: &'static str, condition: &'static str, instead: &'static str) -> Old {
    old(Class::Client, method, path, condition, instead)
}

const fn console(method: &'static str, path: &'static str, condition: &'static str, instead: &'static str) -> Old {
    old(Class::Console, method, path, condition, instead)
}

const fn admin(method: &'static str, path: &'static str, condition: &'static str, instead: &'static str) -> Old {
    old(Class::Admin, method, path, condition, instead)
}

const fn inner(method: &'static str, path: &'static str, condition: &'static str, instead: &'static str) -> Old {
    old(Class::Inner, method, path, condition, instead)
}

/// Every old call, those with a condition before the one without.
#[rustfmt::skip]
const CALLS: &[Old] = &[
    client("POST", "/v1/auth/login", "", "POST ${contextPath:nacos}/v3/auth/user/login"),
    client("POST", "/v1/auth/users/login", "", "POST ${contextPath:nacos}/v3/auth/user/login"),
    console("GET", "/v1/console/health/liveness", "", "GET ${contextPath:nacos}/v3/console/health/liveness"),
    console("GET", "/v1/console/health/readiness", "", "GET ${contextPath:nacos}/v3/console/health/readiness"),
    console("DELETE", "/v1/console/namespaces", "", "DELETE ${contextPath:nacos}/v3/console/core/namespace"),
    console("GET", "/v1/console/namespaces", "checkNamespaceIdExist=true", "GET ${contextPath:nacos}/v3/console/core/namespace/exist"),
    console("GET", "/v1/console/namespaces", "show=all", "GET ${contextPath:nacos}/v3/console/core/namespace"),
    console("GET", "/v1/console/namespaces", "", "GET ${contextPath:nacos}/v3/console/core/namespace/list"),
    console("POST", "/v1/console/namespaces", "", "POST ${contextPath:nacos}/v3/console/core/namespace"),
    console("PUT", "/v1/console/namespaces", "", "PUT ${contextPath:nacos}/v3/console/core/namespace"),
    console("GET", "/v1/console/server/announcement", "", "GET ${contextPath:nacos}/v3/console/server/announcement"),
    console("GET", "/v1/console/server/guide", "", "GET ${contextPath:nacos}/v3/console/server/guide"),
    console("GET", "/v1/console/server/state", "", "GET ${contextPath:nacos}/v3/console/server/state"),
    admin("GET", "/v1/core/cluster/health", "", "GET {contextPath:nacos}/v3/admin/core/cluster/node/self/health"),
    console("GET", "/v1/core/cluster/nodes", "", "GET {contextPath:nacos}/v3/console/core/cluster/nodes"),
    admin("GET", "/v1/core/cluster/self", "", "GET {contextPath:nacos}/v3/admin/core/cluster/node/self"),
    admin("GET", "/v1/core/cluster/simple/nodes", "", "GET {contextPath:nacos}/v3/admin/core/cluster/node/list"),
    admin("GET", "/v1/core/ops/idInfo", "", "GET {contextPath:nacos}/v3/admin/core/ops/ids"),
    admin("PUT", "/v1/core/ops/log", "", "PUT {contextPath:nacos}/v3/admin/core/ops/log"),
    admin("GET", "/v1/cs/capacity", "", "GET {contextPath:nacos}/v3/admin/cs/capacity"),
    admin("POST", "/v1/cs/capacity", "", "POST {contextPath:nacos}/v3/admin/cs/capacity"),
    inner("GET", "/v1/cs/communication/configWatchers", "", ""),
    inner("GET", "/v1/cs/communication/watcherConfigs", "", ""),
    console("DELETE", "/v1/cs/configs", "delType=ids", "GET ${contextPath:nacos}/v3/console/cs/config/batchDelete"),
    console("DELETE", "/v1/cs/configs", "beta=true", "DELETE ${contextPath:nacos}/v3/console/cs/config/beta"),
    client("DELETE", "/v1/cs/configs", "", "DELETE ${contextPath:nacos}/v3/admin/cs/config"),
    console("GET", "/v1/cs/configs", "search=accurate", "GET ${contextPath:nacos}/v3/console/cs/config/list"),
    console("GET", "/v1/cs/configs", "exportV2=true", "GET ${contextPath:nacos}/v3/console/cs/config/export2"),
    console("GET", "/v1/cs/configs", "export=true", "GET ${contextPath:nacos}/v3/console/cs/config/export"),
    console("GET", "/v1/cs/configs", "search=blur", "GET ${contextPath:nacos}/v3/console/cs/config/list"),
    console("GET", "/v1/cs/configs", "beta=true", "GET ${contextPath:nacos}/v3/console/cs/config/beta"),
    console("GET", "/v1/cs/configs", "show=all", "GET ${contextPath:nacos}/v3/console/cs/config"),
    client("GET", "/v1/cs/configs", "", "GET ${contextPath:nacos}/v3/client/cs/config"),
    console("POST", "/v1/cs/configs", "import=true", "GET ${contextPath:nacos}/v3/console/cs/config/import"),
    console("POST", "/v1/cs/configs", "clone=true", "GET ${contextPath:nacos}/v3/console/cs/config/clone"),
    client("POST", "/v1/cs/configs", "", "POST ${contextPath:nacos}/v3/admin/cs/config"),
    admin("GET", "/v1/cs/configs/catalog", "", "GET ${contextPath:nacos}/v3/admin/cs/config"),
    console("GET", "/v1/cs/configs/listener", "", "GET ${contextPath:nacos}/v3/console/cs/config/listener"),
    client("POST", "/v1/cs/configs/listener", "", ""),
    admin("GET", "/v1/cs/health", "", ""),
    console("GET", "/v1/cs/history", "search=accurate", "GET ${contextPath:nacos}/v3/console/cs/history/list"),
    console("GET", "/v1/cs/history", "", "GET ${contextPath:nacos}/v3/console/cs/history"),
    console("GET", "/v1/cs/history/configs", "", "GET ${contextPath:nacos}/v3/console/cs/history/configs"),
    console("GET", "/v1/cs/history/previous", "", "GET ${contextPath:nacos}/v3/console/cs/history/previous"),
    console("GET", "/v1/cs/listener", "", "GET ${contextPath:nacos}/v3/console/cs/config/listener/ip"),
    admin("GET", "/v1/cs/metrics/cluster", "", "GET {contextPath:nacos}/v3/admin/cs/metrics/cluster"),
    admin("GET", "/v1/cs/metrics/current", "", "GET {contextPath:nacos}/v3/admin/cs/metrics/ip"),
    admin("POST", "/v1/cs/ops/data/removal", "", "POST {contextPath:nacos}/v3/admin/cs/ops/derby/import"),
    admin("GET", "/v1/cs/ops/derby", "", "GET {contextPath:nacos}/v3/admin/cs/ops/derby"),
    admin("POST", "/v1/cs/ops/localCache", "", "POST {contextPath:nacos}/v3/admin/cs/ops/localCache"),
    admin("PUT", "/v1/cs/ops/log", "", "PUT {contextPath:nacos}/v3/admin/cs/ops/log"),
    console("GET", "/v1/ns/catalog/instances", "", "GET ${contextPath:nacos}/v3/console/ns/instance/list"),
    console("GET", "/v1/ns/catalog/service", "", "GET ${contextPath:nacos}/v3/console/ns/service"),
    console("GET", "/v1/ns/catalog/services", "", "GET ${contextPath:nacos}/v3/console/ns/service/list"),
    console("PUT", "/v1/ns/cluster", "", "PUT ${contextPath:nacos}/v3/console/ns/service/cluster"),
    admin("PUT", "/v1/ns/health", "", "PUT ${contextPath:nacos}/v3/admin/health/instance"),
    admin("GET", "/v1/ns/health/checkers", "", "GET ${contextPath:nacos}/v3/admin/health/checkers"),
    admin("PUT", "/v1/ns/health/instance", "", "PUT ${contextPath:nacos}/v3/admin/health/instance"),
    admin("GET", "/v1/ns/health/server", "", ""),
    client("DELETE", "/v1/ns/instance", "", "DELETE ${contextPath:nacos}/v3/client/ns/instance"),
    admin("GET", "/v1/ns/instance", "", "GET ${contextPath:nacos}/v3/admin/ns/instance"),
    admin("PATCH", "/v1/ns/instance", "", "PUT ${contextPath:nacos}/v3/admin/ns/instance/partial"),
    client("POST", "/v1/ns/instance", "", "POST ${contextPath:nacos}/v3/client/ns/instance"),
    admin("PUT", "/v1/ns/instance", "", "PUT ${contextPath:nacos}/v3/admin/ns/instance"),
    client("PUT", "/v1/ns/instance/beat", "", "POST ${contextPath:nacos}/v3/client/ns/instance"),
    client("GET", "/v1/ns/instance/list", "", "GET ${contextPath:nacos}/v3/client/ns/instance/list"),
    admin("DELETE", "/v1/ns/instance/metadata/batch", "", "DELETE ${contextPath:nacos}/v3/admin/ns/instance/metadata/batch"),
    admin("PUT", "/v1/ns/instance/metadata/batch", "", "PUT ${contextPath:nacos}/v3/admin/ns/instance/metadata/batch"),
    admin("GET", "/v1/ns/instance/statuses", "", ""),
    admin("GET", "/v1/ns/operator/distro/client", "", "GET ${contextPath:nacos}/v3/admin/ns/client/distro"),
    admin("PUT", "/v1/ns/operator/log", "", "PUT ${contextPath:nacos}/v3/admin/ns/ops/log"),
    client("GET", "/v1/ns/operator/metrics", "", "GET ${contextPath:nacos}/v3/admin/ns/ops/metrics"),
    admin("GET", "/v1/ns/operator/push/state", "", ""),
    admin("GET", "/v1/ns/operator/switches", "", "GET ${contextPath:nacos}/v3/admin/ns/ops/switches"),
    admin("PUT", "/v1/ns/operator/switches", "", "PUT ${contextPath:nacos}/v3/admin/ns/ops/switches"),
    admin("GET", "/v1/ns/ops/distro/client", "", "GET ${contextPath:nacos}/v3/admin/ns/client/distro"),
    admin("PUT", "/v1/ns/ops/log", "", "PUT ${contextPath:nacos}/v3/admin/ns/ops/log"),
    client("GET", "/v1/ns/ops/metrics", "", "GET ${contextPath:nacos}/v3/admin/ns/ops/metrics"),
    admin("GET", "/v1/ns/ops/push/state", "", ""),
    admin("GET", "/v1/ns/ops/switches", "", "GET ${contextPath:nacos}/v3/admin/ns/ops/switches"),
    admin("PUT", "/v1/ns/ops/switches", "", "PUT ${contextPath:nacos}/v3/admin/ns/ops/switches"),
    admin("DELETE", "/v1/ns/service", "", "DELETE ${contextPath:nacos}/v3/admin/ns/service"),
    admin("GET", "/v1/ns/service", "", "GET ${contextPath:nacos}/v3/admin/ns/service"),
    admin("POST", "/v1/ns/service", "", "POST ${contextPath:nacos}/v3/admin/ns/service"),
    admin("PUT", "/v1/ns/service", "", "PUT ${contextPath:nacos}/v3/admin/ns/service"),
    client("GET", "/v1/ns/service/list", "", "GET ${contextPath:nacos}/v3/admin/ns/service/list"),
    admin("GET", "/v1/ns/service/names", "", ""),
    admin("GET", "/v1/ns/service/selector/types", "", "GET ${contextPath:nacos}/v3/admin/ns/service/selector/types"),
    admin("GET", "/v1/ns/service/subscribers", "", "GET ${contextPath:nacos}/v3/admin/ns/service/subscribers"),
    console("GET", "/v2/console/health/liveness", "", "GET ${contextPath:nacos}/v3/console/health/liveness"),
    console("GET", "/v2/console/health/readiness", "", "GET ${contextPath:nacos}/v3/console/health/readiness"),
    console("DELETE", "/v2/console/namespace", "", "DELETE ${contextPath:nacos}/v3/console/core/namespace"),
    console("GET", "/v2/console/namespace", "", "GET ${contextPath:nacos}/v3/console/core/namespace"),
    console("POST", "/v2/console/namespace", "", "POST ${contextPath:nacos}/v3/console/core/namespace"),
    console("PUT", "/v2/console/namespace", "", "PUT ${contextPath:nacos}/v3/console/core/namespace"),
    console("GET", "/v2/console/namespace/list", "", "GET ${contextPath:nacos}/v3/console/core/namespace/list"),
    admin("PUT", "/v2/core/cluster/lookup", "", "PUT {contextPath:nacos}/v3/admin/core/cluster/lookup"),
    admin("GET", "/v2/core/cluster/node/list", "", "GET {contextPath:nacos}/v3/admin/core/cluster/node/list"),
    admin("PUT", "/v2/core/cluster/node/list", "", "PUT {contextPath:nacos}/v3/admin/core/cluster/node/list"),
    admin("GET", "/v2/core/cluster/node/self", "", "GET {contextPath:nacos}/v3/admin/core/cluster/node/self"),
    admin("GET", "/v2/core/cluster/node/self/health", "", "GET {contextPath:nacos}/v3/admin/core/cluster/node/self/health"),
    admin("DELETE", "/v2/core/cluster/nodes", "", ""),
    admin("GET", "/v2/core/loader/cluster", "", "GET {contextPath:nacos}/v3/admin/core/loader/cluster"),
    admin("GET", "/v2/core/loader/current", "", "GET {contextPath:nacos}/v3/admin/core/loader/current"),
    admin("GET", "/v2/core/loader/reloadClient", "", "GET {contextPath:nacos}/v3/admin/core/loader/reloadClient"),
    admin("GET", "/v2/core/loader/reloadCurrent", "", "GET {contextPath:nacos}/v3/admin/core/loader/reloadCurrent"),
    admin("GET", "/v2/core/loader/smartReloadCluster", "", "GET {contextPath:nacos}/v3/admin/core/loader/smartReloadCluster"),
    admin("GET", "/v2/core/ops/ids", "", "GET {contextPath:nacos}/v3/admin/core/ops/ids"),
    admin("PUT", "/v2/core/ops/log", "", "PUT {contextPath:nacos}/v3/admin/core/ops/log"),
    admin("POST", "/v2/core/ops/raft", "", "POST {contextPath:nacos}/v3/admin/core/ops/raft"),
    admin("DELETE", "/v2/cs/config", "", "DELETE ${contextPath:nacos}/v3/admin/cs/config"),
    admin("GET", "/v2/cs/config", "", "GET ${contextPath:nacos}/v3/admin/cs/config"),
    admin("POST", "/v2/cs/config", "", "POST ${contextPath:nacos}/v3/admin/cs/config"),
    console("GET", "/v2/cs/config/searchDetail", "", "GET ${contextPath:nacos}/v3/console/cs/config/searchDetail"),
    admin("GET", "/v2/cs/history", "", "GET ${contextPath:nacos}/v3/admin/cs/history"),
    admin("GET", "/v2/cs/history/configs", "", "GET ${contextPath:nacos}/v3/admin/cs/history/configs"),
    admin("GET", "/v2/cs/history/list", "", "GET ${contextPath:nacos}/v3/admin/cs/history/list"),
    admin("GET", "/v2/cs/history/previous", "", "GET ${contextPath:nacos}/v3/admin/cs/history/previous"),
    console(ANY, "/v2/ns/catalog/instances", "", "GET ${contextPath:nacos}/v3/console/ns/instance/list"),
    admin("GET", "/v2/ns/client", "", "GET ${contextPath:nacos}/v3/admin/ns/client"),
    admin("GET", "/v2/ns/client/list", "", "GET ${contextPath:nacos}/v3/admin/ns/client/list"),
    admin("GET", "/v2/ns/client/publish/list", "", "GET ${contextPath:nacos}/v3/admin/ns/client/publish/list"),
    admin("GET", "/v2/ns/client/service/publisher/list", "", "GET ${contextPath:nacos}/v3/admin/ns/client/service/publisher/list"),
    admin("GET", "/v2/ns/client/service/subscriber/list", "", "GET ${contextPath:nacos}/v3/admin/ns/client/service/subscriber/list"),
    admin("GET", "/v2/ns/client/subscribe/list", "", "GET ${contextPath:nacos}/v3/admin/ns/client/subscribe/list"),
    admin("PUT", "/v2/ns/health", "", "PUT ${contextPath:nacos}/v3/admin/ns/health"),
    admin("PUT", "/v2/ns/health/instance", "", "PUT ${contextPath:nacos}/v3/admin/ns/health"),
    admin("DELETE", "/v2/ns/instance", "", "DELETE ${contextPath:nacos}/v3/admin/ns/instance"),
    admin("GET", "/v2/ns/instance", "", "GET ${contextPath:nacos}/v3/admin/ns/instance"),
    admin("PATCH", "/v2/ns/instance", "", "PUT ${contextPath:nacos}/v3/admin/ns/instance/partial"),
    admin("POST", "/v2/ns/instance", "", "POST ${contextPath:nacos}/v3/admin/ns/instance"),
    admin("PUT", "/v2/ns/instance", "", "PUT ${contextPath:nacos}/v3/admin/ns/instance"),
    admin("PUT", "/v2/ns/instance/beat", "", ""),
    admin("GET", "/v2/ns/instance/list", "", "GET ${contextPath:nacos}/v3/admin/ns/instance/list"),
    admin("DELETE", "/v2/ns/instance/metadata/batch", "", "DELETE ${contextPath:nacos}/v3/admin/ns/instance/metadata/batch"),
    admin("PUT", "/v2/ns/instance/metadata/batch", "", "PUT ${contextPath:nacos}/v3/admin/ns/instance/metadata/batch"),
    admin("GET", "/v2/ns/operator/metrics", "", "GET ${contextPath:nacos}/v3/admin/ns/ops/metrics"),
    admin("GET", "/v2/ns/operator/switches", "", "GET ${contextPath:nacos}/v3/admin/ns/ops/switches"),
    admin("PUT", "/v2/ns/operator/switches", "", "PUT ${contextPath:nacos}/v3/admin/ns/ops/switches"),
    admin("GET", "/v2/ns/ops/metrics", "", "GET ${contextPath:nacos}/v3/admin/ns/ops/metrics"),
    admin("GET", "/v2/ns/ops/switches", "", "GET ${contextPath:nacos}/v3/admin/ns/ops/switches"),
    admin("PUT", "/v2/ns/ops/switches", "", "PUT ${contextPath:nacos}/v3/admin/ns/ops/switches"),
    admin("DELETE", "/v2/ns/service", "", "DELETE ${contextPath:nacos}/v3/admin/ns/service"),
    admin("GET", "/v2/ns/service", "", "GET ${contextPath:nacos}/v3/admin/ns/service"),
    admin("POST", "/v2/ns/service", "", "POST ${contextPath:nacos}/v3/admin/ns/service"),
    admin("PUT", "/v2/ns/service", "", "PUT ${contextPath:nacos}/v3/admin/ns/service"),
    admin("GET", "/v2/ns/service/list", "", "GET ${contextPath:nacos}/v3/admin/ns/service/list"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::http::table::rows;

    /// Calls of v1 and v2 that 3.x has not marked.
    const UNMARKED: [&str; 3] = ["/v1/cmdb/ops/label", "/v2/cs/history/detail", "/v2/ns/instance/statuses/{key}"];
    /// Calls that only 1.x has; 3.x has no switch for them.
    const ONLY_1X: &str = "/v1/ns/api";

    #[test]
    fn every_old_call_has_its_switch() {
        let known: HashSet<(&str, &str)> = CALLS.iter().map(|old| (old.method, old.path)).collect();
        for row in rows().filter(|row| matches!(row.generation, Generation::V1 | Generation::V2)) {
            if UNMARKED.contains(&row.path) || row.path.starts_with(ONLY_1X) {
                continue;
            }
            for method in row.methods {
                let any = known.contains(&(ANY, row.path));
                assert!(any || known.contains(&(method.as_str(), row.path)), "{method} {}", row.path);
            }
        }
    }

    #[test]
    fn a_condition_makes_another_call_of_the_same_path() {
        let with = |query: &str| {
            let mut params = Params::default();
            params.add_urlencoded(query.as_bytes());
            find(&Method::GET, "/v1/cs/configs", &params).map(|old| (old.class, old.instead))
        };
        assert_eq!(with("").map(|found| found.0), Some(Class::Client));
        assert_eq!(with("beta=true"), Some((Class::Console, "GET ${contextPath:nacos}/v3/console/cs/config/beta")));
        assert_eq!(with("beta=false").map(|found| found.0), Some(Class::Client));
    }
}
