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
    let roomy = width >= ROOMY_WIDTH;
    let server_width = longest.clamp(6, (width / 3).max(6));
    let server = text::pad("SERVER", server_width);
    let head = if roomy {
        format!(" {server} {:<6} {:<4} {:>7} {:<8} ANSWER", "HOW", "TYPE", "TIME", "RCODE")
    } else {
        format!(" {server} {:<4} {:>7} ANSWER", "TYPE", "TIME")
    };
    let mut lines = vec![Line::styled(head, theme.faint())];
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
    let mut spans = vec![
        Span::styled(role.0, role.1),
        Span::styled(text::pad(&dns.server, server_width), theme.text()),
    ];
    let time = text::pad_left(&text::rtt(elapsed.0), 7);
    let time = Span::styled(format!(" {time}"), theme.rtt(Some(elapsed.0)));
    let record_type = Span::styled(format!(" {}", text::pad(&dns.record_type, 4)), theme.text());
    if width >= ROOMY_WIDTH {
        let how = format!(" {:<6}", words::dns_transport(dns.transport));
        spans.extend([Span::styled(how, theme.faint()), record_type, time]);
        spans.push(Span::styled(format!(" {}", text::pad(&rcode, 8)), style));
        let room = width.saturating_sub(server_width + 33);
        spans.push(Span::styled(format!(" {}", text::fit(&answer, room)), style));
    } else {
        spans.extend([record_type, time]);
        // What the code says is worth more than that there are no records.
        let fine = matches!(rcode.as_str(), "NOERROR" | "–");
        let what = if fine { &answer } else { &rcode };
        let room = width.saturating_sub(server_width + 16);
        spans.push(Span::styled(format!(" {}", text::fit(what, room)), style));
    }
    Line::from(spans)
}

/// Below this, transport and code leave their room to the answer.
const ROOMY_WIDTH: usize = 60;
