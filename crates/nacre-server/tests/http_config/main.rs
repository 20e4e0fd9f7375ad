//! Configuration over HTTP, as its users meet it. Names and comments carry the ids of the cases they come from.

mod cases;
mod client;
mod diagnosis;
mod gray;
mod polls;
