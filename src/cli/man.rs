//! `dixmgr man`: manual pages in roff, one a command, made from the flags themselves.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::CommandLine;

/// Flags of `dixmgr man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Where to write the pages: dixmgr.1, and one for each command. It is made if it is not there.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Writes all pages.
///
/// # Errors
/// Says which cannot be written.
pub fn write(args: &ManArgs) -> io::Result<()> {
    let named = |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    fs::create_dir_all(&args.directory).map_err(|error| named(&args.directory, error))?;
    for (name, page) in pages()? {
        let path = args.directory.join(name);
        fs::write(&path, page).map_err(|error| named(&path, error))?;
    }
    Ok(())
}

/// The pages, with the names of their files.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = CommandLine::command();
    root.build();
    let mut pages = Vec::new();
    add(&mut pages, &root, root.get_name())?;
    Ok(pages)
}

fn add(pages: &mut Vec<(String, Vec<u8>)>, command: &Command, name: &str) -> io::Result<()> {
    let mut page = Vec::new();
    let titled = command.clone().display_name(name).version(env!("CARGO_PKG_VERSION"));
    Man::new(titled).render(&mut page)?;
    // Long flags are written with one dash.
    let page = String::from_utf8_lossy(&page).replace(r"\-\-", r"\-");
    pages.push((format!("{name}.1"), page.into_bytes()));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        add(pages, below, &format!("{name}-{}", below.get_name()))?;
    }
    Ok(())
}
