//! `[alerts]`: what it means, and what is wrong with it.

use std::time::Duration;

use dixmgr_activities::notify::ChannelKind;
use dixmgr_model::{AlertKind, Comparison, Rule, Severity, Signal};

use super::super::AlertFlags;
use super::*;

const SERVICES: &str = "[[service]]\nname = 'api-1'\nunit = 'api.service'\ntype = 'web'\n";

fn alerts(text: &str) -> super::super::Alerts {
    parse(&format!("{SERVICES}{text}")).map_err(|error| error.to_string()).unwrap().alerts
}

fn faults(text: &str) -> Vec<String> {
    let error = parse(&format!("{SERVICES}{text}")).unwrap_err();
    error.faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.problem)).collect()
}

fn rule<'a>(alerts: &'a super::super::Alerts, name: &str) -> &'a Rule {
    alerts.policy.rules.iter().find(|rule| rule.name == name).expect(name)
}

fn told(alerts: &super::super::Alerts) -> Vec<(&str, u64)> {
    alerts.policy.delivery.receivers.iter().map(|to| (to.channel.as_str(), to.after.as_secs())).collect()
}

const CHANNELS: &str = "
[[alerts.channel]]
name = 'ops'
type = 'slack'
url = 'env:SLACK'
[[alerts.channel]]
name = 'phone'
type = 'webhook'
url = 'https://pager.example/'
username = 'u'
password = 'env:P'
";

#[test]
fn without_a_word_the_default_rules_are_told_to_the_log() {
    let usual = alerts("");
    assert_eq!(usual.policy.rules.len(), 22);
    assert_eq!(told(&usual), [("log", 0)]);
    assert_eq!(usual.policy.delivery.group_wait, Duration::from_secs(10));
    assert_eq!(alerts("[alerts]\nenabled = false\n").policy.rules, []);
}

#[test]
fn a_default_rule_is_changed_by_its_name_and_others_are_new() {
    let found = alerts(
        "
[alerts]
group_wait = '0s'
[[alerts.rule]]
name = 'high_memory'
threshold = '1GiB'
clear_threshold = '512MiB'
[[alerts.rule]]
name = 'restart_loop'
enabled = false
[[alerts.rule]]
name = 'slow'
signal = 'response_time'
threshold = 0.5
for = '2m'
severity = 'critical'
types = ['w*']
labels = { team = 'web' }
annotations = { summary = '{{ service }} of {{ team }}' }
",
    );
    let memory = rule(&found, "high_memory");
    assert_eq!((memory.threshold, memory.clear_threshold), (1_073_741_824.0, Some(536_870_912.0)));
    assert_eq!((memory.severity, memory.hold), (Severity::Warning, Duration::from_mins(1)), "the rest stays");
    assert!(!found.policy.rules.iter().any(|rule| rule.name == "restart_loop"));
    let slow = rule(&found, "slow");
    assert_eq!(
        (slow.signal, slow.kind, slow.comparison),
        (Signal::ResponseTime, AlertKind::ServiceDegraded, Comparison::Above)
    );
    assert_eq!((slow.hold, slow.severity), (Duration::from_mins(2), Severity::Critical));
    assert_eq!(slow.annotations["summary"], "{{ service }} of {{ team }}");
    assert_eq!(found.policy.delivery.group_wait, Duration::ZERO);
}

#[test]
fn everyone_is_told_at_once_but_those_who_are_told_later() {
    let found = alerts(&format!("{CHANNELS}[[alerts.escalation]]\nafter = '15m'\nchannels = ['phone']\n"));
    assert_eq!(told(&found), [("log", 0), ("ops", 0), ("phone", 900)]);
    let chosen = alerts(&format!("[alerts]\nchannels = ['phone']\n{CHANNELS}"));
    assert_eq!(told(&chosen), [("log", 0), ("phone", 0)]);
}

