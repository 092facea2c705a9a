//! The page as HTML. Every text that is not ours goes through [`escape`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use dixmgr_model::{Condition, ServiceSpec};

use super::alerts::{Active, section};
use super::past::Past;
use super::svg::{self, MOST_NODES, Node};
use super::{Card, PAGE, Scope, View, class, escape};
use crate::api::{Action, Breaker, Incident, PastAlert, Service};

/// The shapes: a check, a triangle, a cross in a square, a question mark, an i.
const SHAPES: &str = r#"<svg class="visually-hidden" aria-hidden="true"><defs>
<symbol id="i-ok" viewBox="0 0 20 20"><circle cx="10" cy="10" r="9" fill="currentColor"/><path d="M5.5 10.4l3 3 6-6.4" fill="none" stroke="var(--card)" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/></symbol>
<symbol id="i-warn" viewBox="0 0 20 20"><path d="M10 1.8L19 17.6a.8.8 0 0 1-.7 1.2H1.7a.8.8 0 0 1-.7-1.2z" fill="currentColor"/><path d="M10 7.4v5M10 15.4v.2" stroke="var(--card)" stroke-width="2.2" stroke-linecap="round"/></symbol>
<symbol id="i-bad" viewBox="0 0 20 20"><rect x="1" y="1" width="18" height="18" rx="4" fill="currentColor"/><path d="M6.3 6.3l7.4 7.4M13.7 6.3l-7.4 7.4" stroke="var(--card)" stroke-width="2.4" stroke-linecap="round"/></symbol>
<symbol id="i-info" viewBox="0 0 20 20"><circle cx="10" cy="10" r="8.2" fill="none" stroke="currentColor" stroke-width="1.8"/><path d="M10 9v5M10 6v.2" stroke="currentColor" stroke-width="2.2" stroke-linecap="round"/></symbol>
<symbol id="i-none" viewBox="0 0 20 20"><circle cx="10" cy="10" r="8.2" fill="none" stroke="currentColor" stroke-width="1.8" stroke-dasharray="3 2.2"/><path d="M7.6 8a2.4 2.4 0 1 1 3.4 2.3c-.7.4-1 .8-1 1.6M10 14.4v.2" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"/></symbol>
</defs></svg>"#;

/// All that a page shows.
pub(super) struct Content<'p> {
    pub(super) public: bool,
    pub(super) counts: BTreeMap<&'static str, usize>,
    pub(super) found: usize,
    pub(super) view: &'p View,
    pub(super) cards: &'p [Card],
    pub(super) past: &'p Past,
    /// Alerts that fire; none for the public.
    pub(super) alerts: Option<&'p Active>,
    /// Circuit breakers that are not closed; none for the public.
    pub(super) breakers: &'p [Breaker],
    pub(super) scope: &'p Scope,
    pub(super) graph: String,
}

/// The whole document.
pub(super) fn document(content: &Content<'_>) -> String {
    let (base, events) = if content.public { ("public/", "/public/events") } else { ("", "/api/v1/events") };
    let (headline, icon) = headline(&content.counts);
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{headline} – dixmgr</title><link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/{base}status.css\">\
         <script src=\"/{base}status.js\" defer></script></head><body data-events=\"{events}\">\
         <a class=\"skip\" href=\"#services\">To the services</a>{SHAPES}<div class=\"wrap\">\
         <header class=\"top\"><h1 class=\"brand\">dixmgr</h1><span class=\"live\" id=\"live\" role=\"status\">as of {}</span></header><main>\
         <section id=\"banner\" data-refresh class=\"banner {icon}\" role=\"status\">{}<div><strong>{headline}</strong><span>{}</span></div></section>",
        clock(now_text().as_deref()),
        shape(icon),
        summary(&content.counts)
    );
    incidents_now(&mut html, content);
    if let Some(active) = content.alerts {
        section(&mut html, active, content.view);
    }
    resting(&mut html, content);
    filter(&mut html, content);
    html.push_str("<h2 id=\"services\" tabindex=\"-1\">Services</h2><div id=\"list\">");
    if content.cards.is_empty() {
        html.push_str("<p class=\"panel\">No service is like that.</p>");
    } else {
        html.push_str("<ul class=\"cards\">");
        content.cards.iter().for_each(|card| self::card(&mut html, card, content.public));
        html.push_str("</ul>");
    }
    html.push_str("</div>");
    pages(&mut html, content);
    if !content.graph.is_empty() {
        let _ = write!(
            html,
            "<h2 id=\"graph-h\">Who needs whom</h2><div class=\"panel graph\" id=\"graph\" data-refresh>{}</div>",
            content.graph
        );
    }
    stories(&mut html, content);
    html.push_str(
        "<footer>Times are UTC. Bars are days: full height is a good one, shorter is worse, a stump was not seen. Curves are the last hour.</footer>\
         </main></div></body></html>",
    );
    html
}

