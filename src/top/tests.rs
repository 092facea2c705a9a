//! What `dixmgr top` shows, on a screen that is none, and how keys change it.
#![allow(clippy::unwrap_used, clippy::panic)]

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use dixmgr_testkit::{PseudoTerminal, eventually};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::app::Sort;
use super::feed::{Depth, Row};
use super::*;

fn row(name: &str, state: &str, cpu: Option<f64>, restarts: u64) -> Row {
    let unit = json!({ "name": format!("{name}.service"), "phase": "failed", "result": "signal" });
    let row = json!({ "name": name, "state": state, "cpu_percent": cpu, "memory_bytes": 3 << 20, "restarts": restarts,
                      "unit": unit, "response_time_seconds": if name == "web" { json!(0.042) } else { json!(null) } });
    serde_json::from_value(row).unwrap()
}

fn three() -> App {
    let services = vec![row("api", "up", Some(1.0), 0), row("web", "down", None, 7), row("db", "up", Some(50.0), 1)];
    App::new("127.0.0.1:9091".to_owned(), String::new(), Arc::new(News { services, ..News::default() }))
}

fn screen(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, app, view::Colours(true))).unwrap();
    let text = terminal.backend().to_string();
    text.lines().map(|line| line.trim_matches('"').trim_end().to_owned()).collect()
}

/// Lines of a table: how wide its columns are is the terminal's affair.
fn cells(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn press(app: &mut App, keys: &str) -> Step {
    let keys = keys.chars().map(|key| match key {
        '\n' => KeyCode::Enter,
        '\u{1b}' => KeyCode::Esc,
        '\u{8}' => KeyCode::Backspace,
        '↓' => KeyCode::Down,
        '↑' => KeyCode::Up,
        '→' => KeyCode::Right,
        '⇟' => KeyCode::PageDown,
        '⇲' => KeyCode::End,
        key => KeyCode::Char(key),
    });
    keys.map(|code| app.key(KeyEvent::new(code, KeyModifiers::NONE))).last().unwrap()
}

fn names(app: &App) -> Vec<&str> {
    app.order.iter().map(|place| app.news.services[*place].name.as_str()).collect()
}

#[test]
fn the_worst_stands_first() {
    let lines = cells(&screen(&mut three(), 140, 6));
    let wanted = [
        "dixmgr 127.0.0.1:9091 · 3 services · ✖ 1 down · ✔ 2 up",
        "STATE ▼ SERVICE FOR CPU MEMORY RESTARTS RESPONSE DETAIL",
        "✖ Down web – 3.0 MiB 7 42 ms web.service is failed (signal)",
        "✔ Up api 1.0 % 3.0 MiB 0 –",
        "✔ Up db 50.0 % 3.0 MiB 1 –",
    ];
    assert_eq!(lines[..5], wanted, "{}", lines.join("\n"));
    assert!(lines[5].starts_with("1/3 q quit"), "{}", lines[5]);
}

#[test]
fn a_narrow_terminal_has_fewer_columns() {
    let lines = screen(&mut three(), 60, 5);
    assert_eq!(cells(&lines)[1], "STATE ▼ SERVICE CPU MEMORY", "{}", lines.join("\n"));
    screen(&mut three(), 1, 1);
}

#[test]
fn keys_order_and_turn_round() {
    let mut app = three();
    for (key, sorted) in [
        ("c", ["db", "api", "web"]),
        ("c", ["api", "db", "web"]),
        ("r", ["web", "db", "api"]),
        ("n", ["api", "db", "web"]),
        ("n", ["web", "db", "api"]),
        ("m", ["api", "db", "web"]),
        ("p", ["web", "api", "db"]),
        ("t", ["web", "api", "db"]),
    ] {
        press(&mut app, key);
        assert_eq!(names(&app), sorted, "after {key}");
    }
    press(&mut app, "→→");
    assert_eq!(app.sort, Sort::Cpu);
    assert_eq!(press(&mut app, "q"), Step::Quit);
}

#[test]
fn the_filter_takes_keys_until_enter() {
    let mut app = three();
    assert_eq!(press(&mut app, "/q"), Step::Stay, "q is a letter there");
    assert!(names(&app).is_empty() && screen(&mut app, 80, 5)[4].starts_with("filter: q█"));
    press(&mut app, "\u{8}B\n");
    assert_eq!(names(&app), ["web", "db"]);
    assert_eq!(press(&mut app, "q"), Step::Quit);
    press(&mut app, "\u{1b}");
    assert_eq!(names(&app).len(), 3);
}

#[test]
fn thousands_are_scrolled_and_who_is_chosen_stays_chosen() {
    let services = (0..5000).map(|number| row(&format!("s{number:04}"), "up", None, 0)).collect();
    let news = Arc::new(News { services, ..News::default() });
    let mut app = App::new(String::new(), String::new(), news);
    screen(&mut app, 80, 12);
    press(&mut app, "⇟⇟↓");
    assert_eq!(app.row().unwrap().name, "s0019");
    let lines = screen(&mut app, 80, 12);
    assert!(lines[10].contains("s0019"), "{}", lines.join("\n"));
    let down = row("zz", "down", None, 0);
    let services = std::iter::once(down).chain(app.news.services.iter().cloned()).collect();
    app.take(Arc::new(News { services, ..News::default() }));
    assert_eq!((app.row().unwrap().name.as_str(), app.at), ("s0019", 20));
    press(&mut app, "⇲");
    assert!(screen(&mut app, 80, 12)[10].contains("s4999"));
    press(&mut app, "/4998");
    assert_eq!((app.at, app.top), (0, 0));
}

#[test]
fn a_service_in_depth() {
    let mut app = three();
    press(&mut app, "\n");
    assert_eq!(app.opened(), Some("web"));
    let depth = Depth {
        service: "web".to_owned(),
        alerts: vec!["critical (firing): web is down".to_owned()],
        events: vec![("2026-11-21T17:24:00.123Z".to_owned(), "restart: done, because it\u{7} died".to_owned())],
    };
    let news = News { services: app.news.services.clone(), depth: Some(depth), trouble: Some("gone".to_owned()) };
    app.take(Arc::new(news));
    let lines = screen(&mut app, 100, 16).join("\n");
    for told in ["alert critical (firing): web is down", "2026-11-21T17:24:00Z  restart: done, because it\\u{7} died"] {
        assert!(lines.contains(told), "{told:?} is not in\n{lines}");
    }
    assert!(lines.contains("not as of now: gone"), "{lines}");
    press(&mut app, "\u{1b}");
    assert_eq!(app.opened(), None);
}

/// Run by [`a_panic_gives_the_terminal_back`], in a terminal of its own.
#[test]
#[ignore = "it panics"]
fn panics_on_the_screen() {
    let mut screen = Screen::take().unwrap();
    screen.terminal.draw(|frame| frame.render_widget("taken", frame.area())).unwrap();
    panic!("on purpose");
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let own = std::env::current_exe().unwrap();
    let arguments = ["--ignored", "--exact", "top::tests::panics_on_the_screen", "--nocapture"];
    let mut terminal = PseudoTerminal::start(own.to_str().unwrap(), &arguments, (24, 80));
    let status = eventually("the test ends", std::time::Duration::from_secs(20), || terminal.ended());
    assert!(!status.success());
    eventually("all is said, and the terminal is as it was", std::time::Duration::from_secs(5), || {
        let said = ["taken", "on purpose"].iter().all(|text| terminal.written().contains(text));
        (said && terminal.is_as_it_was()).then_some(())
    });
}
