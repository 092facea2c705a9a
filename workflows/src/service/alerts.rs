//! The alerts of one service, as its workflow knows them. Free of Temporal: what is to be done comes out as orders.
//!
//! A service that lacks something it needs has that for the cause of its trouble: its alerts are raised, so that what happens
//! stands somewhere, but they carry the cause, and nobody is told of them while it lasts. That it has waited for too long has no
//! other cause: what is missing is what that alert is about.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dixmgr_model::{AlertChanges, AlertKind, KnownAlerts, RaisedAlert, Severity};
use serde::{Deserialize, Serialize};

use crate::alert::order::Order;

/// The alerts that fire, and what is still to be done about any.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceAlerts {
    /// By fingerprint.
    #[serde(default)]
    raised: BTreeMap<String, Raised>,
    /// What lacks and was told as their cause.
    #[serde(default)]
    causes: BTreeSet<String>,
    /// Empty whenever a run ends.
    #[serde(skip)]
    orders: VecDeque<Order>,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Raised {
    severity: Severity,
    workflow_id: String,
    /// It is told whatever the service lacks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    uncaused: bool,
}

impl ServiceAlerts {
    /// Whether there is nothing to hand over to another run.
    pub(crate) fn is_empty(&self) -> bool {
        self.raised.is_empty()
    }

    /// What a watch compares with.
    pub(crate) fn known(&self) -> KnownAlerts {
        self.raised.iter().map(|(print, raised)| (print.clone(), raised.severity)).collect()
    }

    /// What differs, and what the service lacks now.
    pub(crate) fn take(&mut self, changes: AlertChanges, missing: BTreeSet<String>) {
        self.set_causes(missing);
        for print in changes.resolved {
            if let Some(Raised { workflow_id, .. }) = self.raised.remove(&print) {
                self.orders.push_back(Order::Resolve { workflow_id });
            }
        }
        for raised in changes.raised {
            self.raise(raised);
        }
    }

    /// What the service lacks has changed.
    pub(crate) fn set_causes(&mut self, missing: BTreeSet<String>) {
        if missing == self.causes {
            return;
        }
        self.causes = missing;
        for Raised { workflow_id, .. } in self.raised.values().filter(|raised| !raised.uncaused) {
            let (workflow_id, causes) = (workflow_id.clone(), self.causes.clone());
            self.orders.push_back(Order::Causes { workflow_id, causes });
        }
    }

    /// The service is not kept any more: whatever fires is over.
    pub(crate) fn end(&mut self) {
        for (_, Raised { workflow_id, .. }) in std::mem::take(&mut self.raised) {
            self.orders.push_back(Order::Resolve { workflow_id });
        }
    }

    /// The next thing to be done.
    pub(crate) fn next_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// Whether nothing is to be done.
    pub(crate) fn is_settled(&self) -> bool {
        self.orders.is_empty()
    }

    fn raise(&mut self, raised: RaisedAlert) {
        let uncaused = raised.alert.kind == AlertKind::DependencyTimeout;
        let known = Raised { severity: raised.alert.severity, workflow_id: raised.workflow_id.clone(), uncaused };
        self.raised.insert(raised.alert.fingerprint.clone(), known);
        let causes = if uncaused { BTreeSet::new() } else { self.causes.clone() };
        self.orders.push_back(Order::raise(raised, causes));
    }
}
