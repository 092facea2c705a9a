//! What `dixmgr top` shows and how keys change it: which services, in which order, where one stands in the list. It knows no
//! terminal and no API.

use std::cmp::Ordering;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use dixmgr_model::Condition;

use super::feed::{News, Row};

/// Longest filter, in characters.
const MAX_FILTER: usize = 100;

/// What rows are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    State,
    Name,
    Cpu,
    Memory,
    Restarts,
    Response,
}

impl Sort {
    /// All of them, in the order of the columns.
    const ALL: [Self; 6] = [Self::State, Self::Name, Self::Cpu, Self::Memory, Self::Restarts, Self::Response];

    /// The key that chooses it.
    fn key(self) -> char {
        match self {
            Self::State => 't',
            Self::Name => 'n',
            Self::Cpu => 'c',
            Self::Memory => 'm',
            Self::Restarts => 'r',
            Self::Response => 'p',
        }
    }
}

/// What a key asks for beside a change of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// The end.
    Quit,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct App {
    /// Where the services are asked for.
    pub(super) address: String,
    /// The newest that is known.
    pub(super) news: Arc<News>,
    pub(super) sort: Sort,
    /// The order is turned round.
    pub(super) reversed: bool,
    pub(super) filter: String,
    /// Keys go to the filter.
    pub(super) typing: bool,
    /// The chosen service is shown in depth.
    pub(super) open: bool,
    /// The chosen service: it stays chosen when the order changes.
    chosen: Option<String>,
    /// Rows that fit the filter, in order: places in `news.services`.
    pub(super) order: Vec<usize>,
    /// Place of the chosen row in `order`.
    pub(super) at: usize,
    /// First row on the screen.
    pub(super) top: usize,
    /// Rows on the screen.
    height: usize,
}

impl App {
    /// Everything, the worst first.
    pub(super) fn new(address: String, filter: String, news: Arc<News>) -> Self {
        let mut app = Self {
            address,
            news,
            sort: Sort::State,
            reversed: false,
            filter,
            typing: false,
            open: false,
            chosen: None,
            order: Vec::new(),
            at: 0,
            top: 0,
            height: 1,
        };
        app.arrange();
        app
    }

    /// Services are like this now.
    pub(super) fn take(&mut self, news: Arc<News>) {
        self.news = news;
        self.arrange();
    }

    /// The list has so many lines on the screen.
    pub(super) fn fit(&mut self, height: usize) {
        self.height = height.max(1);
        let last_top = self.order.len().saturating_sub(self.height);
        let lowest = self.at.saturating_sub(self.height - 1);
        self.top = self.top.clamp(lowest, self.at).min(last_top);
    }

    /// The chosen service.
    pub(super) fn row(&self) -> Option<&Row> {
        self.order.get(self.at).map(|place| &self.news.services[*place])
    }

    /// The service that is shown in depth.
    pub(super) fn opened(&self) -> Option<&str> {
        self.row().filter(|_| self.open).map(|row| row.name.as_str())
    }

    /// A key.
    pub(super) fn key(&mut self, key: KeyEvent) -> Step {
        if key.kind == KeyEventKind::Release {
            return Step::Stay;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Step::Quit;
        }
        let page = isize::try_from(self.height).unwrap_or(isize::MAX);
        match key.code {
            KeyCode::Up => self.go(-1),
            KeyCode::Down => self.go(1),
            KeyCode::PageUp => self.go(-page),
            KeyCode::PageDown => self.go(page),
            KeyCode::Home => self.go(isize::MIN),
            KeyCode::End => self.go(isize::MAX),
            _ if self.typing => self.typed(key.code),
            code => return self.command(code),
        }
        Step::Stay
    }

    fn typed(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(letter) if self.filter.chars().count() < MAX_FILTER => self.filter.push(letter),
            _ => {}
        }
        self.arrange();
    }

    fn command(&mut self, code: KeyCode) -> Step {
        match code {
            KeyCode::Char('q') => return Step::Quit,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('k') => self.go(-1),
            KeyCode::Char('j') => self.go(1),
            KeyCode::Char('s') | KeyCode::Right => self.next_sort(1),
            KeyCode::Left => self.next_sort(Sort::ALL.len() - 1),
            KeyCode::Char('S') => self.sort_by(self.sort),
            KeyCode::Enter => self.open = !self.open,
            KeyCode::Esc if self.open => self.open = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.arrange();
            }
            KeyCode::Char(letter) => {
                if let Some(sort) = Sort::ALL.into_iter().find(|sort| sort.key() == letter) {
                    self.sort_by(sort);
                }
            }
            _ => {}
        }
        Step::Stay
    }

    /// Orders by this; by what it is ordered by already, the other way round.
    fn sort_by(&mut self, sort: Sort) {
        self.reversed = sort == self.sort && !self.reversed;
        self.sort = sort;
        self.arrange();
    }

    fn next_sort(&mut self, step: usize) {
        let now = Sort::ALL.iter().position(|sort| *sort == self.sort).unwrap_or_default();
        self.sort_by(Sort::ALL[(now + step) % Sort::ALL.len()]);
    }

    fn go(&mut self, by: isize) {
        let last = self.order.len().saturating_sub(1);
        self.at = self.at.saturating_add_signed(by).min(last);
        self.chosen = self.row().map(|row| row.name.clone());
    }

    /// Chooses and orders the rows anew. Whoever is chosen stays so while it is there; at the top of the list, the top is.
    fn arrange(&mut self) {
        let wanted = self.filter.trim().to_lowercase();
        let rows = &self.news.services;
        let fits = |place: &usize| wanted.is_empty() || rows[*place].name.to_lowercase().contains(&wanted);
        let mut order: Vec<usize> = (0..rows.len()).filter(fits).collect();
        order.sort_by(|one, other| self.compare(&rows[*one], &rows[*other]));
        let chosen = self.chosen.as_ref().and_then(|name| order.iter().position(|place| rows[*place].name == *name));
        self.at = chosen.unwrap_or_else(|| self.at.min(order.len().saturating_sub(1)));
        self.order = order;
        self.fit(self.height);
    }

    fn compare(&self, one: &Row, other: &Row) -> Ordering {
        let rank = |row: &Row| Condition::ALL.iter().position(|state| *state == row.state);
        // What is not measured comes last, whichever way round.
        let most = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => self.turned(other.total_cmp(&one)),
            (one, other) => other.is_some().cmp(&one.is_some()),
        };
        let order = match self.sort {
            Sort::State => self.turned(rank(one).cmp(&rank(other))),
            Sort::Name => self.turned(one.name.cmp(&other.name)),
            Sort::Cpu => most(one.cpu_percent, other.cpu_percent),
            Sort::Memory => {
                most(one.memory_bytes.map(|bytes| bytes as f64), other.memory_bytes.map(|bytes| bytes as f64))
            }
            Sort::Restarts => self.turned(other.restarts.cmp(&one.restarts)),
            Sort::Response => most(one.response_time_seconds, other.response_time_seconds),
        };
        order.then_with(|| one.name.cmp(&other.name))
    }

    fn turned(&self, order: Ordering) -> Ordering {
        if self.reversed { order.reverse() } else { order }
    }
}
