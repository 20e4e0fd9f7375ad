//! Naming over HTTP: v1, v2 and v3.
//!
//! | file | what |
//! |---|---|
//! | `gate` | the filters in front of `/v1/ns` |
//! | `refused` | refused writes as events |
//! | `read` | how parameters are read |
//! | `unreadable` | what cannot be read, as the parameter check says it |
//! | `bodies` | the JSON of services, clusters, clients, subscribers, metrics |
//! | `call` | what several generations do alike: register, list, beat, batch |
//! | `v1_*`, `v2_*`, `v3_*` | the endpoints |

pub mod bodies;
pub mod call;
pub mod gate;
pub mod read;
pub mod refused;
pub mod unreadable;
pub mod v1_api;
pub mod v1_catalog;
pub mod v1_instance;
pub mod v1_operator;
pub mod v1_service;
pub mod v2_instance;
pub mod v2_service;
pub mod v3_admin;
pub mod v3_client;
pub mod v3_console;
