//! Module `naming`: instances, queries, subscriptions.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use nacre_doctor::asked::Sought;
use nacre_model::{
    Instance, InstanceId, NacosError, ServiceKey, Subject,
    check::{self, ParamInfo},
};
use nacre_naming::{NamingCommand, Page, Query, ServiceView, Subscription, check_instance};
use nacre_wire::grpc::{
    Envelope,
    envelope::{self, Nothing},
    naming::{
        BATCH_REGISTER, BatchInstanceRequest, DEREGISTER, InstanceBody, InstanceRequest, InstanceResponse, REGISTER,
        ServiceListRequest, ServiceListResponse, ServiceQueryRequest, SubscribeServiceRequest,
    },
};
use serde::Deserialize;

use super::super::{
    dispatch::{Call, Operation, Reply, short},
    push::{service_info, subscribed_info, unnamed_info},
};
use crate::{doctor::sighting, http::naming::read::check_page};

/// The service a request names. Null and blank parts fail as the reference fails on them.
fn service(namespace: Option<&str>, group: Option<&str>, name: Option<&str>) -> Result<ServiceKey, NacosError> {
    let blank = |text: Option<&str>| text.is_none_or(|text| text.trim().is_empty());
    if blank(name) {
        return Err(NacosError::server("Param 'serviceName' is illegal, serviceName is blank"));
    }
    if blank(group) {
        return Err(NacosError::server("Param 'groupName' is illegal, groupName is blank"));
    }
    Ok(ServiceKey::new(given(namespace)?, group.unwrap_or_default(), name.unwrap_or_default()))
}

/// The service that a list is asked of, if it is named in full.
fn named(namespace: &Option<String>, group: &Option<String>, name: &Option<String>) -> Option<ServiceKey> {
    Some(ServiceKey::new(namespace.as_deref()?, group.as_deref()?, name.as_deref()?))
}

/// The list of a service that is not named in full: nothing is in it. Without a namespace the reference fails on the service of
/// that name which it has in the namespace `""`, and finds nothing otherwise.
fn nothing(
    call: &Call<'_>,
    namespace: &Option<String>,
    group: &Option<String>,
    name: &Option<String>,
    clusters: Option<&str>,
) -> Result<Bytes, NacosError> {
    let naming = &call.app.naming;
    let twin = named(&Some(String::new()), group, name);
    if namespace.is_none() && twin.is_some_and(|twin| naming.service_exists(&twin)) {
        return Err(no_namespace());
    }
    let (wanted, consumer_ip) = (clusters.unwrap_or_default(), &*call.connection.client_ip);
    let query = Query { clusters: wanted, healthy_only: false, consumer_ip };
    let view = naming.list(&ServiceKey::new("", "", ""), &query, call.now);
    Ok(unnamed_info(&view, name.as_deref(), group.as_deref(), clusters))
}

/// A namespace may be blank, which is `public`, but not null.
fn given(namespace: Option<&str>) -> Result<&str, NacosError> {
    namespace.ok_or_else(no_namespace)
}

fn names<'a>(namespace: &'a Option<String>, group: &'a Option<String>, name: &'a Option<String>) -> ParamInfo<'a> {
    ParamInfo {
        namespace: namespace.as_deref(),
        group: group.as_deref(),
        service: name.as_deref(),
        ..ParamInfo::default()
    }
}

/// The service and instance a request names, for the journal.
fn about(
    namespace: &Option<String>,
    group: &Option<String>,
    name: &Option<String>,
    instance: Option<&InstanceBody>,
) -> Subject {
    let text = |part: &Option<String>| short(part.as_deref().unwrap_or_default());
    let subject = Subject::service(&ServiceKey::new(&text(namespace), &text(group), &text(name)));
    match instance {
        Some(instance) => {
            let cluster = instance.cluster_name.as_deref().filter(|name| !name.trim().is_empty());
            let cluster = cluster.unwrap_or(nacre_model::DEFAULT_CLUSTER);
            let ip = short(instance.ip.as_deref().unwrap_or_default());
            subject.with_instance(&short(&format!("{ip}:{}:{cluster}", instance.port)))
        }
        None => subject,
    }
}

