//! Which events a reader wants.

use nacre_model::{Event, Label, key};

/// All conditions must hold; `None` and empty lists ask nothing.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Wall clock in ms, both inclusive.
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// Kind words (`instanceRemoved`); letter case does not matter.
    pub kinds: Vec<String>,
    /// Leaves out what the doctor said of others' events, unless its kinds are named.
    pub without_findings: bool,
    /// Namespace of the service or config; blank and `public` are one.
    pub namespace: Option<String>,
    /// Group of the service or config.
    pub group: Option<String>,
    /// Bare or grouped (`group@@name`) service name.
    pub service: Option<String>,
    /// dataId of a config.
    pub data_id: Option<String>,
    /// `ip`, `ip:port` or `ip:port:cluster`.
    pub instance: Option<String>,
    /// Connection id or client id. An `ip:port` also finds `ip:port#true` and `ip:port#false`; an `ip` finds all of it.
    pub client: Option<String>,
    /// Part of what the event says in words, letter case aside: looks into causes.
    pub text: Option<String>,
    /// Only numbers below / above, for paging.
    pub before: Option<u64>,
    pub after: Option<u64>,
    pub oldest_first: bool,
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            kinds: Vec::new(),
            without_findings: false,
            namespace: None,
            group: None,
            service: None,
            data_id: None,
            instance: None,
            client: None,
            text: None,
            before: None,
            after: None,
            oldest_first: false,
            limit: 100,
        }
    }
}

impl Filter {
    /// Whether an event is wanted (time, kind and subject; numbers and the limit are the scan's business).
    pub fn matches(&self, event: &Event) -> bool {
        self.time_matches(event)
            && self.kind_matches(event)
            && self.names_match(event)
            && self.instance.as_deref().is_none_or(|wanted| instance_matches(event, wanted))
            && self.client.as_deref().is_none_or(|wanted| client_matches(event, wanted))
            && self.text.as_deref().is_none_or(|wanted| says(event, wanted))
    }

    pub(crate) fn time_matches(&self, event: &Event) -> bool {
        self.from.is_none_or(|from| event.at >= from) && self.to.is_none_or(|to| event.at <= to)
    }

    fn kind_matches(&self, event: &Event) -> bool {
        let kind = event.cause.kind();
        if self.kinds.is_empty() {
            return !(self.without_findings && kind.starts_with("finding"));
        }
        self.kinds.iter().any(|wanted| wanted.eq_ignore_ascii_case(kind))
    }

    fn names_match(&self, event: &Event) -> bool {
        if self.namespace.is_none() && self.group.is_none() && self.service.is_none() && self.data_id.is_none() {
            return true;
        }
        let subject = &event.subject;
        let (namespace, group) = match (&subject.service, &subject.config) {
            (Some(service), _) => (&service.namespace, &service.group),
            (None, Some(config)) => (&config.namespace, &config.group),
            (None, None) => return false,
        };
        let service_matches = self.service.as_deref().is_none_or(|wanted| {
            subject.service.as_ref().is_some_and(|service| match wanted.split_once(key::GROUP_SEPARATOR) {
                Some((group, name)) => *service.group == *group && *service.name == *name,
                None => *service.name == *wanted,
            })
        });
        let data_id_matches = self
            .data_id
            .as_deref()
            .is_none_or(|wanted| subject.config.as_ref().is_some_and(|config| *config.data_id == *wanted));
        self.namespace.as_deref().is_none_or(|wanted| **namespace == *key::namespace(wanted))
            && self.group.as_deref().is_none_or(|wanted| **group == *wanted)
            && service_matches
            && data_id_matches
    }
}

fn says(event: &Event, wanted: &str) -> bool {
    let text = crate::describe(event).to_lowercase();
    text.contains(&wanted.to_lowercase()) || event.cause.kind().eq_ignore_ascii_case(wanted)
}

/// Whether the event is about the instance `wanted` (`ip`, `ip:port` or `ip:port:cluster`).
pub(crate) fn instance_matches(event: &Event, wanted: &str) -> bool {
    event.subject.instance.as_ref().is_some_and(|instance| label_begins_with(instance, wanted, b":"))
}

/// Whether the event is about the client `wanted`, or comes from its address.
pub(crate) fn client_matches(event: &Event, wanted: &str) -> bool {
    event.subject.client.as_ref().is_some_and(|client| label_begins_with(client, wanted, b":#"))
}

/// The label is `part`, or goes on after it with one of `separators`.
fn label_begins_with(label: &Label, part: &str, separators: &[u8]) -> bool {
    could_be(label, part) && begins_with_part(&label.text(), part, separators)
}

/// Whether the label's text and `part` begin alike, as far as that shows without making the text.
fn could_be(label: &Label, part: &str) -> bool {
    label.head().bytes().zip(part.bytes()).all(|(a, b)| a == b)
}

/// `text` is `part`, or goes on after it with one of `separators`.
pub(crate) fn begins_with_part(text: &str, part: &str, separators: &[u8]) -> bool {
    !part.is_empty()
        && text.strip_prefix(part).is_some_and(|rest| rest.bytes().next().is_none_or(|byte| separators.contains(&byte)))
}

/// Whether the event's client is exactly `client`.
pub(crate) fn client_is(event: &Event, client: &str) -> bool {
    event.subject.client.as_ref().is_some_and(|label| could_be(label, client) && label.text() == client)
}
