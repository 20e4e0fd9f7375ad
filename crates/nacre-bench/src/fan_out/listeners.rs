//! Those who must hear of a change, each as a client behaves: takes the push, acknowledges it, fetches what it must fetch.

use std::{io, net::SocketAddr, time::Instant};

use md5::{Digest, Md5};
use memchr::memmem;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    crowd,
    error::Error,
    grpc::{
        client::{Call, Grpc},
        operations::{config_query, or_public, quoted},
    },
    http::{
        client::Http,
        operations::{Api, Caller, GROUP, NAME},
    },
    target::Endpoint,
    template::{Subject, Template},
};

/// One subscriber tells that it holds a change, or is ready to hear the next.
#[derive(Clone, Copy, Debug)]
pub struct News {
    pub change: u64,
    pub heard: Heard,
    pub at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Held,
    Ready,
}

/// Before the number of a change.
const SEQ: &[u8] = b"seq.";
const WEIGHT: &[u8] = b"\"weight\":";

/// Content of change `n`, as the publisher writes it.
pub fn content(n: u64) -> String {
    format!("seq.{n:012}.{}", "x".repeat(200 - 17))
}

fn md5_of(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number of the change that a content holds.
fn change_in(text: &[u8]) -> Option<u64> {
    let at = memmem::find(text, SEQ)? + SEQ.len();
    std::str::from_utf8(text.get(at..at + 12)?).ok()?.parse().ok()
}

/// The weight of the instance after change `n`: never 0, which hides an instance.
pub fn weight_of(n: u64) -> u64 {
    n + 1
}

/// The change that the only instance of a list tells by its weight.
fn change_by_weight(list: &[u8]) -> Option<u64> {
    let at = memmem::find(list, WEIGHT)? + WEIGHT.len();
    let digits = list[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&list[at..at + digits]).ok()?.parse::<u64>().ok()?.checked_sub(1)
}

/// What subscribers say, prepared once.
pub struct Words {
    subscribe: Call,
    query: Call,
    namespace: String,
}

impl Words {
    pub fn new(namespace: &str) -> Self {
        let subscribe = format!(
            "{{\"headers\":{{}},\"namespace\":{},\"serviceName\":\"{NAME}\",\"groupName\":\"{GROUP}\",\"subscribe\":true,\
             \"clusters\":\"\",\"module\":\"naming\"}}",
            quoted(or_public(namespace))
        );
        Self {
            subscribe: Call::new("SubscribeServiceRequest", &subscribe),
            query: config_query(namespace),
            namespace: namespace.to_owned(),
        }
    }

    fn listen(&self, md5: &str) -> String {
        let data_id = name();
        let tenant = quoted(&self.namespace);
        format!(
            "{{\"headers\":{{}},\"listen\":true,\"configListenContexts\":[{{\"dataId\":\"{data_id}\",\"group\":\"{GROUP}\",\
             \"tenant\":{tenant},\"md5\":\"{md5}\"}}],\"module\":\"config\"}}"
        )
    }
}

/// The one service or config that changes.
fn name() -> String {
    String::from_utf8_lossy(&Template::new(NAME).bytes(Subject::default())).into_owned()
}

fn ended(error: io::Error) -> Error {
    Error::from(error)
}

fn tell(news: &UnboundedSender<News>, change: u64, heard: Heard) {
    let _ = news.send(News { change, heard, at: Instant::now() });
}

/// A subscriber of a service: holds a list once it is acknowledged.
pub async fn service(mut connection: Grpc, words: &Words, news: &UnboundedSender<News>) -> Error {
    match connection.call(&words.subscribe, Subject::default()).await {
        Ok(None) => {}
        Ok(Some(wrong)) => return Error::Failed(format!("the subscription was refused: {wrong}")),
        Err(error) => return ended(error),
    }
    let mut last = change_by_weight(connection.answer());
    if let Some(change) = last {
        tell(news, change, Heard::Held);
        tell(news, change, Heard::Ready);
    }
    loop {
        let push = match connection.pushed().await {
            Ok(push) => push,
            Err(error) => return ended(error),
        };
        if let Err(error) = connection.acknowledge(&push).await {
            return ended(error);
        }
        let change = change_by_weight(&push.json).filter(|_| push.type_name == "NotifySubscriberRequest");
        // A push may come again when an acknowledgement was slow.
        if let Some(change) = change.filter(|change| last.replace(*change) != Some(*change)) {
            tell(news, change, Heard::Held);
            tell(news, change, Heard::Ready);
        }
    }
}

/// A listener of a config: holds the change once the text is there, and listens again with its md5.
pub async fn config(mut connection: Grpc, words: &Words, first: &str, news: &UnboundedSender<News>) -> Error {
    let mut md5 = md5_of(first);
    let mut told = None;
    loop {
        match connection.ask("ConfigBatchListenRequest", &words.listen(&md5)).await {
            Ok(answer) => {
                // The listening itself may tell that there is something new.
                let stale = memmem::find(&answer, b"\"changedConfigs\":[{").is_some();
                if told.is_none() {
                    told = Some(0);
                    tell(news, 0, Heard::Held);
                }
                if !stale {
                    tell(news, told.unwrap_or_default(), Heard::Ready);
                    if let Err(error) = notified(&mut connection).await {
                        return ended(error);
                    }
                }
            }
            Err(error) => return ended(error),
        }
        match connection.call(&words.query, Subject::default()).await {
            Ok(None) => {}
            Ok(Some(wrong)) => return Error::Failed(format!("the config cannot be read: {wrong}")),
            Err(error) => return ended(error),
        }
        if let Some(change) = change_in(connection.answer()).filter(|change| told != Some(*change)) {
            tell(news, change, Heard::Held);
            told = Some(change);
            md5 = md5_of(&content(change));
        }
    }
}

/// Waits for the notification and acknowledges it.
async fn notified(connection: &mut Grpc) -> io::Result<()> {
    loop {
        let push = connection.pushed().await?;
        connection.acknowledge(&push).await?;
        if push.type_name == "ConfigChangeNotifyRequest" {
            return Ok(());
        }
    }
}

/// What long polls say.
pub struct Poll {
    address: SocketAddr,
    get: Template,
    head: String,
    tenant: String,
}

impl Poll {
    pub fn new(at: &Endpoint, namespace: &str) -> Result<Self, Error> {
        let caller = Caller { at, api: Api::V1, namespace, size: 200 };
        let head = format!(
            "POST {}/v1/cs/configs/listener HTTP/1.1\r\nHost: {}\r\nLong-Pulling-Timeout: 30000\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n",
            at.context,
            at.authority()
        );
        Ok(Self { address: at.http()?, get: caller.get().request, head, tenant: namespace.to_owned() })
    }

    fn listen(&self, md5: &str) -> String {
        let tenant = if self.tenant.is_empty() { String::new() } else { format!("%02{}", self.tenant) };
        let form = format!("Listening-Configs={}%02{GROUP}%02{md5}{tenant}%01", name());
        format!("{}Content-Length: {}\r\n\r\n{form}", self.head, form.len())
    }
}

/// A client of 1.x: holds the change once the text is there, and polls again.
pub async fn poll(poll: &Poll, n: usize, news: UnboundedSender<News>) -> Error {
    let mut connection = match crowd::socket(poll.address, n).await {
        Ok(stream) => Http::over(stream),
        Err(error) => return ended(error),
    };
    let mut told = None;
    loop {
        let body = match connection.ask(&poll.get.bytes(Subject::default())).await {
            Ok((200, _, body)) => body,
            Ok((status, ..)) => return Error::Failed(format!("the config was answered with status {status}")),
            Err(error) => return ended(error),
        };
        let Some(change) = change_in(&body) else {
            return Error::Failed("the config holds something else".to_owned());
        };
        if told.replace(change) != Some(change) {
            tell(&news, change, Heard::Held);
            // Whoever polls late is answered at once: there is nothing to miss.
            tell(&news, change, Heard::Ready);
        }
        if let Err(error) = connection.ask(poll.listen(&md5_of(&content(change))).as_bytes()).await {
            return ended(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_change_is_found_where_publishers_write_it() {
        assert_eq!(change_in(content(42).as_bytes()), Some(42));
        assert_eq!(change_in(b"seq.1"), None);
        assert_eq!(change_by_weight(b"{\"hosts\":[{\"weight\":8.0,\"port\":1}]}"), Some(7));
        assert_eq!(change_by_weight(b"{\"hosts\":[{\"weight\":8}]}"), Some(7));
        for none in [&b"{\"hosts\":[]}"[..], b"\"weight\":", b"\"weight\":0.0", b"\"weight\":null"] {
            assert_eq!(change_by_weight(none), None);
        }
        assert_eq!(content(1).len(), 200);
    }
}
