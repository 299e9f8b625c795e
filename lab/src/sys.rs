//! The system calls that need `unsafe`, each in a small safe function.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

pub(crate) mod packet;

/// The user and group of an ordinary user, to be mapped to 0 in a new user namespace.
#[derive(Clone, Debug)]
pub(crate) struct IdMaps {
    uid_map: Vec<u8>,
    gid_map: Vec<u8>,
}

impl IdMaps {
    /// Maps `uid` and `gid` to root inside.
    pub(crate) fn to_root(uid: u32, gid: u32) -> Self {
        Self {
            uid_map: format!("0 {uid} 1\n").into_bytes(),
            gid_map: format!("0 {gid} 1\n").into_bytes(),
        }
    }
}

/// Makes `command` start in a fresh network and mount namespace (and, with `maps`, in a fresh user
/// namespace where it is root), and die with the thread that spawned it.
pub(crate) fn isolate(command: &mut Command, maps: Option<IdMaps>) {
    let setup = move || {
        let user = if maps.is_some() { libc::CLONE_NEWUSER } else { 0 };
        unshare(user | libc::CLONE_NEWNET | libc::CLONE_NEWNS)?;
        if let Some(maps) = &maps {
            write_file(c"/proc/self/setgroups", b"deny")?;
            write_file(c"/proc/self/uid_map", &maps.uid_map)?;
            write_file(c"/proc/self/gid_map", &maps.gid_map)?;
        }
        make_mounts_private()?;
        die_with_parent()
    };
    // SAFETY: between fork and exec the closure only makes system calls on data that was
    // allocated before the fork; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(setup) };
}

/// Makes `command` start in the network and mount namespaces `net` and `mnt`, keeping its working
/// directory, and die with the thread that spawned it. With `unprivileged` it holds no capability
/// and can gain none.
pub(crate) fn enter_on_spawn(
    command: &mut Command,
    (net, mnt): (OwnedFd, OwnedFd),
    unprivileged: bool,
) {
    let setup = move || {
        set_ns(net.as_raw_fd(), libc::CLONE_NEWNET)?;
        enter_mounts(mnt.as_raw_fd())?;
        if unprivileged {
            drop_bounding_set()?;
            drop_capabilities()?;
            prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
        }
        die_with_parent()
    };
    // SAFETY: as in `isolate`: only system calls, no allocation, no lock.
    unsafe { command.pre_exec(setup) };
}

/// Moves the calling thread into fresh network and mount namespaces.
pub(crate) fn unshare_thread() -> io::Result<()> {
    unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS)?;
    make_mounts_private()
}

/// Moves the calling thread into the namespaces `net` and `mnt`.
pub(crate) fn enter_thread(net: &OwnedFd, mnt: &OwnedFd) -> io::Result<()> {
    // setns(CLONE_NEWNS) refuses a thread that shares its working directory with others.
    unshare(libc::CLONE_FS)?;
    set_ns(net.as_raw_fd(), libc::CLONE_NEWNET)?;
    enter_mounts(mnt.as_raw_fd())
}

/// Takes every capability from the calling thread, for good: it can only exec them back.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522; // linux/capability.h
    const NONE: Data = Data { effective: 0, permitted: 0, inheritable: 0 };
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL)?;
    let header = Header { version: VERSION_3, pid: 0 };
    let data = [NONE, NONE];
    // SAFETY: version 3 of capset reads one header and two data structs, which both live here.
    let done =
        unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), data.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes timers of the calling thread as exact as the kernel can.
pub(crate) fn set_exact_timers() -> io::Result<()> {
    prctl(libc::PR_SET_TIMERSLACK, 1)
}

fn drop_bounding_set() -> io::Result<()> {
    const BEYOND_ANY: libc::c_int = 64; // capabilities are bits of a 64-bit set
    for capability in 0..BEYOND_ANY {
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break, // past the last one
            other => other?,
        }
    }
    Ok(())
}

fn die_with_parent() -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)
}

fn prctl(option: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    let argument = libc::c_ulong::try_from(argument).unwrap_or_default();
    let none: libc::c_ulong = 0;
    // SAFETY: every option used here takes integers only.
    check(unsafe { libc::prctl(option, argument, none, none, none) })
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes flags, touches no memory.
    check(unsafe { libc::unshare(flags) })
}

fn set_ns(fd: RawFd, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: takes a descriptor that the caller keeps open, touches no memory.
    check(unsafe { libc::setns(fd, kind) })
}

/// Enters a mount namespace and returns to the working directory, which entering resets to `/`.
fn enter_mounts(mnt: RawFd) -> io::Result<()> {
    let mut here = [0; libc::PATH_MAX as usize];
    // SAFETY: the buffer is as long as is said, and getcwd ends what it writes with a NUL.
    let known = unsafe { !libc::getcwd(here.as_mut_ptr(), here.len()).is_null() };
    set_ns(mnt, libc::CLONE_NEWNS)?;
    if known {
        // SAFETY: the buffer holds the NUL-terminated path from above.
        check(unsafe { libc::chdir(here.as_ptr()) })?;
    }
    Ok(())
}

fn make_mounts_private() -> io::Result<()> {
    let flags = libc::MS_REC | libc::MS_PRIVATE;
    let null = std::ptr::null();
    // SAFETY: changing propagation reads the target path alone; the other pointers may be null.
    check(unsafe { libc::mount(null, c"/".as_ptr(), null, flags, null.cast()) })
}

fn write_file(path: &CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: the path is NUL-terminated; the descriptor is closed below.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    check(fd)?;
    // SAFETY: the pointer and the length are those of one live slice.
    let written = unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) };
    let result = if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: this function opened the descriptor and uses it no more.
    unsafe { libc::close(fd) };
    result
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