#[test]
fn flags_add_channels_and_switch_off() {
    let url = "https://hooks.example/secret".to_owned();
    let flags = AlertFlags { enabled: true, slack_webhook: Some(url.clone()), webhook_url: None };
    let with = alerts(CHANNELS).with(&flags);
    assert_eq!(told(&with), [("log", 0), ("ops", 0), ("phone", 0), ("slack", 0)]);
    assert_eq!(with.channels.last().map(|channel| channel.kind.clone()), Some(ChannelKind::Slack { url }));
    assert_eq!(alerts("").with(&AlertFlags::default()).policy.rules, [], "-alerts=false");
}

#[test]
fn a_page_waits_for_the_remedy_where_there_is_one() {
    let text = format!("{SERVICES}[[alerts.rule]]\nname = 'service_down'\nafter_remedy = '30s'\n");
    let hold = |mode| {
        let options = LoadOptions { mode, ..SYSTEMD };
        rule(&super::super::parse("x.toml", &text, &options).unwrap().alerts, "service_down").hold
    };
    assert_eq!((hold(Mode::Exec), hold(Mode::Watch)), (Duration::from_secs(30), Duration::ZERO));
}

#[test]
fn every_fault_is_told_with_its_place() {
    let found = faults(
        "
[alerts]
channels = ['opps']
colour = 'red'
[[alerts.channel]]
name = 'ops'
type = 'slack'
url = 'https://hooks.example/secret'
[[alerts.channel]]
name = 'log'
type = 'webhook'
url = 'http://x/'
username = 'u'
[[alerts.rule]]
name = 'high_cpu'
clear_threshold = 99
[[alerts.rule]]
name = 'new'
[[alerts.rule]]
name = 'high_cpu'
[[alerts.rule]]
name = 'typo'
signal = 'cpuu'
services = ['web']
labels = { severity = 'x' }
annotations = { summary = '{{ nothing }}' }
",
    );
    let wanted = [
        "alerts.channel[ops].url: is not a reference to a secret",
        "alerts.channel[log].username: is half of a login",
        "alerts.rule[high_cpu]: clear_threshold lies on the bad side of threshold",
        "alerts.rule[new]: has no signal",
        "alerts.rule[2].name: a second rule is called \"high_cpu\"",
        "alerts.rule[typo].signal: \"cpuu\" is not known",
        "alerts.rule[typo].services[0]: no service is like that",
        "alerts.rule[typo].annotations.summary: there is nothing called \"nothing\"",
    ];
    for fault in wanted {
        assert!(found.iter().any(|found| found == fault), "{fault} is missing from {found:#?}");
    }
    for part in ["opps", "colour", "severity", "log"] {
        assert!(found.iter().any(|found| found.contains(part)), "{part} is missing from {found:#?}");
    }
    assert!(!found.iter().any(|fault| fault.contains("hooks.example")), "a secret is not repeated: {found:#?}");
}

#[test]
fn maintenance_windows_are_read() {
    let found = alerts(
        "
[[alerts.maintenance]]
name = 'backup'
matchers = ['service=~\"api-.*\"', 'severity!=critical']
schedule = '30 3 * * SUN'
duration = '2h'
time_zone = 'Europe/Berlin'
",
    );
    let [window] = &found.policy.maintenance[..] else { panic!("{found:?}") };
    assert_eq!((window.name.as_str(), window.schedule.as_str()), ("backup", "30 3 * * SUN"));
    assert_eq!((window.duration, window.time_zone.as_str()), (Duration::from_hours(2), "Europe/Berlin"));
    let matchers: Vec<String> = window.matchers.iter().map(ToString::to_string).collect();
    assert_eq!(matchers, ["service=~\"api-.*\"", "severity!=\"critical\""]);
}

