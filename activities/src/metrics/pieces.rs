//! The page in pieces: of ten thousand services it is as long as a book, and whoever reads it need not wait for the last
//! family to get the first.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::text::{Format, Page};
use super::{Metrics, MetricsError, own, registry, service};

/// A page's pieces in their order: everything but the services, then each family of theirs. Services that come and go
/// meanwhile are in some families and not in others, as if they had come and gone between two pages.
#[derive(Debug)]
pub struct Pieces {
    metrics: Metrics,
    format: Format,
    first: Option<String>,
    /// The family that is next.
    family: usize,
}

impl Pieces {
    pub(super) fn new(metrics: &Metrics, format: Format) -> Result<Self, MetricsError> {
        let inner = &metrics.inner;
        let mut page = Page::new(format, 0, inner.created.get().copied());
        own::write(&mut page, &inner.namespace, inner.data_dir.get().map(PathBuf::as_path));
        registry::write(&mut page, &inner.registry.gather())?;
        Ok(Self { metrics: metrics.clone(), format, first: Some(page.cut()), family: 0 })
    }

    fn family(&self, family: usize) -> Option<String> {
        let inner = &self.metrics.inner;
        let length = inner.lengths.get(family)?;
        let mut page = Page::new(self.format, length.load(Ordering::Relaxed), inner.created.get().copied());
        {
            let services = inner.services.read().unwrap_or_else(PoisonError::into_inner);
            service::write(&mut page, &inner.namespace, family, &services, &inner.own_alerts);
        }
        let piece = if family + 1 == service::FAMILIES { page.finish() } else { page.cut() };
        length.store(piece.len(), Ordering::Relaxed);
        Some(piece)
    }
}

impl Iterator for Pieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.first.take().or_else(|| {
            let piece = self.family(self.family)?;
            self.family += 1;
            Some(piece)
        })
    }
}
