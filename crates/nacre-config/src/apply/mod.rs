//! Applying commands: decisions (compare-and-set, limits, conflicts) are made here and nowhere else.

use nacre_model::Now;

use crate::{ConfigCommand, Configs, Outcome};

pub(crate) fn apply(configs: &Configs, command: ConfigCommand, now: Now) -> Outcome {
    let _ = (configs, command, now);
    Outcome::default()
}
