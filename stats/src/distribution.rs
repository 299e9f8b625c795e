//! One distribution for everything: a base-2 exponential histogram.
//!
//! It is the model of OpenTelemetry's exponential histogram and of Prometheus' native histogram,
//! so the same object gives percentiles to a screen and buckets to a scrape without conversion
//! loss. At scale `s` the buckets' bounds are the powers of `2^(2^-s)`; bucket `i` holds the
//! values in `(base^i, base^(i+1)]`. When the values span more than the bucket limit, the scale
//! goes down by one and neighbouring buckets join in pairs: old counts stay exact.
//!
//! | precision | first scale | buckets at most | relative error at the first scale |
//! |---|---|---|---|
//! | [`Precision::Fine`] | 7 | 160 | 0.27 % |
//! | [`Precision::Coarse`] | 5 | 40 | 1.1 % |
//!
//! [`Distribution::relative_error`] gives the bound at the present scale,
//! `(base - 1) / (base + 1)`: 160 buckets hold a spread of 1 : 2.3 at 0.27 %, 1 : 900 at 2.2 %,
//! and 1 : 900,000 at 4.4 %.

use std::sync::{Arc, LazyLock};

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// How finely a [`Distribution`] tells values apart, and how much memory it may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// Scale 7 and at most 160 buckets (OpenTelemetry's default limit): all-time distributions.
    #[default]
    Fine,
    /// Scale 5 and at most 40 buckets: the cells of windows, of which there are many.
    Coarse,
}

impl Precision {
    /// The scale a distribution starts at.
    pub const fn scale_max(self) -> i8 {
        match self {
            Self::Fine => SCALE_MAX,
            Self::Coarse => 5,
        }
    }

    /// The most buckets a distribution holds, the zero bucket not counted.
    pub const fn buckets_max(self) -> usize {
        match self {
            Self::Fine => 160,
            Self::Coarse => 40,
        }
    }
}

/// How often values occurred, by magnitude: constant memory, exact counts, bounded error.
///
/// Values are finite and not negative; RTTs are recorded in seconds. A clone is cheap: the
/// buckets are shared until one of both changes. [`merge`](Self::merge) is exactly associative and
/// commutative, sums included.
///
/// # Examples
///
/// ```
/// # use sojourner_stats::Distribution;
/// let mut rtt = Distribution::new();
/// for ms in 1..=100_u32 {
///     rtt.record(f64::from(ms) / 1e3);
/// }
/// let p90 = rtt.quantile(0.9).unwrap();
/// assert!((p90 - 0.090).abs() <= rtt.relative_error() * 0.090);
/// assert_eq!((rtt.count(), rtt.max()), (100, Some(0.100)));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    precision: Precision,
    repr: Repr,
}

/// Canonical: a count of 0, 1 and more each has its own shape. Most cells of the shortest window
/// hold one value, and it costs them no allocation.
#[derive(Clone, Debug, Default, PartialEq)]
enum Repr {
    #[default]
    Empty,
    One(f64),
    Many(Arc<Buckets>),
}

#[derive(Clone, Debug, PartialEq)]
struct Buckets {
    scale: i8,
    /// The index of `counts[0]`.
    offset: i32,
    /// First and last are never 0.
    counts: Vec<u64>,
    zeros: u64,
    count: u64,
    /// In units of 2^-64, so that addition is associative.
    sum: u128,
    min: f64,
    max: f64,
}

/// One bucket: how many values lie above `lower` and up to and including `upper`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The bucket's index at the distribution's scale, as OpenTelemetry counts (Prometheus' index
    /// is one higher); `None` for the zero bucket.
    pub index: Option<i32>,
    /// Exclusive lower bound; 0 for the zero bucket, which includes it.
    pub lower: f64,
    /// Inclusive upper bound.
    pub upper: f64,
    /// The number of values in this bucket alone.
    pub count: u64,
}

