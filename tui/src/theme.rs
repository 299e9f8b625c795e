//! Colours, and the marks that carry the same meaning without them.

use std::time::Duration;

use ratatui::style::{Color, Modifier, Style};
use sojourner_stats::event::{Severity, Status};

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Depth {
    /// None: bold, dim and reverse alone.
    None,
    /// The 16 of every terminal, in the user's own palette.
    #[default]
    Sixteen,
    /// 24 bits.
    True,
}

impl Depth {
    /// What the environment asks for: `NO_COLOR` wins, `COLORTERM` tells of 24 bits.
    pub(crate) fn detect(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| var(name).is_some_and(|value| !value.is_empty());
        let term = var("TERM").unwrap_or_default();
        match var("COLORTERM").as_deref() {
            _ if set("NO_COLOR") || term == "dumb" => Self::None,
            Some("truecolor" | "24bit") => Self::True,
            _ if term.ends_with("-direct") => Self::True,
            _ => Self::Sixteen,
        }
    }
}

/// The styles of the screen. Colour never carries meaning alone: a mark or a word does too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Theme {
    depth: Depth,
}

impl Theme {
    pub(crate) const fn new(depth: Depth) -> Self {
        Self { depth }
    }

    fn colour(self, sixteen: Color, rgb: u32) -> Style {
        match self.depth {
            Depth::None => Style::new(),
            Depth::Sixteen => Style::new().fg(sixteen),
            Depth::True => Style::new().fg(Color::from_u32(rgb)),
        }
    }

    pub(crate) fn ok(self) -> Style {
        self.colour(Color::Green, 0x009e_ce6a)
    }

    pub(crate) fn warn(self) -> Style {
        self.colour(Color::Yellow, 0x00e0_af68)
    }

    pub(crate) fn fault(self) -> Style {
        self.colour(Color::Red, 0x00f7_768e).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn accent(self) -> Style {
        self.colour(Color::Cyan, 0x007d_cfff)
    }

    pub(crate) fn title(self) -> Style {
        self.colour(Color::Blue, 0x007a_a2f7).add_modifier(Modifier::BOLD)
    }

    pub(crate) fn text(self) -> Style {
        match self.depth {
            Depth::True => Style::new().fg(Color::from_u32(0x00c0_caf5)),
            _ => Style::new(),
        }
    }

    /// Less important text, and borders.
    pub(crate) fn faint(self) -> Style {
        match self.depth {
            Depth::None => Style::new().add_modifier(Modifier::DIM),
            _ => self.colour(Color::DarkGray, 0x0056_5f89),
        }
    }

    /// The selected row.
    pub(crate) fn selected(self) -> Style {
        match self.depth {
            Depth::True => Style::new().bg(Color::from_u32(0x0028_3457)),
            _ => Style::new().add_modifier(Modifier::BOLD),
        }
    }

    pub(crate) fn key(self) -> Style {
        self.accent().add_modifier(Modifier::BOLD)
    }

    /// Reverse video in the colour of a status, for its word.
    pub(crate) fn badge(self, status: Option<Status>) -> Style {
        self.status(status).add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    pub(crate) fn status(self, status: Option<Status>) -> Style {
        match status {
            Some(Status::Healthy) => self.ok(),
            Some(Status::Degraded) => self.warn(),
            Some(Status::Down) => self.fault(),
            None => self.faint(),
        }
    }

    pub(crate) fn severity(self, severity: Severity) -> Style {
        match severity {
            Severity::Info => self.accent(),
            Severity::Warning => self.warn(),
            Severity::Fault => self.fault(),
        }
    }

    /// Loss, 0 to 1: a percent is worth a look, a tenth is a fault.
    pub(crate) fn loss(self, ratio: Option<f64>) -> Style {
        match ratio {
            None => self.faint(),
            Some(ratio) if ratio <= 0.0 => self.ok(),
            Some(ratio) if ratio < 0.1 => self.warn(),
            Some(_) => self.fault(),
        }
    }

    /// A round trip: up to 150 ms a call feels immediate (ITU-T G.114), beyond 400 ms it does not
    /// work.
    pub(crate) fn rtt(self, rtt: Option<Duration>) -> Style {
        match rtt {
            None => self.faint(),
            Some(rtt) if rtt <= Duration::from_millis(150) => self.ok(),
            Some(rtt) if rtt <= Duration::from_millis(400) => self.warn(),
            Some(_) => self.fault(),
        }
    }
}

/// The mark of a status; a different shape each.
pub(crate) const fn status_mark(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Healthy) => "✔",
        Some(Status::Degraded) => "▲",
        Some(Status::Down) => "✖",
        None => "…",
    }
}

/// The word of a status.
pub(crate) const fn status_word(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Healthy) => "HEALTHY",
        Some(Status::Degraded) => "DEGRADED",
        Some(Status::Down) => "DOWN",
        None => "MEASURING",
    }
}

/// The mark of a severity.
pub(crate) const fn severity_mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "•",
        Severity::Warning => "▲",
        Severity::Fault => "✖",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_wins_over_what_the_terminal_can() {
        let env = |pairs: &'static [(&str, &str)]| {
            Depth::detect(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
            })
        };
        assert_eq!(env(&[("COLORTERM", "truecolor")]), Depth::True);
        assert_eq!(env(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), Depth::None);
        assert_eq!(env(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]), Depth::Sixteen);
        assert_eq!(env(&[("TERM", "dumb")]), Depth::None);
    }

    #[test]
    fn without_colour_no_style_has_one() {
        let theme = Theme::new(Depth::None);
        for style in [theme.ok(), theme.fault(), theme.selected(), theme.badge(None), theme.text()]
        {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }
}
