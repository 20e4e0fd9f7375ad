//! Module `config`: query, publish, remove, listen.

use std::sync::Arc;

use nacre_config::{
    Asker, ConfigCommand, GrayTarget, KeyRef, Listen, Lookup, Publish, Remove, Source, check as config_check,
    gray::VIPSERVER_TAG,
};
use nacre_model::{
    Cause, ConfigKey, Event, NacosError, Subject,
    check::{self, ParamInfo},
};
use nacre_wire::grpc::{
    Envelope,
    config::{
        ChangedConfig, ConfigBatchListenRequest, ConfigChangeBatchListenResponse, ConfigPublishRequest,
        ConfigQueryRequest, ConfigQueryResponse, ConfigRemoveRequest,
    },
    envelope::Nothing,
};

use super::super::dispatch::{Call, Operation, Reply, short};

/// The config a request names, for the journal.
fn about(data_id: &Option<String>, group: &Option<String>, tenant: &Option<String>) -> Subject {
    let text = |part: &Option<String>| short(part.as_deref().unwrap_or_default());
    Subject::config(&ConfigKey::new(&text(tenant), &text(group), &text(data_id)))
}

/// The parameter check of a config's names.
fn check_names(
    data_id: Option<&str>,
    group: Option<&str>,
    tenant: Option<&str>,
    metadata_length: usize,
) -> Result<(), String> {
    check::check(&ParamInfo { namespace: tenant, data_id, group, ..ParamInfo::default() }, metadata_length)
}

impl Operation for ConfigQueryRequest {
    const RESPONSE: &'static str = "ConfigQueryResponse";
    type Fields = ConfigQueryResponse<'static>;

    fn namespace(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    fn subject(&self) -> Subject {
        about(&self.data_id, &self.group, &self.tenant)
    }

    fn check(&self, length: usize) -> Result<(), String> {
        check_names(self.data_id.as_deref(), self.group.as_deref(), self.tenant.as_deref(), length)
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let (Some(data_id), Some(group)) = (&self.data_id, &self.group) else {
            let name = if self.data_id.is_none() { "dataId" } else { "group" };
            return Ok(Reply::typed::<Self::Fields>(500, format!("invalid {name} : null")));
        };
        let key = KeyRef::new(self.tenant.as_deref().unwrap_or(""), group, data_id);
        let asker = Asker { tag: self.tag.as_deref(), ..call.connection.asker.as_asker() };
        let missing = || Envelope::fail(300, "config data not exist");
        Ok(match call.app.configs.query(key, &asker) {
            Lookup::Found(found) => {
                let tag = found.tag().map(url_encoded);
                Reply::ok(&ConfigQueryResponse {
                    content: Some(found.content()),
                    encrypted_data_key: found.encrypted_data_key(),
                    content_type: found.config_type(),
                    md5: Some(found.md5()),
                    last_modified: found.last_modified(),
                    tag: tag.as_deref(),
                    beta: found.is_beta(),
                })
            }
            Lookup::NotFound => {
                let sought = nacre_doctor::asked::Sought::Config(key.to_key());
                crate::doctor::sighting::nothing_found(call.app, call.connection, sought, false);
                Reply::new(&missing(), &ConfigQueryResponse::default())
            }
            Lookup::TagNotFound => {
                let fields = ConfigQueryResponse { tag: asker.explicit_tag(), ..ConfigQueryResponse::default() };
                Reply::new(&missing(), &fields)
            }
        })
    }
}

/// As Java's `URLEncoder`: letters, digits, `.`, `-`, `*` and `_` stay, a blank is `+`.
fn url_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(byte as char),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// A failure of a publish: typed, with the exception's code.
fn publish_failed(error: &NacosError) -> Reply {
    Reply::typed::<Nothing>(error.status, error.client_text())
}

/// A publish that was refused for its additions or where it is applied: what HTTP answers with 400 is 500 here.
fn publish_refused(error: &NacosError) -> Reply {
    let code = if error.status == 400 { 500 } else { error.status };
    Reply::typed::<Nothing>(code, error.client_text())
}

impl Operation for ConfigPublishRequest {
    const RESPONSE: &'static str = "ConfigPublishResponse";
    type Fields = Nothing;

