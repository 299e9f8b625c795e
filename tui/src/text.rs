//! Text for people: what comes from the network made harmless, numbers made short.

use std::borrow::Cow;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Makes text from the network harmless: control characters, which a terminal would obey, and
/// characters that reorder or hide text become `?`-like marks.
///
/// C0 controls become their pictures (`␛`), everything else `�`.
pub(crate) fn sanitise(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .map(|c| match c {
            '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('�'),
            _ if is_harmful(c) => '�',
            _ => c,
        })
        .collect::<String>()
        .into()
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Makes text harmless and cuts it to `width` columns, the last one an ellipsis.
pub(crate) fn fit(text: &str, width: usize) -> Cow<'_, str> {
    let text = sanitise(text);
    if text.width() <= width {
        return text;
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        cut.push(c);
    }
    if width > 0 {
        cut.push('…');
    }
    cut.into()
}

/// The same, filled with spaces up to `width`.
pub(crate) fn pad(text: &str, width: usize) -> String {
    let mut text = fit(text, width).into_owned();
    let used = text.width();
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    text
}

/// The same, filled on the left.
pub(crate) fn pad_left(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let used = text.width();
    format!("{}{text}", " ".repeat(width.saturating_sub(used)))
}

/// A duration in at most seven columns: `42µs`, `1.23ms`, `123ms`, `1.23s`, `12m`.
pub(crate) fn rtt(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        _ if micros < 9.95 => format!("{micros:.1}µs"),
        _ if micros < 999.5 => format!("{micros:.0}µs"),
        _ if micros < 9_995.0 => format!("{:.2}ms", micros / 1e3),
        _ if micros < 99_950.0 => format!("{:.1}ms", micros / 1e3),
        _ if micros < 999_500.0 => format!("{:.0}ms", micros / 1e3),
        _ if micros < 1e8 => format!("{:.2}s", micros / 1e6),
        _ => format!("{:.0}m", micros / 6e7),
    }
}

/// The same; `–` when there is none.
pub(crate) fn rtt_or_dash(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "–".into(), rtt)
}

/// Seconds as a duration; `–` when there is none or it makes no sense.
pub(crate) fn seconds_or_dash(seconds: Option<f64>) -> String {
    rtt_or_dash(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
}

/// A ratio as percent: `0%`, `0.4%`, `12%`, `100%`; never rounds a loss down to nothing, nor up to
/// all.
pub(crate) fn percent(ratio: Option<f64>) -> String {
    let Some(ratio) = ratio else { return "–".into() };
    let percent = ratio * 100.0;
    match percent {
        _ if percent <= 0.0 => "0%".into(),
        _ if percent < 0.1 => "<0.1%".into(),
        _ if percent < 9.95 => format!("{percent:.1}%"),
        _ if percent < 100.0 => format!("{:.0}%", percent.min(99.0)),
        _ => "100%".into(),
    }
}

/// Hours, minutes and seconds: `0:01:12`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Wall time of day in this host's time zone: `12:41:03`.
pub(crate) fn time_of_day(wall: sojourner_stats::WallTime, zone: &jiff::tz::TimeZone) -> String {
    jiff::Timestamp::from_second(wall.as_unix_seconds()).map_or_else(
        |_error| "--:--:--".into(),
        |time| time.to_zoned_datetime(zone.clone()).strftime("%H:%M:%S").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(sanitise("a\x1b[2Jb\u{9b}c\u{202e}d"), "a␛[2Jb�c�d");
        assert!(matches!(sanitise("example.net"), Cow::Borrowed(_)));
    }

    #[test]
    fn text_is_cut_by_columns_and_not_by_bytes() {
        assert_eq!(fit("測試網路", 5), "測試…");
        assert_eq!(fit("example", 4), "exa…");
        assert_eq!(fit("example", 0), "");
        assert_eq!(pad("é", 3), "é  ");
        assert_eq!(pad_left("é", 3), "  é");
    }

    #[test]
    fn a_duration_takes_at_most_seven_columns_with_three_digits() {
        let cases = [
            (0, "0.0µs"),
            (9_949, "9.9µs"),
            (42_400, "42µs"),
            (999_499, "999µs"),
            (999_600, "1.00ms"),
            (12_340_000, "12.3ms"),
            (999_499_000, "999ms"),
            (999_600_000, "1.00s"),
            (720_000_000_000, "12m"),
        ];
        for (nanos, text) in cases {
            assert_eq!(rtt(Duration::from_nanos(nanos)), text, "{nanos}");
        }
        assert_eq!(seconds_or_dash(Some(f64::NAN)), "–");
    }

    #[test]
    fn a_small_loss_is_not_none_and_a_large_one_not_all() {
        for (ratio, text) in [
            (0.0, "0%"),
            (0.000_4, "<0.1%"),
            (0.004, "0.4%"),
            (0.5, "50%"),
            (0.999, "99%"),
            (1.0, "100%"),
        ] {
            assert_eq!(percent(Some(ratio)), text);
        }
        assert_eq!(percent(None), "–");
    }
}
