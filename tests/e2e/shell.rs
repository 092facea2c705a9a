//! What shells and `man` are given: completion in real shells, and pages that groff finds nothing wrong with.

use std::process::{Command, Stdio};

use dixmgr_testkit::{Component, PseudoTerminal, require, wait_until};
use tempfile::TempDir;

use crate::support::{BINARY, SOON};

#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// What bash offers for a line whose last word is being typed.
fn completed(words: &[&str]) -> Vec<String> {
    const ASK: &str = r#"source <("$1" completion bash); shift
        complete -p dixmgr >/dev/null || exit 1
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        _dixmgr_one_dash dixmgr "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    let said = output(bash.args(["--norc", "-c", ASK, "bash", BINARY]).args(words));
    said.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_flags_of_one_dash_and_of_two() {
    assert_eq!(completed(&["dixmgr", "-ex"]), ["-exec"]);
    assert_eq!(completed(&["dixmgr", "--ex"]), ["--exec"]);
    assert_eq!(completed(&["dixmgr", "hist"]), ["history"]);
    assert_eq!(completed(&["dixmgr", "-exec", "-process-manager", "d"]), ["direct"]);
    assert_eq!(completed(&["dixmgr", "engine", "exp"]), ["export"]);
    assert_eq!(completed(&["dixmgr", "alerts", "silence", "x", "-fo"]), ["-for"]);
    let all = completed(&["dixmgr", "-"]);
    assert!(all.iter().any(|flag| flag == "-conf") && !all.iter().any(|flag| flag.starts_with("--")), "{all:?}");
    assert!(completed(&["dixmgr", "top", "-"]).contains(&"-interval".to_owned()));
}

#[test]
fn fish_completes_flags_of_one_dash() {
    const ASK: &str = "function dixmgr; end; $argv[1] completion fish | source; complete -C $argv[2]";
    if !require(Component::Shells) {
        return;
    }
    let completed = |line: &str| {
        let said = output(Command::new("fish").args(["--no-config", "-c", ASK, BINARY, line]));
        said.lines().filter_map(|line| line.split('\t').next().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(completed("dixmgr -ex"), ["-exec"]);
    assert_eq!(completed("dixmgr -exec -process-manager d"), ["direct"]);
    assert_eq!(completed("dixmgr engine exp"), ["export"]);
    assert_eq!(completed("dixmgr top -address localhost:1 -inter"), ["-interval"]);
}

#[test]
fn zsh_completes_flags_of_one_dash() {
    if !require(Component::Shells) {
        return;
    }
    // An interactive zsh on a terminal of its own, whose Tab key is pressed.
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("_dixmgr"), output(Command::new(BINARY).args(["completion", "zsh"]))).unwrap();
    let mut zsh = PseudoTerminal::start("zsh", &["-f", "-i"], (24, 120));
    let at = directory.path().display();
    zsh.type_keys(&format!(
        "PROMPT='> '; fpath=({at} $fpath); autoload -U compinit; compinit -u -d {at}/dump; dixmgr() {{ : }}; clear; echo rea''dy\n"
    ));
    let shown = |zsh: &PseudoTerminal, text: &str| {
        let mut seen = String::new();
        let there = wait_until(SOON, || {
            seen = zsh.text();
            seen.contains(text)
        });
        assert!(there, "{text:?} is not there:\n{seen}");
    };
    shown(&zsh, "ready\n");
    for (typed, completed) in [
        ("dixmgr -ex", "dixmgr -exec"),
        ("dixmgr -exec -process-manager d", "-process-manager direct"),
        ("dixmgr engine exp", "dixmgr engine export"),
        ("dixmgr top -inter", "dixmgr top -interval"),
    ] {
        zsh.type_keys(&format!("{typed}\t"));
        shown(&zsh, completed);
        // Drops the line.
        zsh.type_keys("\u{15}");
    }
}

#[test]
fn what_has_no_script_is_refused() {
    let refused = Command::new(BINARY).args(["completion", "tcsh"]).output().expect("run dixmgr");
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn manual_pages_are_whole_and_well_formed() {
    if !require(Component::Shells) {
        return;
    }
    let directory = TempDir::new().unwrap();
    let to = directory.path().join("man1");
    output(Command::new(BINARY).arg("man").arg(&to));
    let mut pages: Vec<String> =
        std::fs::read_dir(&to).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    for page in ["dixmgr.1", "dixmgr-status.1", "dixmgr-engine-backup.1", "dixmgr-alerts-silence.1", "dixmgr-top.1"] {
        assert!(pages.iter().any(|own| own == page), "{page} is not among {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("demo")), "{pages:?}");
    for page in &pages {
        let text = std::fs::read_to_string(to.join(page)).unwrap();
        assert!(!text.contains(r"\-\-"), "{page} has flags of two dashes");
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-ww", "-z"]).arg(to.join(page)).stdin(Stdio::null());
        let checked = groff.output().expect("groff runs");
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success() && said.trim().is_empty(), "{page}: {said}");
    }
    let root = std::fs::read_to_string(to.join("dixmgr.1")).unwrap();
    for part in ["\\-conf", "\\-process\\-manager", "DIXMGR_CONF", "dixmgr\\-history(1)"] {
        assert!(root.contains(part), "{part} is not in\n{root}");
    }
}