fn now_text() -> Option<String> {
    crate::api::rfc3339(Duration::from_millis(crate::silences::now()))
}

/// One sentence for everything, and the shape that goes with it.
fn headline(counts: &BTreeMap<&'static str, usize>) -> (String, &'static str) {
    let all: usize = counts.values().sum();
    let count = |class: &str| counts.get(class).copied().unwrap_or(0);
    let are = |count: usize| if count == 1 { "is" } else { "are" };
    match (count("bad"), count("warn"), count("none")) {
        _ if all == 0 => ("No services".to_owned(), "none"),
        (0, 0, 0) if all == 1 => ("The service is up".to_owned(), "ok"),
        (0, 0, 0) => (format!("All {all} services are up"), "ok"),
        (0, 0, unknown) => (format!("{unknown} of {all} services {} not seen yet", are(unknown)), "none"),
        (0, warn, _) => (format!("{warn} of {all} services {} on the way", are(warn)), "warn"),
        (bad, ..) => (format!("{bad} of {all} services {} in trouble", are(bad)), "bad"),
    }
}

fn summary(counts: &BTreeMap<&'static str, usize>) -> String {
    let words = [("bad", "down or unhealthy"), ("warn", "changing"), ("none", "not seen"), ("ok", "up")];
    let parts = words.iter().filter_map(|(class, word)| counts.get(class).map(|count| format!("{count} {word}")));
    parts.collect::<Vec<_>>().join(" · ")
}

fn incidents_now(html: &mut String, content: &Content<'_>) {
    html.push_str("<div id=\"open\" data-refresh>");
    let open: Vec<&Incident> = content.past.open.iter().filter(|one| content.scope.shows(&one.service)).collect();
    if !open.is_empty() {
        html.push_str("<h2>Open incidents</h2><div class=\"panel\"><ul class=\"story\">");
        for incident in open {
            self::incident(html, incident, content.public);
        }
        html.push_str("</ul></div>");
    }
    html.push_str("</div>");
}

/// Targets that are left alone for a while, and since when.
fn resting(html: &mut String, content: &Content<'_>) {
    html.push_str("<div id=\"breakers\" data-refresh>");
    if !content.breakers.is_empty() {
        html.push_str("<h2>Circuit breakers</h2><div class=\"panel\"><ul class=\"story\">");
        for Breaker { target, state, since, .. } in content.breakers {
            let said = if *state == "open" { "is left alone for a while" } else { "is tried again" };
            let _ = write!(
                html,
                "<li><span class=\"state warn\">{} <span>{} {said}</span></span><time datetime=\"{}\">since {}</time></li>",
                shape("warn"),
                escape(target),
                since.as_deref().unwrap_or_default(),
                clock(since.as_deref())
            );
        }
        html.push_str("</ul></div>");
    }
    html.push_str("</div>");
}

