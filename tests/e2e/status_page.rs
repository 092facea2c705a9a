//! The status page in a real Chromium: what one sees when a real unit is killed, and that it can be read in every way it has to be.

use std::fs;
use std::time::{Duration, Instant};

use dixmgr_testkit::{
    Browser, CountedUnit, Daemon, HttpFixture, Looks, Namespace, Reply, SystemdNamespace, eventually, http_post,
    wait_until,
};

use crate::beyond::{LIMIT, remember};
use crate::own_alerts::{ROOM, fill_disk};
use crate::support::{self, SOON, await_health, dixmgr};

const DESK: Looks = Looks { width: 1200, height: 900, dark: false };
const NIGHT: Looks = Looks { dark: true, ..DESK };
const PHONE: Looks = Looks { width: 390, height: 844, dark: false };

/// A small house: five services, one of which is asked over HTTP, and one of which is called as nobody should be.
fn config(port: u16) -> String {
    format!(
        r#"
[defaults]
interval = "500ms"
restart = {{ max_restarts = 100, initial_backoff = "100ms" }}

[alerts]
group_wait = "0s"

[status]
public = true
services = ["web"]

[[service]]
name = "database"
type = "database"
unit = "database.service"

[[service]]
name = "cache"
unit = "cache.service"

[[service]]
name = "api"
type = "web"
unit = "api.service"
needs = ["database", "cache"]
http = [{{ url = "http://127.0.0.1:{port}/healthz", interval = "500ms" }}]

[[service]]
name = "web"
type = "web"
unit = "web.service"
needs = ["api"]

[[service]]
name = "worker"
type = "<script>document.title='x'</script>"
unit = "worker.service"
needs = ["database"]
"#
    )
}

const UNITS: [&str; 5] = ["database.service", "cache.service", "api.service", "web.service", "worker.service"];

struct World {
    systemd: SystemdNamespace,
    daemon: Daemon,
    browser: Browser,
    _http: HttpFixture,
}

impl World {
    fn start(mode: &str) -> Option<Self> {
        let browser = Browser::start()?;
        let systemd = SystemdNamespace::start()?;
        let http = HttpFixture::always(Reply::status(200));
        systemd.install(&UNITS.map(CountedUnit::new));
        systemd.start_units(&UNITS);
        let daemon = dixmgr(&systemd, mode, &config(http.port())).started();
        let world = Self { systemd, daemon, browser, _http: http };
        eventually("all services are up", SOON, || {
            let (_, up) = world.daemon.api("/api/v1/services?state=up")?;
            up.contains("\"total\":5").then_some(())
        });
        world.browser.looks(DESK);
        Some(world)
    }

    fn word(&self, service: &str) -> String {
        let script =
            format!("return document.querySelector('[data-service=\"{service}\"] [data-part=word]').textContent");
        self.browser.run(&script).as_str().unwrap().to_owned()
    }

    fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector('{selector}').innerText");
        self.browser.run(&script).as_str().unwrap().to_owned()
    }
}

#[test]
fn the_page_follows_a_unit_that_is_killed_within_a_second() {
    let Some(world) = World::start("-watch") else { return };
    let browser = &world.browser;
    browser.open(world.daemon.api_port(), "/");
    assert!(world.text("#banner").contains("All 5 services are up"), "{}", world.text("#banner"));
    eventually("the page is live", SOON, || (world.text("#live") == "live").then_some(()));
    // Curves and bars need a minute that is over.
    let begun = Instant::now();
    world.systemd.kill_unit("web.service");
    eventually("the page shows it", SOON, || (world.word("web") == "Down").then_some(()));
    let took = begun.elapsed();
    eprintln!("the page showed the death of a unit after {took:?}");
    assert!(took < Duration::from_secs(1), "the page showed it after {took:?}");
    eventually("banner and incidents follow", SOON, || {
        let now = world.text("#open");
        (world.text("#banner").contains("in trouble") && now.contains("web is down")).then_some(())
    });
    assert!(world.text("[data-service=web] .detail").contains("web.service is failed (signal)"));
    browser.screenshot("status-incident");
    world.systemd.start_units(&["web.service"]);
    eventually("the page shows that it is back", SOON, || (world.word("web") == "Up").then_some(()));
    eventually("its story is told", SOON, || world.text("#stories").contains("web was down").then_some(()));
    assert_eq!(browser.faults(), [""; 0], "scripts throw, or the policy refuses something");
}

