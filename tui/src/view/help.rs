//! The keys, over everything else.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::panel;
use crate::text;
use crate::theme::Theme;

const KEYS: [(&str, &str); 9] = [
    ("q  Ctrl-C", "quit"),
    ("?  h  Esc", "open and close this"),
    ("↑ ↓  k j", "select a target"),
    ("g  G", "first, last target"),
    ("Tab  ← →", "next pane, pane before"),
    ("1 … 5", "latency, path, DNS, TCP, findings"),
    ("d", "diagnose now"),
    ("p  Space", "hold the screen; measuring goes on"),
    ("", ""),
];

const MARKS: [(&str, &str); 4] = [
    ("✔ ▲ ✖", "healthy, degraded, down"),
    ("▁▄█ ×", "round trips, a lost one"),
    ("★", "a trusted name server"),
    ("+2 !H", "more routers here; unreachable, as traceroute"),
];

pub(super) fn draw(theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = KEYS
        .iter()
        .chain(&MARKS)
        .map(|(key, what)| {
            Line::from(vec![
                Span::styled(format!("  {}", text::pad(key, 11)), theme.key()),
                Span::styled(*what, theme.text()),
            ])
        })
        .collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let width = 62.min(area.width);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let block =
        panel(Line::styled(" Keys and marks ", theme.title()), theme).border_style(theme.accent());
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}
