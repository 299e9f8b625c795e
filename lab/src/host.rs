//! Hosts: network namespaces with threads, servers and commands in them.

use std::fmt;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fail::{OrFail, fail};
use crate::sys;

mod netlink;

pub use netlink::{Iface, Prefix};

/// A host of the lab: a network namespace, with a mount namespace for its own files.
///
/// Cheap to clone; every clone is the same host. It lives as long as one of them, and its servers
/// with it. All methods may be called from any thread but not inside an async function (there, use
/// [`spawn`](Self::spawn) only), and panic when the kernel refuses.
///
/// # Examples
///
/// ```no_run
/// # sojourner_lab::isolated(|lab| {
/// let (client, server) = (lab.host("client"), lab.host("server"));
/// let link = lab.link(&client, &server);
/// let listener = server.block_on(async { tokio::net::TcpListener::bind("[::]:80").await });
/// let address = (link.b.v4(), 80);
/// let stream = client.run(|| std::net::TcpStream::connect(address));
/// assert!(stream.is_ok() && listener.is_ok());
/// let ping = client.command("ping").args(["-c1", &link.b.v6().to_string()]).status();
/// # });
/// ```
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    net: OwnedFd,
    mnt: OwnedFd,
    runtime: Handle,
    netlink: rtnetlink::Handle,
    interfaces: AtomicU32,
    /// Ends the host's reactor thread when the last clone goes.
    _stop: oneshot::Sender<()>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.inner.name).finish()
    }
}

/// What a host's thread hands over once it is in its namespaces.
struct Born {
    net: OwnedFd,
    mnt: OwnedFd,
    runtime: Handle,
    netlink: rtnetlink::Handle,
}

