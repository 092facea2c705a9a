//! The command line that operators know.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

fn run(args: &[&str]) -> Result<RunRequest, clap::Error> {
    let line = std::iter::once("dixmgr").chain(args.iter().copied()).map(OsString::from);
    match parse(line)? {
        Invocation::Run(request) => Ok(*request),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_dash_and_two_mean_the_same() {
    for args in [["-exec", "-conf", "f"], ["--exec", "--conf", "f"]] {
        let request = run(&args).unwrap();
        assert_eq!((request.mode, request.conf), (Mode::Exec, PathBuf::from("f")));
    }
    let request = run(&["-watch", "-conf=f", "-metrics=false", "-metrics-port=99"]).unwrap();
    assert_eq!((request.mode, request.args.metrics, request.args.metrics_port), (Mode::Watch, false, Some(99)));
}

#[test]
fn exactly_one_mode_and_a_file_are_required() {
    for args in [&["-conf", "f"][..], &["-conf", "f", "-watch", "-exec"], &["-exec"], &["-exec=false", "-conf", "f"]] {
        let error = run(args).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
    assert!(run(&["-watch=false", "-exec", "-conf", "f"]).is_ok());
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    for args in [
        &["-exec", "-conf", "f", "-nonsense"][..],
        &["-exec", "-conf", "f", "-metrics-port", "70000"],
        &["-exec", "-conf", "f", "-metrics-port", "0"],
        &["-exec", "-conf", "f", "-process-manager", "cron"],
        &["-exec", "-conf", "f", "-metrics=perhaps"],
        &["-exec", "-conf", "f", "stray"],
    ] {
        assert_eq!(run(args).unwrap_err().exit_code(), 2, "{args:?}");
    }
    for args in [["-help"], ["-version"], ["-h"], ["--help"]] {
        assert_eq!(run(&args).unwrap_err().exit_code(), 0);
    }
}

#[test]
fn max_restarts_counts_in_direct_mode_only() {
    let limit = |manager| {
        let args = ["-exec", "-conf", "f", "-process-max-restarts", "3", "-process-manager", manager];
        run(&args).unwrap().load_options().max_restarts
    };
    assert_eq!((limit("direct"), limit("systemd")), (Some(3), None));
}

#[test]
fn check_has_its_own_flags() {
    let argv = ["dixmgr", "check", "-conf", "f", "-process-manager", "direct"].map(OsString::from);
    match parse(argv).unwrap() {
        Invocation::Check { conf, options } => {
            assert_eq!((conf, options.manager), (PathBuf::from("f"), ManagerKind::Direct));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn clap_finds_nothing_wrong_with_the_flags() {
    CommandLine::command().debug_assert();
}

#[test]
fn the_readme_has_exactly_these_flags() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("a test compares -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- end of flags -->").unwrap();
    assert_eq!(table.trim(), flags_table().trim(), "put this into the README:\n{}", flags_table());
}

#[test]
fn a_key_is_never_repeated() {
    for args in [&["engine"][..], &["workflow", "list", "-address", "127.0.0.1:7233"]] {
        let line = ["dixmgr"].iter().chain(args).chain(&["-api-key", "hunter2"]).map(OsString::from);
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("-api-key") && !text.contains("hunter2"), "{text}");
    }
}
