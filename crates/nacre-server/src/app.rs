//! The application: one value that every adapter is handed.

use crate::{clock::Clock, http::router::Router};

/// Settings read once at start that hot paths look at.
#[derive(Clone, Debug)]
pub struct Settings {
    pub main_port: u16,
    /// `nacos.core.param.check.enabled`.
    pub param_check: bool,
}

/// Everything a handler may need. Shared behind one `Arc`.
pub struct App {
    pub clock: Clock,
    pub settings: Settings,
    pub router: Router,
}
