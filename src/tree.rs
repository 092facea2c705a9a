//! `dixmgr check`: a resolved plan as a tree. What a service needs stands above it, what needs it hangs below.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use dixmgr_model::{Plan, Probes, Receiver, RestartPolicy, ServiceSpec, Target, duration};

use crate::config::Alerts;

/// Deepest nesting that is drawn; a chain that goes on is continued at the margin.
const MAX_DEPTH: usize = 24;

/// Draws a plan. A service that needs several others is drawn once in full, under the last of them in start order, and
/// named under the others.
pub fn draw(plan: &Plan) -> String {
    let tree = Tree::of(plan);
    let mut out = String::new();
    let _ = writeln!(out, "{} services in start order, revision {}", plan.services.len(), &plan.revision);
    for root in plan.services.iter().filter(|spec| spec.needs.is_empty()) {
        tree.branch(&mut out, root, "", Edge::Root, 0);
    }
    // Whatever was too deep below its root goes on at the margin.
    while let Some(spec) = plan.services.iter().find(|spec| !tree.drawn.borrow().contains(spec.name.as_str())) {
        tree.branch(&mut out, spec, "", Edge::Root, 0);
    }
    out
}

/// Says in a line or two who is told of which alerts.
pub fn alerts(alerts: &Alerts) -> String {
    let policy = &alerts.policy;
    if policy.rules.is_empty() {
        return "no alerts\n".to_owned();
    }
    let told = |receivers: &[Receiver]| {
        let words = receivers.iter().map(|to| match to.after {
            Duration::ZERO => to.channel.clone(),
            after => format!("{} after {}", to.channel, duration::format(after)),
        });
        words.collect::<Vec<_>>().join(", ")
    };
    let mut out = format!("{} alert rules, told to {}\n", policy.rules.len(), told(&policy.delivery.receivers));
    for rule in &policy.rules {
        if let Some(receivers) = &rule.receivers {
            let _ = writeln!(out, "  {}: told to {}", rule.name, told(receivers));
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Edge {
    Root,
    Middle,
    Last,
}

struct Tree<'p> {
    by_name: HashMap<&'p str, &'p ServiceSpec>,
    /// For each service those that need it, in start order.
    below: BTreeMap<&'p str, Vec<&'p str>>,
    /// For each service the last thing it needs: where it is drawn in full.
    home: HashMap<&'p str, &'p str>,
    drawn: std::cell::RefCell<BTreeSet<&'p str>>,
}

impl<'p> Tree<'p> {
    fn of(plan: &'p Plan) -> Self {
        let order: HashMap<&str, usize> =
            plan.services.iter().enumerate().map(|(i, spec)| (spec.name.as_str(), i)).collect();
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut home = HashMap::new();
        for spec in &plan.services {
            for need in &spec.needs {
                below.entry(need.service.as_str()).or_default().push(&spec.name);
            }
            if let Some(last) = spec.needs.iter().max_by_key(|need| order.get(need.service.as_str())) {
                home.insert(spec.name.as_str(), last.service.as_str());
            }
        }
        let by_name = plan.services.iter().map(|spec| (spec.name.as_str(), spec)).collect();
        Self { by_name, below, home, drawn: std::cell::RefCell::default() }
    }

    fn branch(&self, out: &mut String, spec: &'p ServiceSpec, margin: &str, edge: Edge, depth: usize) {
        let (knot, under) = match edge {
            Edge::Root => ("", ""),
            Edge::Middle => ("├─ ", "│  "),
            Edge::Last => ("└─ ", "   "),
        };
        let margin_below = format!("{margin}{under}");
        self.drawn.borrow_mut().insert(&spec.name);
        let children = self.below.get(spec.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let rail = if children.is_empty() { "     " } else { "│    " };
        let _ = writeln!(out, "{margin}{knot}{}", headline(spec));
        for line in details(spec) {
            let _ = writeln!(out, "{margin_below}{rail}{line}");
        }
        for (i, child) in children.iter().enumerate() {
            let edge = if i + 1 == children.len() { Edge::Last } else { Edge::Middle };
            let Some(child) = self.by_name.get(child) else { continue };
            let at_home = self.home.get(child.name.as_str()) == Some(&spec.name.as_str());
            if at_home && depth < MAX_DEPTH {
                self.branch(out, child, &margin_below, edge, depth + 1);
            } else {
                let knot = if edge == Edge::Last { "└─ " } else { "├─ " };
                let _ = writeln!(out, "{margin_below}{knot}{} (in full elsewhere)", child.name);
            }
        }
    }
}

fn headline(spec: &ServiceSpec) -> String {
    let target = match &spec.target {
        Target::Unit(unit) => unit.clone(),
        Target::Command(command) => format!("runs {}", command.argv.join(" ").escape_debug()),
    };
    let labels = [("type", &spec.labels.kind), ("chain", &spec.labels.chain)];
    let labels = labels.iter().filter(|(_, text)| !text.is_empty());
    let labels = labels.fold(String::new(), |all, (key, text)| all + ", " + key + " " + text);
    let replicas =
        spec.replicas.map_or(String::new(), |r| format!(", {} replicas, {} must be ready", r.count, r.quorum));
    format!("{}  {target}{labels}{replicas}  [{}]", spec.name, spec.workflow_id)
}

fn details(spec: &ServiceSpec) -> Vec<String> {
    let mut lines = Vec::new();
    if !spec.needs.is_empty() {
        let needs: Vec<&str> = spec.needs.iter().map(|need| need.service.as_str()).collect();
        lines.push(format!("needs {}, for at most {}", needs.join(", "), duration::format(spec.dependency_timeout)));
    }
    lines.extend(probes(&spec.probes));
    lines.push(policy(&spec.restart));
    lines
}

fn probes(probes: &Probes) -> Vec<String> {
    let every = |own: Option<std::time::Duration>| duration::format(own.unwrap_or(probes.interval));
    let resources = if probes.resources { " with CPU, memory and disk" } else { "" };
    let mut lines = vec![format!("looked at every {}{resources}", every(None))];
    for check in &probes.http {
        let path = check.json_path.as_ref().map_or(String::new(), |path| format!(", verdict at {path}"));
        let status = check.expected_status.map_or("2xx".to_owned(), |status| status.to_string());
        let (method, url) = (&check.method, &check.url);
        lines.push(format!("http {method} {url} every {}, wants {status}{path}", every(check.interval)));
    }
    if let Some(sync) = &probes.sync {
        lines.push(format!("synced by {} every {}", sync.endpoint, every(sync.interval)));
    }
    if !probes.http.is_empty() {
        lines.push(format!("unhealthy after {} failed checks in a row", probes.failure_threshold));
    }
    lines
}

fn policy(policy: &RestartPolicy) -> String {
    let unhealthy = if policy.on_unhealthy { ", also when unhealthy" } else { "" };
    format!(
        "restarts {} times in {}, waiting {} to {}{unhealthy}; then every {}",
        policy.max_restarts,
        duration::format(policy.window),
        duration::format(policy.initial_backoff),
        duration::format(policy.max_backoff),
        duration::format(policy.quarantine_retry),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{LoadOptions, ManagerKind, parse};

    fn drawn(text: &str) -> String {
        let options = LoadOptions::of(ManagerKind::Systemd);
        draw(&parse("x", text, &options).unwrap().plan)
    }

    #[test]
    fn needs_are_branches() {
        let text = "[[service]]\nname='db'\nunit='db.service'\n[[service]]\nname='api'\nunit='api.service'\nneeds=['db']\n\
                    http=[{url='http://127.0.0.1:1/'}]\n[[service]]\nname='web'\nunit='web.service'\nneeds=['db','api']\n";
        let tree = drawn(text);
        let lines: Vec<&str> = tree.lines().collect();
        assert!(lines[0].starts_with("3 services"));
        assert!(lines[1].starts_with("db  db.service  [wf.svc.db]"), "{tree}");
        assert!(tree.contains("\n├─ api  api.service"), "{tree}");
        assert!(tree.contains("http GET http://127.0.0.1:1/ every 30s, wants 2xx"), "{tree}");
        assert!(tree.contains("\n│  └─ web  web.service"), "{tree}");
        assert!(tree.contains("└─ web (in full elsewhere)"), "{tree}");
    }

    #[test]
    fn every_service_of_a_long_chain_is_drawn_once() {
        let one = |i: usize| format!("[[service]]\nname='s{i}'\nunit='s{i}.service'\nneeds=['s{}']\n", i + 1);
        let text: String = (0..200).map(one).collect::<String>() + "[[service]]\nname='s200'\nunit='s200.service'\n";
        let tree = drawn(&text);
        for i in 0..=200 {
            assert_eq!(tree.matches(&format!("s{i}  s{i}.service")).count(), 1, "s{i}");
        }
    }
}