#[test]
fn the_page_reads_in_every_way() {
    let Some(world) = World::start("-exec") else { return };
    let (browser, port) = (&world.browser, world.daemon.api_port());
    // Something to tell of.
    world.systemd.kill_unit("worker.service");
    eventually("it was restarted and that is told", SOON, || {
        let (_, actions) = world.daemon.api("/api/v1/actions?service=worker")?;
        actions.contains("\"outcome\":\"done\"").then_some(())
    });
    for (name, looks) in [("status-light", DESK), ("status-dark", NIGHT), ("status-phone", PHONE)] {
        browser.looks(looks);
        browser.open(port, "/");
        eventually("the page is live", SOON, || (world.text("#live") == "live").then_some(()));
        let wide = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(looks.width), "{name} is {wide} pixels wide");
        browser.screenshot(name);
    }
    let told = world.text("#stories").to_lowercase();
    assert!(told.contains("restart worker: done") && told.contains("because"), "{told}");
    assert_ne!(browser.run("return document.title"), "x", "a service's text is not markup");
    // Also what is folded, as the form of an alert that has not ended yet.
    let nameless = "return [...document.querySelectorAll('input, select, button, a')]
                    .filter(e => !e.textContent.trim() && !e.labels?.length).map(e => e.outerHTML).join()";
    assert_eq!(browser.run(nameless), "", "what one can act on has a name");
    // Search, with the script and without.
    let search = "const q = document.querySelector('#q'); q.value = 'data'; q.dispatchEvent(new Event('input', { bubbles: true }));
                  return [...document.querySelectorAll('[data-service]')].filter(e => !e.hidden).map(e => e.dataset.service).join()";
    assert_eq!(browser.run(search), "database");
    browser.without_scripts();
    let (status, page) = world.daemon.api("/?q=data&state=ok").unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("data-service=\"database\"") && !page.contains("data-service=\"web\""));
    assert!(page.contains("Availability in the last 90 days"));
    assert_eq!(browser.faults(), [""; 0], "scripts throw, or the policy refuses something");
    public_page(&world);
}

/// The list item of a service's alert.
const ALERT: &str = "#alerts [data-of=web]";

