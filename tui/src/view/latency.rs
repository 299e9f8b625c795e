//! Round trips over time.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget as _;

use super::draw_empty;
use crate::model::{Model, TargetState};
use crate::pulse::Pulse;
use crate::text;
use crate::theme::Theme;
use crate::widget::RttChart;

pub(super) fn draw(
    model: &Model,
    state: &TargetState,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let pulse = Pulse::of(state);
    if pulse.samples.is_empty() {
        draw_empty("No round trip yet.", theme, frame, area);
        return;
    }
    let [numbers, chart, axis] = Layout::vertical([
        Constraint::Length(u16::from(area.height >= 4)),
        Constraint::Min(0),
        Constraint::Length(u16::from(area.height >= 5)),
    ])
    .areas(area);
    frame.render_widget(summary(&pulse, numbers.width, theme), numbers);
    (&RttChart { samples: &pulse.samples, theme }).render(chart, frame.buffer_mut());
    let columns = u32::from(RttChart::samples_shown(axis.width));
    let span = match pulse.what {
        "echo" => age(model.interval.saturating_mul(columns)),
        _ => format!("{columns} connects"),
    };
    let width = usize::from(axis.width);
    let line = format!(
        "         ◂ {span}{}",
        text::pad_left("now", width.saturating_sub(11 + span.len()))
    );
    frame.render_widget(Line::styled(line, theme.faint()), axis);
}

fn age(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

fn summary(pulse: &Pulse, width: u16, theme: Theme) -> Line<'static> {
    let bounds = |value: Option<f64>| text::seconds_or_dash(value);
    let quantile = |q| text::seconds_or_dash(pulse.rtt.quantile(q));
    let pairs = [
        ("min", bounds(pulse.rtt.min())),
        ("p50", quantile(0.5)),
        ("p95", quantile(0.95)),
        ("max", bounds(pulse.rtt.max())),
    ];
    let mut spans = vec![Span::styled(format!(" {} ", pulse.what), theme.title())];
    let inner = if width < 66 { &pairs[1..3] } else { &pairs[..] };
    for (name, value) in inner {
        spans.push(Span::styled(format!(" {name} "), theme.faint()));
        spans.push(Span::styled(value.clone(), theme.text()));
    }
    spans.push(Span::styled("  lost ", theme.faint()));
    let lost = format!("{} of {}", pulse.lost, pulse.sent);
    spans.push(Span::styled(lost, theme.loss(pulse.loss)));
    Line::from(spans)
}
