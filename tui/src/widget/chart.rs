//! Round trips over time, with an axis.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;

use super::BARS;
use crate::text;
use crate::theme::Theme;

/// One column a sample, newest on the right; eighths of a cell high. A lost echo is a `×` on the
/// axis.
#[derive(Debug)]
pub(crate) struct RttChart<'a> {
    /// Newest last; `None` is a lost one. What does not fit on the left is left out.
    pub(crate) samples: &'a [Option<Duration>],
    pub(crate) theme: Theme,
}

/// Columns of the axis: seven of a duration, a space, the line.
const AXIS_WIDTH: u16 = 9;

impl RttChart<'_> {
    /// How many samples a chart of this width shows.
    pub(crate) const fn samples_shown(width: u16) -> u16 {
        width.saturating_sub(AXIS_WIDTH)
    }
}

impl Widget for &RttChart<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let columns = RttChart::samples_shown(area.width);
        if columns == 0 || area.height == 0 {
            return;
        }
        let shown = self.samples.len().min(usize::from(columns));
        let samples = &self.samples[self.samples.len() - shown..];
        let longest = samples.iter().flatten().max().copied();
        let top = nice_ceiling(longest.unwrap_or(Duration::from_millis(1)));
        self.draw_axis(area, top, buf);
        let rows = u32::from(area.height);
        for (x, sample) in (area.left()..area.right()).rev().zip(samples.iter().rev()) {
            let Some(rtt) = sample else {
                let cell = &mut buf[(x, area.bottom() - 1)];
                cell.set_symbol("×").set_style(self.theme.fault());
                continue;
            };
            let share = rtt.as_secs_f64() / top.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to the height of the chart"
            )]
            let eighths =
                (share * f64::from(rows * 8)).ceil().clamp(1.0, f64::from(rows * 8)) as u32;
            for row in 0..area.height {
                let left = eighths.saturating_sub(u32::from(row) * 8).min(8);
                if left == 0 {
                    break;
                }
                let cell = &mut buf[(x, area.bottom() - 1 - row)];
                cell.set_symbol(BARS[left as usize - 1]).set_style(self.theme.rtt(*sample));
            }
        }
    }
}

impl RttChart<'_> {
    fn draw_axis(&self, area: Rect, top: Duration, buf: &mut Buffer) {
        let last = area.height - 1;
        for row in 0..area.height {
            let label = match row {
                0 => text::rtt(top),
                _ if row == last => "0".into(),
                _ if area.height >= 5 && row == area.height / 2 => {
                    text::rtt(top.mul_f64(f64::from(area.height - row) / f64::from(area.height)))
                }
                _ => String::new(),
            };
            let tick = if label.is_empty() { "│" } else { "┤" };
            let text = format!("{} {tick}", text::pad_left(&label, 7));
            buf.set_stringn(
                area.x,
                area.y + row,
                text,
                usize::from(area.width),
                self.theme.faint(),
            );
        }
    }
}

/// The least of 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten that is no less.
fn nice_ceiling(rtt: Duration) -> Duration {
    let seconds = rtt.as_secs_f64().max(1e-6);
    let power = 10_f64.powf(seconds.log10().floor());
    let factor = seconds / power;
    let nice = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]
        .into_iter()
        .find(|nice| factor <= *nice + 1e-9);
    Duration::try_from_secs_f64(nice.unwrap_or(10.0) * power).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_the_axis_and_losses_are_marked() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let samples = [ms(10), None, ms(5), ms(1)];
        let mut buf = Buffer::empty(Rect::new(0, 0, 14, 2));
        (&RttChart { samples: &samples, theme: Theme::default() }).render(buf.area, &mut buf);
        let rows: Vec<String> = buf
            .content
            .chunks(14)
            .map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect())
            .collect();
        assert_eq!(rows, [" 10.0ms ┤ █   ", "      0 ┤ █×█▂"]);
    }

    #[test]
    fn any_area_will_do() {
        for (width, height) in [(0, 0), (1, 1), (9, 1), (10, 1), (200, 60)] {
            let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
            let samples = [Some(Duration::MAX), Some(Duration::ZERO), None];
            (&RttChart { samples: &samples, theme: Theme::default() }).render(buf.area, &mut buf);
        }
    }

    #[test]
    fn the_scale_is_round() {
        let ceiling = |us| nice_ceiling(Duration::from_micros(us)).as_micros();
        assert_eq!([42, 100, 101, 760].map(ceiling), [50, 100, 150, 800]);
    }
}
