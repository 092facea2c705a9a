//! Which services the plan names and which workflows keep them: the difference between two plans. Pure.

use std::collections::BTreeMap;

use dixmgr_model::{PlanPage, ServiceSpec};
use serde::{Deserialize, Serialize};

use crate::children::Kind;
use crate::digest;

/// What the infrastructure workflow knows of the plan; handed from run to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// Revision that is applied; empty before the first.
    revision: String,
    /// By workflow id.
    services: BTreeMap<String, Known>,
    /// The reading under way.
    reading: Option<Reading>,
    /// Whether the plan has to be read (again).
    stale: bool,
    /// Counts the readings.
    round: u32,
}

/// One service that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Type of its workflow.
    pub kind: Kind,
    digest: String,
    round: u32,
}

/// [`Known`] without field names: ten thousand of them have to fit into one workflow input.
type Row = (String, Kind, String, u32);

/// How far the plan has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    /// Revision of its first page.
    revision: Option<String>,
    /// Where the next page begins.
    from: usize,
}

/// A service of a page, and how it differs from what is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    /// The service.
    pub(crate) spec: ServiceSpec,
    /// Whether a workflow that runs already has to be told.
    pub(crate) changed: bool,
    /// Whether a workflow that runs already is of a type that cannot keep it.
    pub(crate) other_kind: bool,
}

impl Default for Book {
    /// Nothing is known and everything is to be read.
    fn default() -> Self {
        Self { revision: String::new(), services: BTreeMap::new(), reading: None, stale: true, round: 0 }
    }
}

impl Book {
    /// The plan may have changed to `revision`. One that is applied or being read already changes nothing.
    pub(crate) fn plan_changed(&mut self, revision: &str) {
        let current = self.reading.as_ref().map_or(Some(&self.revision), |reading| reading.revision.as_ref());
        if current.is_none_or(|current| current != revision) {
            self.stale = true;
        }
    }

    /// Where to read next; `None` when everything is applied.
    pub(crate) fn next_page(&mut self) -> Option<usize> {
        if self.reading.is_none() && self.stale {
            self.begin();
        }
        self.reading.as_ref().map(|reading| reading.from)
    }

    /// Whether there is anything to read.
    pub(crate) fn has_work(&self) -> bool {
        self.stale || self.reading.is_some()
    }

    /// Takes in a page. `None`: the plan was changed while it was read; it is read from the start.
    pub(crate) fn take(&mut self, page: &PlanPage) -> Option<Vec<Wanted>> {
        let reading = self.reading.as_mut()?;
        if reading.revision.get_or_insert_with(|| page.revision.clone()) != &page.revision {
            self.begin();
            return None;
        }
        let round = self.round;
        Some(page.services.iter().map(|spec| self.want(spec, round)).collect())
    }

    fn want(&mut self, spec: &ServiceSpec, round: u32) -> Wanted {
        let fresh = Known { name: spec.name.clone(), kind: Kind::of(spec), digest: digest::of(spec), round };
        let old = self.services.insert(spec.workflow_id.clone(), fresh.clone());
        Wanted {
            spec: spec.clone(),
            changed: old.as_ref().is_none_or(|old| old.digest != fresh.digest),
            other_kind: old.is_some_and(|old| !old.kind.can_become(fresh.kind)),
        }
    }

    /// The page is applied. Returns, after the last, the workflows that the plan no longer names.
    pub(crate) fn turn(&mut self, page: &PlanPage) -> Vec<String> {
        let Some(reading) = self.reading.as_mut() else { return Vec::new() };
        if let Some(next) = page.next.filter(|&next| next > reading.from) {
            reading.from = next;
            return Vec::new();
        }
        self.revision.clone_from(&page.revision);
        self.reading = None;
        let round = self.round;
        let gone: Vec<_> =
            self.services.iter().filter(|(_, known)| known.round != round).map(|(id, _)| id.clone()).collect();
        self.services.retain(|_, known| known.round == round);
        gone
    }

    /// A workflow did not take its specification: the next reading tries again.
    pub(crate) fn doubt(&mut self, workflow_id: &str) {
        if let Some(known) = self.services.get_mut(workflow_id) {
            known.digest.clear();
        }
    }

    /// Revision that is applied.
    pub(crate) fn revision(&self) -> &str {
        &self.revision
    }

