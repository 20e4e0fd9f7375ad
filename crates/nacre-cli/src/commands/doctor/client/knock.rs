//! Whether this host can be reached: a persistent instance is registered for a port that is open here, and the server's own TCP
//! check knocks at it, as a consumer would.

use std::{net::IpAddr, time::Duration};

use tokio::{net::TcpListener, time::timeout};

use super::{
    super::step::Step,
    trial::{GROUP, Lane, Leftovers},
};
use crate::api::Client;

const ID: &str = "from-host";
/// Servers spread the first checks of new instances over some seconds.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn check(client: &Client, ip: IpAddr, leftovers: &Leftovers) -> Step {
    let listener = match TcpListener::bind((ip, 0)).await {
        Ok(listener) => listener,
        Err(error) => return Step::skipped(ID, format!("no port can be opened on {ip}: {error}")),
    };
    let Ok(at) = listener.local_addr() else { return Step::skipped(ID, "no port can be opened") };
    let mut lane = match Lane::new("knock", ip).await {
        Ok((lane, _)) => lane,
        Err(error) => return Step::skipped(ID, error.to_string()),
    };
    lane.what.port = at.port();
    lane.what.ephemeral = false;
    leftovers.add(&lane);
    if let Err(error) = client.register(&lane.service, GROUP, &lane.what).await {
        return Step::skipped(ID, format!("a persistent instance cannot be registered: {error}"));
    }
    let knocked = timeout(PATIENCE, listener.accept()).await;
    let left = leftovers.remove(client).await;
    let step = match knocked {
        Ok(Ok((_, from))) => Step::ok(ID, format!("the server connected to {at} (from {}): this host is reachable at the address an SDK would register", from.ip()))
            .figure("from", from.ip().to_string()),
        Ok(Err(error)) => Step::skipped(ID, format!("the port opened here failed: {error}")),
        Err(_) => Step::warn(ID, "PATH-HOST-UNREACHABLE", format!("nothing connected to {at} within {} s", PATIENCE.as_secs()))
            .means(
                "The server's TCP check did not get through to this host: a firewall, or an address that is valid only here (a container's, \
                 a VPN's). Consumers that get this address from the list will not get through either.",
            )
            .remedy("register an address that others reach: spring.cloud.nacos.discovery.ip, or the host's network for the container")
            .remedy("if the server has health checks switched off (healthCheckEnabled=false), this says nothing: curl it from the server's machine"),
    };
    step.figure("address", at.to_string()).figure("left", left)
}