    fn namespace(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    fn subject(&self) -> Subject {
        about(&self.data_id, &self.group, &self.tenant)
    }

    fn check(&self, length: usize) -> Result<(), String> {
        check_names(self.data_id.as_deref(), self.group.as_deref(), self.tenant.as_deref(), length)
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        if let Err(error) = config_check::key(self.data_id.as_deref(), self.group.as_deref())
            .and_then(|()| config_check::content(self.content.as_deref(), call.app.settings.max_content))
        {
            return Ok(publish_failed(&error));
        }
        let advance = config_check::Advance {
            config_tags: self.addition("config_tags"),
            desc: self.addition("desc"),
            r#use: self.addition("use"),
            effect: self.addition("effect"),
            // Junk is taken for `text`, however long it is.
            config_type: self.addition("type").filter(|kind| kind.len() <= 32),
            schema: self.addition("schema"),
        };
        let tag = self.addition("tag");
        if let Err(error) = config_check::advance(&advance).and_then(|()| config_check::tag(tag)) {
            return Ok(publish_refused(&error));
        }
        let key = ConfigKey::new(
            self.tenant.as_deref().unwrap_or(""),
            self.group.as_deref().unwrap_or(""),
            self.data_id.as_deref().unwrap_or(""),
        );
        let publish = Publish {
            gray: GrayTarget::from_params(self.addition("betaIps"), tag),
            replace_tags: advance.config_tags.is_some(),
            encrypted_data_key: self.addition("encryptedDataKey").unwrap_or_default().into(),
            source: source(call, self.addition("src_user")),
            rules: call.app.live().rules.clone(),
            cas_md5: self.cas_md5.clone().filter(|md5| !md5.trim().is_empty()),
            meta: advance.to_meta(),
            ..Publish::new(key, self.content.as_deref().unwrap_or_default())
        }
        .with_app_param(self.addition("appName"));
        match call.app.write_config(ConfigCommand::Publish(Box::new(publish))).await {
            Ok(_) => Ok(Reply::ok(&Nothing {})),
            Err(error) => Ok(publish_refused(&error)),
        }
    }
}

fn source(call: &Call<'_>, user: Option<&str>) -> Source {
    Source { user: user.filter(|user| !user.is_empty()).map(Arc::from), ip: Arc::clone(&call.connection.client_ip) }
}

impl Operation for ConfigRemoveRequest {
    const RESPONSE: &'static str = "ConfigRemoveResponse";
    type Fields = Nothing;

    fn namespace(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    fn subject(&self) -> Subject {
        about(&self.data_id, &self.group, &self.tenant)
    }

    fn check(&self, length: usize) -> Result<(), String> {
        check_names(self.data_id.as_deref(), self.group.as_deref(), self.tenant.as_deref(), length)
    }

    /// Failures have code 0, as recorded.
    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        if let Err(error) = config_check::key(self.data_id.as_deref(), self.group.as_deref())
            .and_then(|()| config_check::tag(self.tag.as_deref()))
        {
            return Ok(Reply::typed::<Nothing>(0, error.message));
        }
        if self.tag.as_deref().is_some_and(|tag| !tag.trim().is_empty()) {
            // The reference fails on every tag and removes nothing.
            let text = "a tag version cannot be removed over gRPC; remove it over HTTP";
            return Ok(Reply::typed::<Nothing>(0, text));
        }
        let key = ConfigKey::new(
            self.tenant.as_deref().unwrap_or(""),
            self.group.as_deref().unwrap_or(""),
            self.data_id.as_deref().unwrap_or(""),
        );
        let remove = Remove { key, target: nacre_config::RemoveTarget::Formal, source: source(call, None) };
        match call.app.write_config(ConfigCommand::Remove(remove)).await {
            Ok(_) => Ok(Reply::ok(&Nothing {})),
            Err(error) => Ok(Reply::typed::<Nothing>(0, error.message)),
        }
    }
}

/// What a listener that says no md5 at all "holds": no config's md5, so it hears of every config, missing ones too.
const NO_WORD: &str = "null";

impl Operation for ConfigBatchListenRequest {
    const RESPONSE: &'static str = "ConfigChangeBatchListenResponse";
    type Fields = ConfigChangeBatchListenResponse;

