//! The switches: settings that operators change at run time (spec/naming.md 11).

use std::collections::BTreeMap;

use nacre_model::{ErrorCode, NacosError, digits};
use serde::{Deserialize, Serialize};

use crate::lenient::{decimal as decimal_of, first_json, whole, yes};

/// `name` of the switch domain, and its key in old stores.
pub const SWITCH_NAME: &str = "00-00---000-NACOS_SWITCH_DOMAIN-000---00-00";

/// Interval bounds (ms) and smoothing factor of one kind of active check.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthParams {
    pub max: i64,
    pub min: i64,
    pub factor: f64,
}

/// All fields with the reference's names. Serialises as HTTP v1 and v2 show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Switches {
    pub masters: Option<Vec<String>>,
    pub ad_weight_map: BTreeMap<String, i32>,
    pub default_push_cache_millis: u64,
    pub client_beat_interval: i64,
    pub default_cache_millis: u64,
    #[serde(with = "nacre_model::float")]
    pub distro_threshold: f64,
    pub health_check_enabled: bool,
    pub auto_change_health_check_enabled: bool,
    pub distro_enabled: bool,
    pub enable_standalone: bool,
    pub push_enabled: bool,
    pub check_times: i32,
    pub http_health_params: HealthParams,
    pub tcp_health_params: HealthParams,
    pub mysql_health_params: HealthParams,
    pub incremental_list: Vec<String>,
    pub server_status_synchronization_period_millis: u64,
    pub service_status_synchronization_period_millis: u64,
    #[serde(rename = "disableAddIP")]
    pub disable_add_ip: bool,
    pub send_beat_only: bool,
    pub light_beat_enabled: bool,
    pub limited_url_map: BTreeMap<String, i32>,
    pub distro_server_expired_millis: i64,
    pub push_go_version: String,
    pub push_java_version: String,
    pub push_python_version: String,
    #[serde(rename = "pushCVersion")]
    pub push_c_version: String,
    #[serde(rename = "pushCSharpVersion")]
    pub push_csharp_version: String,
    pub enable_authentication: bool,
    pub overridden_server_status: Option<String>,
    pub default_instance_ephemeral: bool,
    pub health_check_white_list: Vec<String>,
    pub name: String,
    pub checksum: Option<String>,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            masters: None,
            ad_weight_map: BTreeMap::new(),
            default_push_cache_millis: 10_000,
            client_beat_interval: 5_000,
            default_cache_millis: 3_000,
            distro_threshold: 0.7,
            health_check_enabled: true,
            auto_change_health_check_enabled: true,
            distro_enabled: true,
            enable_standalone: true,
            push_enabled: true,
            check_times: 3,
            http_health_params: HealthParams { max: 5_000, min: 500, factor: 0.85 },
            tcp_health_params: HealthParams { max: 5_000, min: 1_000, factor: 0.75 },
            mysql_health_params: HealthParams { max: 3_000, min: 2_000, factor: 0.65 },
            incremental_list: Vec::new(),
            server_status_synchronization_period_millis: 2_000,
            service_status_synchronization_period_millis: 5_000,
            disable_add_ip: false,
            send_beat_only: false,
            light_beat_enabled: true,
            limited_url_map: BTreeMap::new(),
            distro_server_expired_millis: 10_000,
            push_go_version: "0.1.0".into(),
            push_java_version: "0.1.0".into(),
            push_python_version: "0.4.3".into(),
            push_c_version: "1.0.12".into(),
            push_csharp_version: "0.9.0".into(),
            enable_authentication: false,
            overridden_server_status: None,
            default_instance_ephemeral: true,
            health_check_white_list: Vec::new(),
            name: SWITCH_NAME.into(),
            checksum: None,
        }
    }
}

/// Names of the push versions in HTTP v1/v2 and in v3.
const V3_NAMES: [(&str, &str); 5] = [
    ("pushGoVersion", "pushVersionOfGo"),
    ("pushJavaVersion", "pushVersionOfJava"),
    ("pushPythonVersion", "pushVersionOfPython"),
    ("pushCVersion", "pushVersionOfC"),
    ("pushCSharpVersion", "pushVersionOfCsharp"),
];

