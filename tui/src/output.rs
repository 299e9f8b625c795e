//! Plain output: results to stdout, progress to stderr, colour only on a terminal.

use std::io::{self, IsTerminal as _, Write};

use ratatui::style::{Color, Modifier, Style};
use serde::Serialize;

use crate::text;
use crate::theme::{Depth, Theme};

/// Where results go.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) theme: Theme,
    coloured: bool,
}

impl Out {
    /// Standard output, coloured when it is a terminal that wants it.
    pub(crate) fn stdout() -> Self {
        let depth = if io::stdout().is_terminal() {
            Depth::detect(|name| std::env::var(name).ok())
        } else {
            Depth::None
        };
        Self { theme: Theme::new(depth), coloured: depth != Depth::None }
    }

    /// Prints one line. What may come from the network is made harmless by the caller through
    /// [`Out::paint`] or [`text::sanitise`].
    pub(crate) fn line(line: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(line.as_bytes())?;
        stdout.write_all(b"\n")?;
        stdout.flush()
    }

    /// Prints one JSON document on one line, and flushes it: whoever reads it may rely on it.
    pub(crate) fn json<T: Serialize>(document: &T) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(document)?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&line)?;
        stdout.flush()?;
        Ok(())
    }

    /// Harmless text in a style.
    pub(crate) fn paint(&self, text: &str, style: Style) -> String {
        let text = text::sanitise(text);
        if !self.coloured {
            return text.into_owned();
        }
        let mut codes = Vec::new();
        if style.add_modifier.contains(Modifier::BOLD) {
            codes.push("1".to_owned());
        }
        if style.add_modifier.contains(Modifier::DIM) {
            codes.push("2".to_owned());
        }
        if style.add_modifier.contains(Modifier::REVERSED) {
            codes.push("7".to_owned());
        }
        match style.fg {
            Some(Color::Rgb(r, g, b)) => codes.push(format!("38;2;{r};{g};{b}")),
            Some(Color::Red) => codes.push("31".into()),
            Some(Color::Green) => codes.push("32".into()),
            Some(Color::Yellow) => codes.push("33".into()),
            Some(Color::Blue) => codes.push("34".into()),
            Some(Color::Cyan) => codes.push("36".into()),
            Some(Color::DarkGray) => codes.push("90".into()),
            _ => {}
        }
        if codes.is_empty() {
            return text.into_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", codes.join(";"))
    }
}

/// Tells how it goes, on stderr, where it is in nobody's way. A closed stderr is no failure.
pub(crate) fn progress(message: &str) {
    drop(writeln!(io::stderr(), "{}", text::sanitise(message)));
}
