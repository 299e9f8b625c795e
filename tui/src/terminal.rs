//! A guard over the terminal: alternate screen and raw mode, restored whatever happens.

use std::io::{self, Stdout, Write as _};

use crossterm::{cursor, event, execute, terminal};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// Holds the terminal; dropping it restores what was there. A panic restores it too, before its
/// message is printed.
#[derive(Debug)]
pub(crate) struct Guard {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Guard {
    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// The terminal's, when it is none.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        terminal::enable_raw_mode()?;
        // From here on a failure must restore: the guard does.
        let guard =
            Terminal::new(CrosstermBackend::new(io::stdout())).map(|terminal| Self { terminal });
        if guard.is_err() {
            restore();
        }
        let guard = guard?;
        // Not `Terminal::clear`: that asks where the cursor is, and not every terminal answers.
        execute!(
            io::stdout(),
            terminal::EnterAlternateScreen,
            terminal::Clear(terminal::ClearType::All),
            event::EnableBracketedPaste,
            cursor::Hide
        )?;
        Ok(guard)
    }

    pub(crate) const fn terminal(&mut self) -> &mut Terminal<CrosstermBackend<Stdout>> {
        &mut self.terminal
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back. Harmless when it was never taken, or twice.
fn restore() {
    drop(execute!(
        io::stdout(),
        event::DisableBracketedPaste,
        terminal::LeaveAlternateScreen,
        cursor::Show
    ));
    drop(terminal::disable_raw_mode());
    drop(io::stdout().flush());
}
