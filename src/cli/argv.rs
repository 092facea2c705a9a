//! The command line as operators write it: long flags with one dash or two.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Rewrites `-exec`, `-conf=FILE` to `--exec`, `--conf=FILE`. Short flags (`-h`), values and all after `--` stay as they are.
pub(super) fn normalise(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut verbatim = false;
    args.into_iter()
        .map(|arg| {
            verbatim |= arg == "--";
            if verbatim || !is_long_with_one_dash(&arg) {
                return arg;
            }
            let mut long = OsString::from("-");
            long.push(arg);
            long
        })
        .collect()
}

fn is_long_with_one_dash(arg: &OsStr) -> bool {
    match arg.as_bytes() {
        [b'-', first, _, ..] => first.is_ascii_alphabetic(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dash_becomes_two_and_nothing_else_changes() {
        let given = ["dixmgr", "-exec", "--conf", "-h", "-metrics=false", "-", "-1", "check", "--", "-exec"];
        let wanted = ["dixmgr", "--exec", "--conf", "-h", "--metrics=false", "-", "-1", "check", "--", "-exec"];
        assert_eq!(normalise(given.map(OsString::from)), wanted.map(OsString::from));
    }
}
