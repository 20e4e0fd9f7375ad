//! Configurations: get, publish, remove, search, listen.

use std::time::Duration;

use md5::{Digest, Md5};
use serde_json::Value;

use super::{Client, Generation, data, is_gone, refused, text};
use crate::{
    error::{CliError, Outcome},
    http::{Params, Request, Response},
};

/// Rows asked for at once.
const PAGE: u64 = 500;
/// Rows that one search collects; a person reads no more.
const ROWS: usize = 100_000;
/// How long a long poll is held.
const POLL: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub data_id: String,
    pub group: String,
}

/// A configuration as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub content: Vec<u8>,
    pub md5: String,
    pub kind: String,
    /// Milliseconds since 1970, when the server says.
    pub modified: Option<i64>,
}

/// What a publish carries besides the content.
#[derive(Clone, Debug, Default)]
pub struct Publish {
    pub kind: Option<String>,
    pub app: Option<String>,
    pub description: Option<String>,
    pub tags: Option<String>,
    /// Publish only if the stored content has this md5.
    pub cas_md5: Option<String>,
}

/// A row of a search.
#[derive(Clone, Debug)]
pub struct Found {
    pub data_id: String,
    pub group: String,
    pub kind: String,
    pub md5: String,
    pub app: String,
}

pub fn md5_hex(content: &[u8]) -> String {
    Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Client {
    fn v1_key(&self, key: &Key) -> Params {
        let params = Params::default().with("dataId", &key.data_id).with("group", &key.group);
        params.maybe("tenant", self.tenant())
    }

    fn v3_key(&self, key: &Key) -> Params {
        let params = Params::default().with("dataId", &key.data_id).with("groupName", &key.group);
        params.with("namespaceId", self.namespace_name())
    }

    /// `None` when there is no such configuration.
    pub async fn config(&self, key: &Key) -> Outcome<Option<Config>> {
        let first = Request::get("/v1/cs/configs", self.v1_key(key));
        let second = Request::get("/v3/client/cs/config", self.v3_key(key));
        match self.either(first, second).await? {
            (Generation::V1, response) => match response.status {
                200 => Ok(Some(from_headers(&response))),
                404 => Ok(None),
                _ => Err(refused(&response)),
            },
            (Generation::V3, response) => {
                let json = response.json().unwrap_or_default();
                if json["code"] == 20004 || response.status == 404 {
                    return Ok(None);
                }
                let found = data(&response)?;
                let content = text(&found, "content").into_bytes();
                let md5 = Some(text(&found, "md5")).filter(|md5| !md5.is_empty()).unwrap_or_else(|| md5_hex(&content));
                let kind = text(&found, "contentType");
                Ok(Some(Config { content, md5, kind, modified: found["lastModified"].as_i64() }))
            }
        }
    }

    pub async fn publish(&self, key: &Key, content: &str, options: &Publish) -> Outcome {
        let rest = |form: Params, tags: &str| {
            form.with("content", content)
                .maybe("type", options.kind.as_deref())
                .maybe("appName", options.app.as_deref())
                .maybe("desc", options.description.as_deref())
                .maybe(tags, options.tags.as_deref())
        };
        let cas = |request: Request| match &options.cas_md5 {
            Some(md5) => request.header("casMd5", md5.clone()),
            None => request,
        };
        let first = cas(Request::post("/v1/cs/configs", rest(self.v1_key(key), "config_tags")));
        let second = cas(Request::post("/v3/admin/cs/config", rest(self.v3_key(key), "configTags")));
        let (_, response) = self.either(first, second).await?;
        let body = response.text();
        if response.status == 200 && (body.trim() == "true" || data(&response).is_ok_and(|data| data == true)) {
            return Ok(());
        }
        let lost = body.contains("Cas publish fail") || body.trim() == "false" || body.contains("md5 may have changed");
        if options.cas_md5.is_some() && lost {
            return Err(CliError::Conflict(format!(
                "{} in group {} was changed by somebody else: its md5 is no longer {}; get it again and retry",
                key.data_id,
                key.group,
                options.cas_md5.as_deref().unwrap_or_default()
            )));
        }
        Err(refused(&response))
    }

    pub async fn remove_config(&self, key: &Key) -> Outcome {
        let first = Request::new(http::Method::DELETE, "/v1/cs/configs", self.v1_key(key));
        let second = Request::new(http::Method::DELETE, "/v3/admin/cs/config", self.v3_key(key));
        let (_, response) = self.either(first, second).await?;
        if response.status == 200
            && (response.text().trim() == "true" || data(&response).is_ok_and(|data| data == true))
        {
            return Ok(());
        }
        Err(refused(&response))
    }

    /// Configurations that may match; `*` stands for any text, `""` for everything. A server of 3.x refuses stars, so it is
    /// asked for everything: the caller looks at each row itself.
    pub async fn search(&self, data_id: &str, group: &str) -> Outcome<Vec<Found>> {
        let mut out = Vec::new();
        for page in 1.. {
            let (rows, total) = self.search_page(data_id, group, page).await?;
            let empty = rows.is_empty();
            out.extend(rows);
            if empty || out.len() as u64 >= total || out.len() >= ROWS {
                break;
            }
        }
        Ok(out)
    }

    async fn search_page(&self, data_id: &str, group: &str, page: u64) -> Outcome<(Vec<Found>, u64)> {
        let paging = |params: Params| params.with("pageNo", &page.to_string()).with("pageSize", &PAGE.to_string());
        let v1 = Params::default().with("search", "blur").with("dataId", data_id).with("group", group);
        let v3 = Params::default().with("search", "blur").with("dataId", "").with("groupName", "");
        let first = self.send(Request::get("/v1/cs/configs", paging(v1.with("tenant", &self.namespace)))).await?;
        let found = match data(&first) {
            Ok(found) if found.get("pageItems").is_some() => found,
            _ if matches!(first.status, 401 | 403) => return Err(refused(&first)),
            // A server without the search of v1 takes it for the read of a config without a name.
            _ => {
                let v3 = paging(v3.with("namespaceId", self.namespace_name()));
                let second = self.send(Request::get("/v3/admin/cs/config/list", v3)).await?;
                if is_gone(&second) {
                    return Err(refused(&first));
                }
                data(&second)?
            }
        };
        let items = found["pageItems"].as_array().map(Vec::as_slice).unwrap_or_default();
        let rows = items.iter().map(|item| Found {
            data_id: text(item, "dataId"),
            group: Some(text(item, "group")).filter(|g| !g.is_empty()).unwrap_or_else(|| text(item, "groupName")),
            kind: text(item, "type"),
            md5: Some(text(item, "md5")).filter(|md5| !md5.is_empty()).unwrap_or_else(|| match &item["content"] {
                Value::String(content) => md5_hex(content.as_bytes()),
                _ => String::new(),
            }),
            app: text(item, "appName"),
        });
        Ok((rows.collect(), found["totalCount"].as_u64().unwrap_or(0)))
    }

    /// Waits until one of the keys no longer has the md5 given, or the poll runs out; then the answer is empty.
    pub async fn listen(&self, keys: &[(Key, String)]) -> Outcome<Vec<Key>> {
        let mut list = String::new();
        for (key, md5) in keys {
            list.push_str(&format!("{}\u{2}{}\u{2}{md5}", key.data_id, key.group));
            if let Some(tenant) = self.tenant() {
                list.push_str(&format!("\u{2}{tenant}"));
            }
            list.push('\u{1}');
        }
        let request = Request::post("/v1/cs/configs/listener", Params::default().with("Listening-Configs", &list))
            .header("Long-Pulling-Timeout", POLL.as_millis().to_string())
            .patience(POLL + Duration::from_secs(15));
        let response = self.send(request).await?;
        if is_gone(&response) {
            return Err(CliError::Failed(
                "the server does not have the long polling API of v1: set nacos.core.api.compatibility.client.enabled=true there"
                    .to_owned(),
            ));
        }
        if response.status != 200 {
            return Err(refused(&response));
        }
        Ok(changed(&response.text()))
    }
}

fn from_headers(response: &Response) -> Config {
    let content = response.body.to_vec();
    let md5 = response.header("Content-MD5").map_or_else(|| md5_hex(&content), str::to_owned);
    Config {
        md5,
        kind: response.header("Config-Type").unwrap_or_default().to_owned(),
        modified: response.header("Last-Modified").and_then(http_date),
        content,
    }
}

/// `Tue, 25 Nov 2025 17:48:02 GMT` as milliseconds.
fn http_date(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc2822(text).ok().map(|date| date.timestamp_millis())
}

/// The keys of a long poll's answer.
fn changed(body: &str) -> Vec<Key> {
    let decoded = percent_encoding::percent_decode_str(body.trim()).decode_utf8_lossy().into_owned();
    decoded
        .split('\u{1}')
        .filter_map(|record| {
            let mut words = record.split('\u{2}');
            let (data_id, group) = (words.next()?, words.next()?);
            (!data_id.is_empty()).then(|| Key { data_id: data_id.to_owned(), group: group.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_long_polls_are_read() {
        let key = |d: &str, g: &str| Key { data_id: d.into(), group: g.into() };
        assert_eq!(
            changed("app.yaml%02DEFAULT_GROUP%02dev%01b%02G%01\n"),
            [key("app.yaml", "DEFAULT_GROUP"), key("b", "G")]
        );
        assert!(changed("").is_empty());
        assert!(changed("\n").is_empty());
    }

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(http_date("Tue, 25 Nov 2025 17:48:02 GMT"), Some(1_764_092_882_000));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for wrong in ["", "yesterday", "Tue, 25 Foo 2025 17:48:02 GMT", "Tue, 25 Nov 99999999999 17:48:02 GMT"] {
            assert_eq!(http_date(wrong), None);
        }
    }

    #[test]
    fn md5_is_of_the_bytes() {
        assert_eq!(md5_hex("中".as_bytes()), "aed1dfbc31703955e64806b799b67645");
    }
}