#[test]
fn what_is_wrong_with_a_window_is_told_with_its_place() {
    let found = faults(
        "
[[alerts.maintenance]]
name = 'a'
matchers = ['service']
schedule = '30 27 * * *'
duration = '30d'
[[alerts.maintenance]]
name = 'b'
matchers = ['team=']
schedule = '0 3 * * *'
duration = '1h'
time_zone = 'Mars/Olympus'
[[alerts.maintenance]]
name = 'c'
colour = 'red'
[[alerts.maintenance]]
name = 'd'
matchers = ['service=x']
schedule = '0 3 * * *'
duration = '1h'
[[alerts.maintenance]]
name = 'd'
matchers = ['service=y']
schedule = '0 3 * * *'
duration = '1h'
",
    );
    for part in [
        "alerts.maintenance[a].matchers[0]: \"service\" is not a matcher",
        "alerts.maintenance[a].schedule: is not a schedule",
        "alerts.maintenance[a].duration: is too long",
        "alerts.maintenance[b].matchers: at least one matcher must not match the empty string",
        "alerts.maintenance[b].time_zone: there is no time zone",
        "alerts.maintenance[2]: has no matchers",
        "alerts.maintenance[2]: has no schedule",
        "alerts.maintenance[2]: has no duration",
        "alerts.maintenance[c].colour",
        "a second window is called \"d\"",
    ] {
        assert!(found.iter().any(|found| found.contains(part)), "{part} is missing from {found:#?}");
    }
}

#[test]
fn routes_say_who_is_told_otherwise() {
    let found = alerts(&format!(
        "{CHANNELS}
[alerts]
group_by = ['alertname', 'team']
group_interval = '2m'
[[alerts.escalation]]
after = '15m'
channels = ['phone']
[[alerts.route]]
name = 'pager'
matchers = ['severity=critical', 'service=~\"api-.*\"']
channels = ['phone']
group_by = ['...']
group_wait = '0s'
[[alerts.route]]
name = 'web'
matchers = ['type!=web']
"
    ));
    assert_eq!(found.policy.delivery.group_by, ["alertname", "team"]);
    let [pager, web] = &*found.policy.routes else { panic!("{:?}", found.policy.routes) };
    let channels: Vec<&str> = pager.delivery.receivers.iter().map(|to| to.channel.as_str()).collect();
    assert_eq!((channels, &*pager.delivery.group_by), (vec!["log", "phone"], &["...".to_owned()][..]));
    assert_eq!((pager.delivery.group_wait, pager.delivery.group_interval), (Duration::ZERO, Duration::from_mins(2)));
    assert!(pager.matchers[1].is_regex && !web.matchers[0].is_equal);
    assert_eq!(web.delivery.receivers, found.policy.delivery.receivers);
}

#[test]
fn what_is_wrong_with_a_route_is_said() {
    let found = faults(
        "[alerts]
group_by = ['severity', 'a b']
[[alerts.route]]
matchers = ['severity=critical']
[[alerts.route]]
name = 'a'
[[alerts.route]]
name = 'b'
matchers = ['nonsense', 'service=~\"[\"']
channels = ['nobody']
[[alerts.route]]
name = 'c'
matchers = ['severity=info']
[[alerts.route]]
name = 'c'
matchers = ['severity=info']
",
    );
    let told = [
        "alerts.group_by[0]: alerts cannot be grouped by severity",
        "alerts.group_by[1]: \"a b\" is not the name of another label",
        "alerts.route[0]: has no name",
        "alerts.route[a]: has no matchers",
        "alerts.route[b].matchers[0]: \"nonsense\" is not a matcher",
        "alerts.route[b].channels[0]: no channel is called \"nobody\"",
        "alerts.route[c]: a second route is called \"c\"",
    ];
    for told in told {
        assert!(found.iter().any(|fault| fault.starts_with(told)), "{told:?} is missing from {found:#?}");
    }
}