/// What the limit of metadata is measured by: the lengths of keys and values together, of the largest instance.
fn metadata_size<'a>(instances: impl Iterator<Item = &'a InstanceBody>) -> usize {
    instances.map(|instance| check::metadata_size(&instance.to_instance(true).metadata)).max().unwrap_or(0)
}

/// The text of a port for the parameter check: a number that is one needs none to be looked at.
fn wrong_port(port: i32) -> Option<String> {
    (!(0..=65_535).contains(&port)).then(|| port.to_string())
}

/// The parameter check of an instance.
fn check_body(info: &ParamInfo<'_>, instance: &InstanceBody, length: usize) -> Result<(), String> {
    let port = wrong_port(instance.port);
    let info = ParamInfo {
        ip: instance.ip.as_deref(),
        port: port.as_deref(),
        cluster: instance.cluster_name.as_deref(),
        metadata: instance.metadata.as_deref(),
        ..info.clone()
    };
    check::check(&info, length)
}

/// The instance to register, with its id.
fn to_register(
    call: &Call<'_>,
    key: &ServiceKey,
    body: &InstanceBody,
    ephemeral: bool,
) -> Result<Instance, NacosError> {
    let mut instance = body.to_instance(ephemeral);
    if instance.instance_id == InstanceId::Absent {
        let (naming, now) = (&call.app.naming, call.now);
        let cluster = body.cluster_name.as_deref();
        let named = body.service_name.as_deref().filter(|name| !name.is_empty());
        instance.instance_id = match named {
            None if cluster == Some(&*instance.cluster) && body.ip.is_some() => naming.own_id(&instance, key, now)?,
            // The id is written out; to the reference an ip that is not given is the word null.
            _ if body.ip.is_none() => {
                let nowhere = Instance { ip: "null".into(), ..instance.clone() };
                let id = naming.instance_id(&nowhere, cluster, named.unwrap_or(&key.grouped()), now)?;
                let nowhere = Instance { instance_id: id, ..nowhere };
                nowhere.instance_id_text(&key.grouped()).map_or(InstanceId::Absent, |id| InstanceId::Given(id.into()))
            }
            _ => naming.instance_id(&instance, cluster, named.unwrap_or(&key.grouped()), now)?,
        };
    }
    Ok(instance)
}

fn unsupported(kind: &str) -> NacosError {
    NacosError::invalid(format!("Unsupported request type {kind}"))
}

fn no_namespace() -> NacosError {
    NacosError::server("Param 'namespace' is illegal, namespace is null")
}

fn no_type() -> NacosError {
    NacosError::server("the request type is null")
}

fn no_instance() -> NacosError {
    NacosError::invalid("Instance can not be null.")
}

/// Success, with the type of the request: three bodies, made once.
fn echo(kind: &str) -> Reply {
    static BODIES: LazyLock<[(&str, Bytes); 3]> = LazyLock::new(|| {
        let body = |kind| envelope::answer(&Envelope::ok(), &InstanceResponse { kind: Some(kind) });
        [REGISTER, DEREGISTER, BATCH_REGISTER].map(|kind| (kind, body(kind)))
    });
    match BODIES.iter().find(|(known, _)| *known == kind) {
        Some((_, body)) => Reply::kept(body.clone()),
        None => Reply::ok(&InstanceResponse { kind: Some(kind) }),
    }
}

/// A null namespace is what is found out last.
fn without_namespace(request: &InstanceRequest) -> Result<Reply, NacosError> {
    service(Some(""), request.group_name.as_deref(), request.service_name.as_deref())?;
    match request.kind.as_deref() {
        Some(REGISTER) => check_instance(&request.instance.as_ref().ok_or_else(no_instance)?.to_instance(true))?,
        Some(DEREGISTER) => {}
        Some(other) => return Err(unsupported(other)),
        None => return Err(no_type()),
    }
    Err(no_namespace())
}

impl Operation for InstanceRequest {
    const RESPONSE: &'static str = "InstanceResponse";
    type Fields = InstanceResponse<'static>;

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn subject(&self) -> Subject {
        about(&self.namespace, &self.group_name, &self.service_name, self.instance.as_ref())
    }

    fn metadata_size(&self) -> usize {
        metadata_size(self.instance.iter())
    }

