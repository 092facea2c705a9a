//! Rules for single values: names, units, URLs, JSON paths. Each answers with what is wrong and what to write instead.

use std::net::SocketAddr;

use dixmgr_activities::history::Postgres;

/// What is wrong, and what to write instead.
pub(super) type Wrong = (String, String);

/// systemd's unit types, by suffix.
const UNIT_SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".mount",
    ".automount",
    ".path",
    ".swap",
    ".slice",
    ".scope",
    ".device",
];

fn wrong<T>(problem: impl Into<String>, advice: impl Into<String>) -> Result<T, Wrong> {
    Err((problem.into(), advice.into()))
}

/// A service's name: it becomes a workflow id, a metric label and a file name.
pub(super) fn service_name(text: &str) -> Result<String, Wrong> {
    const ADVICE: &str = "use up to 100 letters, digits and . _ - @ : , beginning with a letter or digit";
    let good = |c: char| c.is_ascii_alphanumeric() || "._-@:".contains(c);
    if text.is_empty() {
        return wrong("is empty", ADVICE);
    }
    if text.len() > 100 || !text.chars().all(good) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return wrong(format!("{text:?} cannot be a service's name"), ADVICE);
    }
    Ok(text.to_owned())
}

/// A unit name by the rules of systemd.unit(5); `{i}` stands for the number of a replica.
pub(super) fn unit(text: &str) -> Result<String, Wrong> {
    let Some(stem) = UNIT_SUFFIXES.iter().find_map(|suffix| text.strip_suffix(suffix)) else {
        return wrong(format!("{text:?} does not end in a unit type"), format!("write \"{text}.service\""));
    };
    let plain = stem.replace("{i}", "0");
    let good = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if plain.is_empty() || plain.starts_with('@') || text.len() > 255 || !plain.chars().all(good) {
        return wrong(format!("{text:?} cannot be a unit's name"), "systemd allows letters, digits and : - _ . \\ @");
    }
    if plain.ends_with('@') {
        return wrong(format!("{text:?} is a template"), "name an instance of it, such as \"worker@1.service\"");
    }
    Ok(text.to_owned())
}

/// An absolute `http` or `https` URL. Credentials in it would end up in histories and logs, so they are refused.
pub(super) fn http_url(text: &str) -> Result<String, Wrong> {
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            return wrong(format!("is not a URL: {error}"), "write it like \"http://127.0.0.1:8080/healthz\"");
        }
    };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong(format!("the scheme {:?} is not supported", url.scheme()), "use http:// or https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong(
            "holds credentials, which would be kept in histories and logs",
            "send them as a header: headers = { Authorization = \"env:NAME\" }",
        );
    }
    if url.port() == Some(0) {
        return wrong("port 0 cannot be connected to", "write 1 to 65535");
    }
    Ok(text.to_owned())
}

/// `a.b.0.c`, or JSONPath (RFC 9535) when it starts with `$`.
pub(super) fn json_path(text: &str) -> Result<String, Wrong> {
    const ADVICE: &str = "write it like \"status.healthy\", \"checks.0.ok\" or \"$.checks[0].ok\"";
    if text.starts_with('$') {
        return match serde_json_path::JsonPath::parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => wrong(format!("is not a JSONPath: {error}"), ADVICE),
        };
    }
    if text.split('.').any(str::is_empty) {
        return wrong(format!("{text:?} has an empty step"), ADVICE);
    }
    Ok(text.to_owned())
}

/// An HTTP method.
pub(super) fn method(text: &str) -> Result<String, Wrong> {
    let upper = text.to_ascii_uppercase();
    match http::Method::from_bytes(upper.as_bytes()) {
        Ok(_) if upper != "CONNECT" => Ok(upper),
        _ => wrong(format!("{text:?} is not a method that can be sent"), "use GET, HEAD, POST, …"),
    }
}

/// A header's name.
pub(super) fn header_name(text: &str) -> Result<(), Wrong> {
    match http::HeaderName::from_bytes(text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => wrong(format!("{text:?} is not a header name"), "use letters, digits and -"),
    }
}

/// A header's value, or a reference to one.
pub(super) fn header_value(text: &str) -> Result<(), Wrong> {
    match http::HeaderValue::from_str(text) {
        Ok(_) => Ok(()),
        Err(_) => wrong("holds characters that a header cannot", "line breaks and control characters are not allowed"),
    }
}

/// A name of an environment variable.
pub(super) fn variable(text: &str) -> Result<(), Wrong> {
    if text.is_empty() || text.contains('=') {
        return wrong(format!("{text:?} cannot be a variable's name"), "use letters, digits and _");
    }
    Ok(())
}

