//! How `dixmgr top` looks. States have a shape and a word, not only a colour; with `NO_COLOR` there is none.

use dixmgr_model::Condition;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row as Cells, Table};

use super::app::{App, Sort};
use super::feed::Row;
use crate::page::{bytes, percent_of_core, response, word};
use crate::workflow::text;

/// A terminal narrower than this has fewer columns.
const WIDE: u16 = 110;
const MEDIUM: u16 = 76;

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Colours(pub(super) bool);

impl Colours {
    /// As <https://no-color.org> has it.
    pub(super) fn from_environment() -> Self {
        Self(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    fn of(self, colour: Color) -> Style {
        if self.0 { Style::new().fg(colour) } else { Style::new() }
    }
}

/// A column: its name, what sorts by it, its width.
type Column = (&'static str, Option<Sort>, Constraint);

const COLUMNS: [Column; 8] = [
    ("STATE", Some(Sort::State), Constraint::Length(13)),
    ("SERVICE", Some(Sort::Name), Constraint::Fill(2)),
    ("FOR", None, Constraint::Length(10)),
    ("CPU", Some(Sort::Cpu), Constraint::Length(9)),
    ("MEMORY", Some(Sort::Memory), Constraint::Length(11)),
    ("RESTARTS", Some(Sort::Restarts), Constraint::Length(10)),
    ("RESPONSE", Some(Sort::Response), Constraint::Length(10)),
    ("DETAIL", None, Constraint::Fill(3)),
];

/// Places in [`COLUMNS`] for a terminal of this width.
fn columns(width: u16) -> &'static [usize] {
    match width {
        WIDE.. => &[0, 1, 2, 3, 4, 5, 6, 7],
        MEDIUM.. => &[0, 1, 2, 3, 4, 5, 6],
        _ => &[0, 1, 3, 4],
    }
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, colours: Colours) {
    let depth = if app.open { Constraint::Percentage(45) } else { Constraint::Length(0) };
    let rows = [Constraint::Length(1), Constraint::Min(2), depth, Constraint::Length(1)];
    let [head, list, depth, keys] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(headline(app, colours), head);
    app.fit(usize::from(list.height.saturating_sub(1)));
    frame.render_widget(table(app, list, colours), list);
    if app.open {
        frame.render_widget(in_depth(app, depth, colours), depth);
    }
    frame.render_widget(keys_line(app, colours), keys);
}

fn headline(app: &App, colours: Colours) -> Line<'static> {
    let services = &app.news.services;
    let mut spans = vec![Span::styled("dixmgr", Style::new().add_modifier(Modifier::BOLD))];
    spans.push(Span::raw(format!(" {} · {} services", app.address, services.len())));
    for state in Condition::ALL {
        let count = services.iter().filter(|row| row.state == state).count();
        if count > 0 {
            let (shape, colour) = shape(state);
            let said = format!(" · {shape} {count} {}", word(state).to_lowercase());
            spans.push(Span::styled(said, colours.of(colour)));
        }
    }
    if let Some(trouble) = &app.news.trouble {
        let said = format!(" · not as of now: {}", text::visible(trouble));
        spans.push(Span::styled(said, colours.of(Color::Red).add_modifier(Modifier::BOLD)));
    }
    Line::from(spans)
}

fn table(app: &App, area: Rect, colours: Colours) -> Table<'static> {
    let shown = columns(area.width);
    let head = shown.iter().map(|at| {
        let (name, sort, _) = COLUMNS[*at];
        let arrow = if app.reversed { "▲" } else { "▼" };
        if sort == Some(app.sort) { format!("{name} {arrow}") } else { name.to_owned() }
    });
    let height = usize::from(area.height.saturating_sub(1));
    let rows = app.order.iter().enumerate().skip(app.top).take(height).map(|(at, place)| {
        let row = &app.news.services[*place];
        let (shape, colour) = shape(row.state);
        let cells = shown.iter().map(|column| match column {
            0 => Line::styled(format!("{shape} {}", word(row.state)), colours.of(colour)),
            column => Line::raw(cell(*column, row)),
        });
        let style = if at == app.at { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        Cells::new(cells).style(style)
    });
    let head = Cells::new(head).style(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED));
    Table::new(rows.collect::<Vec<_>>(), shown.iter().map(|at| COLUMNS[*at].2)).header(head)
}

