//! One row a target: how it does now and how it did.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget as _};

use super::panel;
use crate::model::Model;
use crate::pulse::Pulse;
use crate::text;
use crate::theme::{Theme, status_mark};
use crate::widget::RttStrip;

/// A column of numbers, right-aligned, with what it takes to show it.
struct Column {
    name: &'static str,
    width: u16,
    /// The narrowest screen that shows it.
    from: u16,
}

const COLUMNS: [Column; 8] = [
    Column { name: "LAST", width: 7, from: 0 },
    Column { name: "AVG", width: 7, from: 90 },
    Column { name: "P50", width: 7, from: 60 },
    Column { name: "P95", width: 7, from: 70 },
    Column { name: "P99", width: 7, from: 76 },
    Column { name: "JITTER", width: 7, from: 80 },
    Column { name: "LOSS", width: 6, from: 0 },
    Column { name: "SENT", width: 7, from: 100 },
];

/// A strip shorter than this shows no shape.
const STRIP_WIDTH_MIN: u16 = 8;

pub(super) fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let room = usize::from(area.height.saturating_sub(3));
    let (selected, count) = (model.selected, model.targets.len());
    let first = selected.saturating_sub(room.saturating_sub(1)).min(count.saturating_sub(room));
    let mut block = panel(Line::styled(" Targets ", theme.title()), theme);
    if count > room {
        let position = format!(" {}/{count} ", selected + 1);
        block = block.title_bottom(Line::styled(position, theme.faint()).right_aligned());
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if inner.height == 0 {
        return;
    }
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| area.width >= column.from).collect();
    let numbers: u16 = columns.iter().map(|column| column.width + 1).sum();
    let left = inner.width.saturating_sub(numbers + 5);
    let longest = model.targets.iter().map(|state| state.target.text().chars().count()).max();
    let name_width = u16::try_from(longest.unwrap_or(0))
        .unwrap_or(u16::MAX)
        .max(6)
        .min(left.saturating_sub(STRIP_WIDTH_MIN + 1));
    let strip_width = left.saturating_sub(name_width + 1);

    let mut header = text::pad("    TARGET", usize::from(name_width) + 5);
    header.push_str(&text::pad("RTT", usize::from(strip_width)));
    for column in &columns {
        header.push(' ');
        header.push_str(&text::pad_left(column.name, usize::from(column.width)));
    }
    frame.render_widget(Line::styled(header, theme.faint()), Rect { height: 1, ..inner });

    for (row, (index, state)) in model.targets.iter().enumerate().skip(first).take(room).enumerate()
    {
        let Some(y) = u16::try_from(row).ok().map(|row| inner.y + 1 + row) else { break };
        let line_area = Rect { y, height: 1, ..inner };
        let pulse = Pulse::of(state);
        let here = index == selected;
        let status = state.shown.status;
        let name_style = if here { theme.selected().patch(theme.text()) } else { theme.text() };
        let mut spans = vec![
            Span::styled(if here { "▶ " } else { "  " }, theme.accent()),
            Span::styled(format!("{} ", status_mark(status)), theme.status(status)),
            Span::styled(text::pad(state.target.text(), usize::from(name_width)), name_style),
            Span::raw(" ".repeat(usize::from(strip_width) + 1)),
        ];
        for column in &columns {
            let (value, style) = value(column.name, &pulse, theme);
            let cell = text::pad_left(&value, usize::from(column.width));
            spans.push(Span::styled(format!(" {cell}"), style));
        }
        frame.render_widget(Paragraph::new(Line::from(spans)), line_area);
        let strip = Rect { x: inner.x + name_width + 5, width: strip_width, ..line_area };
        let strip = strip.intersection(line_area);
        (&RttStrip { samples: &pulse.samples, lost: theme.fault(), theme })
            .render(strip, frame.buffer_mut());
        if here {
            frame.buffer_mut().set_style(line_area, theme.selected());
        }
    }
}

fn value(name: &str, pulse: &Pulse, theme: Theme) -> (String, ratatui::style::Style) {
    let quantile = |q| pulse.rtt.quantile(q);
    let seconds = |value: Option<f64>| {
        let rtt = value.and_then(|value| Duration::try_from_secs_f64(value).ok());
        (text::seconds_or_dash(value), theme.rtt(rtt))
    };
    match name {
        "LAST" => (text::rtt_or_dash(pulse.last), theme.rtt(pulse.last)),
        "AVG" => seconds(pulse.rtt.mean()),
        "P50" => seconds(quantile(0.5)),
        "P95" => seconds(quantile(0.95)),
        "P99" => seconds(quantile(0.99)),
        "JITTER" => (text::rtt_or_dash(pulse.jitter), theme.text()),
        "LOSS" => (text::percent(pulse.loss), theme.loss(pulse.loss)),
        _ => (pulse.sent.to_string(), theme.faint()),
    }
}
