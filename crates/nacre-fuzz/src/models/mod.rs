//! Histories of commands on the cores, against models that are as plain as can be.

pub mod config;
pub mod naming;
