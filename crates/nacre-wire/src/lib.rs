//! The wire forms of every Nacos generation that several rooms share.
//!
//! What lives here: [`grpc`], the gRPC `Payload` and the JSON of every payload; JSON bodies of v1/v2/v3 that more than one
//! adapter writes. What does not: behaviour, sockets.

pub mod grpc;
