//! Events as older versions wrote them, lifted one version at a time to what this program reads.
//! It knows JSON values and nothing of types, so that a step stays as it was written when the types
//! go on.

use serde_json::Value;

/// One step: how the data of a group's event, written in version `from`, are said in the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lift {
    /// Which group.
    pub group: &'static str,
    /// From which version; the step leads to the one after it.
    pub from: u32,
    /// The step. The error says what did not fit.
    pub step: fn(Value) -> Result<Value, String>,
}

/// Every step there is. Each group is still in its first version, so there is none.
pub(super) const LIFTS: &[Lift] = &[];

/// Lifts `data` of a group from version `from` to version `to`, as JSON text.
pub(super) fn lift(lifts: &[Lift], group: &str, from: u32, to: u32, data: &str) -> Result<String, String> {
    let mut value: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
    for version in from..to {
        let Some(lift) = lifts.iter().find(|lift| lift.group == group && lift.from == version) else {
            return Err(format!(
                "event {group} version {version}: this program has no step to {}",
                version + 1
            ));
        };
        value = (lift.step)(value).map_err(|why| format!("event {group} version {version}: {why}"))?;
    }
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STEPS: &[Lift] = &[
        Lift {
            group: "gate",
            from: 1,
            step: |mut value| {
                let old = value.as_object_mut().and_then(|fields| fields.remove("why"));
                value["reason"] = old.ok_or("no why")?;
                Ok(value)
            },
        },
        Lift { group: "gate", from: 2, step: |value| Ok(json!({"event": "waived", "was": value})) },
        Lift { group: "host", from: 1, step: |_| Ok(json!("another group's")) },
    ];

    #[test]
    fn each_step_leads_one_version_on() {
        let lifted = |from, to| lift(STEPS, "gate", from, to, r#"{"why":"x"}"#);
        assert_eq!(lifted(1, 2), Ok(r#"{"reason":"x"}"#.to_owned()));
        assert_eq!(lifted(1, 3), Ok(r#"{"event":"waived","was":{"reason":"x"}}"#.to_owned()));
        assert_eq!(lifted(2, 3), Ok(r#"{"event":"waived","was":{"why":"x"}}"#.to_owned()));
    }

    #[test]
    fn a_step_that_is_missing_or_fails_is_named() {
        assert_eq!(
            lift(STEPS, "gate", 1, 4, r#"{"why":"x"}"#),
            Err("event gate version 3: this program has no step to 4".to_owned())
        );
        assert_eq!(lift(STEPS, "gate", 1, 2, "{}"), Err("event gate version 1: no why".to_owned()));
    }
}