fn incident(html: &mut String, incident: &Incident, public: bool) {
    let length = incident.seconds.map_or_else(|| "goes on".to_owned(), |seconds| format!("lasted {}", length(seconds)));
    let icon = if incident.ended_at.is_none() { "bad" } else { "ok" };
    let detail = if incident.detail.is_empty() { String::new() } else { format!(": {}", escape(&incident.detail)) };
    let why =
        if public { String::new() } else { format!("<span class=\"why\">{}{detail}</span>", escape(&incident.cause)) };
    let _ = write!(
        html,
        "<li><span class=\"state {icon}\">{} <span>{} {}</span></span><time datetime=\"{}\">{} · {length}</time>{why}</li>",
        shape(icon),
        escape(&incident.service),
        if incident.ended_at.is_none() { "is down" } else { "was down" },
        incident.started_at.as_deref().unwrap_or_default(),
        clock(incident.started_at.as_deref())
    );
}

fn filter(html: &mut String, content: &Content<'_>) {
    let action = if content.public { "/public" } else { "/" };
    let _ = write!(
        html,
        "<form class=\"filter\" role=\"search\" action=\"{action}\" method=\"get\"><label class=\"visually-hidden\" for=\"q\">Name of a service</label>\
         <input id=\"q\" name=\"q\" type=\"search\" placeholder=\"Search services\" autocomplete=\"off\" value=\"{}\">\
         <label class=\"visually-hidden\" for=\"state\">State</label><select id=\"state\" name=\"state\">",
        escape(&content.view.q)
    );
    for (value, word) in
        [("", "All states"), ("bad", "In trouble"), ("warn", "Changing"), ("ok", "Up"), ("none", "Not seen")]
    {
        let selected = if content.view.state == value { " selected" } else { "" };
        let _ = write!(html, "<option value=\"{value}\"{selected}>{word}</option>");
    }
    html.push_str("</select><button>Show</button></form>");
}

fn card(html: &mut String, card: &Card, public: bool) {
    let service = &card.service;
    let class = class(service.state);
    let name = escape(&service.name);
    let tags = [&service.r#type, &service.chain].into_iter().filter(|tag| !tag.is_empty());
    let mut tags = tags.fold(String::new(), |tags, tag| format!("{tags}<span class=\"tag\">{}</span>", escape(tag)));
    if let Some(group) = &service.replicas {
        let _ = write!(
            tags,
            "<span class=\"tag\">{} of {} replicas up, quorum {}</span>",
            group.ready, group.count, group.quorum
        );
    }
    let uptime = crate::history::percent(card.uptime);
    let _ = write!(
        html,
        "<li class=\"card\" data-service=\"{name}\" data-state=\"{}\"><div><h3>{name}</h3>\
         <span class=\"state {class}\"><span data-part=\"icon\">{}</span> <span data-part=\"word\">{}</span></span> \
         <span class=\"meta\" data-part=\"since\">{}</span><div>{tags}</div></div>\
         <div class=\"bars\"><span class=\"visually-hidden\">Availability in the last 90 days: {uptime}</span>{}\
         <div class=\"scale\" aria-hidden=\"true\"><span>90 days ago</span><span>{uptime}</span><span>today</span></div></div>",
        service.state.name(),
        shape(class),
        word(service.state),
        since(service),
        svg::bars(&card.days)
    );
    let none = Vec::new();
    let curves = card.past.as_ref();
    html.push_str("<dl class=\"curves\">");
    let mut curve = |label: &str, part: &str, now: String, values: &[Option<f64>]| {
        let _ = write!(html, "<div><dt>{label}</dt><dd data-part=\"{part}\">{now}</dd>{}</div>", svg::curve(values));
    };
    curve(
        "Response",
        "response",
        response(service.response_time_seconds),
        curves.map_or(&none, |curves| &curves.response),
    );
    if !public {
        curve("CPU", "cpu", percent_of_core(service.cpu_percent), curves.map_or(&none, |curves| &curves.cpu));
        curve("Memory", "memory", bytes(service.memory_bytes), curves.map_or(&none, |curves| &curves.memory));
    }
    html.push_str("</dl>");
    if !public {
        let _ = write!(html, "<div class=\"detail\" data-part=\"detail\">{}</div>", escape(&detail(service)));
    }
    html.push_str("</li>");
}

fn pages(html: &mut String, content: &Content<'_>) {
    let last = content.found.saturating_sub(1) / PAGE;
    if last == 0 {
        return;
    }
    let page = content.view.page;
    let query = |page: usize| escape(&content.view.query_of(page));
    html.push_str("<nav class=\"pages\" aria-label=\"Pages\">");
    if page > 0 {
        let _ = write!(html, "<a rel=\"prev\" href=\"?{}\">Previous</a>", query(page - 1));
    }
    let _ = write!(html, "<span>Page {} of {}, {} services</span>", page + 1, last + 1, content.found);
    if page < last {
        let _ = write!(html, "<a rel=\"next\" href=\"?{}\">Next</a>", query(page + 1));
    }
    html.push_str("</nav>");
}

/// Past incidents; and for operators what dixmgr did, and alerts.
fn stories(html: &mut String, content: &Content<'_>) {
    let past = content.past;
    if !past.known {
        html.push_str("<h2>Past</h2><p class=\"panel\">No health history is kept.</p>");
        return;
    }
    html.push_str(
        "<div class=\"panels\" id=\"stories\" data-refresh><section><h2>Past incidents</h2><div class=\"panel\">",
    );
    let over = past.incidents.iter().filter(|one| one.ended_at.is_some() && content.scope.shows(&one.service));
    list(html, over, "No service was down.", |html, one| incident(html, one, content.public));
    html.push_str("</div></section>");
    if !content.public {
        html.push_str("<section><h2>What dixmgr did</h2><div class=\"panel\">");
        list(html, past.actions.iter(), "Nothing yet.", action);
        html.push_str("</div></section><section><h2>Past alerts</h2><div class=\"panel\">");
        list(html, past.alerts.iter(), "No alert has fired.", alert);
        html.push_str("</div></section>");
    }
    html.push_str("</div>");
}

fn list<'p, T: 'p>(html: &mut String, rows: impl Iterator<Item = &'p T>, empty: &str, row: impl Fn(&mut String, &T)) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        let _ = write!(html, "<p class=\"empty\">{empty}</p>");
        return;
    }
    html.push_str("<ul class=\"story\">");
    rows.for_each(|one| row(html, one));
    html.push_str("</ul>");
}