#[test]
fn alerts_are_acknowledged_and_silenced_on_the_page() {
    let Some(world) = World::start("-watch") else { return };
    let (browser, port) = (&world.browser, world.daemon.api_port());
    browser.open(port, "/");
    eventually("the page is live", SOON, || (world.text("#live") == "live").then_some(()));
    assert_eq!(world.text("#alerts"), "", "nothing fires");
    world.systemd.kill_unit("web.service");
    eventually("the alert is shown without a reload", SOON, || {
        let script = format!("return document.querySelector('{ALERT}') !== null");
        (browser.run(&script) == true).then_some(())
    });
    let mut told = String::new();
    let seen = wait_until(SOON, || {
        told = world.text(ALERT);
        told.contains("log: told at")
    });
    assert!(seen, "who was told is not shown: {told}");
    assert!(told.contains("Critical: web is down") && told.contains("nobody has acknowledged it"), "{told}");
    let fingerprint = browser.run(&format!("return document.querySelector('{ALERT}').id")).as_str().unwrap().to_owned();
    let fingerprint = fingerprint.strip_prefix("alert-").unwrap();

    // With the script: the page stays, and somebody else's is told of it too.
    fill(browser, "ann", "on it");
    let _ = browser.run(&format!("window.stays = true; document.querySelector('{ALERT} button').click()"));
    eventually("the acknowledgement is shown", SOON, || {
        world.text(ALERT).contains("acknowledged by ann: on it").then_some(())
    });
    assert_eq!(browser.run("return window.stays"), true, "the page was loaded anew");
    let path = format!("/api/v1/alerts/{fingerprint}/silence");
    let body = r#"{ "by": "bob", "comment": "disk", "duration": "2h" }"#;
    assert_eq!(http_post(port, &path, body).expect("an answer").0, 200);
    eventually("a silence of somebody else is shown", SOON, || {
        let text = world.text(ALERT);
        (text.contains("silenced until") && text.contains("by bob: disk")).then_some(())
    });
    for (name, looks) in [("status-alerts", DESK), ("status-alerts-phone", PHONE)] {
        browser.looks(looks);
        let _ = browser.run(&format!("document.querySelector('{ALERT} details').open = true"));
        let wide = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(looks.width), "{name} is {wide} pixels wide");
        browser.screenshot(name);
    }
    browser.looks(DESK);
    assert_eq!(browser.faults(), [""; 0], "scripts throw, or the policy refuses something");

    // Without: a form that leads back to the page.
    browser.without_scripts();
    browser.open(port, "/?q=w");
    fill(browser, "eve", "");
    let _ = browser.run(&format!("document.querySelector('{ALERT} button[formaction*=unsilence]').click()"));
    eventually("the end of the silence is shown", SOON, || {
        let at = browser.run("return location.search + location.hash");
        (at == "?q=w&state=&page=0#alerts" && !world.text(ALERT).contains("silenced until")).then_some(())
    });

    // A page of another origin has the same form, and changes nothing.
    let form = format!(
        "<form method=\"post\" action=\"http://127.0.0.1:{port}/alerts/{fingerprint}/ack\">\
         <input name=\"by\" value=\"mallory\"><input name=\"duration\" value=\"1h\"><button>x</button></form>"
    );
    let foreign = HttpFixture::always(Reply::status(200).header("content-type", "text/html").body(form));
    browser.open(foreign.port(), "/");
    let _ = browser.run("document.querySelector('button').click()");
    eventually("it is refused", SOON, || {
        browser.run("return document.body.innerText").as_str().unwrap().contains("another origin").then_some(())
    });
    let (_, story) = world.daemon.api(&format!("/api/v1/alerts/{fingerprint}")).expect("an answer");
    assert!(story.contains("by ann: on it") && !story.contains("mallory"), "{story}");
    let (_, public) = world.daemon.api("/public").expect("an answer");
    for secret in ["acknowledge", "by ann", "data-alert", "method=\"post\""] {
        assert!(!public.contains(secret), "{secret} is on the public page");
    }
}

#[test]
fn a_forecast_is_a_picture_on_the_page() {
    let Some(browser) = Browser::start() else { return };
    let Some(systemd) = SystemdNamespace::start() else { return };
    systemd.install(&[CountedUnit::new("leak.service")]);
    systemd.start_units(&["leak.service"]);
    let rules =
        ["memory_forecast", "disk_forecast"].map(|name| format!("[[alerts.rule]]\nname = \"{name}\"\nfor = \"0s\"\n"));
    let text = format!("[alerts]\ngroup_wait = \"0s\"\n{}{}", rules.concat(), support::config(&["leak.service"]));
    // Where it has the same path inside and outside: SQLite follows links to the file itself.
    let history = systemd.directory().join("health.db");
    let mut daemon =
        dixmgr(&systemd, "-watch", &text).arguments(&["-health-history-db", &history.display().to_string()]);
    let _ = fill_disk(&systemd, &daemon, ROOM * 3 / 4);
    daemon.start();
    daemon.await_ready();
    await_health(&daemon, "leak", true);
    daemon.terminate();
    // In five hours it will have all that it may have.
    remember(&history, "leak", |ago| LIMIT - 10e6 * (ago as f64 + 5.0), LIMIT - 60e6);
    daemon.start();
    daemon.await_ready();
    let world = World { systemd, daemon, browser, _http: HttpFixture::always(Reply::status(200)) };
    let (browser, port) = (&world.browser, world.daemon.api_port());
    browser.looks(DESK);
    browser.open(port, "/");
    for (service, said) in [("leak", "Memory of leak was"), ("dixmgr", "What the disk of dixmgr's data holds was")] {
        let figure = format!("#alerts [data-of={service}] figure");
        // The history is asked some time after the start.
        let patience = Duration::from_mins(1);
        eventually(&format!("the picture of {service}; log:\n{}", world.daemon.log()), patience, || {
            let there = browser.run(&format!("return document.querySelector('{figure}') !== null"));
            (there == true).then_some(())
        });
        let caption = world.text(&format!("{figure} figcaption"));
        assert!(caption.starts_with(said) && caption.contains("the trend reaches the limit of"), "{caption}");
        let drawn = browser.run(&format!(
            "return [...document.querySelectorAll('{figure} path')].map(e => e.getAttribute('class')).join()"
        ));
        assert_eq!(drawn, "axis,limit,trend,line,reached");
    }
    // The trend ends where the limit is, and what is drawn is seen, in every light.
    let meets = "const box = c => document.querySelector('#alerts [data-of=leak] .' + c).getBoundingClientRect();
                 return Math.abs(box('trend').top - box('limit').top) < 3 && box('line').width > 100";
    for (name, looks) in [("status-forecast", DESK), ("status-forecast-dark", NIGHT), ("status-forecast-phone", PHONE)]
    {
        browser.looks(looks);
        assert_eq!(browser.run(meets), true, "{name}");
        let wide = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= u64::from(looks.width), "{name} is {wide} pixels wide");
        browser.screenshot(name);
    }
    assert_eq!(browser.faults(), [""; 0], "scripts throw, or the policy refuses something");
    let (_, page) = world.daemon.api("/").expect("an answer");
    assert_eq!(page.matches("<figure class=\"forecast\">").count(), 2, "without JavaScript it is there too");
    let (_, public) = world.daemon.api("/public").unwrap_or_default();
    assert!(!public.contains("figure"), "the public is not told");
}

