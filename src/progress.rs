//! How far something is that takes long: a bar on standard error while that is a terminal, and nothing anywhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Nothing is shown of what is over sooner.
const SOON: Duration = Duration::from_millis(500);
/// The bar.
const STYLE: &str = "{prefix} [{bar:30}] {pos}/{len}, {eta} left";

/// Something that takes long. The bar goes with it.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    begun: std::time::Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing is done yet.
    pub(crate) fn of(what: &'static str) -> Self {
        Self { what, begun: std::time::Instant::now(), bar: None }
    }

    /// So much is done of all.
    pub(crate) fn is(&mut self, done: u64, all: u64) {
        if self.bar.is_none() && self.begun.elapsed() < SOON {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| bar(self.what));
        bar.set_length(all);
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Hidden where standard error is no terminal.
fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(STYLE).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.progress_chars("=> ")).with_prefix(what)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use dixmgr_testkit::{PseudoTerminal, eventually};

    use super::*;

    const SHOW: [&str; 4] = ["--ignored", "--exact", "progress::tests::shows_half_of_it", "--nocapture"];

    /// Run by [`it_is_shown_on_a_terminal_and_nowhere_else`].
    #[test]
    #[ignore = "it is slow on purpose"]
    fn shows_half_of_it() {
        let mut progress = Progress::of("runs");
        progress.is(1, 10);
        std::thread::sleep(SOON);
        progress.is(5, 10);
        // As often as a bar is drawn anew.
        std::thread::sleep(Duration::from_millis(200));
        progress.is(6, 10);
    }

    #[test]
    fn it_is_shown_on_a_terminal_and_nowhere_else() {
        let own = std::env::current_exe().unwrap();
        let mut terminal = PseudoTerminal::start(own.to_str().unwrap(), &SHOW, (24, 80));
        eventually("it ends", Duration::from_secs(20), || terminal.ended());
        eventually("it was shown, and is gone with what it is of", Duration::from_secs(5), || {
            let written = terminal.written();
            let shown = written.contains("runs [") && written.contains("6/10");
            (shown && !terminal.text().contains("6/10")).then_some(())
        });
        let piped = Command::new(own).args(SHOW).output().unwrap();
        assert!(piped.status.success() && !String::from_utf8_lossy(&piped.stderr).contains("10"));
    }
}
