//! The dashboards as they are shipped: what their panels ask, and whether they are well made.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dixmgr_testkit::package_directory;
use serde_json::Value;

/// Types of panels that Grafana still has; `graph`, `singlestat` and `table-old` went with Angular.
const PANELS: [&str; 7] = ["stat", "timeseries", "state-timeline", "status-history", "heatmap", "table", "row"];

/// A dashboard's file.
pub(super) struct Dashboard {
    name: String,
    json: Value,
}

/// Something that a dashboard asks Prometheus.
pub(super) struct Query {
    /// Dashboard and panel, for people.
    pub(super) place: String,
    pub(super) expression: String,
    /// Asked for one moment, and not for the whole time on screen.
    pub(super) instant: bool,
}

/// All dashboards.
pub(super) fn all() -> Vec<Dashboard> {
    let directory = package_directory().join("grafana/dashboards");
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &Path| {
        let json = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        Dashboard { name: path.file_stem().unwrap().to_string_lossy().into_owned(), json }
    };
    paths.iter().map(|path| read(path)).collect()
}

impl Dashboard {
    fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().expect("panels").iter()
    }

    fn variables(&self) -> impl Iterator<Item = &Value> {
        self.json["templating"]["list"].as_array().expect("variables").iter()
    }

    /// Names and queries of the variables that Prometheus fills.
    pub(super) fn label_variables(&self) -> Vec<(String, String)> {
        let asked = self.variables().filter(|variable| variable["type"] == "query");
        asked.map(|variable| (text(&variable["name"]), text(&variable["query"]["query"]))).collect()
    }

    /// What its panels and annotations ask.
    pub(super) fn queries(&self) -> Vec<Query> {
        let mut queries = Vec::new();
        for panel in self.panels() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                queries.push(Query {
                    place: format!("{}: {}", self.name, text(&panel["title"])),
                    expression: text(&target["expr"]),
                    instant: target["instant"] == true,
                });
            }
        }
        for annotation in self.json["annotations"]["list"].as_array().into_iter().flatten() {
            if let Some(expression) = annotation["expr"].as_str() {
                let place = format!("{}: annotation {}", self.name, text(&annotation["name"]));
                queries.push(Query { place, expression: expression.to_owned(), instant: false });
            }
        }
        queries
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

#[test]
fn dashboards_have_what_grafana_and_people_want_of_them() {
    let mut uids = BTreeSet::new();
    for dashboard in all() {
        let (name, json) = (&dashboard.name, &dashboard.json);
        assert!(uids.insert(text(&json["uid"])), "{name}: its uid is another's too");
        assert!(text(&json["title"]).starts_with("dixmgr / "), "{name}");
        assert!(json["schemaVersion"].as_u64() >= Some(39), "{name}: of an old Grafana");
        let names: Vec<String> = dashboard.variables().map(|variable| text(&variable["name"])).collect();
        assert_eq!(names[..2], ["datasource", "host"], "{name}");
        for variable in dashboard.variables().filter(|variable| variable["type"] == "query") {
            assert_eq!(
                (&variable["multi"], &variable["includeAll"]),
                (&true.into(), &true.into()),
                "{name}: {variable}"
            );
        }
        panels_are_sound(&dashboard);
    }
    assert_eq!(
        uids.into_iter().collect::<Vec<_>>(),
        ["dixmgr-nodes", "dixmgr-overview", "dixmgr-service", "dixmgr-workflows"]
    );
}

fn panels_are_sound(dashboard: &Dashboard) {
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard.panels() {
        let place = format!("{}: {}", dashboard.name, text(&panel["title"]));
        let kind = text(&panel["type"]);
        assert!(PANELS.contains(&kind.as_str()), "{place}: there is no panel {kind}");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{place}: its id is another's too");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a place"));
        assert!(x + w <= 24 && w > 0 && h > 0, "{place} is not on the grid");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{place} lies over another panel");
        }
        if kind == "row" {
            continue;
        }
        assert!(!text(&panel["description"]).is_empty(), "{place} does not say what it shows");
        assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{place} has no unit");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{place} asks nothing");
        for target in targets {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}: a data source of its own");
        }
    }
}
