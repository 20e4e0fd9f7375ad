//! The store: external databases.

use super::{COUNT, Kind, Known, LONGEST, int, millis, row};

#[rustfmt::skip]
pub(super) const ROWS: &[Known] = &[
    row("spring.sql.init.platform", Kind::Choice(&["", "derby", "sqlite"]), "", "2.2.0", "mysql, postgresql, derby...: chooses storage; wins over the next key.").later().also(&["spring.datasource.platform"]),
    row("db.num", int(1, 16), "", "0.8.0", "Number of databases.").later(),
    row("db.url.*", Kind::Text, "", "0.8.0", "JDBC URL of database N.").later(),
    row("db.user*", Kind::Text, "", "0.8.0", "User; index missing = index 0 value.").later(),
    row("db.password*", Kind::Text, "", "0.8.0", "Password; index missing = index 0 value.").later().secret(),
    row("db.pool.config.connectionTimeout", millis(0, LONGEST), "3000", "1.4.1", "Hikari connection timeout (ms).").later(),
    row("db.pool.config.validationTimeout", millis(0, LONGEST), "10000", "1.4.1", "Hikari validation timeout (ms).").later(),
    row("db.pool.config.idleTimeout", millis(0, LONGEST), "600000", "1.4.1", "Hikari idle timeout (ms).").later(),
    row("db.pool.config.maximumPoolSize", COUNT, "20", "1.4.1", "Hikari maximum pool.").later(),
    row("db.pool.config.minimumIdle", COUNT, "2", "1.4.1", "Hikari minimum idle.").later(),
    row("db.pool.config.*", Kind::Text, "", "1.4.1", "Bound onto HikariDataSource (e.g. driverClassName, connectionTestQuery).").later(),
    row("nacos.plugin.datasource.log.enabled", Kind::Bool, "false", "2.2.0", "Log every SQL of the datasource plugin.").never(),
];
