//! Messages as people see them: what Slack and a mail program show of a real incident, drawn by a real Chromium. The pictures are
//! kept with the screenshots of the test run; those in `docs/images` are copies.

use std::io::Write as _;
use std::process::{Command, Stdio};

use dixmgr_testkit::{
    Browser, CountedUnit, HttpFixture, Looks, Namespace as _, Reply, SmtpServer, SystemdNamespace, eventually,
    python_program,
};
use serde_json::Value;

use crate::support::{SOON, await_health, config, dixmgr};

const UNITS: [&str; 2] = ["database.service", "search.service"];

/// Draws an attachment as Slack's own clients do: the coloured bar, blocks, bold words, fields in two columns.
const SLACK: &str = r#"<!doctype html><meta charset="utf-8"><title>Slack</title><style>
body { font: 15px/1.46 Lato, "Helvetica Neue", Arial, sans-serif; color: #1d1c1d; margin: 16px; width: 620px }
.from { font-weight: 900 } .app { background: #ddd; border-radius: 2px; font-size: 10px; padding: 1px 3px }
.attachment { border-left: 4px solid; border-radius: 2px; padding: 4px 0 4px 12px; margin: 6px 0 }
.block { margin: 4px 0; white-space: pre-wrap } .fields { display: grid; grid-template-columns: 1fr 1fr; gap: 6px }
.context { color: #616061; font-size: 12px }
</style><div><span class="from">dixmgr</span> <span class="app">APP</span></div><div id="all"></div><script>
const text = raw => { const span = document.createElement("span");
  for (const part of raw.split(/(\*[^*\n]+\*|<!date[^>]*>)/)) {
    const bold = part.match(/^\*(.*)\*$/), date = part.match(/^<!date[^|]*\|(.*)>$/);
    const node = document.createElement(bold ? "b" : "span");
    const plain = bold ? bold[1] : date ? date[1] : part;
    node.textContent = plain.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
    span.append(node);
  } return span; };
for (const message of MESSAGES) for (const attachment of message.attachments) {
  const box = document.createElement("div"); box.className = "attachment"; box.style.borderColor = attachment.color;
  for (const block of attachment.blocks) {
    const div = document.createElement("div"); div.className = "block " + block.type + (block.fields ? " fields" : "");
    if (block.text) div.append(text(block.text.text));
    for (const field of block.fields ?? block.elements ?? []) { const one = document.createElement("div"); one.append(text(field.text)); div.append(one); }
    box.append(div);
  }
  document.getElementById("all").append(box);
}
</script>"#;

#[test]
fn messages_are_fit_to_be_seen() {
    let Some(systemd) = SystemdNamespace::start() else { return };
    let Some(server) = SmtpServer::start() else { return };
    let Some(browser) = Browser::start() else { return };
    let slack = HttpFixture::always(Reply::status(200));
    systemd.install(&UNITS.map(CountedUnit::new));
    systemd.start_units(&UNITS);
    let secret = systemd.write_file("slack-url", &slack.url("/hook"));
    let alerts = format!(
        "[alerts]\ngroup_wait = \"2s\"\ngroup_interval = \"1s\"\n\
         [[alerts.channel]]\nname = \"slack\"\ntype = \"slack\"\nurl = \"file:{}\"\n\
         [[alerts.channel]]\nname = \"mail\"\ntype = \"email\"\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         from = \"dixmgr <dixmgr@example.org>\"\nto = [\"ops@example.org\"]\n",
        secret.display(),
        server.port()
    );
    let daemon = dixmgr(&systemd, "-watch", &(alerts + &config(&UNITS))).started();
    for service in ["database", "search"] {
        await_health(&daemon, service, true);
    }
    for unit in UNITS {
        systemd.kill_unit(unit);
    }
    eventually(&format!("both are told; log:\n{}", daemon.log()), SOON, || {
        (slack.requests().len() == 1 && server.mail().len() == 1).then_some(())
    });
    systemd.start_units(&["database.service"]);
    eventually("one is told to be over", SOON, || (slack.requests().len() == 2).then_some(()));
    systemd.start_units(&["search.service"]);
    eventually("the end is told", SOON, || (slack.requests().len() == 3 && server.mail().len() == 3).then_some(()));

    let messages: Vec<Value> =
        slack.requests().iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect();
    let messages = serde_json::to_string(&messages).expect("JSON").replace("</", "<\\/");
    let seen = show(&browser, "alert-slack", &SLACK.replace("MESSAGES", &messages), 660, 640);
    for told in ["2 alerts: service_down", "database is down", "[RESOLVED]", "1 firing, 1 resolved"] {
        assert!(seen.contains(told), "{told:?} is not to be seen in\n{seen}");
    }
    let seen = show(&browser, "alert-email", &html_part(&server.mail()[1]), 700, 420);
    assert!(seen.contains("database is down") && seen.contains("search is down"), "{seen}");
}

/// Shows a page, keeps its picture, and answers with its text.
fn show(browser: &Browser, name: &str, page: &str, width: u32, height: u32) -> String {
    let host = HttpFixture::always(Reply::status(200).header("content-type", "text/html; charset=utf-8").body(page));
    browser.looks(Looks { width, height, dark: false });
    browser.open(host.port(), "/");
    browser.screenshot(name);
    browser.run("return document.body.innerText").as_str().expect("text").to_owned()
}

/// The HTML of a mail, taken out of it by Python's own reader.
fn html_part(mail: &Value) -> String {
    const SCRIPT: &str = "import sys, email, email.policy\n\
        mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
        sys.stdout.write(mail.get_body(('html',)).get_content())";
    let mut python = Command::new(python_program());
    let mut python = python.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python");
    let data = mail["data"].as_str().expect("a mail").as_bytes();
    python.stdin.take().expect("its input").write_all(data).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}
