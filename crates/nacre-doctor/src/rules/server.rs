//! The server itself: its own pauses, its clock, its disk, its limits.

use nacre_model::Cause;

use crate::{About, Confidence, Hit, Hits, Rule, Scene, Severity, rule};

pub static RULES: [Rule; 2] = [rule!("SERVER-STALLED", stalled), rule!("CLOCK-STEPPED", clock_stepped)];

/// A pause of this length stands out to clients that wait three seconds for an answer.
const LONG_STALL_MS: u64 = 3_000;

fn stalled(scene: &Scene<'_>, hits: &mut Hits) {
    let events: Vec<_> = scene.told("serverStalled").collect();
    let lengths = events.iter().filter_map(|event| match event.cause {
        Cause::ServerStalled { ms } => Some(ms),
        _ => None,
    });
    let (longest, total) = lengths.fold((0, 0), |(longest, total), ms| (ms.max(longest), total + ms));
    if longest == 0 {
        return;
    }
    let mut hit = Hit::new(About::setting("process"))
        .fact("longest", nacre_journal::duration(longest))
        .fact("total", nacre_journal::duration(total))
        .fact("times", events.len())
        .confidence(Confidence::High)
        .severity(if longest >= LONG_STALL_MS { Severity::Critical } else { Severity::Warning })
        .not("clients: their deadlines were moved by the length of the pause, nobody expired for it");
    for event in events {
        hit = hit.event(event);
    }
    hits.add(hit);
}

fn clock_stepped(scene: &Scene<'_>, hits: &mut Hits) {
    for event in scene.told("clockStepped").take(1) {
        let Cause::ClockStepped { by_ms } = event.cause else { continue };
        let way = if by_ms < 0 { "back" } else { "forward" };
        hits.add(
            Hit::new(About::setting("clock"))
                .fact("by", nacre_journal::duration(by_ms.unsigned_abs()))
                .fact("way", way)
                .confidence(Confidence::High)
                .event(event)
                .not("expiry of instances: it goes by the monotonic clock, which did not step"),
        );
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::Subject;

    use super::*;
    use crate::testing::Stage;

    #[test]
    fn stalls_are_one_finding_that_grows_and_clears() {
        let mut stage = Stage::default();
        stage.event(Subject::default(), Cause::ServerStalled { ms: 1_200 });
        assert_eq!(stage.only().severity, Severity::Warning);
        stage.wait(1_000).event(Subject::default(), Cause::ServerStalled { ms: 39_000 });
        let finding = stage.only();
        assert_eq!((finding.code.as_str(), finding.severity), ("SERVER-STALLED", Severity::Critical));
        assert!(finding.cause.contains("39 s"), "{}", finding.cause);
        assert_eq!(finding.since + 1_000, finding.updated);
        stage.wait(70_000);
        assert!(stage.codes().is_empty());
    }

    #[test]
    fn a_step_of_the_clock_is_named_with_its_direction() {
        let mut stage = Stage::default();
        stage.event(Subject::default(), Cause::ClockStepped { by_ms: -3_600_000 });
        let finding = stage.only();
        assert_eq!(finding.code, "CLOCK-STEPPED");
        assert!(finding.cause.contains("back by 1 h"), "{}", finding.cause);
    }
}
