//! The path, hop by hop.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget as _;
use sojourner_stats::event::{HopAnswer, IcmpUnreachable, TraceProtocol};
use sojourner_stats::snapshot::HopView;

use super::{draw_empty, draw_lines};
use crate::model::TargetState;
use crate::text;
use crate::theme::Theme;
use crate::widget::RttStrip;

pub(super) fn draw(state: &TargetState, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some((protocol, path)) = state.view().and_then(crate::pulse::path) else {
        draw_empty("No path yet.", theme, frame, area);
        return;
    };
    let hops = crate::pulse::hops(path);
    let name_width = 15.max(hops.iter().map(|hop| address(hop).chars().count()).max().unwrap_or(0));
    let fixed = 4 + 1 + 7 + 1 + 7 + 1 + 7 + 1 + 6 + 2;
    let room = usize::from(area.width).saturating_sub(fixed);
    let name_width = name_width.min(room);
    let strip_width = room.saturating_sub(name_width + 1).min(60);
    let mut lines = vec![Line::styled(
        format!(
            " {} {} {:>7} {:>7} {:>7} {:>6}  {}",
            "TTL",
            text::pad("ADDRESS", name_width),
            "LAST",
            "P50",
            "P95",
            "LOSS",
            if strip_width >= 6 { "ROUNDS" } else { "" }
        ),
        theme.faint(),
    )];
    for hop in hops {
        lines.push(row(hop, name_width, theme));
    }
    let with = match protocol {
        TraceProtocol::Udp => "UDP",
        _ => "ICMP",
    };
    let known = hops.last().is_some_and(|hop| hop.answer == Some(HopAnswer::Reached));
    let end = match (path.reached, known) {
        (true, _) => "target reached",
        (false, true) => "target silent in the latest round",
        (false, false) => "target not reached",
    };
    let end_style = if path.reached { theme.ok() } else { theme.warn() };
    lines.push(Line::from(vec![
        Span::styled(format!(" {end}"), end_style),
        Span::styled(format!(" · {with} · {} rounds", path.rounds), theme.faint()),
    ]));
    let shown = lines.len().min(usize::from(area.height));
    let cut = lines.len() > shown;
    draw_lines(lines, frame, area);
    let left = u16::try_from(fixed + name_width).unwrap_or(u16::MAX);
    let rows = shown.saturating_sub(1 + usize::from(cut)).min(hops.len());
    for (y, (ring, hop)) in (area.y + 1..area.bottom()).zip(state.hops.iter().zip(hops).take(rows))
    {
        let strip = Rect {
            x: area.x.saturating_add(left),
            y,
            width: u16::try_from(strip_width).unwrap_or(0),
            height: 1,
        };
        let samples: Vec<Option<Duration>> = ring.samples.iter().copied().collect();
        // A router need not answer: one that never does is no alarm.
        let lost = if hop.replies == 0 { theme.faint() } else { theme.warn() };
        let strip = strip.intersection(area);
        (&RttStrip { samples: &samples, lost, theme }).render(strip, frame.buffer_mut());
    }
}

fn row(hop: &HopView, name_width: usize, theme: Theme) -> Line<'static> {
    let silent = hop.replies == 0;
    let name_style = if silent { theme.faint() } else { theme.text() };
    let quantile = |q| text::seconds_or_dash(hop.rtt.quantile(q));
    let loss = hop.loss_ratio();
    let loss_style = if silent { theme.faint() } else { theme.loss(loss) };
    Line::from(vec![
        Span::styled(format!(" {:>3} ", hop.ttl), theme.accent()),
        Span::styled(text::pad(&address(hop), name_width), name_style),
        Span::styled(
            format!(" {}", text::pad_left(&text::rtt_or_dash(hop.last_rtt), 7)),
            theme.rtt(hop.last_rtt),
        ),
        Span::styled(format!(" {}", text::pad_left(&quantile(0.5), 7)), theme.text()),
        Span::styled(format!(" {}", text::pad_left(&quantile(0.95), 7)), theme.text()),
        Span::styled(format!(" {}", text::pad_left(&text::percent(loss), 6)), loss_style),
    ])
}

fn address(hop: &HopView) -> String {
    let Some(addr) = hop.addrs.first() else { return "no answer".into() };
    let others = match hop.addrs.len() {
        1 => String::new(),
        more => format!(" +{}", more - 1),
    };
    let what = match hop.answer {
        Some(HopAnswer::Unreachable(why)) => format!(" !{}", unreachable_mark(why)),
        _ => String::new(),
    };
    format!("{addr}{others}{what}")
}

/// As traceroute marks them.
pub(crate) const fn unreachable_mark(why: IcmpUnreachable) -> &'static str {
    match why {
        IcmpUnreachable::Network => "N",
        IcmpUnreachable::Host => "H",
        IcmpUnreachable::Protocol => "P",
        IcmpUnreachable::Port => "p",
        IcmpUnreachable::TooBig { .. } => "F",
        IcmpUnreachable::Prohibited => "X",
        _ => "?",
    }
}