impl Host {
    /// Makes a host in namespaces of its own, with its loopback up.
    pub(crate) fn new(name: &str) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        thread::Builder::new()
            .name(format!("host {name}"))
            .spawn(move || live(tell, stopped))
            .or_fail("start a host's thread");
        let Born { net, mnt, runtime, netlink } =
            told.blocking_recv().or_fail("a host's thread ended early; see the panic above");
        let inner = Inner {
            name: name.to_owned(),
            net,
            mnt,
            runtime,
            netlink,
            interfaces: AtomicU32::new(0),
            _stop: stop,
        };
        let host = Self { inner: Arc::new(inner) };
        host.set_quiet_defaults();
        host.set_link_up(1); // the loopback is always first
        host
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Runs `task` on a fresh thread inside this host and returns what it returns; a panic in it
    /// goes on in the caller.
    pub fn run<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            sys::enter_thread(&self.inner.net, &self.inner.mnt).or_fail("enter a host");
            task()
        };
        let result = thread::scope(|scope| {
            let named = thread::Builder::new().name(format!("on {}", self.name()));
            named.spawn_scoped(scope, inside).or_fail("start a thread on a host").join()
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Like [`run`](Self::run), for a future: on a current-thread runtime made on that thread, so
    /// that its sockets belong to this host. Tasks it leaves behind end with it; a server that
    /// should stay is for [`spawn`](Self::spawn).
    pub fn block_on<F: Future<Output: Send> + Send>(&self, future: F) -> F::Output {
        self.run(|| current_thread().block_on(future))
    }

    /// Like [`run`](Self::run) on a thread that holds no capability, as for an ordinary user. (It
    /// still owns root's files.)
    pub fn run_unprivileged<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        self.run(|| {
            sys::drop_capabilities().or_fail("drop the capabilities of a thread");
            task()
        })
    }

    /// Like [`block_on`](Self::block_on) on a thread that holds no capability.
    pub fn block_on_unprivileged<F: Future<Output: Send> + Send>(&self, future: F) -> F::Output {
        self.run_unprivileged(|| current_thread().block_on(future))
    }

    /// Starts a server: it runs until it ends, is aborted, or the last clone of the host goes.
    /// Its sockets belong to this host if it opens them itself.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.inner.runtime.spawn(future)
    }

    /// Runs a future on the host's long-lived reactor, so that sockets it makes may be given to
    /// [`spawn`](Self::spawn)ed servers.
    pub fn prepare<F>(&self, future: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        self.spawn(async move {
            let _ = tell.send(future.await);
        });
        told.blocking_recv().or_fail("a task on a host panicked; see above")
    }

    /// A command that will run inside this host, and die with the thread that spawns it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.command_in(program, false)
    }

    /// The same without any capability or a way to gain one (`no_new_privs`, so file capabilities
    /// and set-user-ID bits are void).
    pub fn command_unprivileged(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.command_in(program, true)
    }

    fn command_in(&self, program: impl AsRef<std::ffi::OsStr>, unprivileged: bool) -> Command {
        let mut command = Command::new(program);
        let net = self.inner.net.try_clone().or_fail("share a host's network namespace");
        let mnt = self.inner.mnt.try_clone().or_fail("share a host's mount namespace");
        sys::enter_on_spawn(&mut command, (net, mnt), unprivileged);
        command
    }

    /// Lets everyone on this host open ICMP datagram sockets ("ping sockets"); at first no one may.
    pub fn open_ping_sockets(&self) {
        let in_user_namespace = !fs::read_to_string("/proc/self/gid_map")
            .or_fail("read /proc/self/gid_map")
            .contains("4294967295");
        let range = if in_user_namespace { "0 0" } else { "0 2147483647" };
        self.sysctl("net.ipv4.ping_group_range", range);
    }

    /// Writes a sysctl of this host's network namespace, given with dots: `net.ipv4.ip_forward`.
    pub fn sysctl(&self, name: &str, value: &str) {
        self.try_sysctl(name, value).or_fail(&format!("set {name} to {value}"));
    }

    fn try_sysctl(&self, name: &str, value: &str) -> std::io::Result<()> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.run(|| fs::write(path, value))
    }

    /// Makes the host forward packets between its interfaces, or stop it.
    pub fn set_forwarding(&self, on: bool) {
        let value = if on { "1" } else { "0" };
        self.sysctl("net.ipv4.ip_forward", value);
        self.sysctl("net.ipv6.conf.all.forwarding", value);
    }

    /// Replaces `/etc/resolv.conf` on this host alone with `text`.
    pub fn resolv_conf(&self, text: &str) {
        self.replace_file("/etc/resolv.conf", text);
    }

    /// Points this host's `/etc/resolv.conf` at one DNS server, tried once with one second's
    /// patience.
    pub fn use_dns_server(&self, server: IpAddr) {
        self.resolv_conf(&format!("nameserver {server}\noptions timeout:1 attempts:1\n"));
    }

    /// Replaces the existing file `path` on this host alone with `text`, by a bind mount.
    pub fn replace_file(&self, path: impl AsRef<Path>, text: &str) {
        static FILES: AtomicU32 = AtomicU32::new(0);
        let path = path.as_ref();
        let unique = FILES.fetch_add(1, Ordering::Relaxed);
        let file = format!("sojourner-lab-{}-{unique}", std::process::id());
        let file = std::env::temp_dir().join(file);
        let mut out = File::create_new(&file).or_fail("make a temporary file");
        out.write_all(text.as_bytes()).or_fail("write a temporary file");
        let target = fs::canonicalize(path).or_fail(&format!("find {}", path.display()));
        let none = None::<&str>;
        let bound = self.run(|| {
            // An earlier replacement: its file is gone from disk, so nothing can be mounted on it.
            let _ = umount2(&target, MntFlags::MNT_DETACH);
            mount(Some(&file), &target, none, MsFlags::MS_BIND, none)
        });
        fs::remove_file(&file).or_fail("remove a temporary file"); // the mount keeps its contents
        bound.or_fail(&format!("bind a file over {}", target.display()));
    }

    /// What a lab wants of every host: no limits on ICMP errors, no address held back by duplicate
    /// detection, no packet refused for its source.
    fn set_quiet_defaults(&self) {
        const SETTINGS: [(&str, &str); 10] = [
            ("net.ipv4.icmp_ratelimit", "0"),
            ("net.ipv6.icmp.ratelimit", "0"),
            ("net.ipv4.conf.all.rp_filter", "0"),
            ("net.ipv4.conf.default.rp_filter", "0"),
            ("net.ipv4.ip_forward", "0"),
            ("net.ipv6.conf.all.disable_ipv6", "0"),
            ("net.ipv6.conf.default.disable_ipv6", "0"),
            ("net.ipv6.conf.default.accept_dad", "0"),
            ("net.ipv6.conf.default.dad_transmits", "0"),
            ("net.ipv6.conf.default.router_solicitations", "0"),
        ];
        // Global on older kernels, so perhaps not ours to set.
        const WISHES: [(&str, &str); 2] =
            [("net.ipv4.icmp_msgs_per_sec", "1000000"), ("net.ipv4.icmp_msgs_burst", "1000000")];
        let all = || {
            let write = |(name, value): (&str, &str)| {
                fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value)
            };
            for setting in SETTINGS {
                write(setting).or_fail(&format!("set {} to {}", setting.0, setting.1));
            }
            for wish in WISHES {
                let _ = write(wish);
            }
        };
        self.run(all);
    }
}

/// The life of a host's thread: enter fresh namespaces, then drive its servers to the end.
fn live(tell: oneshot::Sender<Born>, stopped: oneshot::Receiver<()>) {
    sys::unshare_thread().or_fail("make a host's namespaces");
    // For what reads /sys/class/net; a kernel may refuse it to an ordinary user.
    let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>);
    let open = |kind| {
        let path = format!("/proc/thread-self/ns/{kind}");
        OwnedFd::from(File::open(path).or_fail("open a host's namespace"))
    };
    let (net, mnt) = (open("net"), open("mnt"));
    let runtime = current_thread();
    runtime.block_on(async move {
        let (connection, netlink, _) =
            rtnetlink::new_connection().or_fail("open a netlink socket on a host");
        tokio::spawn(connection);
        let born = Born { net, mnt, runtime: Handle::current(), netlink };
        if tell.send(born).is_err() {
            fail("nobody waits for a new host");
        }
        let _ = stopped.await;
    });
    runtime.shutdown_background();
}

fn current_thread() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_all().build().or_fail("make a runtime")
}
