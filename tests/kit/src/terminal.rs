//! A real pseudo-terminal with a program on it, and a terminal emulator that understands what the program writes.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Color, Parser};

/// A program on a terminal of its own, its session's leader. Dropping it kills the program.
#[derive(Debug)]
pub struct PseudoTerminal {
    keys: File,
    /// Ours too, so that its modes can be read when the program has ended.
    line: File,
    modes: LocalModes,
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    screen: Parser,
    /// All that was ever written.
    written: Vec<u8>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.screen.screen().contents())
    }
}

impl PseudoTerminal {
    /// Starts a program on a terminal of so many rows and columns.
    ///
    /// # Panics
    /// When this machine has no pseudo-terminals, or the program cannot be started.
    #[must_use]
    pub fn start(program: &str, arguments: &[&str], (rows, columns): (u16, u16)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
        grantpt(&master).expect("a pseudo-terminal that may be used");
        unlockpt(&master).expect("a pseudo-terminal that can be opened");
        let name = ptsname(&master, Vec::new()).expect("the name of a pseudo-terminal").into_string().expect("a name");
        let line = File::options().read(true).write(true).open(name).expect("the line of a pseudo-terminal");
        resize(&master, rows, columns);
        let modes = tcgetattr(&line).expect("the modes of a terminal").local_modes;
        let end = || line.try_clone().expect("one more descriptor");
        // Its own session, with this as the terminal that it is told of by signals.
        let mut setsid = Command::new("setsid");
        setsid.args(["--ctty", program]).args(arguments).env("TERM", "xterm-256color");
        let child = setsid.stdin(end()).stdout(end()).stderr(end()).spawn().expect("start a program on a terminal");
        let seen =
            Arc::new(Mutex::new(Seen { screen: Parser::new(nonzero(rows), nonzero(columns), 0), written: Vec::new() }));
        let keys = File::from(master);
        let reader = keys.try_clone().expect("one more descriptor");
        let into = Arc::clone(&seen);
        thread::spawn(move || follow(reader, &into));
        Self { keys, line, modes, child, seen }
    }

    /// Types these characters.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("type on a terminal");
    }

    /// The window is of another size now; the program hears of it.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.seen().screen.screen_mut().set_size(nonzero(rows), nonzero(columns));
        resize(&self.keys, rows, columns);
    }

    /// Its rows and columns.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        let (rows, columns) = self.seen().screen.screen().size();
        (rows.get(), columns.get())
    }

    /// What is on the screen.
    #[must_use]
    pub fn text(&self) -> String {
        self.seen().screen.screen().contents()
    }

    /// All that was ever written, escapes included.
    #[must_use]
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.seen().written).into_owned()
    }

    /// Process id of the program.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the program ended, if it has.
    ///
    /// # Panics
    /// When nobody knows.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for a child")
    }

    /// Whether the terminal is as it was before the program came: modes, the usual screen, a cursor.
    ///
    /// # Panics
    /// When its modes cannot be read.
    #[must_use]
    pub fn is_as_it_was(&self) -> bool {
        let modes = tcgetattr(&self.line).expect("the modes of a terminal").local_modes;
        let seen = self.seen();
        let screen = seen.screen.screen();
        modes == self.modes && !screen.alternate_screen() && !screen.hide_cursor()
    }

    /// The screen as an HTML document, in the colours of a dark terminal.
    #[must_use]
    pub fn html(&self) -> String {
        let seen = self.seen();
        let screen = seen.screen.screen();
        let (rows, columns) = screen.size();
        let mut html = format!(
            "<!doctype html><meta charset=\"utf-8\"><style>body {{ margin: 0; background: #0e1117 }} \
             pre {{ margin: 0; padding: 12px; color: #d7dce5; font: 15px/1.35 \"DejaVu Sans Mono\", monospace; width: {columns}ch }}\
             </style><pre>"
        );
        for row in 0..rows.get() {
            for column in 0..columns.get() {
                let Some(cell) = screen.cell(row, column).filter(|cell| !cell.is_wide_continuation()) else { continue };
                html.push_str(&span(cell));
            }
            html.push('\n');
        }
        html + "</pre>"
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for PseudoTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nonzero(length: u16) -> NonZero<u16> {
    NonZero::new(length).expect("a screen has rows and columns")
}

fn resize(terminal: impl std::os::fd::AsFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a terminal that can be resized");
}

/// Ends with the terminal, which answers then with an error.
fn follow(mut from: File, into: &Mutex<Seen>) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        let mut seen = lock(into);
        seen.screen.process(&piece[..length]);
        seen.written.extend_from_slice(&piece[..length]);
    }
}

fn span(cell: &vt100::Cell) -> String {
    let text = if cell.has_contents() { cell.contents() } else { " " };
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let (mut front, mut back) = (colour(cell.fgcolor(), "#d7dce5"), colour(cell.bgcolor(), "transparent"));
    if cell.inverse() {
        (front, back) = (if back == "transparent" { "#0e1117".to_owned() } else { back }, front);
    }
    let bold = if cell.bold() { ";font-weight:bold" } else { "" };
    let line = if cell.underline() { ";text-decoration:underline" } else { "" };
    if front == "#d7dce5" && back == "transparent" && bold.is_empty() && line.is_empty() {
        return text;
    }
    format!("<span style=\"color:{front};background:{back}{bold}{line}\">{text}</span>")
}

/// The sixteen colours, as a dark terminal has them.
fn colour(colour: Color, usual: &str) -> String {
    const SIXTEEN: [&str; 16] = [
        "#1b1f27", "#ff7b7b", "#4cc978", "#f0b04a", "#8fadff", "#c99bff", "#5cc8d7", "#d7dce5", "#7a8494", "#ff9b9b",
        "#7be0a0", "#ffd07a", "#b0c5ff", "#debaff", "#8fe3ee", "#ffffff",
    ];
    match colour {
        Color::Default => usual.to_owned(),
        Color::Idx(index) => SIXTEEN.get(usize::from(index)).copied().unwrap_or(usual).to_owned(),
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}
