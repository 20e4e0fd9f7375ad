//! Publishing and removing: one way for every generation, with each one's parameter names.

use std::sync::Arc;

use nacre_config::{
    ConfigCommand, ConfigReply, GrayTarget, Publish, Published, Remove, RemoveTarget, Source, check, content,
};
use nacre_model::{Cause, ConfigKey, Event, NacosError, Subject};

use crate::{
    app::App,
    http::{Ctx, params::Params},
};

/// How a generation names what it says about a config.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub tags: &'static str,
    pub user: &'static str,
    /// Every name the publish form knows; others are strays.
    known: &'static [&'static str],
}

const COMMON: [&str; 8] = ["dataId", "content", "tag", "appName", "desc", "use", "effect", "type"];

pub(super) const V1: Names = Names {
    tags: "config_tags",
    user: "src_user",
    known: &["group", "tenant", "schema", "encryptedDataKey", "config_tags", "src_user"],
};
pub(super) const V2: Names = Names {
    tags: "configTags",
    user: "srcUser",
    known: &["group", "namespaceId", "schema", "encryptedDataKey", "configTags", "srcUser"],
};
pub(super) const V3: Names = Names {
    tags: "configTags",
    user: "srcUser",
    known: &["groupName", "namespaceId", "schema", "encryptedDataKey", "configTags", "srcUser"],
};

/// Parameters that any request may carry: identities, and what old clients add by habit.
const FOREIGN: [&str; 7] = ["username", "password", "accessToken", "namespaceId", "tenant", "betaIps", "casMd5"];

/// Who writes: the user the form names or the request logs in with, from where.
pub(super) fn source(ctx: &Ctx, user_name: &str) -> Source {
    let user = ctx.params.non_blank(user_name).or_else(|| ctx.params.non_blank("username"));
    Source { user: user.map(Arc::from), ip: ctx.client_ip().into() }
}

/// Who removes: nobody but the login is asked.
pub(super) fn remover(ctx: &Ctx) -> Source {
    source(ctx, "username")
}

/// Checks content, tag and advance parameters, then publishes the formal version or the gray one that the request
/// means. The key is checked by the caller, in its generation's order.
pub(super) async fn publish(
    app: &App,
    ctx: &Ctx,
    key: ConfigKey,
    content: &str,
    names: &Names,
) -> Result<Published, NacosError> {
    let params = &ctx.params;
    check::content(Some(content), app.settings.max_content)?;
    let tag = params.get("tag");
    check::tag(tag)?;
    let advance = check::Advance {
        config_tags: params.get(names.tags),
        desc: params.get("desc"),
        r#use: params.get("use"),
        effect: params.get("effect"),
        config_type: Some(content::config_type(params.get("type"))),
        schema: params.get("schema"),
    };
    check::advance(&advance)?;
    let published_key = key.clone();
    let publish = Publish {
        content: content.into(),
        cas_md5: ctx.header("casmd5").filter(|md5| !md5.trim().is_empty()).map(str::to_owned),
        gray: GrayTarget::from_params(ctx.header("betaips"), tag),
        meta: advance.to_meta(),
        encrypted_data_key: params.or("encryptedDataKey", "").into(),
        source: source(ctx, names.user),
        rules: app.live().rules.clone(),
        ..Publish::new(key, "")
    }
    .with_tags_param(params.get(names.tags))
    .with_app_param(params.get("appName"));
    app.metrics.config.published.add(app.clock.now().wall);
    match app.write_config(ConfigCommand::Publish(Box::new(publish))).await? {
        ConfigReply::Published(published) => {
            note_strays(app, ctx, &published_key, names);
            Ok(published)
        }
        other => Err(unexpected(&other)),
    }
}

/// Removes the formal version, or the tag's when one is named. Done also when there was nothing.
pub(super) async fn remove(app: &App, ctx: &Ctx, key: ConfigKey) -> Result<u32, NacosError> {
    let target = match ctx.params.non_blank("tag") {
        Some(tag) => RemoveTarget::Tag { tag: tag.to_owned() },
        None => RemoveTarget::Formal,
    };
    remove_target(app, key, target, remover(ctx)).await
}

/// Removes one version and tells how many there were.
pub(super) async fn remove_target(
    app: &App,
    key: ConfigKey,
    target: RemoveTarget,
    source: Source,
) -> Result<u32, NacosError> {
    match app.write_config(ConfigCommand::Remove(Remove { key, target, source })).await? {
        ConfigReply::Removed { count } => Ok(count),
        other => Err(unexpected(&other)),
    }
}

pub(super) fn unexpected(reply: &ConfigReply) -> NacosError {
    NacosError::server(format!("the reply does not fit the command: {reply:?}"))
}

/// A content that nobody url-encoded falls apart at its `&` signs: the pieces arrive as parameters nobody knows. The
/// publish is good by the form's rules, so it is done, and the journal tells what probably went wrong (case C088).
fn note_strays(app: &App, ctx: &Ctx, key: &ConfigKey, names: &Names) {
    let strays = strays(&ctx.params, names);
    if strays.is_empty() {
        return;
    }
    let reason = format!("unknown parameters {}: content probably not url-encoded", strays.join(", "));
    let cause = Cause::Suspicious { call: "publish".into(), reason };
    let subject = Subject::config(key).with_client(&ctx.client_ip());
    app.journal.record(Event::new(app.clock.now(), subject, cause));
}

fn strays(params: &Params, names: &Names) -> Vec<String> {
    /// More are not worth naming.
    const NAMED: usize = 10;
    let known = |name: &str| COMMON.contains(&name) || names.known.contains(&name) || FOREIGN.contains(&name);
    let shorten = |name: &str| name.chars().take(40).collect::<String>();
    let broken = params.broken().iter().map(String::as_str);
    params.iter().map(|(name, _)| name).chain(broken).filter(|name| !known(name)).take(NAMED).map(shorten).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_an_unencoded_content_are_strays() {
        let mut params = Params::default();
        params.add_urlencoded(b"dataId=d&group=g&tenant=&content=a=1&b=2&c%3D3&type=text&username=u");
        assert_eq!(strays(&params, &V1), ["b", "c=3"]);
        assert!(strays(&params, &V3).contains(&"group".to_owned()));
    }
}
