//! Laws of the distribution.

use proptest::collection::vec;
use proptest::prelude::*;
use sojourner_stats::distribution::{Distribution, Precision};

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-20.0..10.0_f64).prop_map(f64::exp2), // a microsecond to a quarter of an hour
        1 => Just(0.0),
        1 => (-60..60_i32).prop_map(|exponent| f64::from(exponent).exp2()), // on a bound
        1 => prop::num::f64::POSITIVE | prop::num::f64::SUBNORMAL,
    ]
    .prop_filter("finite and not negative", |value| value.is_finite() && *value >= 0.0)
}

fn precision() -> impl Strategy<Value = Precision> {
    prop_oneof![Just(Precision::Fine), Just(Precision::Coarse)]
}

fn distribution() -> impl Strategy<Value = Distribution> {
    (precision(), vec(value(), 0..40)).prop_map(|(precision, values)| {
        let mut distribution = Distribution::with_precision(precision);
        distribution.extend(values);
        distribution
    })
}

fn merged(a: &Distribution, b: &Distribution) -> Distribution {
    let mut merged = a.clone();
    merged.merge(b);
    merged
}

proptest! {
    #[test]
    fn merging_is_commutative_and_associative(
        a in distribution(), b in distribution(), c in distribution(),
    ) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
    }

    #[test]
    fn merging_equals_recording_everything_in_one_in_any_order(
        values in vec(value(), 0..200), split in 0..200_usize,
    ) {
        let (left, right) = values.split_at(split.min(values.len()));
        let parts = merged(&left.iter().copied().collect(), &right.iter().copied().collect());
        let whole: Distribution = values.iter().rev().copied().collect();
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn a_quantile_stays_within_the_stated_error_of_the_exact_one(
        precision in precision(), mut values in vec(value(), 1..300), q in 0.0..=1.0_f64,
    ) {
        let mut distribution = Distribution::with_precision(precision);
        distribution.extend(values.iter().copied());
        values.sort_unstable_by(f64::total_cmp);
        let rank = (q * values.len() as f64).ceil().max(1.0) as usize;
        let exact = values[rank - 1];
        let estimate = distribution.quantile(q).unwrap();
        let bound = distribution.relative_error() * exact * (1.0 + 1e-9);
        prop_assert!(
            (estimate - exact).abs() <= bound.max(Distribution::ZERO_THRESHOLD),
            "{estimate} for {exact} at scale {}", distribution.scale()
        );
    }

    #[test]
    fn buckets_are_bounded_ordered_and_hold_every_value(
        precision in precision(), values in vec(value(), 0..300),
    ) {
        let mut distribution = Distribution::with_precision(precision);
        distribution.extend(values.iter().copied());
        let buckets: Vec<_> = distribution.buckets().collect();
        let indexed = buckets.iter().filter_map(|bucket| bucket.index).collect::<Vec<_>>();
        if let (Some(first), Some(last)) = (indexed.first(), indexed.last()) {
            prop_assert!((last - first) < precision.buckets_max() as i32);
        }
        prop_assert!(buckets.windows(2).all(|pair| pair[0].upper <= pair[1].lower));
        for bucket in &buckets {
            let inside = |value: &&f64| match bucket.index {
                None => **value <= bucket.upper,
                Some(_) => bucket.lower < **value && **value <= bucket.upper,
            };
            prop_assert_eq!(values.iter().filter(inside).count() as u64, bucket.count);
        }
        prop_assert_eq!(buckets.iter().map(|b| b.count).sum::<u64>(), values.len() as u64);
        let (min, max) = (distribution.min(), distribution.max());
        prop_assert_eq!(min, values.iter().copied().min_by(f64::total_cmp));
        prop_assert_eq!(max, values.iter().copied().max_by(f64::total_cmp));
        prop_assert_eq!(distribution.count_below(f64::MAX), values.len() as u64);
    }
}

#[test]
fn a_power_of_two_is_the_inclusive_upper_bound_of_its_bucket() {
    for (value, count) in [(1.0, 1), (1.0 + f64::EPSILON, 0)] {
        let mut distribution = Distribution::new();
        distribution.extend([value, 3.0]);
        assert_eq!(distribution.count_below(1.0), count, "{value}");
    }
}

#[test]
fn what_is_no_quantity_is_refused() {
    let mut distribution = Distribution::new();
    for bad in [f64::NAN, f64::INFINITY, -1e-9] {
        assert!(!distribution.record(bad), "{bad} was taken");
    }
    assert!(distribution.record(-0.0) && distribution.min().unwrap().is_sign_positive());
    assert_eq!((distribution.count(), distribution.zero_count()), (1, 1));
}

#[test]
fn the_error_of_each_spread_is_as_documented() {
    for (spread, error) in [(2.3, 0.0028), (900.0, 0.022), (900_000.0, 0.044)] {
        let distribution: Distribution = [1.0, spread].into_iter().collect();
        assert!(distribution.relative_error() < error, "{}", distribution.relative_error());
    }
}

#[test]
fn a_summary_is_one_flat_object() {
    let distribution: Distribution = [0.5, 0.5].into_iter().collect();
    assert_eq!(
        serde_json::to_string(&distribution).unwrap(),
        r#"{"count":2,"sum":1.0,"min":0.5,"p50":0.5,"p90":0.5,"p99":0.5,"max":0.5}"#
    );
}
