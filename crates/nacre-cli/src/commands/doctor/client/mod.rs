//! `nacre doctor client`: walks the path that a client takes, from this machine to the server, and says where it breaks.

mod channel;
mod clock;
mod gaps;
mod here;
mod idle;
mod knock;
mod login;
mod names;
mod pause;
mod poll;
mod reach;
mod rounds;
mod trial;
mod verdict;
mod web;
mod wire;

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    args,
    step::{Report, State, Step},
    tongue::say,
};
use crate::{
    api::{Client, journal::Question},
    commands::Session,
    error::{CliError, Outcome},
    explain::Lang,
    output::{Tone, remark},
    time,
};
use clock::Clock;
use pause::Pauses;
use reach::Open;
use trial::{Lane, Leftovers};
use verdict::Kind;
use wire::{Conversation, Target};

/// Events of the server's journal that are shown.
const EVENTS: usize = 8;

/// The exit code: the worst of all steps.
pub async fn run(session: &Session, options: &args::Client, lang: Lang) -> Outcome<u8> {
    let leftovers = Leftovers::default();
    let walk = Walk {
        session,
        options,
        lang,
        report: Report::new(session.screen, lang),
        clock: Clock::default(),
        pauses: Pauses::watch(),
        leftovers: leftovers.clone(),
    };
    tokio::select! {
        code = walk.all() => code,
        () = crate::asked_to_stop() => {
            for left in leftovers.remove(&session.client).await {
                remark(&say(lang, &format!("nacre: not removed: {left}")));
            }
            Err(CliError::Interrupted)
        }
    }
}

struct Walk<'a> {
    session: &'a Session,
    options: &'a args::Client,
    lang: Lang,
    report: Report,
    clock: Clock,
    pauses: Pauses,
    leftovers: Leftovers,
}

