//! Runs one test in a process and namespaces of its own.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, io, thread};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getegid, geteuid};

use crate::Lab;
use crate::fail::{OrFail, fail};
use crate::sys::{self, IdMaps};

/// Holds the test's name in the process that runs it.
const MARK: &str = "SOJOURNER_LAB";
/// Set to `1`, it makes a kernel without namespaces a failure instead of a skip.
const REQUIRE: &str = "SOJOURNER_LAB_REQUIRE";
/// Printed last inside: a process that ran no test cannot pass for one that did.
const DONE: &str = "sojourner-lab: done";
/// How long a test may take on a loaded machine before it counts as hung.
const TEST_TIMEOUT: Duration = Duration::from_mins(2);

/// Runs `test` in a process of its own, inside fresh network and mount namespaces; call it first
/// in a `#[test]` and put nothing else there.
///
/// An ordinary user gets a user namespace too, where the test is root. The process is this test
/// binary again, told to run the test that is calling (known by its thread's name). It dies with
/// the caller, and is killed with all it started after two minutes. Its output is shown if it
/// fails.
///
/// Where the kernel forbids namespaces the test is skipped: it prints `skipped:` with the reason,
/// or fails if the environment has `SOJOURNER_LAB_REQUIRE=1`.
///
/// # Panics
///
/// If the test fails, hangs, or is not called by a test.
///
/// # Examples
///
/// ```no_run
/// #[test]
/// fn the_server_answers() {
///     sojourner_lab::isolated(|lab| {
///         let chain = lab.chain(2);
///         assert_eq!(chain.server.name(), "server");
///     });
/// }
/// ```
#[track_caller]
#[expect(clippy::print_stdout, reason = "a skip must be seen, and the test harness shows stdout")]
pub fn isolated(test: impl FnOnce(&Lab)) {
    let this = thread::current();
    let name = this.name().filter(|&name| name != "main").or_fail(
        "isolated() must be called on the test's own thread: its name is the test to run again",
    );
    match env::var(MARK) {
        Ok(marked) if marked == name => {
            test(&Lab::new());
            println!("{DONE}");
        }
        Ok(marked) => fail(&format!("inside `{marked}`, yet `{name}` is running")),
        Err(_) => match outside(name) {
            // What the test skipped inside must be seen outside.
            Ok(output) => {
                let skips = output.lines().filter_map(|line| line.split_once("skipped: "));
                skips.for_each(|(_, why)| println!("skipped: {name}: {why}"));
            }
            Err(why) if env::var(REQUIRE).is_ok_and(|value| value == "1") => {
                fail(&format!("{why}, and {REQUIRE}=1 forbids to skip"))
            }
            Err(why) => println!("skipped: {name}: {why}"),
        },
    }
}

/// Runs the named test again in namespaces and returns what it printed; `Err` says why there are
/// none.
#[track_caller]
fn outside(name: &str) -> Result<String, String> {
    let log = memfd_create(c"sojourner-lab", MFdFlags::MFD_CLOEXEC).or_fail("memfd_create");
    let mut log = File::from(log);
    let child = spawn(name, &log).map_err(|error| {
        let maps = "user.max_user_namespaces, AppArmor or a container may be the reason";
        format!("the kernel refuses new namespaces ({error}); {maps}; root needs CAP_SYS_ADMIN")
    })?;
    let status = wait(child);
    let mut output = Vec::new();
    log.seek(SeekFrom::Start(0)).or_fail("rewind the test's output");
    log.read_to_end(&mut output).or_fail("read the test's output");
    let output = String::from_utf8_lossy(&output);
    match status {
        Some(status) if status.success() && output.contains(DONE) => Ok(output.into_owned()),
        Some(status) if status.success() => {
            fail(&format!("`{name}` names no test of this binary; it printed:\n{output}"))
        }
        Some(status) => fail(&format!("`{name}` failed inside ({status}):\n{output}")),
        None => fail(&format!("`{name}` hung for {TEST_TIMEOUT:?} and was killed:\n{output}")),
    }
}

/// Starts the test, as plain root if this is one that may make namespaces, else as root of a user
/// namespace. Only a refusal is an `Err`.
#[track_caller]
fn spawn(name: &str, log: &File) -> io::Result<Child> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let user = IdMaps::to_root(uid, gid);
    let attempts = if uid == 0 { vec![None, Some(user)] } else { vec![Some(user)] };
    let mut refused = None;
    for maps in attempts {
        let exe = env::current_exe().or_fail("find the test binary");
        let mut command = Command::new(exe);
        command
            .args(["--exact", name, "--nocapture", "--test-threads=1", "--include-ignored"])
            .env(MARK, name)
            .stdin(Stdio::null())
            .stdout(log.try_clone().or_fail("share the test's output"))
            .stderr(log.try_clone().or_fail("share the test's output"))
            .process_group(0);
        sys::isolate(&mut command, maps);
        match command.spawn() {
            Ok(child) => return Ok(child),
            Err(error) if is_refusal(&error) => refused = Some(error),
            Err(error) => fail(&format!("run the test binary again: {error}")),
        }
    }
    Err(refused.unwrap_or_else(|| io::ErrorKind::Unsupported.into()))
}

fn is_refusal(error: &io::Error) -> bool {
    let refusals = [libc::EPERM, libc::EACCES, libc::ENOSPC, libc::EUSERS, libc::ENOSYS];
    error.raw_os_error().is_some_and(|code| refusals.contains(&code) || code == libc::EINVAL)
}

/// Waits for the test to end, or kills its process group; `None` if it had to.
fn wait(mut child: Child) -> Option<ExitStatus> {
    let group = Pid::from_raw(i32::try_from(child.id()).or_fail("a process id fits"));
    let (ended, end) = mpsc::sync_channel(1);
    let waiter = thread::spawn(move || ended.send(child.wait()));
    if let Ok(status) = end.recv_timeout(TEST_TIMEOUT) {
        return Some(status.or_fail("wait for the test"));
    }
    // Not reaped yet, so the number is still its own.
    let _ = killpg(group, Signal::SIGKILL);
    let _ = waiter.join();
    None
}
