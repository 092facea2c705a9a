//! Every fault is found, all in one report, each at its place.

use super::*;

/// Line, column, path and problem of each fault, as they are reported.
fn faults(text: &str, options: &LoadOptions) -> Vec<String> {
    let error = super::super::parse("x.toml", text, options).expect_err("the text should have faults");
    error.faults.iter().map(|f| format!("{}:{} {}: {} | {}", f.line, f.column, f.path, f.problem, f.advice)).collect()
}

/// Asserts that the text has exactly one fault, and that it contains all of `words`.
fn one_fault(text: &str, words: &[&str]) {
    let found = faults(text, &SYSTEMD);
    assert_eq!(found.len(), 1, "{found:#?}");
    for word in words {
        assert!(found[0].contains(word), "{word:?} is not in {:?}", found[0]);
    }
}

#[test]
fn all_faults_come_in_one_report_in_the_order_of_the_file() {
    let text = r#"
[[service]]
name = "api"
unit = "api"
needs = ["databse"]
intervall = "30s"

[[service]]
name = "database"
unit = "database.service"
interval = "30 parsecs"
restart = { jitter = 1.5, window = "0s" }
http = [{ url = "localhost", expected_status = 99 }]
"#;
    let found = faults(text, &SYSTEMD);
    let expected = [
        "4:8 service[api].unit: \"api\" does not end in a unit type | write \"api.service\"",
        "5:10 service[api].needs[0]: no service is called \"databse\" | did you mean \"database\"?",
        "6:1 service[api].intervall: is not a key of this table | did you mean \"interval\"?",
        "11:12 service[database].interval: duration \"30 parsecs\"",
        "12:22 service[database].restart.jitter: is out of range | write 0 to 1",
        "12:36 service[database].restart.window: is zero",
        "13:17 service[database].http[0].url: is not a URL",
        "13:48 service[database].http[0].expected_status: 99 is out of range | write 100 to 599",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found:?} should start with {expected:?}");
    }
}

#[test]
fn a_database_is_named_without_its_password() {
    let service = "[[service]]\nname = 'a'\nunit = 'a.service'\n";
    let history = |lines: &str| format!("{service}[history]\n{lines}\n");
    let open = "postgres://dixmgr:s3cret@db.example/history";
    let found = faults(&history(&format!("postgres = '{open}'")), &SYSTEMD);
    assert!(found[0].contains("history.postgres") && found[0].contains("file:/path"), "{found:?}");
    assert!(!found[0].contains("s3cret"), "{found:?}");
    one_fault(&history("postgres = 'mysql://db/x'"), &["history.postgres", "postgres://user@host"]);
    one_fault(&history("host = 'web-1'"), &["history", "no `postgres`"]);
    one_fault(&history("postgres = 'env:H'\nhost = \"it's\""), &["history.host", "letters, digits"]);
    let settings = parse(&history("postgres = 'env:H'\nhost = 'web-1'")).unwrap().settings;
    assert_eq!(settings.history_postgres.as_deref(), Some("env:H"));
    assert_eq!(settings.history_host.as_deref(), Some("web-1"));
}

#[test]
fn the_api_is_not_open_to_other_machines() {
    let service = "[[service]]\nname = 'a'\nunit = 'a.service'\n";
    one_fault(&format!("{service}[api]\nlisten = '0.0.0.0:9091'\n"), &["api.listen", "no token"]);
    let open = format!("{service}[api]\nlisten = '0.0.0.0:9091'\ntoken = 'env:TOKEN'\n");
    assert_eq!(parse(&open).unwrap().settings.api_token.as_deref(), Some("env:TOKEN"));
    one_fault(&format!("{service}[api]\ntoken = 's3cret'\n"), &["api.token", "not a reference"]);
}

#[test]
fn the_report_names_file_line_and_column() {
    let report = parse("[[service]]\nname = \"a\"\nunit = \"a\"\n").unwrap_err().to_string();
    assert_eq!(
        report,
        "x.toml cannot be used: 1 fault\n\n\
         x.toml:3:8: service[a].unit: \"a\" does not end in a unit type\n    write \"a.service\"\n"
    );
}

#[test]
fn broken_toml_is_reported_where_it_breaks() {
    one_fault("[[service]]\nname = \"a\nunit = \"a.service\"\n", &["2:", "is not TOML"]);
    one_fault("", &["is empty"]);
    one_fault("# nothing\n", &["no service is configured"]);
}

#[test]
fn cycles_are_named() {
    let service = |name: &str, need: &str| {
        format!("[[service]]\nname = \"{name}\"\nunit = \"{name}.service\"\nneeds = [\"{need}\"]\n")
    };
    let text = [service("a", "b"), service("b", "c"), service("c", "a"), service("d", "a")].concat();
    one_fault(&text, &["a → b → c → a", "4:10"]);
    one_fault(&service("a", "a"), &["a → a"]);
    let two = [service("a", "b"), service("b", "a"), service("c", "d"), service("d", "c")].concat();
    assert_eq!(faults(&two, &SYSTEMD).len(), 2);
}

#[test]
fn names_and_units_are_unique() {
    let pair = |a: &str, b: &str| format!("[[service]]\n{a}\n[[service]]\n{b}\n");
    one_fault(&pair("name='a'\nunit='a.service'", "name='a'\nunit='b.service'"), &["a second service is called \"a\""]);
    one_fault(&pair("name='a'\nunit='x.service'", "name='b'\nunit='x.service'"), &["x.service", "service \"a\""]);
    one_fault(
        &pair("name='a'\nunit='a@{i}.service'\nreplicas=2", "name='a-1'\nunit='x.service'"),
        &["\"a-1\" is already the name of a replica"],
    );
    one_fault(&pair("name='a'\nunit='a@{i}.service'\nreplicas=2", "name='b'\nunit='a@0.service'"), &["a@0.service"]);
}