impl Distribution {
    /// Values up to this go into the zero bucket: 2^-128, Prometheus' default threshold.
    pub const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);

    /// Makes an empty, fine distribution.
    pub const fn new() -> Self {
        Self::with_precision(Precision::Fine)
    }

    /// Makes an empty distribution of a given precision.
    pub const fn with_precision(precision: Precision) -> Self {
        Self { precision, repr: Repr::Empty }
    }

    /// Counts one value. Returns whether it was counted: NaN, infinite and negative ones are not.
    pub fn record(&mut self, value: f64) -> bool {
        if !value.is_finite() || value < 0.0 {
            return false;
        }
        let value = value + 0.0; // -0.0 becomes 0.0
        match &mut self.repr {
            Repr::Empty => self.repr = Repr::One(value),
            Repr::One(first) => {
                let mut buckets = Buckets::new(self.precision, *first);
                buckets.record(self.precision, value);
                self.repr = Repr::Many(Arc::new(buckets));
            }
            Repr::Many(buckets) => Arc::make_mut(buckets).record(self.precision, value),
        }
        true
    }

    /// Adds all values of another distribution. The result has the coarser precision of both.
    pub fn merge(&mut self, other: &Self) {
        let precision = self.precision.max(other.precision);
        if precision != self.precision {
            self.precision = precision;
            if let Repr::Many(buckets) = &mut self.repr {
                Arc::make_mut(buckets).fit(precision, None);
            }
        }
        match (&mut self.repr, &other.repr) {
            (_, Repr::Empty) => {}
            (_, Repr::One(value)) => {
                self.record(*value);
            }
            (Repr::Empty, Repr::Many(theirs)) => {
                let mut theirs = Arc::clone(theirs);
                if other.precision != precision {
                    Arc::make_mut(&mut theirs).fit(precision, None);
                }
                self.repr = Repr::Many(theirs);
            }
            (Repr::One(value), Repr::Many(theirs)) => {
                let mut theirs = (**theirs).clone();
                theirs.fit(precision, None);
                theirs.record(precision, *value);
                self.repr = Repr::Many(Arc::new(theirs));
            }
            (Repr::Many(ours), Repr::Many(theirs)) => {
                Arc::make_mut(ours).merge(precision, theirs);
            }
        }
    }

    /// The number of values.
    pub fn count(&self) -> u64 {
        match &self.repr {
            Repr::Empty => 0,
            Repr::One(_) => 1,
            Repr::Many(buckets) => buckets.count,
        }
    }

    /// Whether no value was recorded.
    pub fn is_empty(&self) -> bool {
        matches!(self.repr, Repr::Empty)
    }

    /// The sum of the values, exact to 2^-64 a value; it saturates at 1.8e19.
    pub fn sum(&self) -> f64 {
        match &self.repr {
            Repr::Empty => 0.0,
            Repr::One(value) => from_fixed(to_fixed(*value)),
            Repr::Many(buckets) => from_fixed(buckets.sum),
        }
    }

    /// The mean; `None` when empty.
    #[expect(clippy::cast_precision_loss, reason = "a mean over 2^53 values may lose a digit")]
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum() / self.count() as f64)
    }

    /// The smallest value, exact; `None` when empty.
    pub fn min(&self) -> Option<f64> {
        match &self.repr {
            Repr::Empty => None,
            Repr::One(value) => Some(*value),
            Repr::Many(buckets) => Some(buckets.min),
        }
    }

    /// The largest value, exact; `None` when empty.
    pub fn max(&self) -> Option<f64> {
        match &self.repr {
            Repr::Empty => None,
            Repr::One(value) => Some(*value),
            Repr::Many(buckets) => Some(buckets.max),
        }
    }

    /// The value of nearest rank: the smallest one that at least `q` (0 to 1) of the values do not
    /// exceed. `None` when empty.
    ///
    /// It differs from the exact one by at most [`relative_error`](Self::relative_error) times the
    /// exact one, and lies between `min` and `max`. Values up to
    /// [`ZERO_THRESHOLD`](Self::ZERO_THRESHOLD) count as 0.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        match &self.repr {
            Repr::Empty => None,
            Repr::One(value) => Some(*value),
            Repr::Many(buckets) => Some(buckets.quantile(q)),
        }
    }

    /// The most by which a quantile may be off, relative to the exact value:
    /// `(base - 1) / (base + 1)` with `base = 2^(2^-scale)`.
    pub fn relative_error(&self) -> f64 {
        let base = f64::from(-self.scale()).exp2().exp2();
        (base - 1.0) / (base + 1.0)
    }

    /// The present scale (Prometheus: schema). Each bucket's bounds are `2^(2^-scale)` apart.
    pub fn scale(&self) -> i8 {
        match &self.repr {
            Repr::Many(buckets) => buckets.scale,
            _ => self.precision.scale_max(),
        }
    }

    /// The precision it was made with, or the coarsest it was merged with.
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// The number of values in the zero bucket.
    pub fn zero_count(&self) -> u64 {
        match &self.repr {
            Repr::Many(buckets) => buckets.zeros,
            Repr::One(value) if *value <= Self::ZERO_THRESHOLD => 1,
            _ => 0,
        }
    }

    /// The buckets that are not empty, the smallest values first; the zero bucket leads if it
    /// holds any. Their counts add up to [`count`](Self::count).
    ///
    /// # Examples
    ///
    /// ```
    /// # use sojourner_stats::Distribution;
    /// let mut rtt = Distribution::new();
    /// rtt.record(1.0);
    /// rtt.record(3.0);
    /// let below_two: u64 = rtt.buckets().filter(|b| b.upper <= 2.0).map(|b| b.count).sum();
    /// assert_eq!(below_two, 1);
    /// ```
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        let (scale, zeros) = (self.scale(), self.zero_count());
        let zero = Bucket { index: None, lower: 0.0, upper: Self::ZERO_THRESHOLD, count: zeros };
        let one = match &self.repr {
            Repr::One(value) if zeros == 0 => {
                Some((finest_index(*value) >> (SCALE_MAX - scale), 1))
            }
            _ => None,
        };
        let (offset, counts): (i32, &[u64]) = match &self.repr {
            Repr::Many(buckets) => (buckets.offset, &buckets.counts),
            _ => (0, &[]),
        };
        let many = (offset..).zip(counts.iter().copied());
        let indexed = one.into_iter().chain(many).filter(|&(_, count)| count > 0);
        (zeros > 0).then_some(zero).into_iter().chain(indexed.map(move |(index, count)| Bucket {
            index: Some(index),
            lower: lower_bound(scale, index),
            upper: lower_bound(scale, index.saturating_add(1)),
            count,
        }))
    }

    /// How many values do not exceed `bound`, for classic (`le`) buckets. Exact when `bound` is a
    /// bound of a bucket; otherwise the bucket that `bound` cuts is counted in proportion.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share between 0 and 1 of a count, rounded"
    )]
    pub fn count_below(&self, bound: f64) -> u64 {
        if self.max().is_none_or(|max| bound >= max) {
            return self.count();
        }
        if self.min().is_some_and(|min| bound < min) {
            return 0;
        }
        self.buckets()
            .take_while(|bucket| bucket.lower < bound || bucket.index.is_none())
            .map(|bucket| {
                if bucket.upper <= bound {
                    return bucket.count;
                }
                let share = (bound - bucket.lower) / (bucket.upper - bucket.lower);
                (bucket.count as f64 * share.clamp(0.0, 1.0)).round() as u64
            })
            .sum()
    }
}

