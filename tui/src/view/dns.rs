//! What name servers said, side by side.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use sojourner_stats::event::{DnsIntegrity, DnsRole};
use sojourner_stats::snapshot::{DnsResult, DnsView};

use super::{draw_empty, draw_lines};
use crate::model::TargetState;
use crate::theme::Theme;
use crate::{text, words};

pub(super) fn draw(state: &TargetState, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    if !state.target.wants_dns() {
        draw_empty("An address needs no DNS.", theme, frame, area);
        return;
    }
    let Some(view) = state.view().filter(|view| !view.dns.is_empty()) else {
        draw_empty("No answer yet.", theme, frame, area);
        return;
    };
    let width = usize::from(area.width);
    let longest = view.dns.iter().map(|dns| dns.server.chars().count()).max().unwrap_or(0);
    let server_width = longest.clamp(6, (width / 3).max(6));
    let mut lines = vec![Line::styled(
        format!(
            " {} {:<6} {:<4} {:>7} {:<8} {}",
            text::pad("SERVER", server_width),
            "HOW",
            "TYPE",
            "TIME",
            "RCODE",
            "ANSWER"
        ),
        theme.faint(),
    )];
    lines.extend(view.dns.iter().map(|dns| row(dns, server_width, width, theme)));
    for (_, verdict) in &view.dns_verdicts {
        let (mark, style) = match verdict.integrity {
            DnsIntegrity::Consistent => ("✔", theme.ok()),
            DnsIntegrity::Inconclusive => ("•", theme.faint()),
            _ => ("▲", theme.warn()),
        };
        let detail = format!(" {mark} {}: {}", verdict.server, verdict.detail);
        lines.push(Line::styled(text::fit(&detail, width).into_owned(), style));
    }
    draw_lines(lines, frame, area);
}

fn row(dns: &DnsView, server_width: usize, width: usize, theme: Theme) -> Line<'static> {
    let (rcode, answer, elapsed, style) = match &dns.result {
        DnsResult::Answer(answer) => {
            let style = if &*answer.rcode == "NOERROR" { theme.ok() } else { theme.warn() };
            (answer.rcode.to_string(), words::records(&answer.records), answer.elapsed_us, style)
        }
        DnsResult::Failure(failure) => (
            String::from("–"),
            words::dns_error(failure.error).into(),
            failure.elapsed_us,
            theme.fault(),
        ),
    };
    let role: (&str, Style) = match dns.role {
        DnsRole::Trusted => ("★", theme.accent()),
        DnsRole::Configured => (" ", theme.text()),
    };
    let used = server_width + 33;
    Line::from(vec![
        Span::styled(role.0, role.1),
        Span::styled(text::pad(&dns.server, server_width), theme.text()),
        Span::styled(format!(" {:<6}", words::dns_transport(dns.transport)), theme.faint()),
        Span::styled(format!(" {}", text::pad(&dns.record_type, 4)), theme.text()),
        Span::styled(
            format!(" {}", text::pad_left(&text::rtt(elapsed.0), 7)),
            theme.rtt(Some(elapsed.0)),
        ),
        Span::styled(format!(" {}", text::pad(&rcode, 8)), style),
        Span::styled(format!(" {}", text::fit(&answer, width.saturating_sub(used))), style),
    ])
}
