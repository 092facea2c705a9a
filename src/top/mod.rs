//! `dixmgr top`: services as they are, live, in a terminal.
//!
//! [`feed`] asks the API, [`app`] says what follows from answers and keys, [`view`] draws it. Here is the terminal: taken as a
//! whole, and given back as it was however this ends.

mod app;
mod feed;
mod view;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::sync::Arc;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use ratatui::DefaultTerminal;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use self::app::{App, Step};
use self::feed::News;
use crate::cli::TopArgs;
use crate::client::ApiClient;
use crate::error::RunError;
use crate::workflow::WorkflowError;

/// Shows services until somebody has seen enough.
///
/// # Errors
/// Standard output is not a terminal, or the API does not answer when it is first asked.
pub async fn run(args: &TopArgs) -> Result<(), WorkflowError> {
    if !io::stdout().is_terminal() {
        let advice = "`dixmgr status` prints a table, and with -json what programs read";
        return Err(WorkflowError::Wrong(format!("dixmgr top needs a terminal to draw on; {advice}")));
    }
    let api = ApiClient::new(&args.api)?;
    // Before the screen is taken: what is wrong is said where it stays to be read.
    let first = Arc::new(News { services: feed::services(&api).await?, ..News::default() });
    let app = App::new(args.api.address.clone(), args.name.clone().unwrap_or_default(), Arc::clone(&first));
    let ends = Ends::listen()?;
    let (wanted, wants) = watch::channel(None);
    let (tell, news) = watch::channel(first);
    let feed = tokio::spawn(feed::run(api, args.interval, wants, tell));
    let outcome = follow(app, &wanted, news, ends).await;
    feed.abort();
    outcome
}

async fn follow(
    mut app: App,
    wanted: &watch::Sender<Option<String>>,
    mut news: watch::Receiver<Arc<News>>,
    mut ends: Ends,
) -> Result<(), WorkflowError> {
    let mut screen = Screen::take()?;
    let mut events = EventStream::new();
    let colours = view::Colours::from_environment();
    loop {
        screen.terminal.draw(|frame| view::draw(frame, &mut app, colours))?;
        let opened = app.opened().map(str::to_owned);
        wanted.send_if_modified(|wanted| {
            let other = *wanted != opened;
            *wanted = opened;
            other
        });
        tokio::select! {
            () = ends.come() => return Ok(()),
            event = events.next() => match event {
                Some(Ok(Event::Key(key))) if app.key(key) == Step::Quit => return Ok(()),
                // A resize is drawn like anything else.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            changed = news.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let newest = Arc::clone(&news.borrow_and_update());
                app.take(newest);
            }
        }
    }
}

/// The terminal, taken. It is given back when this is dropped, and when the process panics.
struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    fn take() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                ratatui::restore();
                Err(error)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.terminal.show_cursor();
        ratatui::restore();
    }
}

/// Signals that end it, with the terminal as it was.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Ends {
    fn listen() -> Result<Self, RunError> {
        let listen =
            |kind| signal(kind).map_err(|error| RunError::Setup { what: "signals", detail: error.to_string() });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
