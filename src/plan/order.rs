//! The order in which live hosts are taken: small weights first, unless the plan says otherwise.
//!
//! Whether an order that the plan gives is a good one is for the gate to judge, not for this file.

use super::{Host, Plan};
use crate::types::HostName;

/// Every live host once, in the order in which they are taken: `policy.order` where the plan has
/// one; else by weight, the smallest first, and of the same weight as listed.
pub fn order(plan: &Plan) -> Vec<HostName> {
    let mut hosts: Vec<&Host> = plan.hosts.iter().collect();
    hosts.sort_by_cached_key(|host| plan.weight(&host.name));
    let computed = hosts.into_iter().map(|host| host.name.clone());
    if plan.policy.order.is_empty() {
        return computed.collect();
    }
    // A checked plan names every host; one that was read back from elsewhere must lose none.
    let mut given = plan.policy.order.clone();
    given.retain(|name| plan.hosts.iter().any(|host| host.name == *name));
    let rest: Vec<_> = computed.filter(|name| !given.contains(name)).collect();
    given.extend(rest);
    given
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn plan(more: &str) -> Plan {
        let text = format!(
            r#"
            [window]
            name = "n"
            opens = 2026-11-21T22:00:00Z
            closes = 2026-11-22T00:00:00Z
            {more}
            [[host]]
            name = "big"
            ssh = "a"
            group = "web"
            [[host]]
            name = "none"
            ssh = "b"
            [[host]]
            name = "small"
            ssh = "c"
            group = "web"
            weight = 2
            [[host]]
            name = "same"
            ssh = "d"
            weight = 2
            [[customer]]
            name = "acme"
            host = "big"
            weight = 400
            [[customer]]
            name = "tiny"
            host = "none"
            weight = 1
            "#
        );
        read("window.toml", &text).expect("a plan")
    }

    fn names(hosts: &[HostName]) -> Vec<&str> {
        hosts.iter().map(HostName::as_str).collect()
    }

    #[test]
    fn small_weights_come_first_and_equal_ones_as_listed() {
        assert_eq!(names(&order(&plan(""))), ["none", "small", "same", "big"]);
    }

    #[test]
    fn the_plans_own_order_comes_before_the_computed_one() {
        let mut plan = plan("[policy]\norder = [\"big\", \"same\", \"none\", \"small\"]");
        assert_eq!(names(&order(&plan)), ["big", "same", "none", "small"]);
        plan.policy.order.truncate(1);
        assert_eq!(names(&order(&plan)), ["big", "none", "small", "same"], "none is lost");
    }
}
