//! Notices that the file was changed: written in place, replaced by a rename, or led elsewhere by a link.
//!
//! What is watched is its directory, and that of what a link leads to, since a file that is replaced takes its own watch with it. Any
//! change there is a reason to look; whether it is news is a matter of what the file says. File systems that tell nobody of changes
//! made elsewhere (NFS) need a SIGHUP.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Author, Live, Request};

/// How long the directory has to be quiet before the file is read: whoever writes in pieces has then done so.
const SETTLE: Duration = Duration::from_millis(300);
/// Longest wait for that in a directory that is never quiet.
const LONGEST: Duration = Duration::from_secs(3);

/// Reloads whenever the file has changed, until the task is dropped.
pub(crate) async fn run(live: Live) {
    let (stirred, mut stirs) = watch::channel(());
    let mut watcher = match listen(stirred) {
        Ok(watcher) => watcher,
        Err(error) => return give_up(live.file(), &error),
    };
    let mut directories = BTreeSet::new();
    loop {
        // A link may lead elsewhere by now.
        if let Err(error) = follow(&mut watcher, &mut directories, live.file()) {
            return give_up(live.file(), &error);
        }
        look(&live).await;
        if stirs.changed().await.is_err() {
            return;
        }
        settle(&mut stirs).await;
    }
}

/// A watcher of nothing yet. Its events are told as what they are here: a reason to look.
fn listen(stirred: watch::Sender<()>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading of the file is no change.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            stirred.send_replace(());
        }
    })
}

/// Watches the directories where the file is.
fn follow(watcher: &mut RecommendedWatcher, directories: &mut BTreeSet<PathBuf>, file: &Path) -> notify::Result<()> {
    let directory = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs::canonicalize(parent.unwrap_or(Path::new(".")))
    };
    let mut wanted = BTreeSet::from([directory(file)?]);
    wanted.extend(fs::canonicalize(file).ok().and_then(|real| directory(&real).ok()));
    for gone in directories.difference(&wanted) {
        // It may be gone for good.
        let _ = watcher.unwatch(gone);
    }
    for new in wanted.difference(directories) {
        watcher.watch(new, RecursiveMode::NonRecursive)?;
    }
    *directories = wanted;
    Ok(())
}

/// Waits until nothing has happened for a while.
async fn settle(stirs: &mut watch::Receiver<()>) {
    let begun = Instant::now();
    while begun.elapsed() < LONGEST && timeout(SETTLE, stirs.changed()).await.is_ok_and(|changed| changed.is_ok()) {}
}

/// Reloads if the file says something new.
async fn look(live: &Live) {
    let live = live.clone();
    let looked = tokio::task::spawn_blocking(move || {
        if live.file_is_news() {
            // Either outcome is logged and recorded.
            let _ = live.change(Request::reload(Author::local("file")));
        }
    });
    if let Err(error) = looked.await {
        tracing::error!(%error, "configuration: the file could not be looked at: {error}");
    }
}

fn give_up(file: &Path, error: &notify::Error) {
    let file = file.display();
    tracing::warn!(%file, %error, "configuration: {file} is not watched, send SIGHUP when it has changed: {error}");
}
