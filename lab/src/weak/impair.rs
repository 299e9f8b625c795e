//! What a link does to packets, decided without I/O: the same for real frames and for `sim`.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use sojourner_stats::time::Instant;

use super::truth::Lost;

/// How one direction of a link treats packets; the default is a perfect cable.
///
/// Ratios are from 0 to 1 and independent of each other. Times are added on top of the kernel's
/// own.
///
/// # Examples
///
/// ```
/// # use {std::time::Duration, sojourner_lab::Impairment};
/// let ms = Duration::from_millis;
/// let edge = Impairment::default().delay(ms(300)).jitter(ms(100)).loss(0.02).rate(200_000, 32_000);
/// assert!(edge.check().is_ok() && edge.loss(1.5).check().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Impairment {
    /// How long every packet takes.
    pub delay: Duration,
    /// The most by which a packet takes longer, evenly spread; never lets packets overtake.
    pub jitter: Duration,
    /// The ratio of packets lost, one by one.
    pub loss: f64,
    /// Losses in bursts, besides.
    pub bursts: Option<Bursts>,
    /// The ratio of packets that arrive twice.
    pub duplicate: f64,
    /// The ratio of packets that are held back by `reorder_by`, so that later ones overtake.
    pub reorder: f64,
    /// How long a reordered packet is held back.
    pub reorder_by: Duration,
    /// The ratio of packets of which one bit behind the Ethernet header is flipped.
    pub corrupt: f64,
    /// The rate in bits per second of IP; `None` is unlimited.
    pub rate_bits_per_s: Option<u64>,
    /// With a rate: how many bytes may wait before further ones are lost.
    pub queue_bytes: u64,
    /// Silently loses IP packets of more bytes than this.
    pub mtu_black_hole: Option<usize>,
    /// Loses everything, neighbour discovery included, while both ends stay up.
    pub cut: bool,
}

/// The Gilbert-Elliott model: a channel that is good or bad, and loses packets accordingly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// The ratio of packets, while the channel is good, before which it turns bad.
    pub good_to_bad: f64,
    /// The ratio of packets, while it is bad, before which it turns good: 1 / mean burst length.
    pub bad_to_good: f64,
    /// The ratio of packets lost while it is bad; 1 in Gilbert's own model.
    pub loss_in_bad: f64,
}

impl Impairment {
    /// Sets [`delay`](Self::delay).
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets [`jitter`](Self::jitter).
    #[must_use]
    pub const fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    /// Sets [`loss`](Self::loss).
    #[must_use]
    pub const fn loss(mut self, ratio: f64) -> Self {
        self.loss = ratio;
        self
    }

    /// Loses every packet of each burst; bursts start before `ratio` of the packets that pass and
    /// last for `mean_packets` on average.
    #[must_use]
    pub const fn loss_bursts(mut self, ratio: f64, mean_packets: f64) -> Self {
        let bad_to_good = 1.0 / mean_packets;
        self.bursts = Some(Bursts { good_to_bad: ratio, bad_to_good, loss_in_bad: 1.0 });
        self
    }

    /// Sets [`duplicate`](Self::duplicate).
    #[must_use]
    pub const fn duplicate(mut self, ratio: f64) -> Self {
        self.duplicate = ratio;
        self
    }

    /// Sets [`reorder`](Self::reorder) and [`reorder_by`](Self::reorder_by).
    #[must_use]
    pub const fn reorder(mut self, ratio: f64, by: Duration) -> Self {
        self.reorder = ratio;
        self.reorder_by = by;
        self
    }

    /// Sets [`corrupt`](Self::corrupt).
    #[must_use]
    pub const fn corrupt(mut self, ratio: f64) -> Self {
        self.corrupt = ratio;
        self
    }

    /// Sets [`rate_bits_per_s`](Self::rate_bits_per_s) and [`queue_bytes`](Self::queue_bytes).
    #[must_use]
    pub const fn rate(mut self, bits_per_s: u64, queue_bytes: u64) -> Self {
        self.rate_bits_per_s = Some(bits_per_s);
        self.queue_bytes = queue_bytes;
        self
    }

