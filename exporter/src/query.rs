//! The query part of a URL.

/// Undoes percent-encoding, and `+` for a space where `plus` says so. `None` for an encoding that
/// is cut short or is not UTF-8.
pub fn decode(text: &str, plus: Plus) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                if digits.starts_with('+') {
                    return None;
                }
                u8::from_str_radix(digits, 16).ok()?
            }
            b'+' if plus == Plus::IsSpace => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// What `+` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    /// A space, as HTML forms write it.
    IsSpace,
    /// Itself.
    IsPlus,
}

/// The first value of a parameter: `Ok(None)` when it is not there.
///
/// # Errors
///
/// The name of the parameter, when its encoding is broken.
///
/// # Examples
///
/// ```
/// # use sojourner_exporter::query::parameter;
/// assert_eq!(parameter("a=1&b=x%3A2+3&b=4", "b"), Ok(Some("x:2 3".to_owned())));
/// assert_eq!(parameter("a=%zz", "a"), Err("a"));
/// ```
pub fn parameter<'n>(query: &str, name: &'n str) -> Result<Option<String>, &'n str> {
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(key, Plus::IsSpace).as_deref() == Some(name) {
            return decode(value, Plus::IsSpace).map(Some).ok_or(name);
        }
    }
    Ok(None)
}

/// Text as HTML shows it.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in any::<String>()) {
            let mut encoded = String::new();
            for byte in text.bytes() {
                write!(encoded, "%{byte:02x}").unwrap();
            }
            prop_assert_eq!(decode(&encoded, Plus::IsSpace), Some(text.clone()));
            prop_assert_eq!(parameter(&format!("x=1&t={encoded}"), "t"), Ok(Some(text)));
        }

        #[test]
        fn any_query_is_read_or_refused_without_a_panic(text in any::<String>()) {
            let _ = parameter(&text, "target");
        }
    }

    #[test]
    fn broken_encodings_are_refused() {
        for bad in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert_eq!(decode(bad, Plus::IsPlus), None, "{bad}");
        }
    }
}