impl Extend<f64> for Distribution {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        for value in values {
            self.record(value);
        }
    }
}

impl FromIterator<f64> for Distribution {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut distribution = Self::new();
        distribution.extend(values);
        distribution
    }
}

/// A summary for people: `{count, sum, min, p50, p90, p99, max}`, absent values as `null`.
impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut summary = serializer.serialize_struct("Distribution", 7)?;
        summary.serialize_field("count", &self.count())?;
        summary.serialize_field("sum", &self.sum())?;
        summary.serialize_field("min", &self.min())?;
        summary.serialize_field("p50", &self.quantile(0.5))?;
        summary.serialize_field("p90", &self.quantile(0.9))?;
        summary.serialize_field("p99", &self.quantile(0.99))?;
        summary.serialize_field("max", &self.max())?;
        summary.end()
    }
}

impl Buckets {
    fn new(precision: Precision, first: f64) -> Self {
        let mut buckets = Self {
            scale: precision.scale_max(),
            offset: 0,
            counts: Vec::new(),
            zeros: 0,
            count: 0,
            sum: 0,
            min: first,
            max: first,
        };
        buckets.record(precision, first);
        buckets
    }

    fn record(&mut self, precision: Precision, value: f64) {
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(to_fixed(value));
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if value <= Distribution::ZERO_THRESHOLD {
            self.zeros = self.zeros.saturating_add(1);
            return;
        }
        let finest = finest_index(value);
        let mut index = finest >> (SCALE_MAX - self.scale);
        if self.slot(index).is_none() {
            self.fit(precision, Some((index, index)));
            index = finest >> (SCALE_MAX - self.scale);
        }
        if let Some(slot) = self.slot(index) {
            *slot = slot.saturating_add(1);
        }
    }

