//! The names of DNS response codes (IANA DNS RCODEs, as `blackbox_exporter` spells them).

/// Number and name.
const KNOWN: [(u16, &str); 11] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
];

/// Whether a configuration may name this code.
pub fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(_, known)| *known == name)
}

/// The name of a code, or its number.
///
/// # Examples
///
/// ```
/// # use sojourner_exporter::prober::rcode;
/// assert_eq!((rcode::name(3), rcode::name(77)), ("NXDOMAIN".into(), "77".into()));
/// ```
pub fn name(code: u16) -> String {
    KNOWN
        .iter()
        .find(|(known, _)| *known == code)
        .map_or_else(|| code.to_string(), |(_, name)| (*name).to_owned())
}