impl Walk<'_> {
    fn client(&self) -> &Client {
        &self.session.client
    }

    async fn all(mut self) -> Outcome<u8> {
        let begun = time::now_ms();
        let address = self.client().address.clone();
        let screen = self.session.screen;
        if !screen.json {
            screen.line(&screen.paint(Tone::Head, &say(self.lang, &format!("From this machine to {address}"))))?;
        }
        self.path().await?;
        self.report.add(self.pauses.step())?;
        let mut facts = Map::new();
        facts.insert("server".to_owned(), address.to_string().into());
        facts.insert("at".to_owned(), time::stamp(begun).into());
        facts.insert("tookMs".to_owned(), (time::now_ms() - begun).into());
        Ok(self.report.finish(facts)?.exit())
    }

    /// Step by step; what makes the rest pointless ends it.
    async fn path(&mut self) -> Outcome {
        let address = self.client().address.clone();
        let (step, ips) = names::resolve(&address.host).await;
        self.report.add(step)?;
        if ips.is_empty() {
            return self.skip(&["tcp", "http", "grpc-port", "grpc"], "there is no address to dial");
        }
        let (step, main) = reach::main_port(&ips, address.port).await;
        self.report.add(here::step(main.map(|main| main.local.ip())))?;
        self.report.add(step)?;
        let mut server = None;
        if main.is_some() {
            let (step, found) = web::look(&self.session.client, &mut self.clock).await;
            self.report.add(step)?;
            server = found;
        } else {
            self.skip(&["http"], "the main port does not answer")?;
        }
        let mut token = None;
        if let Some(server) = &server {
            let (step, found) = login::check(&self.session.client, server).await;
            self.report.add(step)?;
            token = found;
            if self.may() {
                self.report.add(web::compression(&self.session.client, self.options.config.as_deref()).await)?;
            }
            self.report.add(rounds::http(&self.session.client, server.path, &mut self.clock).await)?;
        }
        let port = self.options.grpc_port.unwrap_or_else(|| address.port.wrapping_add(1000));
        let (step, open) = channel::port(&ips, address.port, main.is_some(), port).await;
        self.report.add(step)?;
        let mut conversation = None;
        let target = open.map(|open| self.target(&open, token));
        match &target {
            Some(target) => conversation = self.channel(target).await?,
            None => self.skip(&["grpc"], "its port does not answer")?,
        }
        if server.is_none() {
            return Ok(());
        }
        self.report.add(self.clock.step())?;
        let nacre = server.as_ref().is_some_and(|server| server.nacre);
        self.live(main, target, conversation, nacre).await
    }

    fn skip(&mut self, ids: &[&'static str], why: &str) -> Outcome {
        for id in ids {
            self.report.add(Step::skipped(id, format!("not looked at: {why}")))?;
        }
        Ok(())
    }

    /// Whether what needs a login can be done.
    fn may(&self) -> bool {
        self.report
            .state("login")
            .is_none_or(|state| state < State::Warn || self.client().login.is_some() && state < State::Fail)
    }

    fn target(&self, open: &Open, token: Option<String>) -> Target {
        let client = self.client();
        Target {
            to: open.peer,
            host: client.address.host.clone(),
            tls: self.options.grpc_tls,
            trust: client.trust.clone(),
            namespace: client.namespace.clone(),
            token,
        }
    }

    async fn channel(&mut self, target: &Target) -> Outcome<Option<Conversation>> {
        if let Some(step) = channel::protocol(target).await {
            self.report.add(step)?;
            return Ok(None);
        }
        let (step, conversation) = channel::start(target).await;
        self.report.add(step)?;
        let Some(mut conversation) = conversation else { return Ok(None) };
        self.report.add(rounds::grpc(&mut conversation).await)?;
        Ok(Some(conversation))
    }

    /// What takes time, all at once: both registrations, and the idle connections.
    async fn live(
        &mut self,
        main: Option<Open>,
        target: Option<Target>,
        conversation: Option<Conversation>,
        nacre: bool,
    ) -> Outcome {
        let (Some(main), true) = (main, self.may()) else {
            return self.skip(&["beats", "stream"], "a login is needed");
        };
        let seconds = self.options.seconds;
        let idle = conversation.as_ref().and(target.as_ref()).filter(|_| self.options.idle > 0);
        let longest = seconds.max(self.options.idle);
        if longest > 0 && !self.session.screen.json {
            remark(&say(self.lang, &format!("nacre: now beats, streams and silence for {longest} s ...")));
        }
        let idling = async {
            match idle {
                Some(target) => Some(idle::check(target, u64::from(self.options.idle)).await),
                None => None,
            }
        };
        let polling = async {
            match self.options.idle {
                0 => None,
                seconds => Some(poll::check(self.client(), u64::from(seconds)).await),
            }
        };
        let (steps, idle, poll) = tokio::join!(self.trial(main, conversation, nacre), idling, polling);
        for step in steps?.into_iter().chain(poll).chain(idle) {
            self.report.add(step)?;
        }
        if self.options.from_host {
            let step = knock::check(self.client(), main.local.ip(), &self.leftovers).await;
            self.report.add(step)?;
        }
        Ok(())
    }

    async fn trial(&self, main: Open, conversation: Option<Conversation>, nacre: bool) -> Outcome<Vec<Step>> {
        if self.options.seconds == 0 {
            return Ok(vec![Step::skipped("beats", "nothing was registered (--seconds 0)")]);
        }
        let every = Duration::from_millis(u64::from(self.options.interval));
        let until = Instant::now() + Duration::from_secs(u64::from(self.options.seconds));
        let (client, ip) = (self.client(), main.local.ip());
        let (http, _door) = Lane::new("http", ip).await?;
        let (grpc, _other) = Lane::new("grpc", ip).await?;
        let over_http = async {
            tokio::join!(trial::beat(client, &http, every, until, &self.leftovers), trial::look(client, &http, until))
        };
        let over_grpc = async {
            match conversation {
                None => None,
                Some(mut conversation) => {
                    let (kept, shown) = tokio::join!(
                        trial::stay(&mut conversation, &client.namespace, &grpc, every, until, &self.leftovers),
                        trial::look(client, &grpc, until)
                    );
                    // The connection stands until the server was asked; its end would remove the instance.
                    Some((conversation, kept, shown))
                }
            }
        };
        let ((kept, shown), streamed) = tokio::join!(over_http, over_grpc);
        let paused = self.pauses.longest();
        let mut steps = vec![verdict::judge(Kind::Http, &http, &kept, &shown, every, paused)];
        if let Some((_, kept, shown)) = &streamed {
            steps.push(verdict::judge(Kind::Grpc, &grpc, kept, shown, every, paused));
        }
        if nacre {
            steps.extend(journal(client, &http).await);
        }
        steps.push(self.clean(&http, streamed.map(|(conversation, ..)| (conversation, &grpc))).await);
        Ok(steps)
    }

    async fn clean(&self, http: &Lane, grpc: Option<(Conversation, &Lane)>) -> Step {
        const ID: &str = "clean-up";
        let client = self.client();
        let mut lanes = vec![http];
        if let Some((mut conversation, lane)) = grpc {
            trial::leave(&mut conversation, &client.namespace, lane).await;
            lanes.push(lane);
        }
        let failed = self.leftovers.remove(client).await;
        let mut left = Vec::new();
        for lane in lanes {
            if trial::gone(client, lane).await == Some(false) {
                left.push(lane.endpoint());
            }
        }
        if left.is_empty() {
            let step =
                Step::ok(ID, "both registrations are removed; the server forgets their empty services by itself");
            return step.figure("failed", failed);
        }
        Step::warn(ID, "PATH-NOT-REMOVED", format!("still in the list 4 s after the removal: {}", left.join(", ")))
            .means("The instances expire by themselves within 30 s. A list that keeps what was removed comes from a node that was not told, or from a cache.")
            .remedy("nacre doctor client again with --seconds 60: if lists and beats differ, several servers answer that do not know each other")
    }
}

/// What nacre's journal says about the instance that sent beats.
async fn journal(client: &Client, lane: &Lane) -> Option<Step> {
    const ID: &str = "journal";
    let question = Question {
        instance: lane.endpoint(),
        service: Some(lane.service.clone()),
        group: Some(trial::GROUP.to_owned()),
        from: None,
        limit: EVENTS,
        lang: Lang::En,
    };
    let events = client.why(&question).await.ok()?;
    let bad =
        events.iter().any(|event| matches!(event.kind.as_str(), "instanceUnhealthy" | "instanceRemoved" | "beatLate"));
    let drawing =
        events.iter().rev().map(|event| format!("{} {}", &time::stamp(event.at)[11..23], event.text)).collect();
    let raw: Vec<Value> = events.iter().map(|event| event.raw.clone()).collect();
    let title = format!("the server's own record of {} has {} events", lane.endpoint(), events.len());
    let step = if bad {
        Step::warn(ID, "PATH-SERVER-SAW-GAPS", title)
            .means("The server saw gaps or lost the instance while beats were sent here: compare with the step beats.")
    } else {
        Step::ok(ID, title)
    };
    Some(step.draws(drawing).figure("events", json!(raw)))
}