    fn slot(&mut self, index: i32) -> Option<&mut u64> {
        self.counts.get_mut(usize::try_from(index - self.offset).ok()?)
    }

    fn merge(&mut self, precision: Precision, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.zeros = self.zeros.saturating_add(other.zeros);
        if self.scale > other.scale {
            self.downscale(self.scale - other.scale);
        }
        let range = other.range().map(|(first, last)| {
            let shift = other.scale - self.scale;
            (first >> shift, last >> shift)
        });
        self.fit(precision, range);
        let shift = other.scale - self.scale;
        for (index, count) in (other.offset..).zip(&other.counts) {
            if let Some(slot) = self.slot(index >> shift) {
                *slot = slot.saturating_add(*count);
            }
        }
    }

    /// The first and last index, unless only zeros were recorded.
    fn range(&self) -> Option<(i32, i32)> {
        let last = i32::try_from(self.counts.len()).ok()?.checked_sub(1).filter(|&n| n >= 0)?;
        Some((self.offset, self.offset + last))
    }

    /// Lowers the scale as far as the precision asks for, and makes room for a range of indices,
    /// given at the present scale. The scale that results depends only on the outermost values,
    /// never on their order: that is what makes merging associative.
    fn fit(&mut self, precision: Precision, room: Option<(i32, i32)>) {
        let Some((mut first, mut last)) = union(self.range(), room) else {
            self.scale = self.scale.min(precision.scale_max());
            return;
        };
        let mut down = (self.scale - precision.scale_max()).max(0);
        (first, last) = (first >> down, last >> down);
        while usize::try_from(last - first).is_ok_and(|span| span >= precision.buckets_max()) {
            (first, last, down) = (first >> 1, last >> 1, down + 1);
        }
        self.downscale(down);
        let (Some(before), Some(length)) = (
            self.range().map_or(Some(0), |(ours, _)| usize::try_from(ours - first).ok()),
            usize::try_from(last - first + 1).ok(),
        ) else {
            return;
        };
        self.counts.resize(length.max(self.counts.len() + before), 0);
        self.counts.rotate_right(before);
        self.offset = first;
    }

