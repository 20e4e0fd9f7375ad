//! `docs/properties.md` is made from the table of properties; this test keeps both equal. `NACRE_UPDATE_DOCS=1 cargo test
//! -p nacre-server --test properties_doc` writes the page anew.

use std::{fmt::Write, path::Path};

use nacre_server::properties::{
    IMAGE_VARIABLES,
    known::{self, Effect, Known},
};

const HEAD: &str = "# Properties

nacre reads Nacos's `application.properties`. Strongest first: `-D key=value` on the command line; `-D` inside `JAVA_OPT` and
`JAVA_OPT_EXT`; environment variables that spell a key (`NACOS_CORE_AUTH_ENABLED` is `nacos.core.auth.enabled`); the variables of
the official image; the file of `--config`; `HOME/conf/application.properties`; defaults. `nacre server --print-config` shows every
effective value and where it comes from.

Keys are compared as Spring compares them: case, `-` and `_` do not count, and `a[0]` is `a.0`. Files are read as
`java.util.Properties` reads them, with one departure: a file that is valid UTF-8 is read as UTF-8, any other as ISO-8859-1.
`${name}` and `${name:default}` see every source and the environment. Times take a unit (`500ms`, `30s`, `5m`), and so do sizes
(`10MB`); a bare number counts in the unit given.

While the server runs, keys marked *live* follow the two files: a changed file is read when it has held still for a second, each
change is in the journal (`settingChanged`), and a file with a wrong value changes nothing (`settingRefused`). A key that is taken out
of the file keeps its last value until the next start; everything else is read at the next start.

A key that is not known is named at start together with the nearest one that is. A wrong value stops the start with file, line, key
and what is allowed. Made from `crates/nacre-server/src/properties/known`.
";

fn rows(page: &mut String, title: &str, wanted: impl Fn(&Known) -> bool) {
    writeln!(page, "\n## {title}\n\n| key | default | allowed | since | |\n|---|---|---|---|---|").expect("text");
    for row in known::all().filter(|row| wanted(row)) {
        let also: String = row.aliases.iter().map(|alias| format!("<br>also `{alias}`")).collect();
        let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
        let doc = match row.effect {
            Effect::Dead { instead } => match instead.strip_prefix("nothing; ") {
                Some(why) => format!("{} ({why})", row.doc),
                None => format!("{} Use `{instead}`.", row.doc),
            },
            _ => row.doc.to_owned(),
        };
        let doc = if row.hot { format!("{doc} *live*") } else { doc };
        let cells = [format!("`{}`{also}", row.key), default, row.kind.allowed(), row.since.to_owned(), doc];
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        writeln!(page, "| {} |", cells.join(" | ")).expect("text");
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    rows(&mut page, "nacre's own", |row| row.effect == Effect::Now && row.key.starts_with("nacre."));
    rows(&mut page, "Nacos's, in effect", |row| row.effect == Effect::Now && !row.key.starts_with("nacre."));
    rows(&mut page, "Known, without effect yet", |row| row.effect == Effect::Later);
    rows(&mut page, "Without effect in Nacos too", |row| matches!(row.effect, Effect::Dead { .. }));
    page.push_str("\n## Of Java and Spring\n\nAccepted in silence, without effect: ");
    let never: Vec<String> =
        known::all().filter(|row| row.effect == Effect::Never).map(|row| format!("`{}`", row.key)).collect();
    page.push_str(&never.join(", "));
    page.push_str(
        ".\n\n## Variables of the official image\n\n| variable | key |\n|---|---|\n\
         | `MODE` | `nacos.standalone` |\n| `NACOS_APPLICATION_PORT`, `NACOS_SERVER_PORT` | `server.port` |\n\
         | `NACOS_SERVERS`, `MEMBER_LIST` | `nacos.member.list` |\n| `PREFER_HOST_MODE` | `nacos.preferHostnameOverIp` |\n\
         | `FUNCTION_MODE` | `nacos.functionMode` |\n| `EMBEDDED_STORAGE` | `embeddedStorage` |\n\
         | `MYSQL_SERVICE_HOST`, `_PORT`, `_DB_NAME`, `_DB_PARAM` | `db.url.0` |\n",
    );
    for (variable, key) in IMAGE_VARIABLES {
        writeln!(page, "| `{variable}` | `{key}` |").expect("text");
    }
    page
}

#[test]
fn the_page_of_properties_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/properties.md");
    if std::env::var_os("NACRE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).expect("docs can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/properties.md is stale; run NACRE_UPDATE_DOCS=1 cargo test -p nacre-server --test properties_doc"
    );
}
