//! What the diagnosis found, and what could not be measured.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::draw_empty;
use crate::model::{Model, TargetState};
use crate::text;
use crate::theme::{Theme, severity_mark};

pub(super) fn draw(
    model: &Model,
    state: &TargetState,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let findings = state.view().map(|view| view.findings.as_slice()).unwrap_or_default();
    let mut lines = Vec::new();
    for finding in findings {
        let style = theme.severity(finding.severity);
        lines.push(Line::from(vec![
            Span::styled(format!(" {} {}", severity_mark(finding.severity), finding.cause), style),
            Span::styled(format!(" {:.0}% ", finding.confidence * 100.0), theme.faint()),
            Span::styled(text::sanitise(&finding.summary).into_owned(), theme.text()),
        ]));
    }
    for note in &state.notes {
        lines.push(Line::styled(format!(" ! {}", text::sanitise(note)), theme.warn()));
    }
    if let Some(at) = state.shown.at {
        let time = text::time_of_day(at.wall, &model.zone);
        let text = if findings.is_empty() { " nothing found" } else { "" };
        lines.push(Line::styled(format!("{text} diagnosed at {time}"), theme.faint()));
    }
    if lines.is_empty() {
        draw_empty("No diagnosis yet.", theme, frame, area);
        return;
    }
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), area);
}
