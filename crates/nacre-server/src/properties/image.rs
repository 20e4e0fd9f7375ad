//! Variables of the official container image. Its start script writes them into `application.properties` and the JVM's
//! command line; here each is read as the key it stands for.

use super::source::{Origin, Setting, Source};

/// Variables of the official image that carry the value of one key.
pub const PLAIN: &[(&str, &str)] = &[
    ("NACOS_SERVER_IP", "nacos.server.ip"),
    ("NACOS_CONSOLE_PORT", "nacos.console.port"),
    ("NACOS_CONSOLE_CONTEXTPATH", "nacos.console.contextPath"),
    ("SERVER_SERVLET_CONTEXTPATH", "server.servlet.contextPath"),
    ("NACOS_DEPLOYMENT_TYPE", "nacos.deployment.type"),
    ("NACOS_AI_REGISTRY_ENABLED", "nacos.ai.mcp.registry.enabled"),
    ("NACOS_AI_REGISTRY_PORT", "nacos.ai.mcp.registry.port"),
    ("SPRING_DATASOURCE_PLATFORM", "spring.sql.init.platform"),
    ("MYSQL_DATABASE_NUM", "db.num"),
    ("MYSQL_SERVICE_USER", "db.user.0"),
    ("MYSQL_SERVICE_PASSWORD", "db.password.0"),
    ("DB_POOL_CONNECTION_TIMEOUT", "db.pool.config.connectionTimeout"),
    ("TOMCAT_ACCESSLOG_ENABLED", "server.tomcat.accesslog.enabled"),
    ("NACOS_AUTH_ENABLE", "nacos.core.auth.enabled"),
    ("NACOS_AUTH_ADMIN_ENABLE", "nacos.core.auth.admin.enabled"),
    ("NACOS_AUTH_CONSOLE_ENABLE", "nacos.core.auth.console.enabled"),
    ("NACOS_AUTH_SYSTEM_TYPE", "nacos.core.auth.system.type"),
    ("NACOS_AUTH_TOKEN", "nacos.core.auth.plugin.nacos.token.secret.key"),
    ("NACOS_AUTH_TOKEN_EXPIRE_SECONDS", "nacos.core.auth.plugin.nacos.token.expire.seconds"),
    ("NACOS_AUTH_CACHE_ENABLE", "nacos.core.auth.caching.enabled"),
    ("NACOS_AUTH_IDENTITY_KEY", "nacos.core.auth.server.identity.key"),
    ("NACOS_AUTH_IDENTITY_VALUE", "nacos.core.auth.server.identity.value"),
    ("NACOS_AUTH_USER_AGENT_AUTH_WHITE_ENABLE", "nacos.core.auth.enable.userAgentAuthWhite"),
    ("NACOS_AUTH_ALLOW_ANONYMOUS_AI_ENABLED", "nacos.core.auth.nacos.anonymous.ai.enabled"),
    ("NACOS_SECURITY_IGNORE_URLS", "nacos.security.ignore.urls"),
    ("NACOS_CONSOLE_UI_ENABLED", "nacos.console.ui.enabled"),
    ("NACOS_CORE_PARAM_CHECK_ENABLED", "nacos.core.param.check.enabled"),
    ("USE_ONLY_SITE_INTERFACES", "nacos.inetutils.use-only-site-local-interfaces"),
    // The image writes these two without the index that Java Nacos needs to see them; here they count.
    ("PREFERRED_NETWORKS", "nacos.inetutils.preferred-networks[0]"),
    ("IGNORED_INTERFACES", "nacos.inetutils.ignored-interfaces[0]"),
];

/// Variables that need more than copying, and those that mean something only to the image or the JVM.
const OTHERS: &[&str] = &[
    "MODE",
    "PREFER_HOST_MODE",
    "FUNCTION_MODE",
    "EMBEDDED_STORAGE",
    "NACOS_APPLICATION_PORT",
    "NACOS_SERVER_PORT",
    "NACOS_SERVERS",
    "MEMBER_LIST",
    "MYSQL_SERVICE_HOST",
    "MYSQL_SERVICE_PORT",
    "MYSQL_SERVICE_DB_NAME",
    "MYSQL_SERVICE_DB_PARAM",
    "NACOS_HOME",
    "NACOS_DEBUG",
    "NACOS_EXT_PLUGIN_DIRS",
    "NACOS_VERSION",
    "NACRE_SERVER",
];

const MYSQL_PARAMETERS: &str =
    "characterEncoding=utf8&connectTimeout=1000&socketTimeout=3000&autoReconnect=true&useSSL=false";

/// Whether the image, or nacre itself, reads the variable.
pub fn knows(variable: &str) -> bool {
    OTHERS.contains(&variable) || PLAIN.iter().any(|(name, _)| *name == variable)
}

