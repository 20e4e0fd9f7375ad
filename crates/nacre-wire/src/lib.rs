//! The wire forms of every Nacos generation that several rooms share.
//!
//! What lives here: [`grpc`], the gRPC `Payload` and the JSON of every payload; [`http`], bodies that several HTTP
//! adapters share; [`naming`], the JSON of instances and
//! services that every generation shares; [`otlp`], what traces are told in. What does not: behaviour, sockets.

pub mod grpc;
pub mod http;
pub mod naming;
pub mod otlp;
