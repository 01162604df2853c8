//! The settings of RocketMQ's broker, out of its file: it shows them to nobody over gRPC.

use std::collections::HashMap;

use super::rule::{Part, Place, Rule, Syntax, Wanted, Weight};

const PLACE: Place = Place {
    file: "broker.conf",
    block: "",
    syntax: Syntax::Properties,
};

/// The settings that the queue needs, each with RocketMQ 5's own default.
pub(super) fn rules() -> Vec<(Rule, &'static str)> {
    let rule = |name, wanted, weight, default, reason| {
        let rule = Rule {
            part: Part::Rocketmq,
            name,
            wanted,
            weight,
            reason,
            place: PLACE,
        };
        (rule, default)
    };
    vec![
        rule(
            "flushDiskType",
            Wanted::OneOf(&["SYNC_FLUSH"]),
            Weight::Matters,
            "ASYNC_FLUSH",
            "an event leaves the outbox when its message is acknowledged: it must be on the disk by then",
        ),
        rule(
            "timerWheelEnable",
            Wanted::OneOf(&["true"]),
            Weight::Matters,
            "true",
            "unpaid orders are cancelled by messages that are delivered later",
        ),
        rule(
            "fileReservedTime",
            Wanted::AtLeast(72),
            Weight::Matters,
            "72",
            "hours that messages are kept; a weekend's outage of the workers must not lose any",
        ),
        rule(
            "autoCreateTopicEnable",
            Wanted::OneOf(&["false"]),
            Weight::Helps,
            "true",
            "a topic that a misspelt name creates has the wrong type, and nobody reads it",
        ),
        rule(
            "waitTimeMillsInSendQueue",
            Wanted::AtLeast(1_000),
            Weight::Helps,
            "200",
            "at the opening the broker refuses sends that waited longer, and the relay has to retry",
        ),
    ]
}

/// The settings in a broker's file: lines of `name=value`, `#` before a comment. The last
/// of two lines with the same name counts.
pub(super) fn parse(text: &str) -> HashMap<String, String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with(['#', '!']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::tune::State;

    fn states(text: &str) -> Vec<State> {
        let given = parse(text);
        let judged = rules().into_iter().map(|(rule, default)| {
            let here = given.get(rule.name).map_or(default, String::as_str);
            rule.judge(None, Some(here.to_owned())).state
        });
        judged.collect()
    }

    #[test]
    fn what_the_file_does_not_say_has_rocketmqs_default() {
        assert_eq!(states("")[0], State::Off, "ASYNC_FLUSH is the default");
        let said = "# ours\nflushDiskType = SYNC_FLUSH\nautoCreateTopicEnable=false\n\
                    waitTimeMillsInSendQueue=2000\n";
        assert!(states(said).iter().all(|state| *state == State::Fine));
        assert_eq!(
            states("flushDiskType=SYNC_FLUSH\nfileReservedTime=1")[2],
            State::Off
        );
    }
}
