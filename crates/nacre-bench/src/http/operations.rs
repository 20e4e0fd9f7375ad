//! What can be asked over HTTP, in each generation of the API.

use std::time::Duration;

use clap::ValueEnum;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::client::{Call, Plan};
use crate::{
    error::Error,
    target::Endpoint,
    template::{Subject, Template},
};

/// Group of everything that this tool writes.
pub const GROUP: &str = "NACRE_BENCH";
/// Configs and services are called this, with a number behind.
pub const NAME: &str = "nacre-bench-{key}";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Api {
    /// Nacos 1.x and 2.x: /v1.
    V1,
    /// Nacos 2.x: /v2.
    V2,
    /// Nacos 3.x: /v3/client and, for publishing, /v3/admin.
    V3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// Read a configuration.
    ConfigGet,
    /// Publish a configuration with another content each time; the answer means that it is durable.
    ConfigPublish,
    /// Register an instance whose metadata is different each time.
    Register,
    /// Send the heartbeat of an instance that is there.
    Beat,
    /// List the instances of a service.
    List,
    /// Deregister an instance that was registered right before (which is not counted).
    Deregister,
}

impl Operation {
    /// Services or configs, and instances of each, unless the command line says otherwise.
    pub const fn subjects(self) -> (u64, u64) {
        match self {
            Self::ConfigGet | Self::ConfigPublish => (1_000, 1),
            _ => (100, 10),
        }
    }
}

/// Calls that are made a number of times, for each subject in turn.
#[derive(Clone, Debug)]
pub struct Batch {
    pub call: Call,
    pub count: u64,
    /// Some servers show what was written a moment later: the batch is repeated until all is right, for this long.
    pub patience: Duration,
}

/// All that a contender needs for an operation.
#[derive(Clone, Debug)]
pub struct Kit {
    pub plan: Plan,
    /// Once, before the first round.
    pub setup: Vec<Batch>,
    /// Before each round: instances that nobody beats for expire.
    pub refresh: Vec<Batch>,
    /// Once, at the end.
    pub teardown: Vec<Batch>,
}

/// Where calls go and how they are spelled.
#[derive(Clone, Debug)]
pub struct Caller<'a> {
    pub at: &'a Endpoint,
    pub api: Api,
    /// Empty for the public namespace.
    pub namespace: &'a str,
    /// Bytes of a config's content.
    pub size: usize,
}