    fn check(&self, length: usize) -> Result<(), String> {
        let info = names(&self.namespace, &self.group_name, &self.service_name);
        match &self.instance {
            Some(instance) => check_body(&info, instance, length),
            None => check::check(&info, length),
        }
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let (group, name) = (self.group_name.as_deref(), self.service_name.as_deref());
        let Some(namespace) = self.namespace.as_deref() else { return without_namespace(self) };
        let key = service(Some(namespace), group, name)?;
        let client = call.connection.client_id();
        let (app, now) = (call.app, call.now);
        let effects = match self.kind.as_deref() {
            Some(REGISTER) => {
                let body = self.instance.as_ref().ok_or_else(no_instance)?;
                app.naming.register(&client, &key, to_register(call, &key, body, true)?, now)?
            }
            Some(DEREGISTER) => app.naming.deregister(&client, &key, now)?,
            Some(other) => return Err(unsupported(other)),
            None => return Err(no_type()),
        };
        app.effects.naming(effects);
        // The instance does not matter to what is deregistered; the reference misses it once that is done.
        if self.instance.is_none() {
            return Err(NacosError::server("the instance is null"));
        }
        Ok(echo(self.kind.as_deref().unwrap_or_default()))
    }
}

/// `PersistentInstanceRequest`: over the write road, belongs to no connection.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Persistent(InstanceRequest);

impl Operation for Persistent {
    const RESPONSE: &'static str = "InstanceResponse";
    type Fields = InstanceResponse<'static>;

    fn namespace(&self) -> Option<&str> {
        self.0.namespace.as_deref()
    }

    fn subject(&self) -> Subject {
        self.0.subject()
    }

    fn metadata_size(&self) -> usize {
        self.0.metadata_size()
    }

    fn check(&self, length: usize) -> Result<(), String> {
        self.0.check(length)
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let request = &self.0;
        let (namespace, group) = (request.namespace.as_deref(), request.group_name.as_deref());
        let key = service(Some(namespace.unwrap_or_default()), group, request.service_name.as_deref())?;
        let body = || request.instance.as_ref().ok_or_else(|| NacosError::server("the instance is null"));
        if namespace.is_none() {
            // There is nothing to deregister where no namespace is; what is registered there fails in the end.
            return match request.kind.as_deref() {
                Some(REGISTER) => body().and(Err(no_namespace())),
                Some(DEREGISTER) => body().map(|_| echo(DEREGISTER)),
                Some(other) => Err(unsupported(other)),
                None => Err(no_type()),
            };
        }
        let command = match request.kind.as_deref() {
            Some(REGISTER) => {
                let instance = to_register(call, &key, body()?, false)?;
                NamingCommand::RegisterPersistent { service: key, instance }
            }
            Some(DEREGISTER) => {
                let body = body()?;
                let ip = body.ip.as_deref().unwrap_or_default().into();
                NamingCommand::DeregisterPersistent { service: key, ip, port: body.port }
            }
            Some(other) => return Err(unsupported(other)),
            None => return Err(no_type()),
        };
        call.app.write_naming(command).await?;
        Ok(echo(request.kind.as_deref().unwrap_or_default()))
    }
}

impl Operation for BatchInstanceRequest {
    const RESPONSE: &'static str = "BatchInstanceResponse";
    type Fields = InstanceResponse<'static>;

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn subject(&self) -> Subject {
        about(&self.namespace, &self.group_name, &self.service_name, None)
    }

    fn metadata_size(&self) -> usize {
        metadata_size(self.instances.iter().flatten().flatten())
    }

    fn check(&self, length: usize) -> Result<(), String> {
        let info = names(&self.namespace, &self.group_name, &self.service_name);
        check::check(&info, length)?;
        for instance in self.instances.iter().flatten() {
            match instance {
                // Here, and only here, the reference looks at the name that an instance gives its service.
                Some(instance) => {
                    let service = instance.service_name.as_deref();
                    check_body(&ParamInfo { service, ..info.clone() }, instance, length)?;
                }
                None => return Err("Param 'instances' is illegal, an entry is null.".into()),
            }
        }
        Ok(())
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let (namespace, group) = (self.namespace.as_deref(), self.group_name.as_deref());
        let key = service(namespace, group, self.service_name.as_deref())?;
        match self.kind.as_deref() {
            Some(BATCH_REGISTER) => {}
            Some(other) => return Err(unsupported(other)),
            None => return Err(no_type()),
        }
        let bodies = self.instances.as_deref().ok_or_else(|| NacosError::server("the instances are null"))?;
        let limit = nacre_model::limits::INSTANCES_PER_BATCH as usize;
        if bodies.len() > limit {
            return Err(NacosError::invalid(format!("a batch holds at most {limit} instances, not {}", bodies.len())));
        }
        let instances = bodies.iter().flatten().map(|body| to_register(call, &key, body, true));
        let instances = instances.collect::<Result<Vec<_>, _>>()?;
        let client = call.connection.client_id();
        let effects = call.app.naming.register_batch(&client, &key, instances, call.now)?;
        call.app.effects.naming(effects);
        Ok(echo(BATCH_REGISTER))
    }
}