#[test]
fn mail_programs_and_the_dead_man_are_read() {
    let found = alerts(
        "
[alerts]
allow_commands = true
[[alerts.channel]]
name = 'mail'
type = 'email'
server = 'mail.example.org'
username = 'u'
password = 'env:P'
from = 'dixmgr <dixmgr@example.org>'
to = ['ops@example.org']
[[alerts.channel]]
name = 'page'
type = 'command'
command = ['/usr/local/bin/page', '-now']
[alerts.dead_man]
url = 'env:PING'
",
    );
    let ChannelKind::Email(mail) = &found.channels[1].kind else { panic!("{found:?}") };
    assert_eq!((mail.port, mail.login.clone()), (587, Some(("u".to_owned(), "env:P".to_owned()))));
    let argv = ["/usr/local/bin/page", "-now"].map(str::to_owned).to_vec();
    assert_eq!(found.channels[2].kind, ChannelKind::Command { argv });
    let dead_man = found.dead_man.unwrap();
    assert_eq!((dead_man.url.as_str(), dead_man.interval), ("env:PING", Duration::from_mins(1)));
}

#[test]
fn what_is_wrong_with_mail_and_programs_is_told_with_its_place() {
    let found = faults(
        "
[[alerts.channel]]
name = 'clear'
type = 'email'
server = 'mail.example.org'
tls = 'none'
from = 'nobody'
to = ['ops@example.org', 'a@b\\r\\nBcc: c@d']
password = 'hunter2'
[[alerts.channel]]
name = 'page'
type = 'command'
command = ['/bin/true']
[alerts.dead_man]
interval = '1m'
",
    );
    for part in [
        "alerts.channel[clear]: tls = \"none\" sends mail in the clear",
        "alerts.channel[clear].from: \"nobody\" is no mailbox",
        "alerts.channel[clear].to[1]",
        "alerts.channel[clear].password: is not a reference to a secret",
        "alerts.channel[page].command: is not allowed",
        "alerts.dead_man: has no url",
    ] {
        assert!(found.iter().any(|found| found.contains(part)), "{part} is missing from {found:#?}");
    }
    assert!(!found.iter().any(|fault| fault.contains("hunter2")), "a secret is not repeated: {found:#?}");
}

#[test]
fn what_is_beyond_thresholds_is_switched_off_by_one_key() {
    let unusual = |found: &super::super::Alerts| {
        let rules =
            found.policy.rules.iter().filter(|rule| matches!(rule.kind, AlertKind::Unusual | AlertKind::LimitAhead));
        rules.map(|rule| rule.name.clone()).collect::<Vec<_>>()
    };
    let usual = [
        "unusual_cpu",
        "unusual_memory",
        "unusual_response_time",
        "unusual_restarts",
        "memory_forecast",
        "disk_forecast",
    ];
    assert_eq!(unusual(&alerts("")), usual);
    assert_eq!(unusual(&alerts("[alerts]\nbeyond_thresholds = false\n")), [""; 0]);
    let found = alerts("[[alerts.rule]]\nname = 'memory_forecast'\nthreshold = 6\n");
    let rule = rule(&found, "memory_forecast");
    assert_eq!((rule.comparison, rule.threshold.to_bits()), (Comparison::Below, 6f64.to_bits()));
    assert_eq!(rule.receivers, None, "it goes to all channels");
}

#[test]
fn rules_about_dixmgr_itself_are_of_no_service() {
    let found = alerts(
        "[[alerts.rule]]\nname = 'disk_filling'\nthreshold = 20\n[[alerts.rule]]\nname = 'own'\nsignal = 'disk_free'\nthreshold = 1\n",
    );
    assert_eq!(rule(&found, "disk_filling").threshold.to_bits(), 20f64.to_bits());
    let own = rule(&found, "own");
    assert_eq!((own.kind, own.comparison), (AlertKind::DiskFilling, Comparison::Below));
    assert_eq!(
        faults("[[alerts.rule]]\nname = 'engine_slow'\nservices = ['api-1']\n"),
        ["alerts.rule[engine_slow]: services has no meaning for \"engine_latency\", which is of dixmgr itself"]
    );
}