fn action(html: &mut String, action: &Action) {
    let icon = match action.outcome.as_str() {
        "done" | "already_done" => "ok",
        "would_do" => "none",
        _ => "bad",
    };
    let detail = if action.detail.is_empty() { String::new() } else { format!(": {}", escape(&action.detail)) };
    let _ = write!(
        html,
        "<li><span class=\"state {icon}\">{} <span>{} {}: {}</span></span><time datetime=\"{}\">{}</time>\
         <span class=\"why\">because {}{detail}</span></li>",
        shape(icon),
        escape(&action.verb),
        escape(&action.service),
        escape(&action.outcome.replace('_', " ")),
        action.at.as_deref().unwrap_or_default(),
        clock(action.at.as_deref()),
        escape(&action.reason.replace('_', " "))
    );
}

fn alert(html: &mut String, alert: &PastAlert) {
    let icon = match (&alert.resolved_at, alert.severity.as_str()) {
        (Some(_), _) => "ok",
        (None, "critical") => "bad",
        (None, _) => "warn",
    };
    let end =
        alert.resolved_at.as_deref().map_or_else(|| "fires".to_owned(), |at| format!("resolved {}", clock(Some(at))));
    let _ = write!(
        html,
        "<li><span class=\"state {icon}\">{} <span>{} of {}</span></span><time datetime=\"{}\">{} · {end}</time>\
         <span class=\"why\">{}</span></li>",
        shape(icon),
        escape(&alert.kind.replace('_', " ")),
        escape(&alert.service),
        alert.fired_at.as_deref().unwrap_or_default(),
        clock(alert.fired_at.as_deref()),
        escape(&alert.severity)
    );
}

