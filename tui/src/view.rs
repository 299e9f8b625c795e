//! The picture of a [`Model`]. Mutates nothing and reads no clock.
//!
//! ```text
//! ╭ ✔ HEALTHY healthy ─╮  banner    what is wrong with the selected target, and what to do
//! ╭ Targets ───────────╮  targets   one row each
//! ╭ Latency │ Path ────╮  panes     of the selected target: one by one, or all at once
//!  q quit  ? help         footer
//! ```

mod banner;
mod dns;
mod findings;
mod help;
mod latency;
mod path;
mod targets;
mod tcp;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};

use crate::model::{Model, Pane};
use crate::text;
use crate::theme::Theme;

pub(crate) use banner::scope_word;
pub(crate) use path::unreachable_mark;

/// Below this, not even one row of numbers fits.
pub(crate) const WIDTH_MIN: u16 = 40;
/// Below this, banner, one target and footer do not fit.
pub(crate) const HEIGHT_MIN: u16 = 12;
/// From here on the panes stand side by side.
const GRID_WIDTH: u16 = 110;
const GRID_HEIGHT: u16 = 16;

/// Draws everything.
pub(crate) fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        draw_too_small(area, theme, frame);
        return;
    }
    let banner_height = banner::height(model, area);
    let rows = u16::try_from(model.targets.len()).unwrap_or(u16::MAX).saturating_add(3);
    // Targets take up to a third of the screen, and never less than one row.
    let targets_height = rows.min((area.height / 3).max(4));
    let [top, banner, targets, panes, bottom] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(banner_height),
        Constraint::Length(targets_height),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_top(model, theme, frame, top);
    banner::draw(model, theme, frame, banner);
    targets::draw(model, theme, frame, targets);
    draw_panes(model, theme, frame, panes);
    draw_footer(model, theme, frame, bottom);
    if model.help {
        help::draw(theme, frame, area);
    }
}

fn draw_too_small(area: Rect, theme: Theme, frame: &mut Frame<'_>) {
    let size = format!("{}×{} of {WIDTH_MIN}×{HEIGHT_MIN}", area.width, area.height);
    let lines = if area.width >= 18 {
        vec![Line::styled("terminal too small", theme.warn()), Line::styled(size, theme.faint())]
    } else {
        // As many words as fit, one a line.
        ["terminal", "too small", "q quits"].map(|word| Line::styled(word, theme.warn())).into()
    };
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_top(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let mut left = vec![Span::styled(" sojourner", theme.title())];
    let count = model.targets.len();
    let plural = if count == 1 { "target" } else { "targets" };
    left.push(Span::styled(format!("  {count} {plural}"), theme.faint()));
    for (status, number) in banner::census(model) {
        left.push(Span::raw("  "));
        let text = format!("{} {number}", crate::theme::status_mark(status));
        left.push(Span::styled(text, theme.status(status)));
    }
    if model.paused {
        left.push(Span::styled("  PAUSED", theme.warn()));
    }
    let mut right = String::new();
    if model.dropped > 0 {
        right = format!("{} events dropped  ", model.dropped);
    }
    let up = text::clock(model.now.mono.since(model.started.mono));
    let time = text::time_of_day(model.now.wall, &model.zone);
    right = format!("{right}up {up}  {time} ");
    frame.render_widget(Line::from(left), area);
    let width = u16::try_from(right.chars().count()).unwrap_or(u16::MAX).min(area.width);
    let right_area = Rect { x: area.right() - width, width, ..area };
    frame.render_widget(Line::styled(right, theme.faint()), right_area);
}

fn draw_panes(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    if area.height < 3 {
        return;
    }
    if area.width < GRID_WIDTH || area.height < GRID_HEIGHT {
        let block = panel(tabs(model, theme), theme);
        let inner = block.inner(area);
        frame.render_widget(block, area);
        draw_pane(model.pane, model, theme, frame, inner);
        return;
    }
    let rows = Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).split(area);
    let upper = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).split(rows[0]);
    let lower = Layout::horizontal([Constraint::Fill(5), Constraint::Fill(5), Constraint::Fill(4)])
        .split(rows[1]);
    let places = [upper[0], upper[1], lower[0], lower[1], lower[2]];
    for (pane, place) in Pane::ALL.into_iter().zip(places) {
        let name = Line::from(vec![
            Span::raw(" "),
            Span::styled(pane.name(), if pane == model.pane { theme.key() } else { theme.title() }),
            Span::raw(" "),
        ]);
        let block = panel(name, theme);
        let inner = block.inner(place);
        frame.render_widget(block, place);
        draw_pane(pane, model, theme, frame, inner);
    }
}

fn draw_pane(pane: Pane, model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(state) = model.selected() else { return };
    match pane {
        Pane::Latency => latency::draw(model, state, theme, frame, area),
        Pane::Path => path::draw(state, theme, frame, area),
        Pane::Dns => dns::draw(state, theme, frame, area),
        Pane::Tcp => tcp::draw(state, theme, frame, area),
        Pane::Findings => findings::draw(model, state, theme, frame, area),
    }
}

fn tabs(model: &Model, theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for (number, pane) in (1..).zip(Pane::ALL) {
        if number > 1 {
            spans.push(Span::styled(" │ ", theme.faint()));
        }
        let text = format!("{number} {}", pane.name());
        if pane == model.pane {
            // Brackets: the choice shows without colour too.
            spans.push(Span::styled(format!("[{text}]"), theme.key()));
        } else {
            spans.push(Span::styled(text, theme.text()));
        }
    }
    spans.push(Span::raw(" "));
    Line::from(spans)
}

fn draw_footer(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let pause = if model.paused { "resume" } else { "pause" };
    let keys = [
        ("q", "quit"),
        ("?", "help"),
        ("↑↓", "target"),
        ("tab", "pane"),
        ("d", "diagnose"),
        ("p", pause),
    ];
    let mut spans = Vec::new();
    for (key, what) in keys {
        spans.push(Span::styled(format!(" {key}"), theme.key()));
        spans.push(Span::styled(format!(" {what} "), theme.faint()));
    }
    frame.render_widget(Line::from(spans), area);
}

/// The frame around each part of the screen.
fn panel<'a>(title: impl Into<Line<'a>>, theme: Theme) -> Block<'a> {
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.faint())
        .title(title.into())
}

/// Says why a pane is empty.
fn draw_empty(why: &str, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let line = Line::styled(format!(" {}", text::fit(why, usize::from(area.width))), theme.faint());
    frame.render_widget(Paragraph::new(line), area);
}

/// A table without a frame: cells already as wide as their column.
fn draw_lines(mut lines: Vec<Line<'_>>, frame: &mut Frame<'_>, area: Rect) {
    let room = usize::from(area.height);
    if lines.len() > room && room > 0 {
        let hidden = lines.len() - room + 1;
        lines.truncate(room - 1);
        lines.push(Line::styled(format!(" … {hidden} more"), Style::new()));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
mod tests;
