//! The weak link: an Ethernet cable that loses, delays, doubles and rewrites what it carries, and
//! remembers what it did.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fail::{OrFail, fail};
use crate::host::{Host, Iface};
use crate::sys::packet::{PacketSocket, disable_offloads};
use crate::topology::{Chain, Lab, Link};

mod carrier;
mod frame;
pub mod hook;
mod impair;
mod truth;

pub use frame::{Frame, Summary, Verdict};
pub use impair::{Bursts, Impairment};
pub(crate) use impair::{Fate, Shaper};
pub use truth::{Counters, Lost, Record, Truth, What};

use carrier::State;

/// How long [`WeakLink::wait_until`] waits on a loaded machine before the test counts as hung.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// Which way a frame goes over a [`WeakLink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the first host to the second; on a chain, from the client's side to the server's.
    AtoB,
    /// From the second host to the first.
    BtoA,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::AtoB => Self::BtoA,
            Self::BtoA => Self::AtoB,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::AtoB => 0,
            Self::BtoA => 1,
        }
    }
}

/// A link whose two directions can be impaired, hooked and audited while it runs.
///
/// At first it is perfect. It spares neighbour discovery (ARP, IPv6 ND and multicast
/// housekeeping), which neither counts nor suffers, so that a test sees exactly what it sent.
/// Random choices come from [`sim::seed`](crate::sim::seed), each direction on its own.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use sojourner_lab::{Direction, Impairment, isolated};
///
/// # isolated(|lab| {
/// let (client, server) = (lab.host("client"), lab.host("server"));
/// let weak = lab.weak_link(&client, &server);
/// weak.set_both(Impairment::default().delay(Duration::from_millis(20)));
/// weak.set(Direction::AtoB, Impairment::default().loss(0.3).duplicate(0.01));
/// // ... measure something from `client` to `weak.link.b.v4()` ...
/// let truth = weak.wait_until(|truth| truth.a_to_b.received == 100);
/// println!("the link dropped {} of 100", truth.a_to_b.lost());
/// # });
/// ```
pub struct WeakLink {
    /// The two ends, with addresses.
    pub link: Link,
    shared: Arc<Shared>,
    /// Holds the namespace in which the frames are handled.
    _middle: Host,
}

impl fmt::Debug for WeakLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakLink").field("link", &self.link).finish_non_exhaustive()
    }
}

/// What the forwarding thread and the test share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    sockets: [PacketSocket; 2],
    wake: nix::sys::eventfd::EventFd,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WeakLink {
    fn new(name: &str, a: &Host, b: &Host, number: impl FnOnce(Iface, Iface) -> Link) -> Self {
        let middle = Host::new(name);
        // It has nothing to say itself: no router solicitations, no multicast reports.
        middle.sysctl("net.ipv6.conf.all.disable_ipv6", "1");
        middle.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
        let (a_end, near) = a.wire(&middle);
        let (far, b_end) = middle.wire(b);
        for end in [&a_end, &near, &far, &b_end] {
            let plain = end.host().run(|| disable_offloads(end.name()));
            plain.or_fail("turn off offloads");
        }
        let sockets = middle.run(|| {
            [&near, &far].map(|end| PacketSocket::open(end.index()).or_fail("open a packet socket"))
        });
        let flags =
            nix::sys::eventfd::EfdFlags::EFD_CLOEXEC | nix::sys::eventfd::EfdFlags::EFD_NONBLOCK;
        let wake = nix::sys::eventfd::EventFd::from_flags(flags).or_fail("make an eventfd");
        let state = Mutex::new(State::new(crate::sim::seed()));
        let shared = Arc::new(Shared { state, changed: Condvar::new(), sockets, wake });
        carrier::start(Arc::clone(&shared));
        Self { link: number(a_end, b_end), shared, _middle: middle }
    }

    /// Rolls the dice of both directions from `seed` from now on, for a test that tries several.
    pub fn reseed(&self, seed: u64) {
        let mut state = self.shared.lock();
        state.shapers[0].reseed(seed);
        state.shapers[1].reseed(!seed);
    }

    /// Impairs one direction from now on; frames already under way keep their fate.
    pub fn set(&self, direction: Direction, impairment: Impairment) {
        impairment.check().or_fail("an impairment");
        self.shared.lock().shapers[direction.index()].impairment = impairment;
    }

    /// Impairs both directions alike.
    pub fn set_both(&self, impairment: Impairment) {
        self.set(Direction::AtoB, impairment.clone());
        self.set(Direction::BtoA, impairment);
    }

    /// Lets `hook` see, rewrite, drop or answer every frame that is not neighbour discovery, before
    /// it is impaired. Hooks run in the order they were added; see [`hook`] for ready ones.
    pub fn hook(&self, hook: impl FnMut(&mut Frame, Direction) -> Verdict + Send + 'static) {
        self.shared.lock().hooks.push(Box::new(hook));
    }

    /// Removes all hooks.
    pub fn clear_hooks(&self) {
        self.shared.lock().hooks.clear();
    }

    /// What the link did so far.
    pub fn truth(&self) -> Truth {
        self.count_overruns();
        self.shared.lock().truth()
    }

    /// The latest packets and what the link did with them, oldest first, 65,536 at most.
    pub fn log(&self) -> Vec<Record> {
        self.shared.lock().log.iter().cloned().collect()
    }

    /// Starts the counters and the log anew.
    pub fn reset_truth(&self) {
        self.count_overruns();
        self.shared.lock().reset_truth();
    }

    /// Waits until `done` holds for what the link did, and returns that; panics after a minute.
    pub fn wait_until(&self, done: impl Fn(&Truth) -> bool) -> Truth {
        let mut state = self.shared.lock();
        state.watched += 1;
        loop {
            let truth = state.truth();
            if done(&truth) {
                state.watched -= 1;
                return truth;
            }
            let (next, waited) = self
                .shared
                .changed
                .wait_timeout(state, WAIT_TIMEOUT)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
            if waited.timed_out() {
                fail(&format!("the weak link did nothing new for {WAIT_TIMEOUT:?}: {truth:?}"));
            }
        }
    }

    fn count_overruns(&self) {
        let overrun = self.shared.sockets.iter().map(|socket| socket.overrun().unwrap_or(0));
        let overrun: u64 = overrun.map(u64::from).sum();
        self.shared.lock().overrun += overrun;
    }
}

impl Drop for WeakLink {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        let _ = self.shared.wake.write(1);
    }
}

impl Lab {
    /// Connects two hosts by a [`WeakLink`], with addresses of both families: see [`Link`].
    pub fn weak_link(&self, a: &Host, b: &Host) -> WeakLink {
        WeakLink::new("weak link", a, b, |a, b| self.number(a, b))
    }

    /// Makes a [`chain`](Self::chain) whose link number `weak` (0 is the client's own) is a
    /// [`WeakLink`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use sojourner_lab::{Direction, Impairment};
    /// # sojourner_lab::isolated(|lab| {
    /// let (chain, weak) = lab.weak_chain(3, 2); // between r2 and r3
    /// weak.set(Direction::BtoA, Impairment::default().loss(0.5));
    /// # });
    /// ```
    pub fn weak_chain(&self, routers: usize, weak: usize) -> (Chain, WeakLink) {
        let mut made = None;
        let chain = self.chain_of(routers, |n, a, b| {
            if n == weak {
                let weak = self.weak_link(a, b);
                let link = weak.link.clone();
                made = Some(weak);
                link
            } else {
                self.link(a, b)
            }
        });
        (chain, made.or_fail("a chain has one link more than it has routers, counted from 0"))
    }
}
