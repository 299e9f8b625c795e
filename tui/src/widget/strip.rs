//! Round trips on one line.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::Widget;

use super::BARS;
use crate::theme::Theme;

/// One cell a sample, newest on the right. A lost echo is `×`, never a bar of height zero.
#[derive(Debug)]
pub(crate) struct RttStrip<'a> {
    /// Newest last; `None` is a lost one. What does not fit on the left is left out.
    pub(crate) samples: &'a [Option<Duration>],
    /// How a lost one looks.
    pub(crate) lost: Style,
    pub(crate) theme: Theme,
}

impl RttStrip<'_> {
    /// Bars are relative to the longest round trip in sight, so that a strip shows its shape at
    /// any scale.
    fn bar(rtt: Duration, max: Duration) -> &'static str {
        let eighths = rtt.as_nanos() * 8 / max.as_nanos().max(1);
        BARS[usize::try_from(eighths).unwrap_or(7).clamp(1, 8) - 1]
    }
}

impl Widget for &RttStrip<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area); // any area must do, 0 by 0 included
        let Some(row) = area.rows().next() else { return };
        let shown = self.samples.len().min(usize::from(row.width));
        let samples = &self.samples[self.samples.len() - shown..];
        let max = samples.iter().flatten().max().copied().unwrap_or_default();
        for (x, sample) in (row.left()..row.right()).rev().zip(samples.iter().rev()) {
            let (symbol, style) = match sample {
                Some(rtt) => (RttStrip::bar(*rtt, max), self.theme.rtt(Some(*rtt))),
                None => ("×", self.lost),
            };
            buf[(x, row.y)].set_symbol(symbol).set_style(style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_lost_echo_is_a_gap_and_not_a_zero() {
        let samples = [Some(ms(10)), None, Some(ms(40)), Some(ms(80))];
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
        (&RttStrip { samples: &samples, lost: Style::new(), theme: Theme::default() })
            .render(buf.area, &mut buf);
        let text: String = buf.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, "  ▁×▄█");
    }

    #[test]
    fn the_newest_samples_are_kept_when_there_is_no_room() {
        let samples = [Some(ms(80)), None, Some(ms(1)), Some(Duration::ZERO)];
        let mut buf = Buffer::empty(Rect::new(0, 0, 2, 1));
        (&RttStrip { samples: &samples, lost: Style::new(), theme: Theme::default() })
            .render(buf.area, &mut buf);
        let text: String = buf.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, "█▁");
        let mut nothing = Buffer::empty(Rect::ZERO);
        (&RttStrip { samples: &samples, lost: Style::new(), theme: Theme::default() })
            .render(Rect::ZERO, &mut nothing);
    }
}
