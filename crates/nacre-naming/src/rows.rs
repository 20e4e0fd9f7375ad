//! The durable table's rows of this crate. Keys are JSON arrays: no separator can be confused with a name.

use std::sync::Arc;

use nacre_model::{Instance, Row, ServiceKey};
use serde::{Serialize, de::DeserializeOwned};

use crate::{InstanceMetadata, InstanceRef, ServiceMetadata, Switches};

pub(crate) const SERVICE: &str = "naming.service";
pub(crate) const INSTANCE: &str = "naming.instance";
pub(crate) const RECORD: &str = "naming.instance-metadata";
pub(crate) const SWITCHES: &str = "naming.switches";

/// Metadata of a service; `None` deletes.
pub(crate) fn service(key: &ServiceKey, metadata: Option<&ServiceMetadata>) -> Row {
    row(SERVICE, &(&key.namespace, &key.group, &key.name), metadata)
}

/// A persistent instance; `None` deletes.
pub(crate) fn instance(key: &ServiceKey, ip: &str, port: i32, instance: Option<&Instance>) -> Row {
    row(INSTANCE, &(&key.namespace, &key.group, &key.name, ip, port), instance)
}

/// An operator's record; `None` deletes.
pub(crate) fn record(key: &ServiceKey, at: &InstanceRef, data: Option<&InstanceMetadata>) -> Row {
    row(RECORD, &(&key.namespace, &key.group, &key.name, &at.ip, at.port, &at.cluster), data)
}

pub(crate) fn switches(switches: &Switches) -> Row {
    row(SWITCHES, &("switches",), Some(switches))
}

fn row(kind: &str, key: &impl Serialize, value: Option<&impl Serialize>) -> Row {
    // Strings, numbers and maps with text keys: serialising them cannot fail.
    let key = serde_json::to_string(key).unwrap_or_default();
    match value {
        Some(value) => Row::upsert(kind, key, serde_json::to_vec(value).unwrap_or_default()),
        None => Row::delete(kind, key),
    }
}

/// A row read back.
pub(crate) enum Restored {
    Service(ServiceKey, ServiceMetadata),
    Instance(ServiceKey, Instance),
    Record(ServiceKey, InstanceRef, InstanceMetadata),
    Switches(Box<Switches>),
}

pub(crate) fn read(row: &Row) -> Result<Restored, String> {
    type Text = Arc<str>;
    let service = ServiceKey::of;
    match row.kind.as_str() {
        SERVICE => {
            let (namespace, group, name): (Text, Text, Text) = key_of(row)?;
            Ok(Restored::Service(service(namespace, group, name), value_of(row)?))
        }
        INSTANCE => {
            let (namespace, group, name, _ip, _port): (Text, Text, Text, Text, i32) = key_of(row)?;
            Ok(Restored::Instance(service(namespace, group, name), value_of(row)?))
        }
        RECORD => {
            let (namespace, group, name, ip, port, cluster): (Text, Text, Text, Text, i32, Text) = key_of(row)?;
            let at = InstanceRef { ip, port, cluster };
            Ok(Restored::Record(service(namespace, group, name), at, value_of(row)?))
        }
        SWITCHES => Ok(Restored::Switches(value_of(row)?)),
        other => Err(format!("no row of the registry: kind {other}, key {}", row.key)),
    }
}

fn key_of<T: DeserializeOwned>(row: &Row) -> Result<T, String> {
    serde_json::from_str(&row.key).map_err(|error| format!("row {} {}: key: {error}", row.kind, row.key))
}

fn value_of<T: DeserializeOwned>(row: &Row) -> Result<T, String> {
    let value = row.value.as_deref().ok_or_else(|| format!("row {} {}: no value", row.kind, row.key))?;
    serde_json::from_slice(value).map_err(|error| format!("row {} {}: value: {error}", row.kind, row.key))
}