/// The picture of who needs whom; nothing where nobody needs anybody.
pub(super) fn graph(specs: &[&ServiceSpec], services: &[Service]) -> String {
    if specs.iter().all(|spec| spec.needs.is_empty()) {
        return String::new();
    }
    let connected = |name: &str, service: &Service| {
        !service.needs.is_empty() || services.iter().any(|other| other.needs.iter().any(|need| need == name))
    };
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for service in services.iter().filter(|service| services.len() <= MOST_NODES || connected(&service.name, service)) {
        if nodes.len() == MOST_NODES {
            return format!(
                "<p class=\"empty\">More than {MOST_NODES} services are connected: too many for one picture.</p>"
            );
        }
        let needs = service.needs.iter().map(String::as_str).collect();
        nodes.push(Node { name: &service.name, class: class(service.state), word: word(service.state), needs });
    }
    svg::graph(&nodes)
}

pub(super) fn shape(class: &str) -> String {
    format!("<svg class=\"icon {class}\" aria-hidden=\"true\"><use href=\"#i-{class}\"/></svg>")
}

/// The state as people say it.
pub(crate) fn word(state: Condition) -> &'static str {
    match state {
        Condition::Up => "Up",
        Condition::Syncing => "Syncing",
        Condition::Stalled => "Stalled",
        Condition::Unhealthy => "Unhealthy",
        Condition::Starting => "Starting",
        Condition::Stopping => "Stopping",
        Condition::Restarting => "Restarting",
        Condition::Down => "Down",
        Condition::Unknown => "Not seen",
    }
}

/// Since when it is so.
pub(super) fn since(service: &Service) -> String {
    service.since.as_deref().map_or_else(String::new, |since| format!("since {}", clock(Some(since))))
}

/// What is wrong with it, in words; empty when nothing is.
pub(super) fn detail(service: &Service) -> String {
    if service.state == Condition::Up {
        return String::new();
    }
    let health = service.health.as_ref().map(|health| health.detail.as_str());
    let sync = service.sync.as_ref().map(|sync| sync.detail.as_str());
    let unit = service.unit.as_ref().map(|unit| {
        let result =
            if matches!(unit.result.as_str(), "" | "success") { String::new() } else { format!(" ({})", unit.result) };
        format!("{} is {}{result}", unit.name, unit.phase)
    });
    let said = [unit.as_deref(), health, sync].into_iter().flatten().filter(|text| !text.is_empty());
    said.collect::<Vec<_>>().join(" · ")
}

/// Percent of a core.
pub(crate) fn percent_of_core(percent: Option<f64>) -> String {
    percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1} %"))
}

/// Bytes as people read them.
pub(crate) fn bytes(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return "–".to_owned() };
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes >= 1024.0 { format!("{:.2} GiB", mebibytes / 1024.0) } else { format!("{mebibytes:.1} MiB") }
}

/// Time until an answer.
pub(crate) fn response(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        Some(seconds) => format!("{seconds:.2} s"),
    }
}

fn length(seconds: f64) -> String {
    let length = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let rounded = if length.as_secs() > 0 { Duration::from_secs(length.as_secs()) } else { length };
    dixmgr_model::duration::format(rounded)
}

/// An RFC 3339 time as `Nov 21, 15:04:05`.
pub(super) fn clock(time: Option<&str>) -> String {
    let time = time.and_then(|time| time.parse::<jiff::Timestamp>().ok());
    time.map_or_else(String::new, |time| time.strftime("%b %-d, %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_names_the_worst() {
        let counts = |bad, warn, ok| BTreeMap::from([("bad", bad), ("warn", warn), ("ok", ok)]);
        assert_eq!(headline(&counts(1, 2, 3)), ("1 of 6 services is in trouble".to_owned(), "bad"));
        assert_eq!(headline(&counts(0, 2, 3)).1, "warn");
        assert_eq!(headline(&BTreeMap::from([("ok", 3)])).0, "All 3 services are up");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!([bytes(Some(3 << 20)), bytes(Some(3 << 30)), bytes(None)], ["3.0 MiB", "3.00 GiB", "–"]);
        assert_eq!([response(Some(0.0421)), response(Some(2.5))], ["42 ms", "2.50 s"]);
        assert_eq!(crate::history::percent(Some(99.999_99)), "99.999 %", "not 100 when there was any downtime");
        assert_eq!(clock(Some("2026-11-21T15:04:05.123Z")), "Nov 21, 15:04:05");
    }
}