/// A name of a label.
pub(super) fn label_name(name: &str) -> Result<(), Wrong> {
    let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if word && name.len() <= 64 && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    wrong(format!("{name:?} cannot be a label's name"), "use letters, digits and _")
}

/// `host:port` of a Temporal cluster.
pub(super) fn host_port(text: &str) -> Result<String, Wrong> {
    const ADVICE: &str = "write it like \"localhost:7233\"";
    let bare = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    let Some((host, port)) = bare.rsplit_once(':') else { return wrong(format!("{text:?} has no port"), ADVICE) };
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return wrong(format!("{port:?} is not a port"), "write 1 to 65535");
    }
    if host.is_empty() || url::Url::parse(&format!("http://{bare}")).is_err() {
        return wrong(format!("{text:?} is not host:port"), ADVICE);
    }
    Ok(text.to_owned())
}

/// `address:port` to listen on.
pub(super) fn socket(text: &str) -> Result<SocketAddr, Wrong> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(address),
        Ok(_) => wrong("port 0 is not a port that a scraper could find", "write 1 to 65535"),
        Err(_) => wrong(format!("{text:?} is not address:port"), "write it like \"127.0.0.1:9090\""),
    }
}

/// A namespace of metrics, as Prometheus allows it.
pub(super) fn metric_namespace(text: &str) -> Result<String, Wrong> {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first || text.len() > 64 || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return wrong(format!("{text:?} cannot begin a metric's name"), "use letters, digits and _");
    }
    Ok(text.to_owned())
}

/// Text that must say something.
pub(super) fn not_empty(text: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() {
        wrong("is empty", "write something, or leave the key out")
    } else {
        Ok(text.to_owned())
    }
}

/// A reference to a secret, never the secret itself.
pub(super) fn secret_reference(text: &str) -> Result<String, Wrong> {
    if dixmgr_activities::secret::is_reference(text) {
        Ok(text.to_owned())
    } else {
        // The text may be the secret: it is not repeated.
        wrong("is not a reference to a secret", "write \"env:NAME\", \"file:/path\" or \"credential:NAME\"")
    }
}

/// What leads to a PostgreSQL database: a reference to a secret, or a connection string that holds none.
pub(super) fn postgres(text: &str) -> Result<String, Wrong> {
    match Postgres::new(text, None) {
        Ok(_) => Ok(text.to_owned()),
        // The text may be the secret: it is not repeated.
        Err(error) => wrong("does not lead to a database", error.to_string()),
    }
}

/// A host's name in such a database.
pub(super) fn host(text: &str) -> Result<String, Wrong> {
    match Postgres::check_host(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => wrong(format!("{text:?} cannot be a host's name"), error.to_string()),
    }
}

/// A metric label: printable and of bounded length.
pub(super) fn label(text: &str) -> Result<String, Wrong> {
    if text.chars().any(char::is_control) || text.chars().count() > 64 {
        return wrong("cannot be a metric label", "use at most 64 printable characters");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_follow_systemd() {
        for good in ["a.service", "relay-node-archive@polkadot.service", "x@{i}.service", "a\\x2db.mount"] {
            assert_eq!(unit(good).as_deref(), Ok(good));
        }
        for bad in ["nginx", "a b.service", ".service", "a@.service", "../x.service", "@a.service", "a{j}.service"] {
            assert!(unit(bad).is_err(), "{bad}");
        }
        assert_eq!(unit("nginx").unwrap_err().1, "write \"nginx.service\"");
    }

    #[test]
    fn urls_are_absolute_http_without_credentials() {
        assert!(http_url("http://127.0.0.1:80/x").is_ok());
        for bad in ["", "localhost", "/healthz", "ftp://x/", "http://u:p@x/", "http://x:99999/", "http://x:0/"] {
            assert!(http_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_ports_and_paths() {
        assert!(service_name("api-1").is_ok());
        assert!(service_name("../etc").is_err() && service_name("a b").is_err() && service_name("-a").is_err());
        assert!(json_path("checks.0.ok").is_ok() && json_path("$.a[0]").is_ok());
        assert!(json_path("a..b").is_err() && json_path("$[").is_err() && json_path("").is_err());
        assert!(host_port("localhost:7233").is_ok() && host_port("[::1]:7233").is_ok());
        assert!(host_port("localhost").is_err() && host_port(":1").is_err() && host_port("a:70000").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = (service_name(&text), unit(&text), http_url(&text), json_path(&text), method(&text));
            let _ = (host_port(&text), socket(&text), header_name(&text), header_value(&text));
        }
    }
}