impl Caller<'_> {
    /// `touched` is how many operations a run makes at most: the clean-up need not go further.
    pub fn kit(&self, operation: Operation, keys: u64, instances: u64, touched: u64) -> Result<Kit, Error> {
        let batch = |call, count| Batch { call, count, patience: Duration::ZERO };
        let (publish, remove) = (batch(self.publish(), keys), batch(self.remove(), keys.min(touched)));
        let everybody = keys.saturating_mul(instances);
        let (register, deregister) = (batch(self.register(), everybody), batch(self.deregister(), everybody));
        let shown = Batch { patience: Duration::from_secs(15), ..batch(self.get(), keys) };
        let (call, before) = match operation {
            Operation::ConfigGet => (self.get(), None),
            Operation::ConfigPublish => (self.publish(), None),
            Operation::Register => (self.register(), None),
            Operation::Beat => (self.beat(), None),
            Operation::List => (self.list(), None),
            Operation::Deregister => (self.deregister(), Some(self.register())),
        };
        let (setup, refresh, teardown) = match operation {
            Operation::ConfigGet => (vec![publish, shown], vec![], vec![remove]),
            Operation::ConfigPublish => (vec![], vec![], vec![remove]),
            Operation::Register => (vec![], vec![], vec![batch(self.deregister(), everybody.min(touched))]),
            Operation::Beat | Operation::List => (vec![], vec![register], vec![deregister]),
            Operation::Deregister => (vec![], vec![], vec![]),
        };
        Ok(Kit { plan: Plan { address: self.at.http()?, before, call }, setup, refresh, teardown })
    }

    pub fn publish(&self) -> Call {
        let content = self.content();
        let (method, path, expect) = match self.api {
            Api::V1 => ("POST", "/v1/cs/configs", b"true".as_slice()),
            Api::V2 => ("POST", "/v2/cs/config", b"\"data\":true".as_slice()),
            Api::V3 => ("POST", "/v3/admin/cs/config", b"\"data\":true".as_slice()),
        };
        let form = format!("{}&type=text&content={content}", self.config());
        Call { request: self.request(method, path, Some(&form)), expect }
    }

    /// Text of the wanted length, different each time.
    fn content(&self) -> String {
        let head = "seq.{seq}.";
        let filling = self.size.saturating_sub(Template::new(head).size());
        format!("{head}{}", "x".repeat(filling))
    }

    pub fn get(&self) -> Call {
        let path = match self.api {
            Api::V1 => "/v1/cs/configs",
            Api::V2 => "/v2/cs/config",
            Api::V3 => "/v3/client/cs/config",
        };
        Call { request: self.request("GET", &format!("{path}?{}", self.config()), None), expect: b"seq." }
    }

    pub fn remove(&self) -> Call {
        let (path, expect) = match self.api {
            Api::V1 => ("/v1/cs/configs", b"true".as_slice()),
            Api::V2 => ("/v2/cs/config", b"\"data\":true".as_slice()),
            Api::V3 => ("/v3/admin/cs/config", b"\"data\":true".as_slice()),
        };
        Call { request: self.request("DELETE", &format!("{path}?{}", self.config()), None), expect }
    }

    pub fn register(&self) -> Call {
        let path = self.instances("");
        let metadata = escaped("{\"seq\":\"{seq}\"}");
        let query = format!("{path}?{}&weight=1.0&ephemeral=true&metadata={metadata}", self.instance());
        Call { request: self.request("POST", &query, None), expect: b"ok" }
    }

    pub fn deregister(&self) -> Call {
        let query = format!("{}?{}&ephemeral=true", self.instances(""), self.instance());
        Call { request: self.request("DELETE", &query, None), expect: b"ok" }
    }

    pub fn beat(&self) -> Call {
        let instance = self.instance();
        if self.api == Api::V3 {
            let query = format!("{}?{instance}&ephemeral=true&heartBeat=true", self.instances(""));
            return Call { request: self.request("POST", &query, None), expect: b"ok" };
        }
        // As the client of 1.x says it, with everything about the instance.
        let beat = format!(
            "{{\"ip\":\"{{host}}\",\"port\":8080,\"weight\":1.0,\"serviceName\":\"{GROUP}@@{NAME}\",\"cluster\":\"DEFAULT\",\
             \"metadata\":{{}},\"scheduled\":false,\"period\":5000,\"stopped\":false}}"
        );
        // Both generations want the group in the name here.
        let instance = match self.api {
            Api::V2 => instance.replacen("serviceName=", &format!("serviceName={GROUP}%40%40"), 1),
            _ => instance,
        };
        let query = format!("{}?{instance}&ephemeral=true&beat={}", self.instances("/beat"), escaped(&beat));
        Call { request: self.request("PUT", &query, None), expect: b"10200" }
    }

    pub fn list(&self) -> Call {
        let query = format!("{}?{}&healthyOnly=false", self.instances("/list"), self.service());
        Call { request: self.request("GET", &query, None), expect: b"\"ip\":\"10." }
    }

    fn instances(&self, rest: &str) -> String {
        let base = match self.api {
            Api::V1 => "/v1/ns/instance",
            Api::V2 => "/v2/ns/instance",
            Api::V3 => "/v3/client/ns/instance",
        };
        format!("{base}{rest}")
    }

    fn config(&self) -> String {
        let (group, namespace) = match self.api {
            Api::V1 => ("group", "tenant"),
            Api::V2 => ("group", "namespaceId"),
            Api::V3 => ("groupName", "namespaceId"),
        };
        format!("dataId={NAME}&{group}={GROUP}{}", self.in_namespace(namespace))
    }

    fn service(&self) -> String {
        // The oldest generation writes the group into the name; the others take both.
        let name = if self.api == Api::V1 { format!("{GROUP}%40%40{NAME}") } else { NAME.to_owned() };
        format!("serviceName={name}&groupName={GROUP}{}", self.in_namespace("namespaceId"))
    }

    fn instance(&self) -> String {
        format!("{}&ip={{host}}&port=8080&clusterName=DEFAULT", self.service())
    }

    fn in_namespace(&self, parameter: &str) -> String {
        if self.namespace.is_empty() { String::new() } else { format!("&{parameter}={}", escaped(self.namespace)) }
    }

    fn request(&self, method: &str, path: &str, form: Option<&str>) -> Template {
        let form = form.unwrap_or_default();
        let length = Template::new(form).size();
        let entity = match (method, length) {
            ("GET" | "DELETE", 0) => String::new(),
            (_, 0) => "Content-Length: 0\r\n".to_owned(),
            _ => format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"),
        };
        Template::new(format!(
            "{method} {}{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: nacre-bench/{}\r\n{entity}\r\n{form}",
            self.at.context,
            self.at.authority(),
            env!("CARGO_PKG_VERSION")
        ))
    }
}

/// Percent-encoded; holes stay holes.
fn escaped(text: &str) -> String {
    let mut out = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    for hole in ["key", "host", "seq"] {
        out = out.replace(&format!("%7B{hole}%7D"), &format!("{{{hole}}}"));
    }
    out
}

impl Call {
    /// The bytes for the first subject: what a recording asks.
    pub fn first(&self) -> Vec<u8> {
        self.request.bytes(Subject { seq: 999_999_999_999, ..Subject::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spelled_as_each_generation_wants_them() {
        let at = Endpoint::parse("127.0.0.1:8848").unwrap();
        let caller = |api, namespace| Caller { at: &at, api, namespace, size: 20 };
        let text = |call: Call| String::from_utf8(call.request.bytes(Subject { key: 3, host: 12, seq: 5 })).unwrap();
        let get = text(caller(Api::V3, "a b").get());
        let line = "GET /nacos/v3/client/cs/config?dataId=nacre-bench-00000003&groupName=NACRE_BENCH&namespaceId=a%20b HTTP/1.1";
        assert!(get.starts_with(&format!("{line}\r\nHost: 127.0.0.1:8848\r\n")), "{get}");
        let publish = text(caller(Api::V1, "").publish());
        let (head, form) = publish.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", form.len())), "{publish}");
        assert!(form.ends_with("&content=seq.000000000005.xxx"), "{form}");
        let register = text(caller(Api::V1, "").register());
        assert!(register.contains("metadata=%7B%22seq%22%3A%22000000000005%22%7D"), "{register}");
        assert!(register.contains("&ip=10.100.100.112&port=8080"), "{register}");
        let beat = text(caller(Api::V2, "").beat());
        assert!(beat.starts_with("PUT /nacos/v2/ns/instance/beat?"), "{beat}");
    }
}