/// The variable of the image that stands for a key.
pub fn variable_of(key: &str) -> Option<&'static str> {
    PLAIN.iter().find(|(_, plain)| *plain == key).map(|(name, _)| *name)
}

/// The keys that the image's variables stand for.
pub fn environment(environment: &[(String, String)]) -> Source {
    let value = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let mut out = Vec::new();
    let mut set = |variable: &str, key: &str, value: String| {
        out.push(Setting { key: key.to_owned(), value, origin: Origin::Environment(variable.into()) });
    };
    // Kubernetes puts `tcp://10.0.0.1:8848` into `NACOS_SERVER_PORT` beside a service named `nacos-server`.
    for variable in ["NACOS_SERVER_PORT", "NACOS_APPLICATION_PORT"] {
        if let Some(port) = value(variable).filter(|v| !v.contains("://")) {
            set(variable, "server.port", port.to_owned());
        }
    }
    // `MODE` is a common name: only the image's own two words count.
    match value("MODE").map(str::to_ascii_lowercase).as_deref() {
        Some("standalone") => set("MODE", "nacos.standalone", "true".to_owned()),
        Some("cluster") => set("MODE", "nacos.standalone", "false".to_owned()),
        _ => {}
    }
    if let Some(mode) = value("PREFER_HOST_MODE") {
        set("PREFER_HOST_MODE", "nacos.preferHostnameOverIp", mode.eq_ignore_ascii_case("hostname").to_string());
    }
    if let Some(mode) = value("FUNCTION_MODE").filter(|mode| !mode.eq_ignore_ascii_case("all")) {
        set("FUNCTION_MODE", "nacos.functionMode", mode.to_owned());
    }
    if value("EMBEDDED_STORAGE").is_some_and(|v| v.eq_ignore_ascii_case("embedded")) {
        set("EMBEDDED_STORAGE", "embeddedStorage", "true".to_owned());
    }
    // Like the file that the image makes of it, `NACOS_SERVERS` beats the list.
    for variable in ["MEMBER_LIST", "NACOS_SERVERS"] {
        if let Some(members) = value(variable).filter(|v| !v.trim().is_empty()) {
            let members: Vec<&str> = members.split([' ', ',', '\n']).filter(|m| !m.is_empty()).collect();
            set(variable, "nacos.member.list", members.join(","));
        }
    }
    if let (Some(host), Some(name)) = (value("MYSQL_SERVICE_HOST"), value("MYSQL_SERVICE_DB_NAME")) {
        let port = value("MYSQL_SERVICE_PORT").filter(|v| !v.contains("://")).unwrap_or("3306");
        let parameters = value("MYSQL_SERVICE_DB_PARAM").unwrap_or(MYSQL_PARAMETERS);
        set("MYSQL_SERVICE_HOST", "db.url.0", format!("jdbc:mysql://{host}:{port}/{name}?{parameters}"));
    }
    for (variable, key) in PLAIN {
        if let Some(value) = value(variable) {
            set(variable, key, value.to_owned());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::known;

    fn read(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let env: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        environment(&env).into_iter().map(|s| (s.key, s.value)).collect()
    }

    #[test]
    fn every_variable_stands_for_a_known_key() {
        for (variable, key) in PLAIN {
            assert!(known::find(key).is_some(), "{variable}: {key}");
        }
    }

    #[test]
    fn mode_is_read_only_where_it_is_the_images() {
        assert_eq!(read(&[("MODE", "standalone")]), [("nacos.standalone".into(), "true".into())]);
        assert_eq!(read(&[("MODE", "cluster")]), [("nacos.standalone".into(), "false".into())]);
        assert!(read(&[("MODE", "production")]).is_empty());
    }

    #[test]
    fn a_service_link_of_kubernetes_is_not_a_port() {
        assert!(read(&[("NACOS_SERVER_PORT", "tcp://192.0.2.1:8848")]).is_empty());
        assert_eq!(read(&[("NACOS_SERVER_PORT", "8849")]), [("server.port".into(), "8849".into())]);
    }

    #[test]
    fn the_database_address_is_built_as_the_image_builds_it() {
        assert_eq!(
            read(&[("MYSQL_SERVICE_HOST", "db.example.org"), ("MYSQL_SERVICE_DB_NAME", "nacos")]),
            [("db.url.0".into(), format!("jdbc:mysql://db.example.org:3306/nacos?{MYSQL_PARAMETERS}"))]
        );
        assert!(read(&[("MYSQL_SERVICE_HOST", "192.0.2.7"), ("MYSQL_SERVICE_PORT", "3306")]).is_empty());
    }

    #[test]
    fn members_are_a_comma_list() {
        assert_eq!(
            read(&[("NACOS_SERVERS", "192.0.2.1:8848 192.0.2.2:8848")]),
            [("nacos.member.list".into(), "192.0.2.1:8848,192.0.2.2:8848".into())]
        );
    }
}
