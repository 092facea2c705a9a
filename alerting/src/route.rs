//! Who is told of an alert, and what it is told together with.

use std::collections::BTreeMap;

use dixmgr_model::{ALL_LABELS, Alert, AlertGroup, AlertPolicy, Delivery, Rule, hash};

use crate::silence;

/// Label that no group may be made by: an alert changes it and stays the same.
pub const SEVERITY: &str = "severity";

/// How an alert with these labels is told: as its rule says, or the first route that fits, or like all others.
#[must_use]
pub fn delivery(policy: &AlertPolicy, rule: &Rule, labels: &BTreeMap<String, String>) -> Delivery {
    let route = policy.routes.iter().find(|route| silence::matches(&route.matchers, labels));
    let mut delivery = route.map_or(&policy.delivery, |route| &route.delivery).clone();
    if let Some(receivers) = &rule.receivers {
        delivery.receivers.clone_from(receivers);
        // Alerts that others are told of are no part of its groups.
        delivery.route = format!("rule {}", rule.name);
    }
    delivery
}

/// The group of an alert: those of the same route whose values of the labels in `group_by` are the same.
#[must_use]
pub fn group(policy: &AlertPolicy, delivery: &Delivery, alert: &Alert) -> AlertGroup {
    let labels = labels(delivery, &alert.labels);
    // An alert by itself may differ from another in what is no label.
    let own = if delivery.group_by.iter().any(|name| name == ALL_LABELS) { &*alert.fingerprint } else { "" };
    let parts = labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let parts = [delivery.route.as_str(), own].into_iter().chain(parts);
    let print = hash::fnv1a(parts.flat_map(|part| part.bytes().chain([0])));
    AlertGroup { workflow_id: format!("{}alert-group.{print}", policy.id_prefix), labels }
}

fn labels(delivery: &Delivery, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let chosen = |name: &str| delivery.group_by.iter().any(|by| by == name || by == ALL_LABELS);
    let chosen = labels.iter().filter(|(name, _)| *name != SEVERITY && chosen(name));
    chosen.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dixmgr_model::{AlertKind, Matcher, Receiver, Route, Severity};

    use super::*;
    use crate::defaults;

    fn delivery_of(route: &str, group_by: &[&str]) -> Delivery {
        Delivery {
            receivers: vec![Receiver { channel: route.to_owned(), after: Duration::ZERO }],
            route: route.to_owned(),
            group_by: group_by.iter().map(|name| (*name).to_owned()).collect(),
            ..Delivery::default()
        }
    }

    fn policy() -> AlertPolicy {
        let matcher = Matcher { name: "severity".into(), value: "critical".into(), is_regex: false, is_equal: true };
        AlertPolicy {
            rules: defaults::rules(),
            delivery: delivery_of("", &["alertname"]),
            maintenance: Vec::new(),
            routes: vec![Route { matchers: vec![matcher], delivery: delivery_of("pager", &[ALL_LABELS]) }],
            id_prefix: String::new(),
        }
    }

    fn alert(service: &str, severity: Severity) -> Alert {
        let labels = [("alertname", "high_cpu"), ("service", service), ("severity", severity.name())];
        Alert {
            fingerprint: service.to_owned(),
            kind: AlertKind::HighCpu,
            service: service.to_owned(),
            severity,
            rule: String::new(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            annotations: BTreeMap::new(),
            starts_at: 0,
        }
    }

    fn group_of(service: &str, severity: Severity) -> AlertGroup {
        let (policy, alert) = (policy(), alert(service, severity));
        group(&policy, &delivery(&policy, &policy.rules[0], &alert.labels), &alert)
    }

    #[test]
    fn alerts_of_one_name_are_told_together() {
        let (db, web) = (group_of("db", Severity::Warning), group_of("web", Severity::Info));
        assert_eq!(db, web);
        assert_eq!(db.labels, BTreeMap::from([("alertname".to_owned(), "high_cpu".to_owned())]));
    }

    #[test]
    fn the_first_route_that_fits_decides() {
        let (db, web) = (group_of("db", Severity::Critical), group_of("web", Severity::Critical));
        assert_ne!(db, web, "by all labels, each is told by itself");
        assert_eq!(db.labels.keys().collect::<Vec<_>>(), ["alertname", "service"]);
    }

    #[test]
    fn a_rule_with_channels_of_its_own_has_groups_of_its_own() {
        let (policy, alert) = (policy(), alert("db", Severity::Warning));
        let mut rule = policy.rules[0].clone();
        let usual = delivery(&policy, &rule, &alert.labels);
        rule.receivers = Some(Vec::new());
        let own = delivery(&policy, &rule, &alert.labels);
        assert_ne!(group(&policy, &usual, &alert), group(&policy, &own, &alert));
        assert_eq!(own.receivers, []);
    }
}
