//! Patterns of e-mail addresses.

use std::fmt;

use serde::Serialize;

/// `*@acme.com` for every address of a domain, its subdomains not included, or one whole address. Upper and lower case are
/// the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EmailPattern(String);

impl EmailPattern {
    /// Reads `*@acme.com` or `mona@acme.com`; none: it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = parts(text)?;
        (local == "*" || !local.contains('*')).then(|| Self(format!("{local}@{domain}")))
    }

    /// The domain, if it is for every address of one.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.0.strip_prefix("*@")
    }

    /// Whether `address` is one of these. What is not plainly one address is none (P4).
    #[must_use]
    pub fn matches(&self, address: &str) -> bool {
        let Some((local, domain)) = parts(address) else {
            return false;
        };
        match self.domain() {
            Some(expected) => expected == domain,
            None => self.0 == format!("{local}@{domain}"),
        }
    }
}

impl fmt::Display for EmailPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Both sides of the one `@`, in lower case, if the address is plain: visible ASCII, no quotes, a domain of labels.
fn parts(text: &str) -> Option<(String, String)> {
    let (local, domain) = text.split_once('@')?;
    let is_label = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(legal)
    };
    let plain_local = !local.is_empty()
        && local.len() <= 64
        && local
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !br#""(),:;<>@[\]"#.contains(&byte));
    let plain_domain = domain.contains('.') && domain.split('.').all(is_label);
    (plain_local && plain_domain).then(|| (local.to_ascii_lowercase(), domain.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P4
    #[test]
    fn an_address_matches_as_a_whole_or_not_at_all() {
        let acme = EmailPattern::parse("*@acme.com").unwrap();
        let mona = EmailPattern::parse("Mona@acme.com").unwrap();
        for (address, in_acme, is_mona) in [
            ("mona@acme.com", true, true),
            ("MONA@ACME.COM", true, true),
            ("octavia@acme.com", true, false),
            ("mona@good.com@acme.com", false, false),
            ("mona@acme.com@evil.com", false, false),
            ("mona@acme.com.", false, false),
            ("mona@sub.acme.com", false, false),
            ("mona@evilacme.com", false, false),
            ("mona@acme.com.evil.com", false, false),
            ("mona@acme\u{3002}com", false, false),
            ("mona@\u{430}cme.com", false, false),
            ("mona@acme.com\0", false, false),
            ("mona@acme.com ", false, false),
            (" mona@acme.com", false, false),
            ("\"mona@acme.com\"@evil.com", false, false),
            ("mona@evil.com\n@acme.com", false, false),
            ("<mona@acme.com>", false, false),
            ("@acme.com", false, false),
            ("*@acme.com", true, false),
            ("acme.com", false, false),
            ("", false, false),
        ] {
            assert_eq!(acme.matches(address), in_acme, "{address:?}");
            assert_eq!(mona.matches(address), is_mona, "{address:?}");
        }
    }

    #[test]
    fn a_pattern_is_a_domain_or_an_address() {
        for (text, printed) in [
            ("*@Acme.com", Some("*@acme.com")),
            ("mona@acme.com", Some("mona@acme.com")),
            ("m*@acme.com", None),
            ("*@*.com", None),
            ("*@*", None),
            ("*", None),
            ("@acme.com", None),
            ("acme.com", None),
            ("*@localhost", None),
            ("*@acme..com", None),
            ("*@acme.com.", None),
            ("a@b@acme.com", None),
        ] {
            let read = EmailPattern::parse(text).map(|pattern| pattern.to_string());
            assert_eq!(read.as_deref(), printed, "{text:?}");
        }
    }
}
