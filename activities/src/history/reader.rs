//! Connections for questions: a few at a time, on threads for such work, kept for the next question.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::error::HistoryError;
use super::place::Place;
use super::read::Query;

/// Questions at a time.
const AT_A_TIME: usize = 4;
/// Connections kept for later questions: a file's cost nothing, a database has few for all hosts.
const FILE_KEPT: usize = AT_A_TIME;
const POSTGRES_KEPT: usize = 1;
/// So long a database that was away is not asked again: nobody should wait for it each time.
const AWAY: Duration = Duration::from_secs(3);

/// Asks without keeping the caller's thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    place: Arc<Place>,
    pool: Arc<Mutex<Pool>>,
    places: Arc<Semaphore>,
}

/// Connections that rest, and since when there are none to be had, and why.
#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Query>,
    away: Option<(Instant, String)>,
}

impl Reader {
    /// A reader of what is at `place`, which need not be there yet.
    #[must_use]
    pub fn new(place: &Place) -> Self {
        let places = Arc::new(Semaphore::new(AT_A_TIME));
        Self { place: Arc::new(place.clone()), pool: Arc::default(), places }
    }

    /// Asks on a thread for such work, with a connection that is kept for the next question.
    ///
    /// # Errors
    /// The history cannot be read.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Query) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let ended = || self.place.unusable("dixmgr is ending");
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| ended())?;
        let reader = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let _place = place;
            let query = reader.connection()?;
            let answer = question(&query)?;
            reader.keep(query);
            Ok(answer)
        });
        asked.await.map_err(|_| ended())?
    }

    /// One that rests, or a new one.
    fn connection(&self) -> Result<Query, HistoryError> {
        loop {
            let kept = {
                let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((_, detail)) = pool.away.as_ref().filter(|(since, _)| since.elapsed() < AWAY) {
                    return Err(self.place.unusable(detail));
                }
                pool.idle.pop()
            };
            let Some(query) = kept else { break };
            if query.is_there() {
                return Ok(query);
            }
        }
        let opened = Query::open_shared(Arc::clone(&self.place));
        if let Err(HistoryError::Database { detail }) = &opened {
            let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
            pool.away = Some((Instant::now(), detail.clone()));
        }
        opened
    }

    fn keep(&self, query: Query) {
        let most = if matches!(*self.place, Place::File(_)) { FILE_KEPT } else { POSTGRES_KEPT };
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.idle.len() < most {
            pool.idle.push(query);
        }
    }
}