#[test]
fn a_service_has_a_name_and_one_target_that_its_manager_can_run() {
    one_fault("[[service]]\nunit = 'a.service'\n", &["has no name"]);
    one_fault("[[service]]\nname = 'a'\n", &["neither unit nor command", ".service"]);
    one_fault("[[service]]\nname = 'a'\nunit = 'a.service'\ncommand = 'x'\n", &["either a unit or a command"]);
    one_fault("[[service]]\nname = 'a'\ncommand = ['x']\n", &["systemd runs units", "-process-manager direct"]);
    one_fault("[[service]]\nname = 'a'\nunit = 'a.service'\ndie_with_parent = true\n", &["is for commands"]);
    let direct = faults("[[service]]\nname = 'a'\nunit = 'a.service'\n", &DIRECT);
    assert!(direct.len() == 1 && direct[0].contains("-process-manager systemd"), "{direct:?}");
    let shell = faults("[[service]]\nname = 'a'\ncommand = 'a | b'\n", &DIRECT);
    assert!(shell.len() == 1 && shell[0].contains("/bin/sh"), "{shell:?}");
    let nothing = faults("[[service]]\nname = 'a'\ncommand = []\n", &DIRECT);
    assert!(nothing.len() == 1 && nothing[0].contains("names no program"), "{nothing:?}");
}

#[test]
fn values_have_ranges() {
    let with = |line: &str| format!("[[service]]\nname = 'a'\nunit = 'a@{{i}}.service'\nreplicas = 3\n{line}\n");
    one_fault(&with("quorum = 4"), &["4 of 3 replicas", "1 to 3"]);
    one_fault(&with("interval = '0s'"), &["is zero"]);
    one_fault(&with("interval = 30"), &["without a unit", "\"30s\""]);
    one_fault(&with("interval = '99999999d'"), &["ten years"]);
    one_fault(&with("failure_threshold = 0"), &["out of range"]);
    one_fault(&with("restart = { backoff_coefficient = 0.5 }"), &["out of range"]);
    one_fault(&with("restart = { backoff_coefficient = nan }"), &["out of range"]);
    one_fault(&with("restart = { max_restarts = -1 }"), &["out of range"]);
    one_fault(&with("restart = { initial_backoff = '10s', max_backoff = '5s' }"), &["shorter than initial_backoff"]);
    one_fault(&with("sync = { endpoint = 'http://localhost:99999' }"), &["is not a URL"]);
    one_fault(&with("http = [{ url = 'http://x/', json_path = 'a..b' }]"), &["empty step"]);
    one_fault(&with("http = [{ url = 'http://x/', json_path = '$[' }]"), &["is not a JSONPath"]);
    one_fault(&with("http = [{ url = 'http://u:secret@x/' }]"), &["holds credentials"]);
    one_fault(&with("http = [{ headers = { 'a b' = 'c' }, url = 'http://x/' }]"), &["is not a header name"]);
    one_fault(&with("needs = 'b'"), &["is a string, not a list of strings"]);
    one_fault("[[service]]\nname='a'\nunit='a.service'\nquorum=1\n", &["a quorum needs replicas"]);
    one_fault("[[service]]\nname='a'\nunit='a.service'\nreplicas=2\n", &["all replicas would be the same unit"]);
}

#[test]
fn a_fault_never_echoes_credentials() {
    let error = parse("[[service]]\nname='a'\nunit='a.service'\nhttp=[{url='http://u:s3cret@x/'}]").unwrap_err();
    assert!(!error.to_string().contains("s3cret"));
}

#[test]
fn unknown_tables_and_settings_are_faults() {
    let text = |line: &str| format!("{line}\n[[service]]\nname = 'a'\nunit = 'a.service'\n");
    one_fault(&text("[metric]"), &["did you mean \"metrics\"?"]);
    one_fault(&text("[metrics]\nport = 9090"), &["metrics.port", "the keys here are listen, namespace"]);
    one_fault(&text("[metrics]\nlisten = '9090'"), &["is not address:port"]);
    one_fault(&text("[temporal]\nhostport = 'localhost'"), &["has no port"]);
    one_fault(&text("[engine]\nsynchronous = 'maybe'"), &["\"full\", \"normal\" or \"off\""]);
    one_fault(&text("[defaults]\nnamespace = 'x'"), &["defaults.namespace"]);
    one_fault("[service]\nname = 'a'\nunit = 'a.service'\n", &["[[service]] with two brackets"]);
}

#[test]
fn a_service_with_a_bad_target_is_still_found_by_those_that_need_it() {
    one_fault(
        "[[service]]\nname='a'\nunit='a'\n[[service]]\nname='b'\nunit='b.service'\nneeds=['a']\n",
        &["does not end in a unit type"],
    );
}

#[test]
fn keys_about_listening_belong_together() {
    let engine = |keys: &str| format!("[[service]]\nname='a'\nunit='a.service'\n[engine]\n{keys}\n");
    one_fault(&engine("listen='7233'"), &["engine.listen", "address:port"]);
    one_fault(&engine("listen='127.0.0.1:7233'\ntls_certificate='/c.pem'"), &["tls_key"]);
    one_fault(&engine("listen='127.0.0.1:7233'\ntls_client_ca='/c.pem'"), &["tls_certificate"]);
    one_fault(&engine("api_key='env:KEY'"), &["listen", "127.0.0.1:7233"]);
    // What stands there may be the secret.
    let text = engine("listen='127.0.0.1:7233'\napi_key='hunter2'");
    one_fault(&text, &["engine.api_key", "env:NAME"]);
    assert!(!faults(&text, &SYSTEMD)[0].contains("hunter2"));
}