#[test]
fn services_of_another_configuration_come_and_go_on_an_open_page() {
    let Some(world) = World::start("-watch") else { return };
    let (browser, daemon) = (&world.browser, &world.daemon);
    browser.open(daemon.api_port(), "/");
    eventually("the page is live", SOON, || (world.text("#live") == "live").then_some(()));
    let _ = browser.run("window.stays = true");
    world.systemd.install(&[CountedUnit::new("mail.service")]);
    world.systemd.start_units(&["mail.service"]);
    let before = fs::read_to_string(daemon.config_path()).expect("a file");
    let mail = "[[service]]\nname = \"mail\"\nunit = \"mail.service\"\nneeds = [\"database\"]\n";
    fs::write(daemon.config_path(), before.clone() + mail).expect("write");
    eventually("its card is there, and it is up", SOON, || {
        let card = "return document.querySelector('[data-service=mail] [data-part=word]')?.textContent ?? ''";
        (browser.run(card) == "Up").then_some(())
    });
    let graph = || world.text("#graph").contains("mail");
    eventually("banner and picture have it too", SOON, || {
        (world.text("#banner").contains("All 6 services are up") && graph()).then_some(())
    });
    // What happens to it is shown at once, as of any other.
    world.systemd.kill_unit("mail.service");
    eventually("the page shows that it is down", SOON, || (world.word("mail") == "Down").then_some(()));
    fs::write(daemon.config_path(), before).expect("write");
    eventually("its card is gone", SOON, || {
        let card = browser.run("return document.querySelector('[data-service=mail]') === null");
        (card == true).then_some(())
    });
    eventually("from banner and picture too", SOON, || {
        (world.text("#banner").contains("All 5 services are up") && !graph()).then_some(())
    });
    assert_eq!(browser.run("return window.stays"), true, "the page was loaded anew");
    assert_eq!(browser.faults(), [""; 0], "scripts throw, or the policy refuses something");
}

/// Opens the form of the alert and says who does something, and why.
fn fill(browser: &Browser, by: &str, comment: &str) {
    let _ = browser.run(&format!(
        "const alert = document.querySelector('{ALERT}'); alert.querySelector('details').open = true;
         alert.querySelector('[name=by]').value = '{by}'; alert.querySelector('[name=comment]').value = '{comment}'"
    ));
}

/// Anyone sees what was chosen, and nothing of how it is made.
fn public_page(world: &World) {
    let (status, page) = world.daemon.api("/public").unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("data-service=\"web\""));
    for secret in ["database", "worker", ".service", "unit_", "restart", "Memory"] {
        assert!(!page.contains(secret), "{secret} is on the public page");
    }
}
