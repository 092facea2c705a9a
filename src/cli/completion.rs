//! `dixmgr completion`: what a shell needs to complete our command line, made from the flags themselves.
//!
//! The generator knows long flags with two dashes only; people write ours with one. Each shell is told in its own way.

use std::io;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{generate, shells};

use super::CommandLine;

const NAME: &str = "dixmgr";

/// What `dixmgr completion -help` says after the flags.
const AFTER_HELP: &str = "\
Examples:
  dixmgr completion bash > /etc/bash_completion.d/dixmgr
  dixmgr completion zsh > \"${fpath[1]}/_dixmgr\"
  dixmgr completion fish > ~/.config/fish/completions/dixmgr.fish

The packages install all three.";

/// Flags of `dixmgr completion`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, max_term_width = 120)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// A shell that we have a script for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

/// Lets the generated function see long flags with two dashes, as it has them, and answers with as many as were typed.
const BASH: &str = r#"
_dixmgr_one_dash() {
    local one_dash= current="$2" previous="$3" index
    local -a words=("${COMP_WORDS[@]}")
    for index in "${!words[@]}"; do
        [[ ${words[index]} =~ ^-[a-z][a-z] ]] && words[index]="-${words[index]}"
    done
    [[ $previous =~ ^-[a-z][a-z] ]] && previous="-$previous"
    if [[ $current == - || $current =~ ^-[a-z] ]]; then
        one_dash=1
        current="-$current"
        words[COMP_CWORD]="$current"
    fi
    local -a COMP_WORDS=("${words[@]}")
    _dixmgr "$1" "$current" "$previous"
    [[ -n $one_dash ]] && COMPREPLY=("${COMPREPLY[@]/#--/-}")
    return 0
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _dixmgr_one_dash -o nosort -o bashdefault -o default dixmgr
else
    complete -F _dixmgr_one_dash -o bashdefault -o default dixmgr
fi
"#;

/// Where fish has read the words of the line: what they mean is found out with two dashes.
const FISH_WORDS: &str = "    set -e cmd[1]\n";
const FISH_TWO_DASHES: &str = "    set cmd (string replace -r -- '^-([a-z][a-z])' '--$1' $cmd)\n";

/// The script for a shell.
fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => generated(shells::Bash) + BASH,
        Shell::Zsh => zsh(&generated(shells::Zsh)),
        Shell::Fish => fish(&generated(shells::Fish)),
    }
}

/// Options of one dash may have long names there, unless letters may be put together (`-s`).
fn zsh(script: &str) -> String {
    let apart = script.replace("(-s -S -C)", "(-S -C)").replace("(-s -C)", "(-C)");
    ["'--", "(--", ")--", " --"].iter().fold(apart, |script, flag| script.replace(flag, &flag[..flag.len() - 1]))
}

/// `complete -o` is for options of one dash with a long name.
fn fish(script: &str) -> String {
    let line = |line: &str| if line.starts_with("complete ") { line.replace(" -l ", " -o ") } else { line.to_owned() };
    let script: String = script.split_inclusive('\n').map(line).collect();
    script.replacen(FISH_WORDS, &format!("{FISH_WORDS}{FISH_TWO_DASHES}"), 1)
}

fn generated(shell: impl clap_complete::Generator) -> String {
    let mut script = Vec::new();
    generate(shell, &mut CommandLine::command(), NAME, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Prints the script for a shell.
///
/// # Errors
/// It cannot be written.
pub fn print(args: &CompletionArgs, mut out: impl io::Write) -> io::Result<()> {
    out.write_all(script(args.shell).as_bytes())?;
    out.flush()
}
