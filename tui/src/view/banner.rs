//! What is wrong with the selected target, and what to do.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use sojourner_stats::event::{Scope, Status};

use super::panel;
use crate::model::Model;
use crate::text;
use crate::theme::{Theme, status_mark, status_word};

/// How many targets have each status, the worst first; those with none at all are left out.
pub(crate) fn census(model: &Model) -> Vec<(Option<Status>, usize)> {
    let order = [Some(Status::Down), Some(Status::Degraded), Some(Status::Healthy), None];
    let count = |status| model.targets.iter().filter(|state| state.shown.status == status).count();
    order.into_iter().map(|status| (status, count(status))).filter(|(_, n)| *n > 0).collect()
}

/// Frame, summary, advice; on a tall screen also what changed.
pub(super) const fn height(model: &Model, area: Rect) -> u16 {
    let _ = model;
    if area.height >= 20 { 5 } else { 4 }
}

pub(super) fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(state) = model.selected() else { return };
    let shown = &state.shown;
    let style = theme.status(shown.status);
    let mut title = vec![
        Span::raw(" "),
        Span::styled(
            format!(" {} {} ", status_mark(shown.status), status_word(shown.status)),
            theme.badge(shown.status),
        ),
    ];
    if let Some(cause) = shown.cause {
        title.push(Span::styled(format!(" {cause}"), style));
    }
    title.push(Span::raw(" "));
    let about = match (shown.scope, shown.confidence) {
        (Some(scope), Some(sure)) => format!(" {} · {:.0}% sure ", scope_word(scope), sure * 100.0),
        _ if state.diagnosing => " diagnosing… ".into(),
        _ => " live ".into(),
    };
    let block = panel(title, theme)
        .border_style(style)
        .title_bottom(Line::styled(about, theme.faint()).right_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let width = usize::from(inner.width.saturating_sub(2));
    let name = text::fit(state.target.text(), width / 2).into_owned();
    let mut lines = vec![Line::from(vec![
        Span::styled(format!(" {name}  "), theme.title()),
        Span::styled(
            text::fit(&shown.summary, width.saturating_sub(name.chars().count() + 2)).into_owned(),
            theme.text(),
        ),
    ])];
    if !shown.advice.is_empty() {
        let advice = text::fit(&shown.advice, width.saturating_sub(2)).into_owned();
        lines.push(Line::styled(format!(" → {advice}"), theme.accent()));
    } else if let Some(note) = state.notes.first() {
        let note = text::fit(note, width.saturating_sub(2)).into_owned();
        lines.push(Line::styled(format!(" ! {note}"), theme.warn()));
    }
    if lines.len() < usize::from(inner.height) {
        lines.push(history(model, theme, width));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The latest changes, newest first.
fn history(model: &Model, theme: Theme, width: usize) -> Line<'static> {
    let Some(state) = model.selected() else { return Line::default() };
    let mut spans = vec![Span::styled(" since ", theme.faint())];
    let mut used = 7;
    for (at, status, cause) in state.changes.iter().rev() {
        let time = text::time_of_day(at.wall, &model.zone);
        let what =
            cause.map_or_else(|| status_word(Some(*status)).to_lowercase(), |c| c.to_string());
        let text = format!("{time} {} {what}", status_mark(Some(*status)));
        used += text.chars().count() + 3;
        if used > width && spans.len() > 1 {
            break;
        }
        if spans.len() > 1 {
            spans.push(Span::styled(" ← ", theme.faint()));
        }
        spans.push(Span::styled(text, theme.status(Some(*status))));
    }
    if spans.len() == 1 { Line::default() } else { Line::from(spans) }
}

pub(crate) const fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Device => "this device",
        Scope::Lan => "local network",
        Scope::Isp => "provider",
        Scope::Path => "path",
        Scope::Server => "server",
        Scope::App => "application",
    }
}