    /// Sets [`mtu_black_hole`](Self::mtu_black_hole).
    #[must_use]
    pub const fn mtu_black_hole(mut self, bytes_max: usize) -> Self {
        self.mtu_black_hole = Some(bytes_max);
        self
    }

    /// Sets [`cut`](Self::cut).
    #[must_use]
    pub const fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Whether every ratio is one.
    ///
    /// # Errors
    ///
    /// Names the first that is not from 0 to 1, or a rate of zero.
    pub fn check(&self) -> Result<(), String> {
        let bursts =
            self.bursts.unwrap_or(Bursts { good_to_bad: 0.0, bad_to_good: 0.0, loss_in_bad: 0.0 });
        let ratios = [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
            ("bursts.good_to_bad", bursts.good_to_bad),
            ("bursts.bad_to_good", bursts.bad_to_good),
            ("bursts.loss_in_bad", bursts.loss_in_bad),
        ];
        for (name, ratio) in ratios {
            if !(0.0..=1.0).contains(&ratio) {
                return Err(format!("{name} is {ratio}, not a ratio from 0 to 1"));
            }
        }
        if self.rate_bits_per_s == Some(0) {
            return Err("a rate of 0 carries nothing; use `cut`".to_owned());
        }
        Ok(())
    }
}

/// What becomes of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost(Lost),
    Carried {
        due: Instant,
        twice: bool,
        reordered: bool,
        /// Which bit to flip, modulo the packet's length.
        flip: Option<u64>,
    },
}

/// One direction of a link: an impairment and what it remembers.
#[derive(Debug)]
pub(crate) struct Shaper {
    pub(crate) impairment: Impairment,
    rng: ChaCha8Rng,
    bad: bool,
    /// When the last packet has left a limited link.
    free_at: Instant,
    /// When the last packet that kept its place arrives.
    last_due: Instant,
}