fn cell(column: usize, row: &Row) -> String {
    match column {
        1 => text::visible(&row.name),
        2 => row.since.as_ref().map(|since| text::between(&since.as_str().into(), None)).unwrap_or_default(),
        3 => percent_of_core(row.cpu_percent),
        4 => bytes(row.memory_bytes),
        5 => row.restarts.to_string(),
        6 => response(row.response_time_seconds),
        _ => detail(row),
    }
}

/// What is wrong, in words; nothing while all is well.
fn detail(row: &Row) -> String {
    if row.state == Condition::Up {
        return String::new();
    }
    let unit = row.unit.as_ref().map(|unit| match unit.result.as_str() {
        "" | "success" => format!("{} is {}", unit.name, unit.phase),
        result => format!("{} is {} ({result})", unit.name, unit.phase),
    });
    let said = [&row.health, &row.sync].into_iter().flatten().map(|verdict| verdict.detail.clone());
    let said: Vec<String> = unit.into_iter().chain(said).filter(|text| !text.is_empty()).collect();
    text::visible(&said.join(" · "))
}

/// The chosen service: what it is, its alerts, and what happened.
fn in_depth(app: &App, area: Rect, colours: Colours) -> Paragraph<'static> {
    let Some(row) = app.row() else { return Paragraph::new("no service is like that") };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines = Vec::new();
    let detail = detail(row);
    let unit = row.unit.as_ref().map_or_else(String::new, |unit| format!("{}: {}", unit.name, unit.phase));
    lines.push(Line::raw(if detail.is_empty() { text::visible(&unit) } else { detail }));
    if !row.needs.is_empty() {
        lines.push(Line::raw(text::visible(&format!("needs {}", row.needs.join(", ")))));
    }
    match app.news.depth.as_ref().filter(|depth| depth.service == row.name) {
        None => lines.push(Line::raw("…")),
        Some(depth) => {
            for alert in &depth.alerts {
                lines.push(Line::styled(format!("alert {}", text::visible(alert)), colours.of(Color::Yellow)));
            }
            lines.push(Line::styled("In the last 24 hours", bold));
            for (at, what) in &depth.events {
                let at = text::time(&at.as_str().into());
                lines.push(Line::raw(format!("{at}  {}", text::visible(what))));
            }
            if depth.events.is_empty() {
                lines.push(Line::raw("nothing"));
            }
        }
    }
    lines.truncate(usize::from(area.height.saturating_sub(1)));
    let title = Line::styled(format!(" {} ", text::visible(&row.name)), bold);
    Paragraph::new(lines).block(Block::new().borders(Borders::TOP).title(title))
}

fn keys_line(app: &App, colours: Colours) -> Line<'static> {
    if app.typing {
        return Line::from(vec![
            Span::styled("filter: ", colours.of(Color::Cyan)),
            Span::raw(text::visible(&app.filter)),
            Span::styled("█", colours.of(Color::Cyan)),
            Span::raw("  Enter keeps it, Esc drops it"),
        ]);
    }
    let filter = if app.filter.is_empty() { String::new() } else { format!("filter {:?}  ", app.filter) };
    let place = if app.order.is_empty() { 0 } else { app.at + 1 };
    Line::raw(format!(
        "{filter}{place}/{}  q quit  / filter  ↑↓ PgUp PgDn  Enter detail  sort: t state n name c cpu m memory r restarts p response",
        app.order.len()
    ))
}

/// A shape and a colour for a state.
fn shape(state: Condition) -> (&'static str, Color) {
    match state {
        Condition::Up => ("✔", Color::Green),
        Condition::Syncing | Condition::Stalled | Condition::Starting | Condition::Stopping | Condition::Restarting => {
            ("▲", Color::Yellow)
        }
        Condition::Unhealthy | Condition::Down => ("✖", Color::Red),
        Condition::Unknown => ("?", Color::DarkGray),
    }
}
