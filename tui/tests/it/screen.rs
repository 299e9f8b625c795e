//! The dashboard in a real pseudo-terminal.

use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::mpsc;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// A dashboard and the terminal it runs in.
struct Screen {
    parser: vt100::Parser,
    output: mpsc::Receiver<Vec<u8>>,
    input: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
}

/// Reads until a picture must have come: a live screen draws once a second at least.
const READS_MAX: usize = 2_000;

impl Screen {
    /// `None` where this user may open no pseudo-terminal; says so.
    fn start(rows: u16, cols: u16, env: &[(&str, &str)]) -> Option<Self> {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = match native_pty_system().openpty(size) {
            Ok(pair) => pair,
            Err(error) => {
                println!("skipped: this system gives no pseudo-terminal: {error}");
                return None;
            }
        };
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_sojourner"));
        command.args(["127.0.0.1", "--interval", "50ms"]);
        // Otherwise it starts in the home folder, which this user may not enter.
        command.cwd(std::env::temp_dir());
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        command.env_remove("NO_COLOR");
        for (key, value) in env {
            command.env(key, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            // A terminal whose last process ended reads as an error on Linux.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let input = pair.master.take_writer().unwrap();
        let parser = vt100::Parser::new(size_of(rows), size_of(cols), 0);
        Some(Self { parser, output, input, child, master: pair.master })
    }

    fn contents(&self) -> String {
        self.parser.screen().contents()
    }

    /// Reads until the picture is as wanted.
    fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        for _read in 0..READS_MAX {
            if wanted(&self.contents()) {
                return;
            }
            let Ok(bytes) = self.output.recv() else { break };
            self.parser.process(&bytes);
        }
        panic!("no picture of {what}:\n{}", self.contents());
    }

    fn press(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    fn resize(&mut self, rows: u16, cols: u16) {
        self.parser.screen_mut().set_size(size_of(rows), size_of(cols));
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// Reads to the end; gives the exit code and whether the terminal is as it was.
    fn end(mut self) -> (u32, bool, String) {
        while let Ok(bytes) = self.output.recv() {
            self.parser.process(&bytes);
        }
        let code = self.child.wait().unwrap().exit_code();
        let screen = self.parser.screen();
        let restored =
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste();
        (code, restored, screen.contents())
    }
}

fn size_of(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).expect("a terminal has cells")
}

/// Sends a signal by name.
pub(crate) fn signal(name: &str, pid: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(status.success());
}

#[test]
fn the_dashboard_shows_live_data_and_leaves_the_terminal_as_it_was() {
    let Some(mut screen) = Screen::start(24, 80, &[]) else { return };
    screen.until("a status", |text| text.contains("HEALTHY"));
    screen.until("a round trip", |text| text.contains("echo") && text.contains("min"));
    assert!(screen.parser.screen().alternate_screen());
    screen.press("?");
    screen.until("the help", |text| text.contains("Keys and marks"));
    screen.press("?");
    screen.until("no help", |text| !text.contains("Keys and marks"));
    screen.press("\t");
    screen.until("the next pane", |text| text.contains("[2 Path]"));
    screen.resize(5, 10);
    screen.until("a small terminal", |text| text.contains("too small"));
    screen.resize(40, 130);
    screen.until("all panes", |text| text.contains("╭ DNS") && text.contains("╭ Findings"));
    screen.press("q");
    let (code, restored, text) = screen.end();
    assert_eq!((code, restored), (0, true), "{text}");
}

#[test]
fn a_terminal_of_ten_by_five_says_so_and_quits() {
    let Some(mut screen) = Screen::start(5, 10, &[]) else { return };
    screen.until("a small terminal", |text| text.contains("too small"));
    screen.press("\x03"); // Ctrl-C
    let (code, restored, text) = screen.end();
    assert_eq!((code, restored), (0, true), "{text}");
}

#[test]
fn a_termination_signal_restores_the_terminal() {
    let Some(mut screen) = Screen::start(24, 80, &[("NO_COLOR", "1")]) else { return };
    screen.until("live data", |text| text.contains("127.0.0.1"));
    signal("TERM", screen.child.process_id().unwrap());
    let (code, restored, text) = screen.end();
    assert_eq!((code, restored), (0, true), "{text}");
}

#[cfg(debug_assertions)]
#[test]
fn a_panic_restores_the_terminal_before_its_message() {
    let Some(screen) = Screen::start(24, 80, &[("SOJOURNER_TEST_PANIC", "true")]) else { return };
    let (code, restored, text) = screen.end();
    assert!(restored, "{text}");
    assert!(text.contains("panics on purpose"), "{text}");
    assert_ne!(code, 0);
}
