//! One page of metrics, and its two text formats.
//!
//! A [`Page`] is a map from metric to label set to value, so a series cannot be on it twice; what
//! was never measured is simply not on it. It knows neither probes nor HTTP.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::names::{Kind, Metric};

/// The samples of one scrape, sorted by metric and label set.
///
/// # Examples
///
/// ```
/// # use sojourner_exporter::{names, page::{Format, Page}};
/// let mut page = Page::default();
/// page.number(&names::PROBE_SUCCESS, &[], 1.0);
/// assert!(page.encode(Format::Text).ends_with("# TYPE probe_success gauge\nprobe_success 1\n"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Page {
    families: BTreeMap<&'static str, Family>,
}

#[derive(Clone, Debug)]
struct Family {
    metric: &'static Metric,
    /// Keyed by the label set as it is written, without the braces.
    series: BTreeMap<String, Value>,
}

#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Histogram(ClassicHistogram),
}

/// A classic Prometheus histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassicHistogram {
    /// Upper bound and cumulative count, bounds rising; the infinite one is `count` and not here.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all samples, in the metric's unit.
    pub sum: f64,
    /// How many samples.
    pub count: u64,
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// `OpenMetrics` text 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header asks for: `OpenMetrics` when it is named with at least
    /// the weight of plain text, else text 0.0.4, which every scraper reads.
    pub fn from_accept(accept: &str) -> Self {
        let (mut open, mut text) = (0.0_f64, 0.0_f64);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let mut weight = 1.0_f64;
            let mut version = "";
            for parameter in parts {
                if let Some(q) = parameter.strip_prefix("q=") {
                    weight = q.parse().unwrap_or(0.0);
                } else if let Some(wanted) = parameter.strip_prefix("version=") {
                    version = wanted;
                }
            }
            match media {
                "application/openmetrics-text" if matches!(version, "" | "1.0.0") => {
                    open = weight.max(open);
                }
                "text/plain" | "text/*" => text = weight.max(text),
                _ => {}
            }
        }
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of a page in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A label beyond those of the metric itself: name and value.
pub type ExtraLabel<'a> = (&'a str, &'a str);

impl Page {
    /// Puts a number on the page. `values` belong to [`Metric::labels`], in that order. A second
    /// value for one series replaces the first.
    pub fn number(&mut self, metric: &'static Metric, values: &[&str], value: f64) {
        self.number_with(metric, values, &[], value);
    }

    /// Puts a number on the page, with labels beyond those of the metric.
    pub fn number_with(
        &mut self,
        metric: &'static Metric,
        values: &[&str],
        extra: &[ExtraLabel<'_>],
        value: f64,
    ) {
        self.put(metric, values, extra, Value::Number(value));
    }

    /// Puts a histogram on the page, with labels beyond those of the metric.
    pub fn histogram_with(
        &mut self,
        metric: &'static Metric,
        values: &[&str],
        extra: &[ExtraLabel<'_>],
        histogram: ClassicHistogram,
    ) {
        self.put(metric, values, extra, Value::Histogram(histogram));
    }

    /// Puts everything on `other` on this page too.
    pub fn absorb(&mut self, other: Self) {
        for (name, family) in other.families {
            let mine = self.families.entry(name).or_insert_with(|| Family::new(family.metric));
            mine.series.extend(family.series);
        }
    }

    /// How many series are on the page; a histogram is one.
    pub fn len(&self) -> usize {
        self.families.values().map(|family| family.series.len()).sum()
    }

    /// Whether nothing is on the page.
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// The page as text.
    pub fn encode(&self, format: Format) -> String {
        let mut out = String::with_capacity(256 + 96 * self.len());
        for family in self.families.values() {
            family.encode(format, &mut out);
        }
        if format == Format::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }

    fn put(
        &mut self,
        metric: &'static Metric,
        values: &[&str],
        extra: &[ExtraLabel<'_>],
        value: Value,
    ) {
        debug_assert_eq!(metric.labels.len(), values.len(), "labels of {}", metric.name);
        let mut labels = String::new();
        let own = metric.labels.iter().copied().zip(values.iter().copied());
        for (name, value) in own.chain(extra.iter().copied()) {
            push_label(&mut labels, name, value);
        }
        let family = self.families.entry(metric.name).or_insert_with(|| Family::new(metric));
        family.series.insert(labels, value);
    }
}

impl Family {
    const fn new(metric: &'static Metric) -> Self {
        Self { metric, series: BTreeMap::new() }
    }

    fn encode(&self, format: Format, out: &mut String) {
        let name = self.metric.name;
        let family = match (format, self.metric.kind) {
            // OpenMetrics names a counter's family without the suffix that its samples have.
            (Format::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        out.push_str("# HELP ");
        out.push_str(family);
        out.push(' ');
        push_escaped(out, self.metric.help, format == Format::OpenMetrics);
        out.push_str("\n# TYPE ");
        out.push_str(family);
        out.push(' ');
        out.push_str(self.metric.kind.as_str());
        out.push('\n');
        for (labels, value) in &self.series {
            match value {
                Value::Number(number) => push_sample(out, name, "", labels, *number),
                Value::Histogram(histogram) => push_histogram(out, name, labels, histogram),
            }
        }
    }
}

fn push_histogram(out: &mut String, name: &str, labels: &str, histogram: &ClassicHistogram) {
    let mut bucket = |bound: f64, count: u64| {
        let mut with_bound = labels.to_owned();
        push_label(&mut with_bound, "le", &go_float(bound));
        push_sample(out, name, "_bucket", &with_bound, as_number(count));
    };
    for (bound, count) in &histogram.buckets {
        bucket(*bound, *count);
    }
    bucket(f64::INFINITY, histogram.count);
    push_sample(out, name, "_sum", labels, histogram.sum);
    push_sample(out, name, "_count", labels, as_number(histogram.count));
}

fn push_sample(out: &mut String, name: &str, suffix: &str, labels: &str, value: f64) {
    out.push_str(name);
    out.push_str(suffix);
    if !labels.is_empty() {
        out.push('{');
        out.push_str(labels);
        out.push('}');
    }
    out.push(' ');
    push_go_float(out, value);
    out.push('\n');
}

fn push_label(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    push_escaped(labels, value, true);
    labels.push('"');
}

fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

/// A count as a sample; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "samples are doubles; counts stay below 2^53")]
pub const fn as_number(count: u64) -> f64 {
    count as f64
}

/// A number as Go prints it (`%g`, shortest), which is how `le` labels are written everywhere.
fn go_float(value: f64) -> String {
    let mut text = String::new();
    push_go_float(&mut text, value);
    text
}

fn push_go_float(out: &mut String, value: f64) {
    let size = value.abs();
    let written = if value.is_nan() {
        out.push_str("NaN");
        Ok(())
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        Ok(())
    } else if size != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
        write!(out, "{digits}e{sign}{exponent:0>2}")
    } else {
        write!(out, "{value}")
    };
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
}

#[cfg(test)]
#[path = "page/tests.rs"]
mod tests;