    fn check(&self, length: usize) -> Result<(), String> {
        for context in self.contexts.iter().flatten() {
            let Some(context) = context else {
                return Err("Param 'configListenContexts' is illegal, an entry is null.".into());
            };
            let (data_id, group) = (context.data_id.as_deref(), context.group.as_deref());
            check_names(data_id, group, context.tenant.as_deref(), length)?;
        }
        Ok(())
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let Some(contexts) = self.contexts.as_deref() else {
            return Err(NacosError::server("configListenContexts is null"));
        };
        let mut listens = Vec::with_capacity(contexts.len());
        for context in contexts.iter().flatten() {
            let (Some(data_id), Some(group)) = (&context.data_id, &context.group) else {
                return Err(NacosError::server("dataId or group of a listen context is null"));
            };
            listens.push(Listen {
                key: ConfigKey::new(context.tenant.as_deref().unwrap_or(""), group, data_id),
                tenant: context.tenant.as_deref().map(Arc::from),
                md5: context.md5.as_deref().unwrap_or(NO_WORD).into(),
            });
        }
        let connection = call.connection;
        if !self.listen {
            call.app.listeners.unlisten(connection.id(), listens.iter().map(|listen| &listen.key));
            return Ok(Reply::ok(&ConfigChangeBatchListenResponse::default()));
        }
        let tag = call.header(self.headers.as_ref(), VIPSERVER_TAG).filter(|tag| !tag.is_empty());
        if let Some(tag) = tag {
            connection.listens_as.get_or_init(|| tag.into());
        }
        let asker = Asker { auto_tag: tag, ..connection.asker.as_asker() };
        let listened = call.app.listeners.listen(connection.id(), &asker, &listens, &call.app.configs);
        if listened.refused > 0 {
            let cause = Cause::LimitHit { limit: "LISTENED_KEYS".into(), value: listened.refused as u64 };
            let subject = Subject::client(connection.id());
            call.app.journal.record(Event::new(call.app.clock.now(), subject, cause));
        }
        if call.app.doctor.is_on() {
            let old = listened.changed.iter().filter_map(|at| listens.get(*at));
            for listen in old.filter(|listen| !matches!(&*listen.md5, "" | NO_WORD)) {
                call.app.doctor.told_changed(&listen.key, call.app.clock.now().wall);
            }
        }
        let said: Vec<_> = contexts.iter().flatten().collect();
        let changed = listened.changed.iter().filter_map(|at| said.get(*at));
        let changed_configs = changed
            .map(|context| ChangedConfig {
                group: context.group.clone(),
                data_id: context.data_id.clone(),
                tenant: context.tenant.clone(),
            })
            .collect();
        Ok(Reply::ok(&ConfigChangeBatchListenResponse { changed_configs }))
    }
}

#[cfg(test)]
mod tests {
    use nacre_wire::grpc::lenient::parse;

    use super::{super::super::dispatch::DEFAULT_METADATA, *};

    #[test]
    fn every_context_of_a_listen_is_checked() {
        let check = |text: &str| parse::<ConfigBatchListenRequest>(text.as_bytes()).unwrap().check(DEFAULT_METADATA);
        assert!(check(r#"{"configListenContexts":[{"dataId":"d","group":"g"},{"dataId":"","group":"g"}]}"#).is_ok());
        assert!(check(r#"{"configListenContexts":[null]}"#).is_err());
        let text = check(r#"{"configListenContexts":[{"dataId":"d","group":"g"},{"dataId":"a b","group":"g"}]}"#);
        assert_eq!(text, Err("Param 'dataId' is illegal, illegal characters should not appear in the param.".into()));
    }

    #[test]
    fn tags_are_encoded_as_java_does() {
        assert_eq!(url_encoded("t1"), "t1");
        assert_eq!(url_encoded("a b/ü*"), "a+b%2F%C3%BC*");
    }
}
