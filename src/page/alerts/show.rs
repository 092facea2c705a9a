//! Alerts as HTML. Every text that is not ours goes through [`escape`].

use std::fmt::Write as _;
use std::time::Duration;

use dixmgr_alerting::incident::{Incident, Note};
use dixmgr_alerting::own;
use dixmgr_model::Severity;

use super::super::render::{clock, shape};
use super::super::{View, escape, forecast};
use super::{Active, Firing};

/// For how long an alert can be silenced with one choice.
const DURATIONS: [(&str, &str); 5] =
    [("1h", "1 hour"), ("4h", "4 hours"), ("24h", "1 day"), ("3d", "3 days"), ("7d", "7 days")];

/// The alerts that fire, with what can be done about each; nothing when none does.
pub(in super::super) fn section(html: &mut String, active: &Active, view: &View) {
    html.push_str("<div id=\"alerts\" data-refresh>");
    if let Some(trouble) = &active.trouble {
        let _ = write!(html, "<h2>Alerts</h2><p class=\"panel\">Alerts cannot be shown now: {}.</p>", escape(trouble));
    } else if active.total > 0 {
        let _ = write!(html, "<h2 id=\"alerts-h\">Alerts that fire: {}</h2><div class=\"panel\">", active.total);
        html.push_str("<ul class=\"story\" aria-labelledby=\"alerts-h\">");
        active.alerts.iter().for_each(|firing| alert(html, firing, view));
        html.push_str("</ul>");
        let further = active.total - active.alerts.len();
        if further > 0 {
            let _ = write!(html, "<p class=\"empty\">And {further} more: <code>dixmgr alerts list</code>.</p>");
        }
        html.push_str("</div>");
    }
    html.push_str("</div>");
}

fn alert(html: &mut String, firing: &Firing, view: &View) {
    let alert = &firing.incident.alert;
    let (icon, severity) = match alert.severity {
        Severity::Critical => ("bad", "Critical"),
        Severity::Warning => ("warn", "Warning"),
        Severity::Info => ("info", "Info"),
    };
    let since = crate::api::rfc3339(Duration::from_millis(alert.starts_at));
    let print = escape(&alert.fingerprint);
    let _ = write!(
        html,
        "<li id=\"alert-{print}\" class=\"alert\" tabindex=\"-1\" data-alert=\"{}\" data-of=\"{}\">\
         <span class=\"state {icon}\">{} <span>{severity}: {}</span></span>\
         <time datetime=\"{}\">since {} · {}</time>",
        firing.state,
        escape(&alert.service),
        shape(icon),
        escape(&summary(&firing.incident)),
        since.as_deref().unwrap_or_default(),
        clock(since.as_deref()),
        escape(&state(firing))
    );
    if let Some(description) = alert.annotations.get("description").filter(|text| !text.is_empty()) {
        let _ = write!(html, "<span class=\"why\">{}</span>", escape(description));
    }
    if let Some(course) = &firing.course {
        html.push_str(&forecast::figure(course, &measured(&alert.service)).unwrap_or_default());
    }
    if !firing.delivery.is_empty() {
        html.push_str("<ul class=\"told\" aria-label=\"Who was told\">");
        firing.delivery.iter().for_each(|line| html.push_str(&format!("<li>{}</li>", escape(line))));
        html.push_str("</ul>");
    }
    form(html, firing, &print, view);
    html.push_str("</li>");
}

/// One form for all that can be done, so that who does it and why is typed once.
fn form(html: &mut String, firing: &Firing, print: &str, view: &View) {
    let query = escape(&view.query());
    let to = |verb: &str| format!("formaction=\"/alerts/{print}/{verb}?{query}\"");
    let _ = write!(
        html,
        "<details id=\"act-{print}\"><summary>Acknowledge or silence</summary>\
         <form class=\"act\" method=\"post\" action=\"/alerts/{print}/ack?{query}\">\
         <label>Your name<input name=\"by\" required maxlength=\"100\" autocomplete=\"username\"></label>\
         <label>Comment<input name=\"comment\" maxlength=\"500\" autocomplete=\"off\"></label>\
         <button {}>Acknowledge</button><label>For<select name=\"duration\">",
        to("ack")
    );
    for (value, word) in DURATIONS {
        let _ = write!(html, "<option value=\"{value}\">{word}</option>");
    }
    let _ = write!(html, "</select></label><button {}>Silence</button>", to("silence"));
    if firing.silenced_by.contains(&firing.incident.alert.fingerprint) {
        let _ = write!(html, "<button {}>End silence</button>", to("unsilence"));
    }
    html.push_str("<p class=\"problem\" role=\"alert\" hidden></p></form></details>");
}

/// What a forecast is about.
fn measured(service: &str) -> String {
    if service == own::SERVICE {
        "What the disk of dixmgr's data holds".to_owned()
    } else {
        format!("Memory of {service}")
    }
}

fn summary(incident: &Incident) -> String {
    let alert = &incident.alert;
    let own = alert.annotations.get("summary").filter(|text| !text.is_empty()).cloned();
    own.unwrap_or_else(|| format!("{} of {}", alert.kind.name().replace('_', " "), alert.service))
}

/// Who takes care of it, or why nobody is told.
fn state(firing: &Firing) -> String {
    let incident = &firing.incident;
    let own = incident.silenced.as_ref().filter(|_| firing.silenced_by.contains(&incident.alert.fingerprint));
    let mut said = Vec::new();
    if let Some(note) = &incident.acknowledged {
        said.push(format!("acknowledged {}", by(note)));
    }
    if let Some(silence) = own {
        let until = crate::api::rfc3339(Duration::from_millis(silence.until));
        said.push(format!("silenced until {} {}", clock(until.as_deref()), by(&silence.note)));
    }
    let others = firing.silenced_by.iter().filter(|id| **id != incident.alert.fingerprint);
    said.extend(others.map(|id| format!("silenced by silence {id}")));
    let causes = incident.suspected.as_ref().map_or(&incident.causes, |suspected| &suspected.causes);
    if incident.is_suppressed() {
        let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
        said.push(format!("because of {}", causes.join(", ")));
    }
    if said.is_empty() { "nobody has acknowledged it".to_owned() } else { said.join(" · ") }
}

fn by(note: &Note) -> String {
    if note.comment.is_empty() { format!("by {}", note.by) } else { format!("by {}: {}", note.by, note.comment) }
}
