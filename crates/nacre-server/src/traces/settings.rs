//! What the properties and OpenTelemetry's standard environment say about traces.
//!
//! The environment alone switches nothing on: machines carry `OTEL_...` for all that run on them. It counts once
//! `nacre.tracing.enabled` or `nacre.tracing.otlp.endpoint` asks for traces; a property wins over it.

use std::{path::PathBuf, time::Duration};

use nacre_wire::otlp::{KeyValue, Value};
use percent_encoding::percent_decode_str;

use super::context::Sampler;
use crate::properties::Properties;

/// Where a collector listens by default.
const ENDPOINT: &str = "http://localhost:4318";
/// Where it takes traces, below a base address.
const PATH: &str = "v1/traces";

/// Everything about traces that can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub endpoint: Endpoint,
    /// Headers of every request to the collector, such as a key.
    pub headers: Vec<(String, String)>,
    /// The authorities that a collector's certificate may be from (PEM); else the system's.
    pub ca_file: Option<PathBuf>,
    pub sampler: Sampler,
    /// Who we are.
    pub resource: Vec<KeyValue>,
    /// For one request to the collector.
    pub timeout: Duration,
    /// Spans wait this long for others to go with.
    pub delay: Duration,
}

/// A collector's address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub text: String,
    pub host: String,
    pub port: u16,
    /// `https`.
    pub tls: bool,
    /// `Host` header.
    pub authority: String,
    pub path: String,
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, String> {
        let uri: http::Uri = text.trim().parse().map_err(|error| format!("{text} is no address: {error}"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{text} is no address of a collector, like {ENDPOINT}")),
        };
        let authority = uri.authority().ok_or_else(|| format!("{text} names no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let bare = authority.as_str().rsplit('@').next().unwrap_or_default().to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { text: text.trim().to_owned(), host, port, tls, authority: bare, path })
    }

    /// Below a base address, as `OTEL_EXPORTER_OTLP_ENDPOINT` is one.
    fn below(base: &str) -> Result<Self, String> {
        let base = base.trim();
        Self::parse(&format!("{}/{PATH}", base.trim_end_matches('/')))
    }
}

impl Settings {
    /// `None`: no traces. An error says which setting cannot be.
    pub fn of(props: &Properties, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let said = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        let endpoint = props.opt_str("nacre.tracing.otlp.endpoint");
        let disabled = said("OTEL_SDK_DISABLED").is_some_and(|word| word.trim().eq_ignore_ascii_case("true"));
        let wanted = if props.is_set("nacre.tracing.enabled") {
            props.bool("nacre.tracing.enabled")
        } else {
            endpoint.is_some() && !disabled
        };
        if !wanted {
            return Ok(None);
        }
        let endpoint = match (endpoint, said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), said("OTEL_EXPORTER_OTLP_ENDPOINT"))
        {
            // A base address, or the whole one.
            (Some(text), ..) if text.trim().trim_end_matches('/').ends_with(PATH) => Endpoint::parse(text),
            (Some(text), ..) => Endpoint::below(text),
            (None, Some(text), _) => Endpoint::parse(&text),
            (None, None, Some(text)) => Endpoint::below(&text),
            (None, None, None) => Endpoint::below(ENDPOINT),
        }?;
        let protocol = said("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| said("OTEL_EXPORTER_OTLP_PROTOCOL"));
        // A property wins over the environment; there is one it can name.
        let named = props.is_set("nacre.tracing.otlp.protocol");
        if let Some(other) = protocol.filter(|word| !named && word.trim() != "http/protobuf") {
            tracing::warn!("the environment asks for traces by {other}; http/protobuf is spoken, usually to port 4318");
        }
        let headers = said("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or_else(|| said("OTEL_EXPORTER_OTLP_HEADERS"));
        let millis = |name: &str| said(name).and_then(|text| text.trim().parse().ok()).map(Duration::from_millis);
        Ok(Some(Self {
            endpoint,
            headers: headers.map(|text| pairs(&text)).unwrap_or_default(),
            ca_file: props
                .opt_str("nacre.tracing.otlp.ca-file")
                .map(str::to_owned)
                .or_else(|| said("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"))
                .or_else(|| said("OTEL_EXPORTER_OTLP_CERTIFICATE"))
                .map(PathBuf::from),
            sampler: sampler(props, &said)?,
            resource: resource(props, &said),
            timeout: millis("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
                .or_else(|| millis("OTEL_EXPORTER_OTLP_TIMEOUT"))
                .unwrap_or(Duration::from_secs(10))
                .clamp(Duration::from_millis(100), Duration::from_secs(60)),
            delay: props.duration("nacre.tracing.delay"),
        }))
    }
}

fn sampler(props: &Properties, said: &impl Fn(&str) -> Option<String>) -> Result<Sampler, String> {
    let ratio = |name: &str, text: &str| match text.trim().parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err(format!("{name}={text}: a share from 0 to 1 is meant")),
    };
    if let Some(text) = props.opt_str("nacre.tracing.sample-ratio") {
        return Ok(Sampler { parent_based: true, ratio: ratio("nacre.tracing.sample-ratio", text)? });
    }
    let share = said("OTEL_TRACES_SAMPLER_ARG").map_or(Ok(1.0), |text| ratio("OTEL_TRACES_SAMPLER_ARG", &text));
    let word = said("OTEL_TRACES_SAMPLER").unwrap_or_default();
    let (parent_based, ratio) = match word.trim() {
        "always_on" => (false, 1.0),
        "always_off" => (false, 0.0),
        "traceidratio" => (false, share?),
        "parentbased_always_off" => (true, 0.0),
        "parentbased_traceidratio" => (true, share?),
        "" | "parentbased_always_on" => (true, 1.0),
        other => {
            tracing::warn!("OTEL_TRACES_SAMPLER={other} is not known here; parentbased_always_on is taken");
            (true, 1.0)
        }
    };
    Ok(Sampler { parent_based, ratio })
}

/// Our name, and what the environment adds.
fn resource(props: &Properties, said: &impl Fn(&str) -> Option<String>) -> Vec<KeyValue> {
    let mut all = said("OTEL_RESOURCE_ATTRIBUTES").map(|text| pairs(&text)).unwrap_or_default();
    let named = all.iter().position(|(key, _)| key == "service.name").map(|at| all.remove(at).1);
    let own = props.opt_str("nacre.tracing.service-name").map(str::to_owned);
    let name = own.or_else(|| said("OTEL_SERVICE_NAME")).or(named).unwrap_or_else(|| "nacre".to_owned());
    let mut resource = vec![KeyValue::new("service.name", Value::Text(name))];
    let mut add = |key: &str, value: String| {
        if !all.iter().any(|(known, _)| known == key) {
            resource.push(KeyValue::new(key, Value::Text(value)));
        }
    };
    add("service.version", env!("CARGO_PKG_VERSION").to_owned());
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        add("host.name", host.trim().to_owned());
    }
    resource.push(KeyValue::new("process.pid", Value::Int(std::process::id().into())));
    resource.extend(all.into_iter().map(|(key, value)| KeyValue::new(key, Value::Text(value))));
    resource
}

/// `key=value,key=value`, values percent-encoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
        Some((key.trim().to_owned(), value)).filter(|(key, _)| !key.is_empty())
    };
    text.split(',').filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(own: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let props = Properties::of(own).unwrap();
        let find =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::of(&props, find)
    }

    fn some(own: &[(&str, &str)], environment: &[(&str, &str)]) -> Settings {
        settings(own, environment).unwrap().unwrap()
    }

    const ON: (&str, &str) = ("nacre.tracing.enabled", "true");

    #[test]
    fn it_is_off_until_a_property_asks_for_it() {
        assert_eq!(settings(&[], &[]), Ok(None));
        assert_eq!(settings(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1")]), Ok(None));
        let endpoint = ("nacre.tracing.otlp.endpoint", "http://c:4318");
        assert_eq!(settings(&[endpoint, ("nacre.tracing.enabled", "false")], &[]), Ok(None));
        assert_eq!(settings(&[endpoint], &[("OTEL_SDK_DISABLED", "true")]), Ok(None));
        assert_eq!(some(&[endpoint], &[]).endpoint.text, "http://c:4318/v1/traces");
        assert_eq!(some(&[ON], &[]).endpoint.text, "http://localhost:4318/v1/traces");
    }

    #[test]
    fn the_property_wins_over_the_environment_and_the_special_over_the_general() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/base/");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/here");
        let own = ("nacre.tracing.otlp.endpoint", "http://[::1]:9/");
        assert_eq!(some(&[ON], &[all]).endpoint.path, "/base/v1/traces");
        let special = some(&[ON], &[all, traces]).endpoint;
        assert_eq!((&*special.host, special.port, &*special.path), ("traces", 80, "/here"));
        let own = some(&[own], &[all, traces]).endpoint;
        assert_eq!((&*own.host, own.port, &*own.authority), ("::1", 9, "[::1]:9"));
        let whole = some(&[("nacre.tracing.otlp.endpoint", "https://c/v1/traces")], &[]).endpoint;
        assert_eq!((&*whole.path, whole.port, whole.tls), ("/v1/traces", 443, true));
    }

    #[test]
    fn a_collectors_authority_can_be_named() {
        let all = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem");
        let file = |own: &[(&str, &str)], environment: &[(&str, &str)]| {
            some(own, environment).ca_file.map(|file| file.display().to_string())
        };
        assert_eq!(file(&[ON], &[]), None);
        assert_eq!(file(&[ON], &[all]).as_deref(), Some("/all.pem"));
        assert_eq!(file(&[ON], &[all, traces]).as_deref(), Some("/traces.pem"));
        let own = [ON, ("nacre.tracing.otlp.ca-file", "/own.pem")];
        assert_eq!(file(&own, &[all, traces]).as_deref(), Some("/own.pem"));
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        for address in ["c:4318", "ftp://c", "http://", "/v1/traces"] {
            let refused = settings(&[("nacre.tracing.otlp.endpoint", address)], &[]);
            assert!(refused.is_err(), "{address}: {refused:?}");
        }
        for ratio in ["2", "-0.1", "NaN", "half"] {
            let refused = settings(&[ON, ("nacre.tracing.sample-ratio", ratio)], &[]);
            assert!(refused.is_err(), "{ratio}: {refused:?}");
        }
        assert!(settings(&[ON], &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "x")]).is_err());
    }

    #[test]
    fn samplers_have_the_standard_names() {
        let arg = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
        for (word, parent_based, ratio) in [
            ("always_on", false, 1.0),
            ("always_off", false, 0.0),
            ("traceidratio", false, 0.25),
            ("parentbased_always_on", true, 1.0),
            ("parentbased_always_off", true, 0.0),
            ("parentbased_traceidratio", true, 0.25),
            ("of_our_own", true, 1.0),
        ] {
            let sampler = some(&[ON], &[("OTEL_TRACES_SAMPLER", word), arg]).sampler;
            assert_eq!(sampler, Sampler { parent_based, ratio }, "{word}");
        }
        let own = [ON, ("nacre.tracing.sample-ratio", "0.5")];
        assert_eq!(some(&own, &[("OTEL_TRACES_SAMPLER", "always_off")]).sampler.ratio, 0.5);
    }

    #[test]
    fn the_resource_says_who_we_are() {
        let find = |settings: &Settings, key: &str| {
            let found: Vec<_> = settings.resource.iter().filter(|pair| pair.key == key).collect();
            assert!(found.len() < 2, "{key} twice");
            match found.first()?.value.as_ref()?.value.as_ref()? {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            }
        };
        let environment = [("OTEL_RESOURCE_ATTRIBUTES", "service.name=r,service.version=9,zone=a%2Cb, =x,broken")];
        let by_resource = some(&[ON], &environment);
        assert_eq!(find(&by_resource, "service.name").as_deref(), Some("r"));
        assert_eq!(find(&by_resource, "service.version").as_deref(), Some("9"));
        assert_eq!(find(&by_resource, "zone").as_deref(), Some("a,b"));
        let by_name = some(&[ON], &[environment[0], ("OTEL_SERVICE_NAME", "e")]);
        assert_eq!(find(&by_name, "service.name").as_deref(), Some("e"));
        let own = some(&[ON, ("nacre.tracing.service-name", "p")], &[("OTEL_SERVICE_NAME", "e")]);
        assert_eq!(find(&own, "service.name").as_deref(), Some("p"));
        assert_eq!(find(&some(&[ON], &[]), "service.name").as_deref(), Some("nacre"));
    }

    #[test]
    fn headers_are_pairs() {
        let headers = some(&[ON], &[("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=y=z")]).headers;
        assert_eq!(headers, [("api-key".to_owned(), "a b".to_owned()), ("x".to_owned(), "y=z".to_owned())]);
    }
}