impl Operation for ServiceQueryRequest {
    const RESPONSE: &'static str = "QueryServiceResponse";
    type Fields = Nothing;

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn subject(&self) -> Subject {
        about(&self.namespace, &self.group_name, &self.service_name, None)
    }

    fn check(&self, length: usize) -> Result<(), String> {
        let info = names(&self.namespace, &self.group_name, &self.service_name);
        let port = wrong_port(self.udp_port);
        check::check(&ParamInfo { clusters: self.cluster.as_deref(), port: port.as_deref(), ..info }, length)
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let clusters = self.cluster.as_deref().unwrap_or_default();
        let Some(key) = named(&self.namespace, &self.group_name, &self.service_name) else {
            let members = nothing(call, &self.namespace, &self.group_name, &self.service_name, Some(clusters))?;
            return Ok(Reply::ready_made(&Envelope::ok(), &members));
        };
        let query = Query { clusters, healthy_only: self.healthy_only, consumer_ip: &call.connection.client_ip };
        let view = call.app.naming.list(&key, &query, call.now);
        if view.hosts.is_empty() {
            let sought = Sought::Service(key, query.clusters.into());
            sighting::nothing_found(call.app, call.connection, sought, false);
        }
        Ok(Reply::ready_made(&Envelope::ok(), &service_info(&view)))
    }
}

impl Operation for ServiceListRequest {
    const RESPONSE: &'static str = "ServiceListResponse";
    type Fields = Counted;

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn check(&self, length: usize) -> Result<(), String> {
        check::check(&names(&self.namespace, &self.group_name, &self.service_name), length)
    }

    /// `serviceName` and `selector` are ignored, as in the reference.
    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let namespace = given(self.namespace.as_deref())?;
        let group = self.group_name.as_deref().unwrap_or_default();
        let page = Page::new(self.page_no.into(), self.page_size.max(0).into());
        let names = call.app.naming.service_names(nacre_model::key::namespace(namespace), group, page);
        check_page(self.page_no.into(), self.page_size.into(), names.total)
            .map_err(|error| NacosError::server(error.message))?;
        let fields = ServiceListResponse { count: names.total, service_names: names.rows };
        Ok(Reply::ok(&fields))
    }
}

/// A failed list still has its count.
#[derive(Default, serde::Serialize)]
pub struct Counted {
    count: usize,
}

impl Operation for SubscribeServiceRequest {
    const RESPONSE: &'static str = "SubscribeServiceResponse";
    type Fields = Nothing;

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn subject(&self) -> Subject {
        about(&self.namespace, &self.group_name, &self.service_name, None)
    }

    fn check(&self, length: usize) -> Result<(), String> {
        let info = names(&self.namespace, &self.group_name, &self.service_name);
        check::check(&ParamInfo { clusters: self.clusters.as_deref(), ..info }, length)
    }

