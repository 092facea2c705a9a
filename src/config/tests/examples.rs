//! What stands in conf/ can be used as it stands.

use super::*;

fn loads(text: &str, options: &LoadOptions) -> Config {
    super::super::parse("x.toml", text, options).map_err(|error| error.to_string()).unwrap()
}

#[test]
fn the_example_shows_the_defaults() {
    let example = loads(include_str!("../../../conf/example.toml"), &SYSTEMD);
    assert_eq!(names(&example), ["database", "api", "polkadot", "worker"]);
    let bare =
        loads("[[service]]\nname = 'database'\nunit = 'postgresql@16-main.service'\ntype = 'database'\n", &SYSTEMD);
    let mut database = service(&example, "database").clone();
    database.dependents.clear();
    assert_eq!(&database, service(&bare, "database"), "what [defaults] spells out is what it would be anyway");
}

#[test]
fn the_dotidx_example_derives_its_services() {
    let config = loads(include_str!("../../../conf/dotidx-example.toml"), &SYSTEMD);
    assert_eq!(config.plan.services.len(), 3 + 3 + 5);
    assert_eq!(names(&config).last(), Some(&"dixcron"));
}

#[test]
fn the_demonstration_leaves_nothing_behind() {
    let config = loads(include_str!("../../../conf/demo.toml"), &DIRECT);
    assert_eq!(config.plan.services.len(), 6);
    for spec in &config.plan.services {
        let bound = matches!(&spec.target, dixmgr_model::Target::Command(command) if command.die_with_parent);
        assert!(bound, "{} would outlive the demonstration", spec.name);
    }
}
