//! The table of flags in the README, made from the flags themselves so that the two cannot disagree.

use clap::CommandFactory;

use super::CommandLine;

/// Flags that clap adds.
const BUILT_IN: [&str; 2] = ["help", "version"];

/// A Markdown table of all flags of a run.
pub fn flags_table() -> String {
    let command = CommandLine::command();
    let mut table = "| flag | environment | default | meaning |\n|---|---|---|---|\n".to_owned();
    for arg in command.get_arguments().filter(|arg| !BUILT_IN.contains(&arg.get_id().as_str())) {
        let Some(long) = arg.get_long() else { continue };
        let env = arg.get_env().and_then(|env| env.to_str()).unwrap_or_default();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let (meaning, default) = match help.split_once(" [default: ") {
            Some((meaning, default)) => (meaning.to_owned(), default.trim_end_matches(['.', ']']).to_owned()),
            None => (help, default_value(arg)),
        };
        let value = match arg.get_value_names() {
            Some([name]) if arg.get_action().takes_values() && !arg.is_require_equals_set() => format!(" {name}"),
            _ => String::new(),
        };
        let meaning = meaning.trim_end_matches('.').replace('|', "\\|");
        table.push_str(&format!("| `-{long}{value}` | `{env}` | {default} | {meaning} |\n"));
    }
    table
}

fn default_value(arg: &clap::Arg) -> String {
    if arg.is_hide_default_value_set() {
        return String::new();
    }
    arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect()
}
