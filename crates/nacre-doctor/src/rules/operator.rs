//! Operators, protection and display: what is alive and hidden, what is dead and shown, and what consumers do not hear.

mod checks;
mod edits;
mod protection;
mod pushes;

use crate::{Rule, rule};

pub static RULES: [Rule; 13] = [
    rule!("BEAT-REGISTERED-WEIGHT-ZERO", edits::beat_weight_zero),
    rule!("CHECK-FAILS", checks::check_fails),
    rule!("CHECK-WRONG-PORT", checks::check_wrong_port),
    rule!("CHECKER-NONE-FROZEN", checks::frozen),
    rule!("EMPTY-PUSH-IGNORED", pushes::empty_ignored),
    rule!("OPERATOR-DISABLED", edits::disabled),
    rule!("OPERATOR-METADATA-HIDES", edits::metadata_hidden),
    rule!("OPERATOR-WEIGHT-ZERO", edits::weight_zero),
    rule!("PROTECTION-MASKS", protection::masks),
    rule!("PROTECTION-ZERO-MASKS", protection::zero_masks),
    rule!("REGISTERED-HIDDEN", edits::registered_hidden),
    rule!("REGISTERED-UNHEALTHY", edits::registered_unhealthy),
    rule!("UDP-PUSH-UNACKED", pushes::udp_unacked),
];

#[cfg(test)]
mod tests;
