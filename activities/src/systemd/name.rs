//! Which texts are unit names, by systemd's own rules (systemd.unit(5), `unit_name_is_valid` in its source).
//!
//! They matter because of `ListUnitsByNames`: it silently leaves out a name that is not valid and fails altogether for a
//! template without instance, and one bad name must not blind dixmgr to all other units.

use zbus_systemd::{bus_label_escape, bus_label_unescape};

/// Longest name that systemd accepts, in bytes.
const MAX_LENGTH: usize = 255;

/// Where units stand in the bus's object tree.
const UNIT_PATH: &str = "/org/freedesktop/systemd1/unit/";

/// Kinds of units and the D-Bus interface of what is particular to each, where that has a `Result`.
const KINDS: [(&str, Option<&str>); 11] = [
    ("service", Some("org.freedesktop.systemd1.Service")),
    ("socket", Some("org.freedesktop.systemd1.Socket")),
    ("timer", Some("org.freedesktop.systemd1.Timer")),
    ("mount", Some("org.freedesktop.systemd1.Mount")),
    ("automount", Some("org.freedesktop.systemd1.Automount")),
    ("swap", Some("org.freedesktop.systemd1.Swap")),
    ("path", Some("org.freedesktop.systemd1.Path")),
    ("scope", Some("org.freedesktop.systemd1.Scope")),
    ("slice", None),
    ("target", None),
    ("device", None),
];

/// Whether `name` can be a unit: plain (`a.service`) or an instance (`a@b.service`), but no template (`a@.service`).
pub(super) fn is_valid(name: &str) -> bool {
    let Some((stem, kind)) = name.rsplit_once('.') else { return false };
    let known_kind = KINDS.iter().any(|(known, _)| *known == kind);
    if name.len() > MAX_LENGTH || stem.is_empty() || !known_kind {
        return false;
    }
    let good_characters = stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte));
    let good_instance = match stem.split_once('@') {
        None => true,
        Some((prefix, instance)) => !prefix.is_empty() && !instance.is_empty(),
    };
    good_characters && good_instance
}

/// D-Bus interface of what is particular to the unit's kind.
pub(super) fn kind_interface(name: &str) -> Option<&'static str> {
    let (_, kind) = name.rsplit_once('.')?;
    KINDS.iter().find(|(known, _)| *known == kind).and_then(|(_, interface)| *interface)
}

/// Object path of a unit.
pub(super) fn object_path(name: &str) -> String {
    format!("{UNIT_PATH}{}", bus_label_escape(name))
}

/// The unit behind an object path.
pub(super) fn from_object_path(path: &str) -> Option<String> {
    let label = path.strip_prefix(UNIT_PATH)?;
    (!label.contains('/')).then(|| bus_label_unescape(label).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_what_systemd_accepts() {
        for name in
            ["a.service", "relay-node-archive@polkadot.service", "a@b@c.service", r"dev-disk\x2d1.device", "x.y.mount"]
        {
            assert!(is_valid(name), "{name}");
        }
    }

    #[test]
    fn refuses_what_systemd_refuses() {
        let long = format!("{}.service", "a".repeat(250));
        for name in
            ["", "a", ".service", "a@.service", "@b.service", "a/b.service", "a b.service", "a.exe", "ä.service", &long]
        {
            assert!(!is_valid(name), "{name}");
        }
    }

    #[test]
    fn paths_are_escaped_as_systemd_does() {
        assert_eq!(
            object_path("chain-node-archive@polkadot-asset.service"),
            "/org/freedesktop/systemd1/unit/chain_2dnode_2darchive_40polkadot_2dasset_2eservice"
        );
        assert_eq!(from_object_path("/org/freedesktop/systemd1"), None);
        assert_eq!(from_object_path("/org/freedesktop/systemd1/unit/a/b"), None);
    }

    proptest! {
        #[test]
        fn paths_lead_back_to_names(stem in "[a-z0-9:_.\\\\@-]{1,60}") {
            let name = format!("{stem}.service");
            prop_assert_eq!(from_object_path(&object_path(&name)), Some(name));
        }

        #[test]
        fn any_text_is_judged(text in ".*") {
            let _ = is_valid(&text);
            let _ = kind_interface(&text);
            let _ = from_object_path(&text);
        }
    }
}