impl Switches {
    /// As HTTP v1 and v2 show it.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// As HTTP v3 shows it: the push versions have other names.
    pub fn to_json_v3(&self) -> serde_json::Value {
        let serde_json::Value::Object(map) = self.to_json() else { return serde_json::Value::Null };
        let renamed =
            |key: String| V3_NAMES.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| (*new).to_owned());
        map.into_iter().map(|(key, value)| (renamed(key), value)).collect()
    }

    /// The health status word that operators forced, unless cleared.
    pub fn forced_status(&self) -> Option<&str> {
        self.overridden_server_status.as_deref().filter(|word| !word.is_empty())
    }

    /// Sets one entry. An unknown entry changes nothing and is no error. Errors of values have status 400 in the
    /// reference's words (v2 and v3 answer them as 500 with code 30000); a `pushVersion` without version has 500.
    pub fn set(&mut self, entry: &str, value: &str) -> Result<(), NacosError> {
        match entry {
            "distroThreshold" => {
                let threshold = decimal(value)?;
                if threshold <= 0.0 {
                    return Err(illegal(format!("distroThreshold can not be zero or negative: {threshold:?}")));
                }
                self.distro_threshold = threshold;
            }
            "clientBeatInterval" => self.client_beat_interval = number(value)?,
            "pushVersion" => self.set_push_version(value)?,
            "pushCacheMillis" => {
                let min = "min cache time for http or tcp is too small(<10000)";
                self.default_push_cache_millis = at_least(value, 10_000, min)?;
            }
            "defaultCacheMillis" => {
                self.default_cache_millis = at_least(value, 1_000, "min default cache time  is too small(<1000)")?;
            }
            "masters" => self.masters = Some(java_split(value, ',').map(str::to_owned).collect()),
            "distro" => self.distro_enabled = boolean(value),
            "check" => self.health_check_enabled = boolean(value),
            "pushEnabled" => self.push_enabled = boolean(value),
            "serviceStatusSynchronizationPeriodMillis" => {
                let min = "serviceStatusSynchronizationPeriodMillis is too small(<5000)";
                self.service_status_synchronization_period_millis = at_least(value, 5_000, min)?;
            }
            "serverStatusSynchronizationPeriodMillis" => {
                // The text says 15000, the limit is 1000: both as in the reference.
                let min = "serverStatusSynchronizationPeriodMillis is too small(<15000)";
                self.server_status_synchronization_period_millis = at_least(value, 1_000, min)?;
            }
            "healthCheckTimes" => self.check_times = number(value)?,
            "disableAddIP" => self.disable_add_ip = boolean(value),
            "sendBeatOnly" => self.send_beat_only = boolean(value),
            "limitedUrlMap" => self.set_limited_urls(value)?,
            // Never assigned in the reference.
            "enableStandalone" => {}
            "overriddenServerStatus" => {
                self.overridden_server_status = Some(if value == "null" { String::new() } else { value.to_owned() });
            }
            "defaultInstanceEphemeral" => self.default_instance_ephemeral = boolean(value),
            "distroServerExpiredMillis" => self.distro_server_expired_millis = number(value)?,
            // These two say yes in more words than the others.
            "lightBeatEnabled" => self.light_beat_enabled = yes(value),
            "autoChangeHealthCheckEnabled" => self.auto_change_health_check_enabled = yes(value),
            "httpHealthParams" => {
                self.http_health_params = in_bounds(health_params(value, Self::default().http_health_params)?)?;
            }
            "tcpHealthParams" => {
                self.tcp_health_params = in_bounds(health_params(value, Self::default().tcp_health_params)?)?;
            }
            // The reference sets no bounds to these.
            "mysqlHealthParams" => {
                self.mysql_health_params = health_params(value, Self::default().mysql_health_params)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn set_push_version(&mut self, value: &str) -> Result<(), NacosError> {
        let mut parts = java_split(value, ':');
        let kind = parts.next().unwrap_or_default();
        let version = parts
            .next()
            .ok_or_else(|| NacosError::new(500, ErrorCode::SERVER_ERROR, "Index 1 out of bounds for length 1"))?;
        let numbers: Vec<&str> = version.split('.').collect();
        let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if numbers.len() != 3 || !numbers.iter().all(is_number) {
            return Err(illegal("illegal version, must match: [0-9]+\\.[0-9]+\\.[0-9]+"));
        }
        let field = match kind {
            "java" => &mut self.push_java_version,
            "python" => &mut self.push_python_version,
            "c" => &mut self.push_c_version,
            "go" => &mut self.push_go_version,
            "csharp" => &mut self.push_csharp_version,
            _ => return Err(illegal(format!("unsupported client type: {kind}"))),
        };
        *field = version.to_owned();
        Ok(())
    }

    fn set_limited_urls(&mut self, value: &str) -> Result<(), NacosError> {
        // An empty value changes nothing: only another value removes a limit (2.5.1).
        if value.is_empty() {
            return Ok(());
        }
        let mut limited = BTreeMap::new();
        for entry in java_split(value, ',') {
            let mut parts = java_split(entry, ':');
            let (Some(url), Some(code)) = (parts.next(), parts.next()) else {
                return Err(illegal("invalid input for limited urls"));
            };
            if url.is_empty() {
                return Err(illegal("url can not be empty, url: "));
            }
            let status: i32 = number(code)?;
            if status <= 0 {
                return Err(illegal(format!("illegal normal status code: {status}")));
            }
            limited.insert(url.to_owned(), status);
        }
        self.limited_url_map = limited;
        Ok(())
    }
}

fn illegal(text: impl Into<String>) -> NacosError {
    NacosError::invalid(text)
}

/// A whole number as Java parses it, with no blank around; the error text is Java's.
fn number<T: std::str::FromStr>(value: &str) -> Result<T, NacosError> {
    digits::plain(value).parse().map_err(|_| no_number(value))
}

/// A fraction, likewise; blanks around it do not matter.
fn decimal(value: &str) -> Result<f64, NacosError> {
    let bare = value.trim();
    if bare.is_empty() {
        return Err(illegal("empty String"));
    }
    bare.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| no_number(bare))
}

fn no_number(value: &str) -> NacosError {
    illegal(format!("For input string: \"{value}\""))
}

fn at_least(value: &str, min: u64, text: &str) -> Result<u64, NacosError> {
    let given: i64 = number(value)?;
    u64::try_from(given).ok().filter(|given| *given >= min).ok_or_else(|| illegal(text))
}

/// Java's `Boolean.parseBoolean`: only `true` in any case; `on` means false.
fn boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

/// Java's `split`: empty parts at the end are dropped.
fn java_split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let parts: Vec<&str> = text.split(separator).collect();
    let len = if text.is_empty() { 1 } else { parts.iter().rposition(|part| !part.is_empty()).map_or(0, |at| at + 1) };
    parts.into_iter().take(len)
}