    async fn run(&self, call: &Call<'_>) -> Result<Reply, NacosError> {
        let (clusters, said) = (self.clusters.as_deref().unwrap_or_default(), self.clusters.is_some());
        if self.namespace.is_none() {
            // Of the other names a blank one is an error; without a namespace there is nothing to hear of.
            service(Some(""), self.group_name.as_deref(), self.service_name.as_deref())?;
            let said = self.clusters.as_deref();
            let members = nothing(call, &self.namespace, &self.group_name, &self.service_name, said)?;
            return Ok(Reply::ready_made(&Envelope::ok_with("success"), &members));
        }
        let (namespace, group) = (self.namespace.as_deref(), self.group_name.as_deref());
        let key = service(namespace, group, self.service_name.as_deref())?;
        let connection = call.connection;
        let (app, client, now) = (call.app, connection.client_id(), call.now);
        let (view, effects): (ServiceView, _) = if self.subscribe {
            // A client that names none may name one with each request.
            let app_name = match connection.named_app() {
                Some(app) => Arc::clone(app),
                None => {
                    call.header(self.headers.as_ref(), "app").filter(|app| !app.is_empty()).unwrap_or("unknown").into()
                }
            };
            let subscription = Subscription {
                clusters: clusters.into(),
                ip: connection.client_ip.clone(),
                port: 0,
                agent: connection.version.clone(),
                app: app_name,
            };
            let (view, effects) = app.naming.subscribe(&client, &key, subscription, now)?;
            connection.note_clusters(&key, said);
            if !effects.pushes.is_empty() {
                connection.outbox.answered(&key, view.hosts.is_empty());
            }
            if view.hosts.is_empty() {
                sighting::nothing_found(app, connection, Sought::Service(key.clone(), clusters.into()), true);
            }
            (view, effects)
        } else {
            let effects = app.naming.unsubscribe(&client, &key, now)?;
            connection.outbox.unsubscribed(&key);
            connection.note_clusters(&key, true);
            let query = Query { clusters, healthy_only: false, consumer_ip: &connection.client_ip };
            (app.naming.list(&key, &query, now), effects)
        };
        app.effects.naming(effects);
        Ok(Reply::ready_made(&Envelope::ok_with("success"), &subscribed_info(&view, said)))
    }
}

#[cfg(test)]
mod tests {
    use nacre_wire::grpc::lenient::parse;

    use super::{super::super::dispatch::DEFAULT_METADATA, *};

    fn check<O: Operation>(text: &str) -> Result<(), String> {
        parse::<O>(text.as_bytes()).unwrap().check(DEFAULT_METADATA)
    }

    #[test]
    fn instances_are_checked_one_by_one() {
        let port = "Param 'port' is illegal, the value should be between 0 and 65535.";
        assert_eq!(check::<InstanceRequest>(r#"{"instance":{"port":70000}}"#), Err(port.into()));
        assert_eq!(check::<Persistent>(r#"{"instance":{"port":-1}}"#), Err(port.into()));
        assert_eq!(check::<ServiceQueryRequest>(r#"{"serviceName":"s","udpPort":-1}"#), Err(port.into()));
        assert_eq!(check::<ServiceQueryRequest>(r#"{"serviceName":"s","udpPort":0}"#), Ok(()));
        assert!(check::<ServiceListRequest>(r#"{"serviceName":"a@@b","groupName":"g"}"#).is_err());
        let batch = r#"{"instances":[{"ip":"1.1.1.1","port":1},{"ip":"1.1.1.1","port":70000}]}"#;
        assert_eq!(check::<BatchInstanceRequest>(batch), Err(port.into()));
        assert!(check::<BatchInstanceRequest>(r#"{"instances":[null]}"#).is_err());
        let name = "Param 'serviceName' is illegal, illegal characters should not appear in the param.";
        let batch = r#"{"serviceName":"s","instances":[{"ip":"1.1.1.1","port":1,"serviceName":"g@@s"}]}"#;
        assert_eq!(check::<BatchInstanceRequest>(batch), Err(name.into()));
        assert!(check::<InstanceRequest>(r#"{"instance":{"port":1,"serviceName":"g@@s"}}"#).is_ok());
        assert!(check::<InstanceRequest>(r#"{"instance":{"ip":"","clusterName":"a_b"}}"#).is_ok());
    }

    #[test]
    fn blank_names_fail_with_the_references_words_and_null_is_no_namespace() {
        let text = |error: NacosError| (error.status, error.message);
        let blank = service(Some("n"), Some("g"), Some(" ")).unwrap_err();
        assert_eq!(text(blank), (500, "Param 'serviceName' is illegal, serviceName is blank".into()));
        let blank = service(Some("n"), None, Some("s")).unwrap_err();
        assert_eq!(text(blank), (500, "Param 'groupName' is illegal, groupName is blank".into()));
        assert!(service(None, Some("g"), Some("s")).is_err());
        assert_eq!(service(Some(""), Some("g"), Some("s")).unwrap(), ServiceKey::new("public", "g", "s"));
    }
}