    /// The services, by workflow id.
    pub(crate) fn services(&self) -> &BTreeMap<String, Known> {
        &self.services
    }

    fn begin(&mut self) {
        self.stale = false;
        self.round = self.round.wrapping_add(1);
        self.reading = Some(Reading { revision: None, from: 0 });
    }
}

impl From<Row> for Known {
    fn from((name, kind, digest, round): Row) -> Self {
        Self { name, kind, digest, round }
    }
}

impl From<Known> for Row {
    fn from(known: Known) -> Self {
        (known.name, known.kind, known.digest, known.round)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::time::Duration;

    use super::*;

    fn spec(name: &str) -> ServiceSpec {
        serde_json::from_value(serde_json::json!({
            "name": name, "workflow_id": format!("wf.svc.{name}"), "ready_signal": format!("ready:svc:{name}"),
            "target": { "unit": format!("{name}.service") },
        }))
        .unwrap()
    }

    fn page(revision: &str, names: &[&str], next: Option<usize>) -> PlanPage {
        PlanPage { revision: revision.into(), services: names.iter().map(|name| spec(name)).collect(), next }
    }

    fn apply(book: &mut Book, page: &PlanPage) -> (Vec<(String, bool)>, Vec<String>) {
        assert!(book.next_page().is_some());
        let wanted = book.take(page).expect("the plan did not change");
        let gone = book.turn(page);
        (wanted.into_iter().map(|wanted| (wanted.spec.name, wanted.changed)).collect(), gone)
    }

    #[test]
    fn a_plan_is_applied_by_difference() {
        let mut book = Book::default();
        let (wanted, gone) = apply(&mut book, &page("1", &["a", "b"], None));
        assert_eq!((wanted, gone), (vec![("a".into(), true), ("b".into(), true)], vec![]));
        book.plan_changed("2");
        let mut second = page("2", &["b", "c"], None);
        let (wanted, gone) = apply(&mut book, &second);
        assert_eq!(wanted, [("b".into(), false), ("c".into(), true)]);
        assert_eq!(gone, ["wf.svc.a"]);
        second.revision = "3".into();
        second.services[0].operation_timeout = Duration::from_secs(1);
        book.plan_changed("3");
        assert_eq!(apply(&mut book, &second).0, [("b".into(), true), ("c".into(), false)]);
    }

    #[test]
    fn the_same_revision_is_no_work() {
        let mut book = Book::default();
        apply(&mut book, &page("1", &["a"], None));
        book.plan_changed("1");
        assert!(!book.has_work());
    }

    #[test]
    fn nothing_is_removed_before_the_last_page() {
        let mut book = Book::default();
        apply(&mut book, &page("1", &["a", "b"], None));
        book.plan_changed("2");
        assert_eq!(apply(&mut book, &page("2", &["b"], Some(1))).1, Vec::<String>::new());
        assert_eq!(book.next_page(), Some(1));
        assert_eq!(apply(&mut book, &page("2", &["c"], None)).1, ["wf.svc.a"]);
    }

    #[test]
    fn a_plan_that_changes_while_it_is_read_is_read_again() {
        let mut book = Book::default();
        apply(&mut book, &page("1", &["a"], Some(1)));
        assert_eq!(book.take(&page("2", &["x"], None)), None);
        assert_eq!(book.next_page(), Some(0));
        apply(&mut book, &page("2", &["x"], None));
        assert_eq!(book.revision(), "2");
        assert_eq!(book.services().len(), 1, "what the first plan named is gone");
    }

    #[test]
    fn a_change_told_while_reading_is_not_lost() {
        let mut book = Book::default();
        apply(&mut book, &page("1", &["a"], Some(1)));
        book.plan_changed("2");
        apply(&mut book, &page("1", &["b"], None));
        assert!(book.has_work());
    }

    #[test]
    fn a_page_that_leads_nowhere_ends_the_reading() {
        let mut book = Book::default();
        apply(&mut book, &page("1", &["a"], Some(0)));
        assert!(!book.has_work());
    }

    #[test]
    fn a_book_of_ten_thousand_services_fits_into_an_input() {
        let mut book = Book::default();
        let names: Vec<String> = (0..10_000).map(|index| format!("sidecar-polkadot-{index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        apply(&mut book, &page("1", &names, None));
        let text = serde_json::to_string(&book).unwrap();
        assert!(text.len() < 1_500_000, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Book>(&text).unwrap(), book);
    }
}