impl Shaper {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            impairment: Impairment::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            bad: false,
            free_at: Instant::ZERO,
            last_due: Instant::ZERO,
        }
    }

    pub(crate) fn reseed(&mut self, seed: u64) {
        self.rng = ChaCha8Rng::seed_from_u64(seed);
        self.bad = false;
    }

    /// Decides about a packet of `len` bytes of IP that arrives at `now`.
    pub(crate) fn decide(&mut self, now: Instant, len: usize) -> Fate {
        // Drawn for every packet, so that one setting does not shift the dice of another.
        let [loss, turn, burst, twice, late, flip] = std::array::from_fn(|_| self.ratio());
        let (spread, bit) = (self.ratio(), self.rng.next_u64());
        if self.impairment.cut {
            return Fate::Lost(Lost::Cut);
        }
        if self.impairment.mtu_black_hole.is_some_and(|most| len > most) {
            return Fate::Lost(Lost::TooBig);
        }
        if loss < self.impairment.loss {
            return Fate::Lost(Lost::Random);
        }
        if let Some(bursts) = self.impairment.bursts {
            let turns = if self.bad { bursts.bad_to_good } else { bursts.good_to_bad };
            self.bad ^= turn < turns;
            if self.bad && burst < bursts.loss_in_bad {
                return Fate::Lost(Lost::Burst);
            }
        }
        let Some(left) = self.serialise(now, len) else { return Fate::Lost(Lost::QueueFull) };
        let due = left + self.impairment.delay + self.impairment.jitter.mul_f64(spread);
        let reordered = late < self.impairment.reorder;
        let due = if reordered {
            due + self.impairment.reorder_by
        } else {
            self.last_due = due.max(self.last_due);
            self.last_due
        };
        let twice = twice < self.impairment.duplicate;
        let flip = (flip < self.impairment.corrupt).then_some(bit);
        Fate::Carried { due, twice, reordered, flip }
    }

    /// When the last bit of a packet has left, or `None` if the queue is full.
    fn serialise(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.impairment.rate_bits_per_s else { return Some(now) };
        let start = self.free_at.max(now);
        let waiting_bits = start.since(now).as_nanos() * u128::from(rate) / 1_000_000_000;
        let len_bits = len as u128 * 8;
        if start > now && waiting_bits + len_bits > u128::from(self.impairment.queue_bytes) * 8 {
            return None;
        }
        let takes_ns = u64::try_from(len_bits * 1_000_000_000 / u128::from(rate));
        self.free_at = start + Duration::from_nanos(takes_ns.unwrap_or(u64::MAX));
        Some(self.free_at)
    }

    /// Evenly from 0 up to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    fn ratio(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn carried(fate: Fate) -> Option<Instant> {
        if let Fate::Carried { due, .. } = fate { Some(due) } else { None }
    }

    #[test]
    fn a_perfect_link_carries_everything_at_once() {
        let mut shaper = Shaper::new(1);
        let now = Instant::from_millis(5);
        assert!((0..100).all(|_| carried(shaper.decide(now, 1500)) == Some(now)));
    }

    #[test]
    fn loss_and_bursts_come_as_often_as_they_were_asked_for() {
        let count = |impairment: Impairment| {
            let mut shaper = Shaper::new(7);
            shaper.impairment = impairment;
            let fates: Vec<_> = (0..100_000_u64)
                .map(|n| carried(shaper.decide(Instant::from_millis(n), 100)).is_none())
                .collect();
            let bursts = fates.windows(2).filter(|pair| pair[1] && !pair[0]).count();
            (fates.iter().filter(|&&lost| lost).count(), bursts)
        };
        let (lost, _) = count(Impairment::default().loss(0.1));
        assert!((9_500..10_500).contains(&lost), "{lost}");
        let (lost, bursts) = count(Impairment::default().loss_bursts(0.01, 10.0));
        assert!((8_000..10_200).contains(&lost), "{lost}"); // 10 / (10 + 100)
        assert!((9 * bursts..=11 * bursts).contains(&lost), "{lost} in {bursts} bursts");
    }

    #[test]
    fn jitter_spreads_packets_but_never_swaps_them() {
        let mut shaper = Shaper::new(3);
        shaper.impairment = Impairment::default().delay(10 * MS).jitter(50 * MS);
        let dues: Vec<_> = (0..1000)
            .map(|n| carried(shaper.decide(Instant::from_millis(n), 100)).unwrap())
            .collect();
        assert!(dues.is_sorted());
        assert!(dues[0] >= Instant::from_millis(10) && dues[999] <= Instant::from_millis(1_059));
    }

    #[test]
    fn a_limited_link_queues_and_then_drops_the_tail() {
        let mut shaper = Shaper::new(3);
        shaper.impairment = Impairment::default().rate(8_000_000, 3_000); // 1 ms for 1,000 bytes
        let now = Instant::from_millis(100);
        let fates: Vec<_> = (0..5).map(|_| carried(shaper.decide(now, 1_000))).collect();
        let at = |ms| Some(Instant::from_millis(ms));
        assert_eq!(fates, [at(101), at(102), at(103), None, None]);
    }

    #[test]
    fn only_packets_above_the_hole_vanish() {
        let mut shaper = Shaper::new(3);
        shaper.impairment = Impairment::default().mtu_black_hole(1_400);
        assert!(carried(shaper.decide(Instant::ZERO, 1_400)).is_some());
        assert_eq!(shaper.decide(Instant::ZERO, 1_401), Fate::Lost(Lost::TooBig));
    }

    #[test]
    fn the_same_seed_gives_the_same_fates() {
        let run = |seed| {
            let mut shaper = Shaper::new(seed);
            shaper.impairment =
                Impairment::default().loss(0.2).duplicate(0.2).corrupt(0.2).reorder(0.2, MS);
            (0..100).map(|n| shaper.decide(Instant::from_millis(n), 100)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
