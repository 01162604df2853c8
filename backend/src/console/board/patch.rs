//! The difference between two snapshots, as a JSON merge patch (RFC 7386): members
//! that are new or changed, and `null` for those that are gone.
//!
//! `{"a":1,"b":{"c":2,"d":3}}` to `{"b":{"c":2,"d":4}}` is `{"a":null,"b":{"d":4}}`.

use serde_json::{Map, Value};

/// The patch that makes `after` of `before`; `None` if they are the same.
///
/// Lists are replaced as a whole, and a member whose value is `null` counts as
/// one that is not there.
pub(super) fn between(before: &Value, after: &Value) -> Option<Value> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let changes = of_members(before, after);
            (!changes.is_empty()).then_some(Value::Object(changes))
        }
        _ => (before != after).then(|| after.clone()),
    }
}

fn of_members(before: &Map<String, Value>, after: &Map<String, Value>) -> Map<String, Value> {
    let mut changes = Map::new();
    for (name, value) in after {
        let was = before.get(name).unwrap_or(&Value::Null);
        if let Some(change) = between(was, value) {
            changes.insert(name.clone(), change);
        }
    }
    for (name, was) in before {
        if !was.is_null() && !after.contains_key(name) {
            changes.insert(name.clone(), Value::Null);
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// How a reader applies a patch (RFC 7386 § 2).
    fn apply(target: &mut Value, patch: &Value) {
        let Value::Object(changes) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        if let Value::Object(members) = target {
            for (name, change) in changes {
                if change.is_null() {
                    members.remove(name);
                } else {
                    apply(members.entry(name.clone()).or_insert(Value::Null), change);
                }
            }
        }
    }

    /// The value without members that are `null`.
    fn dense(value: &Value) -> Value {
        match value {
            Value::Object(members) => members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), dense(value)))
                .collect(),
            other => other.clone(),
        }
    }

    #[test]
    fn only_what_changed_is_in_the_patch() {
        let before = json!({"a": 1, "b": {"c": 2, "d": 3}, "list": [1, 2]});
        let after = json!({"b": {"c": 2, "d": 4}, "list": [1, 2], "e": null});
        let patch = between(&before, &after).unwrap();
        assert_eq!(patch, json!({"a": null, "b": {"d": 4}}));
        assert_eq!(between(&after, &after.clone()), None);
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            (0..3u8).prop_map(Value::from),
            Just(json!([1, {"x": null}])),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn applying_the_patch_gives_the_new_snapshot(before in tree(), after in tree()) {
            let (before, after) = (json!({"at": dense(&before)}), json!({"at": after}));
            let mut copy = before.clone();
            if let Some(patch) = between(&before, &after) {
                apply(&mut copy, &patch);
            }
            prop_assert_eq!(dense(&copy), dense(&after));
        }
    }
}
