//! Connection attempts, and whether anybody speaks.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use sojourner_stats::event::{AppOutcome, TcpOutcome};

use super::{draw_empty, draw_lines};
use crate::model::TargetState;
use crate::theme::Theme;
use crate::{text, words};

pub(super) fn draw(state: &TargetState, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    if !state.target.wants_tcp() {
        let why = "No port to connect to; add one, such as :443.";
        draw_empty(why, theme, frame, area);
        return;
    }
    let Some(view) = state.view().filter(|view| !view.tcp.is_empty()) else {
        draw_empty("No attempt yet.", theme, frame, area);
        return;
    };
    let width = usize::from(area.width);
    let longest = view.tcp.keys().map(|addr| addr.to_string().len()).max().unwrap_or(0);
    // The median is in the table of targets too where there is no room for it here.
    let roomy = width >= longest + 31;
    let addr_width = longest.clamp(7, width.saturating_sub(23).max(7));
    let median = if roomy { "     P50" } else { "" };
    let head =
        format!(" {} {:<11}{median} {:>8}", text::pad("ADDRESS", addr_width), "LATEST", "OK");
    let mut lines = vec![Line::styled(head, theme.faint())];
    for (addr, tcp) in &view.tcp {
        let outcome = tcp.last.outcome;
        let style = match outcome {
            TcpOutcome::Connected => theme.ok(),
            TcpOutcome::Cancelled => theme.faint(),
            _ => theme.fault(),
        };
        let median = text::pad_left(&text::seconds_or_dash(tcp.connect.quantile(0.5)), 7);
        lines.push(Line::from(vec![
            Span::styled(format!(" {}", text::pad(&addr.to_string(), addr_width)), theme.text()),
            Span::styled(format!(" {}", text::pad(&words::tcp_outcome(outcome), 11)), style),
            Span::styled(if roomy { format!(" {median}") } else { String::new() }, theme.text()),
            Span::styled(
                format!(" {:>8}", format!("{}/{}", tcp.connected, tcp.attempts)),
                theme.text(),
            ),
        ]));
    }
    if let Some((_, app)) = &view.app {
        let style = match app.outcome {
            AppOutcome::Spoke | AppOutcome::Closed => theme.ok(),
            _ => theme.fault(),
        };
        let elapsed = text::rtt(app.elapsed_us.0);
        lines.push(Line::from(vec![
            Span::styled(" application ", theme.faint()),
            Span::styled(format!("{} after {elapsed}", words::app_outcome(app.outcome)), style),
        ]));
    }
    if let Some(info) = view.tcp.values().find_map(|tcp| tcp.last.info.as_ref()) {
        let mut facts = format!(" MSS {} · PMTU {}", info.snd_mss, info.pmtu);
        if info.sack {
            facts.push_str(" · SACK");
        }
        if info.timestamps {
            facts.push_str(" · timestamps");
        }
        lines.push(Line::styled(text::fit(&facts, width).into_owned(), theme.faint()));
    }
    draw_lines(lines, frame, area);
}
