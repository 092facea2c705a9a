//! What shells and `man` are given: completion in a real bash, and pages that groff finds nothing wrong with.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::BINARY;

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
fn every_shell_has_a_script_of_flags_with_one_dash() {
    for (shell, flag) in [("bash", "complete -F _dixmgr_one_dash"), ("zsh", "'-conf="), ("fish", "-o conf ")] {
        let script = output(Command::new(BINARY).args(["completion", shell]));
        assert!(script.contains(flag), "{flag} is not in the script for {shell}");
    }
    // Where the shell itself is there, it reads its script.
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        if Command::new(shell).arg("--version").stdout(Stdio::null()).status().is_ok() {
            let directory = TempDir::new().unwrap();
            let file = directory.path().join("script");
            std::fs::write(&file, output(Command::new(BINARY).args(["completion", shell]))).unwrap();
            output(Command::new(shell).arg(check).arg(&file));
        }
    }
    let refused = Command::new(BINARY).args(["completion", "tcsh"]).output().expect("run dixmgr");
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn manual_pages_are_whole_and_well_formed() {
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
        let checked = groff.output().expect("groff, which Debian's man is made of");
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success() && said.trim().is_empty(), "{page}: {said}");
    }
    let root = std::fs::read_to_string(to.join("dixmgr.1")).unwrap();
    for part in ["\\-conf", "\\-process\\-manager", "DIXMGR_CONF", "dixmgr\\-history(1)"] {
        assert!(root.contains(part), "{part} is not in\n{root}");
    }
}
