//! Reads the text formats back: for tests, and for whoever wants to check a page.

use std::collections::BTreeMap;

/// One line of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name, with its suffix.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value, in the metric's unit.
    pub value: f64,
}

/// A page that is not in a format we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not a sample: {what}")]
pub struct ParseError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads the samples of a page in either text format, in their order; comments are skipped.
///
/// # Errors
///
/// [`ParseError`] for the first line that is neither a comment nor a sample.
///
/// # Examples
///
/// ```
/// # use sojourner_exporter::parse::parse;
/// let samples = parse("up{job=\"a b\"} 1\n").unwrap();
/// assert_eq!((samples[0].labels["job"].as_str(), samples[0].value), ("a b", 1.0));
/// ```
pub fn parse(page: &str) -> Result<Vec<Sample>, ParseError> {
    let mut samples = Vec::new();
    // Not `lines()`: a carriage return inside a label value must survive.
    for (index, line) in page.split('\n').enumerate() {
        if !line.is_empty() && !line.starts_with('#') {
            samples.push(sample(line).map_err(|what| ParseError { line: index + 1, what })?);
        }
    }
    Ok(samples)
}

fn sample(line: &str) -> Result<Sample, &'static str> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next().ok_or("no value")?;
    let value = value.parse().map_err(|_not_a_number| "the value is not a number")?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str), &'static str> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.strip_prefix(',').unwrap_or(rest);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (name, tail) = rest.split_once("=\"").ok_or("a label has no value")?;
        let (value, tail) = quoted(tail)?;
        if labels.insert(name.to_owned(), value).is_some() {
            return Err("a label is there twice");
        }
        rest = tail;
    }
}

fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err("an unknown escape"),
            },
            other => value.push(other),
        }
    }
    Err("a label value does not end")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn broken_lines_are_refused_with_their_number() {
        for bad in ["a", "a{", "a{b}", "a{b=\"} 1", "a{b=\"\\x\"} 1", "a x", "a{b=\"\",b=\"\"} 1"] {
            let error = parse(&format!("fine 1\n{bad}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
