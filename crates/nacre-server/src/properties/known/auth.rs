//! Authentication and authorisation.

use super::{Kind, Known, LONGEST, millis, row, seconds};

#[rustfmt::skip]
pub(super) const ROWS: &[Known] = &[
    row("nacos.core.auth.enabled", Kind::Bool, "false", "1.2.0", "Auth on client/open APIs.").later(),
    row("nacos.core.auth.admin.enabled", Kind::Bool, "true", "3.0.0", "Auth on v3 admin APIs.").later(),
    row("nacos.core.auth.console.enabled", Kind::Bool, "true", "3.0.0", "Auth on v3 console APIs.").later(),
    row("nacos.core.auth.system.type", Kind::Text, "", "1.2.0", "nacos, ldap, oidc plugin name.").later(),
    row("nacos.core.auth.caching.enabled", Kind::Bool, "true", "1.2.0", "Cache users/roles for about 15 s.").later(),
    row("nacos.core.auth.server.identity.key", Kind::Text, "", "1.4.1", "Header name proving a request comes from a peer.").later(),
    row("nacos.core.auth.server.identity.value", Kind::Text, "", "1.4.1", "Header value for the above.").later().secret(),
    row("nacos.core.auth.enable.userAgentAuthWhite", Kind::Text, "false", "1.4.1 - 2.5.x", "Trust User-Agent Nacos-Server*; insecure.").dead("nacos.core.auth.server.identity.key and .value"),
    row("nacos.core.auth.plugin.nacos.token.secret.key", Kind::Text, "", "2.1.0", "Base64 JWT secret, at least 32 decoded bytes.").later().also(&["nacos.core.auth.default.token.secret.key"]).secret(),
    row("nacos.core.auth.plugin.nacos.token.expire.seconds", seconds(0, 31_536_000), "18000", "2.1.0", "Life of a login; without authentication only told.").now().also(&["nacos.core.auth.default.token.expire.seconds"]),
    row("nacos.core.auth.plugin.nacos.token.cache.enable", Kind::Bool, "false", "2.2.1", "Reuse unexpired tokens.").later(),
    row("nacos.core.auth.plugin.*", Kind::Text, "", "2.1.0", "Passed to the auth plugin of that type.").later(),
    row("nacos.core.auth.ldap.url", Kind::Text, "ldap://localhost:389", "2.0.x", "LDAP server.").later(),
    row("nacos.core.auth.ldap.basedc", Kind::Text, "dc=example,dc=org", "2.0.x", "LDAP base DN.").later(),
    row("nacos.core.auth.ldap.userDn", Kind::Text, "cn=admin,dc=example,dc=org", "2.1.0", "LDAP bind DN.").later(),
    row("nacos.core.auth.ldap.password", Kind::Text, "password", "2.0.x", "LDAP bind password.").later().secret(),
    row("nacos.core.auth.ldap.timeout", millis(0, LONGEST), "3000", "2.0.x", "LDAP timeout (ms).").later(),
    row("nacos.core.auth.ldap.filter.prefix", Kind::Text, "uid", "2.1.2", "Login attribute.").later(),
    row("nacos.core.auth.ldap.case.sensitive", Kind::Bool, "true", "2.2.0", "false = lower-case user names.").later(),
    row("nacos.core.auth.ldap.ignore.partial.result.exception", Kind::Bool, "false", "2.2.1", "Ignore PartialResultException.").later(),
    row("nacos.core.auth.nacos.anonymous.ai.enabled", Kind::Bool, "false", "3.2.0", "Let anybody read the AI registry.").later(),
    row("nacos.plugin.auth.*", Kind::Text, "", "3.2.0", "Settings of an auth plugin.").later(),
];