    fn downscale(&mut self, by: i8) {
        if by == 0 {
            return;
        }
        self.scale -= by;
        let first = self.offset >> by;
        let mut joined: Vec<u64> = Vec::new();
        for (index, count) in (self.offset..).zip(&self.counts) {
            let place = usize::try_from((index >> by) - first).unwrap_or(0);
            joined.resize(joined.len().max(place + 1), 0);
            joined[place] = joined[place].saturating_add(*count);
        }
        (self.offset, self.counts) = (first, joined);
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank between 1 and the count"
    )]
    fn quantile(&self, q: f64) -> f64 {
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        if rank <= self.zeros {
            return 0.0_f64.clamp(self.min, self.max);
        }
        let mut seen = self.zeros;
        for (index, count) in (self.offset..).zip(&self.counts) {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                let (lower, upper) =
                    (lower_bound(self.scale, index), lower_bound(self.scale, index + 1));
                // The harmonic mean: equally wrong, relatively, at both ends.
                let middle = 2.0 * lower / (1.0 + lower / upper);
                return middle.clamp(self.min, self.max);
            }
        }
        self.max
    }
}

fn union(a: Option<(i32, i32)>, b: Option<(i32, i32)>) -> Option<(i32, i32)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and casts saturate"
)]
fn to_fixed(value: f64) -> u128 {
    (value * FIXED_ONE) as u128
}

#[expect(clippy::cast_precision_loss, reason = "rounded to the nearest f64")]
fn from_fixed(sum: u128) -> f64 {
    sum as f64 / FIXED_ONE
}

/// The index at [`SCALE_MAX`] of a finite value above the zero threshold; indices at lower scales
/// are this one shifted, so that no two scales ever disagree about a value on a bound.
fn finest_index(value: f64) -> i32 {
    let bits = value.to_bits();
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0) - 1023;
    let mantissa = bits & MANTISSA_MASK;
    let octave = exponent << SCALE_MAX;
    if mantissa == 0 {
        return octave - 1; // a power of two is the upper bound of the bucket below
    }
    let table = &*TABLE;
    let guess =
        usize::try_from(mantissa >> (52 - u32::from(SCALE_MAX.unsigned_abs()))).unwrap_or(0);
    let mut sub = table.first[guess];
    while mantissa > table.bounds[usize::from(sub) + 1] {
        sub += 1; // at most twice: a slot is never wider than 1.45 buckets
    }
    octave + i32::from(sub)
}

/// The exclusive lower bound of a bucket; that of the next index is its inclusive upper bound.
fn lower_bound(scale: i8, index: i32) -> f64 {
    let finest = i64::from(index) << (SCALE_MAX - scale);
    let (octave, sub) = (finest >> SCALE_MAX, finest & ((1 << SCALE_MAX) - 1));
    let mantissa = usize::try_from(sub).map_or(0, |sub| TABLE.bounds[sub]);
    match octave {
        ..-1022 => f64::MIN_POSITIVE,
        1024.. => f64::MAX,
        _ => f64::from_bits((u64::try_from(octave + 1023).unwrap_or(0) << 52) | mantissa),
    }
}

/// The bounds within an octave, as mantissas, and where to start looking.
struct Table {
    /// `bounds[i]` is the mantissa of `2^(i/128)`; the last one is above every mantissa.
    bounds: [u64; SUBS + 1],
    /// For the top bits of a mantissa, the first bucket it may lie in.
    first: [u8; SUBS],
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut bounds = [u64::MAX; SUBS + 1];
    for (sub, bound) in (0_u32..).zip(bounds.iter_mut().take(SUBS)) {
        *bound = (f64::from(sub) / 128.0).exp2().to_bits() & MANTISSA_MASK;
    }
    let mut first = [0_u8; SUBS];
    let mut sub = 0_u8;
    for (slot, first) in (0_u64..).zip(&mut first) {
        let lowest = slot << 45;
        while lowest > bounds[usize::from(sub) + 1] {
            sub += 1;
        }
        *first = sub;
    }
    Table { bounds, first }
});

/// The finest scale: 128 buckets an octave, 0.27 %. Prometheus' finest is 8.
const SCALE_MAX: i8 = 7;
const SUBS: usize = 1 << SCALE_MAX;
const MANTISSA_MASK: u64 = (1 << 52) - 1;
/// 2^64.
const FIXED_ONE: f64 = 18_446_744_073_709_551_616.0;