fn health_params(value: &str, defaults: HealthParams) -> Result<HealthParams, NacosError> {
    #[derive(Deserialize)]
    struct Given {
        max: Option<serde_json::Value>,
        min: Option<serde_json::Value>,
        factor: Option<serde_json::Value>,
    }
    let wrong = || illegal("json param invalid.");
    if !value.trim_start().starts_with('{') {
        return Err(wrong());
    }
    let given: Given = first_json(value).map_err(|_| wrong())?;
    let whole = |given: Option<serde_json::Value>, default: i64| match given {
        Some(given) => whole(&given).map(i64::from).ok_or_else(wrong),
        None => Ok(default),
    };
    Ok(HealthParams {
        max: whole(given.max, defaults.max)?,
        min: whole(given.min, defaults.min)?,
        factor: match given.factor {
            Some(given) => decimal_of(&given).ok_or_else(wrong)?,
            None => defaults.factor,
        },
    })
}

fn in_bounds(params: HealthParams) -> Result<HealthParams, NacosError> {
    if params.min < 500 {
        return Err(illegal("min check time for http or tcp is too small(<500)"));
    }
    if params.max < 3_000 {
        return Err(illegal("max check time for http or tcp is too small(<3000)"));
    }
    if !(0.0..=1.0).contains(&params.factor) {
        return Err(illegal("malformed factor"));
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entry: &str, value: &str) -> Result<Switches, String> {
        let mut switches = Switches::default();
        switches.set(entry, value).map(|()| switches).map_err(|e| format!("{} {}", e.status, e.message))
    }

    #[test]
    fn defaults_are_shown_as_recorded() {
        let shown = Switches::default().to_json();
        let recorded: serde_json::Value = serde_json::from_str(
            r#"{"masters": null, "adWeightMap": {}, "defaultPushCacheMillis": 10000, "clientBeatInterval": 5000,
            "defaultCacheMillis": 3000, "distroThreshold": 0.7, "healthCheckEnabled": true,
            "autoChangeHealthCheckEnabled": true, "distroEnabled": true, "enableStandalone": true, "pushEnabled": true,
            "checkTimes": 3, "httpHealthParams": {"max": 5000, "min": 500, "factor": 0.85},
            "tcpHealthParams": {"max": 5000, "min": 1000, "factor": 0.75},
            "mysqlHealthParams": {"max": 3000, "min": 2000, "factor": 0.65}, "incrementalList": [],
            "serverStatusSynchronizationPeriodMillis": 2000, "serviceStatusSynchronizationPeriodMillis": 5000,
            "disableAddIP": false, "sendBeatOnly": false, "lightBeatEnabled": true, "limitedUrlMap": {},
            "distroServerExpiredMillis": 10000, "pushGoVersion": "0.1.0", "pushJavaVersion": "0.1.0",
            "pushPythonVersion": "0.4.3", "pushCVersion": "1.0.12", "pushCSharpVersion": "0.9.0",
            "enableAuthentication": false, "overriddenServerStatus": null, "defaultInstanceEphemeral": true,
            "healthCheckWhiteList": [], "name": "00-00---000-NACOS_SWITCH_DOMAIN-000---00-00", "checksum": null}"#,
        )
        .expect("JSON");
        assert_eq!(shown, recorded);
    }

    #[test]
    fn v3_names_the_push_versions_otherwise() {
        let shown = Switches::default().to_json_v3();
        assert_eq!(shown["pushVersionOfCsharp"], "0.9.0");
        assert_eq!(shown["pushVersionOfC"], "1.0.12");
        assert!(shown.get("pushCVersion").is_none());
    }

    #[test]
    fn values_that_break_a_rule_answer_the_references_text() {
        for (entry, value, text) in [
            ("distroThreshold", "x", "400 For input string: \"x\""),
            ("distroThreshold", " ", "400 empty String"),
            ("clientBeatInterval", "x", "400 For input string: \"x\""),
            ("clientBeatInterval", " 5000", "400 For input string: \" 5000\""),
            ("pushVersion", "java", "500 Index 1 out of bounds for length 1"),
            ("pushVersion", "java:1", "400 illegal version, must match: [0-9]+\\.[0-9]+\\.[0-9]+"),
            ("pushVersion", "cobol:1.0.0", "400 unsupported client type: cobol"),
            ("pushCacheMillis", "10", "400 min cache time for http or tcp is too small(<10000)"),
            ("pushCacheMillis", "-1", "400 min cache time for http or tcp is too small(<10000)"),
            ("defaultCacheMillis", "10", "400 min default cache time  is too small(<1000)"),
            (
                "serviceStatusSynchronizationPeriodMillis",
                "1",
                "400 serviceStatusSynchronizationPeriodMillis is too small(<5000)",
            ),
            (
                "serverStatusSynchronizationPeriodMillis",
                "1",
                "400 serverStatusSynchronizationPeriodMillis is too small(<15000)",
            ),
            ("healthCheckTimes", "x", "400 For input string: \"x\""),
            ("limitedUrlMap", "abc", "400 invalid input for limited urls"),
            ("limitedUrlMap", "/x:0", "400 illegal normal status code: 0"),
            ("distroServerExpiredMillis", "x", "400 For input string: \"x\""),
            ("httpHealthParams", "{", "400 json param invalid."),
            (
                "tcpHealthParams",
                "{\"max\":1,\"min\":2,\"factor\":9}",
                "400 min check time for http or tcp is too small(<500)",
            ),
            ("mysqlHealthParams", "x", "400 json param invalid."),
            ("mysqlHealthParams", "[5000,500,0.5]", "400 json param invalid."),
        ] {
            assert_eq!(set(entry, value), Err(text.to_owned()), "{entry}={value}");
        }
    }

    #[test]
    fn odd_values_that_are_accepted() {
        assert!(!set("distro", "on").expect("ok").distro_enabled, "`on` means false");
        assert_eq!(set("nonsense", "1"), Ok(Switches::default()));
        assert_eq!(set("", "1"), Ok(Switches::default()));
        assert_eq!(set("limitedUrlMap", ""), Ok(Switches::default()));
        assert_eq!(set("enableStandalone", "false"), Ok(Switches::default()));
        assert_eq!(set("overriddenServerStatus", "").expect("ok").overridden_server_status.as_deref(), Some(""));
        assert_eq!(set("overriddenServerStatus", "null").expect("ok").forced_status(), None);
        assert_eq!(set("overriddenServerStatus", "NULL").expect("ok").forced_status(), Some("NULL"));
        for word in ["on", "YES", "t"] {
            let flags =
                |entry| set(entry, word).map(|set| (set.light_beat_enabled, set.auto_change_health_check_enabled));
            assert_eq!(
                (flags("lightBeatEnabled"), flags("autoChangeHealthCheckEnabled")),
                (Ok((true, true)), Ok((true, true)))
            );
        }
        assert!(!set("lightBeatEnabled", "1").expect("ok").light_beat_enabled);
        assert_eq!(set("distroThreshold", " 0.5 ").expect("ok").distro_threshold, 0.5);
        let loose =
            set("tcpHealthParams", r#"{"max":"4000","min":600.7,"factor":"0.5"} x"#).expect("ok").tcp_health_params;
        assert_eq!(loose, HealthParams { max: 4_000, min: 600, factor: 0.5 });
        let unchecked = set("mysqlHealthParams", r#"{"max":1,"min":1,"factor":9}"#).expect("ok").mysql_health_params;
        assert_eq!(unchecked, HealthParams { max: 1, min: 1, factor: 9.0 });
        assert_eq!(set("overriddenServerStatus", "DOWN").expect("ok").forced_status(), Some("DOWN"));
        let limited = set("limitedUrlMap", "/nowhere:418,/a:503,").expect("ok").limited_url_map;
        assert_eq!(limited, BTreeMap::from([("/nowhere".to_owned(), 418), ("/a".to_owned(), 503)]));
    }
}
