//! The page that says which of Temporal's methods the engine has: made from the table of methods and from the descriptions of
//! Temporal's own services, and compared with what is checked in, so that it cannot go stale.

#![allow(clippy::expect_used)]

use std::fmt::Write as _;

use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::{OPERATOR_SERVICE, OPERATOR_SUPPORTED, SUPPORTED, TEST_SERVICE, TEST_SUPPORTED, WORKFLOW_SERVICE};
use crate::wire::DESCRIPTORS;

/// Where it stands, from this crate's directory.
const PAGE: &str = "../docs/TEMPORAL-COMPATIBILITY.md";
/// Begins the part of the page that is made here; the part before it is written by hand.
const MARK: &str = "<!-- From here on made from the table of methods; `make compatibility` writes it anew. -->\n";
/// The services, each with the methods of it that the engine has.
const SERVICES: [(&str, &[&str]); 3] =
    [(WORKFLOW_SERVICE, SUPPORTED), (OPERATOR_SERVICE, OPERATOR_SUPPORTED), (TEST_SERVICE, TEST_SUPPORTED)];

/// Methods of a service, in the order in which Temporal declares them.
fn methods(set: &FileDescriptorSet, service: &str) -> Vec<String> {
    let (package, name) = service.rsplit_once('.').expect("a package and a name");
    let files = set.file.iter().filter(|file| file.package() == package);
    let services = files.flat_map(|file| &file.service).filter(|found| found.name() == name);
    services.flat_map(|found| &found.method).map(|method| method.name().to_owned()).collect()
}

fn tables() -> String {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the protobuf compiler wrote it");
    let mut page = MARK.to_owned();
    for (service, supported) in SERVICES {
        let methods = methods(&set, service);
        let has = |method: &String| supported.contains(&method.as_str());
        let count = methods.iter().filter(|method| has(method)).count();
        let _ = writeln!(page, "\n## {service}\n\n{count} of {} methods.\n\n| method | |\n|---|---|", methods.len());
        for method in &methods {
            let _ = writeln!(page, "| `{method}` | {} |", if has(method) { "yes" } else { "not yet: `UNIMPLEMENTED`" });
        }
    }
    page
}

#[test]
fn the_page_is_what_the_table_says() {
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let (by_hand, _) = page.split_once(MARK).expect("the page has a part that is made");
    let wanted = format!("{by_hand}{}", tables());
    if std::env::var_os("DIXMGR_WRITE_PAGES").is_some() {
        std::fs::write(PAGE, wanted).expect("the page can be written");
        return;
    }
    assert!(page == wanted, "{PAGE} is not up to date: run `make compatibility`");
}

#[test]
fn every_supported_method_is_one_of_temporals() {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("the protobuf compiler wrote it");
    for (service, supported) in SERVICES {
        let methods = methods(&set, service);
        assert!(methods.len() > 5, "{service}: {} methods", methods.len());
        for name in supported {
            assert!(methods.iter().any(|method| method == name), "{service}: {name}");
        }
    }
}
