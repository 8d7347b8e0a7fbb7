//! What a scope opens: an MCP method, or a method with a tool, prompt or resource by name.

use std::fmt;

/// `tools/list`, or `tools/call:delete_*`: what stands on the right side in `[scopes]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodPattern {
    /// The MCP method, exactly.
    pub method: String,
    /// A pattern for `params.name` or `params.uri`, in which `*` stands for any characters; none: every name.
    pub name: Option<String>,
}

impl MethodPattern {
    /// Reads a pattern. What follows the first colon is the name, so that a URI needs no escapes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (method, name) = match text.split_once(':') {
            Some((method, name)) => (method, Some(name)),
            None => (text, None),
        };
        if method.contains('*') {
            return Err("has a * in the method, which is named exactly");
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-.$".contains(&byte);
        if method.is_empty() || !method.bytes().all(legal) {
            return Err("does not begin with the name of a method");
        }
        if let Some(name) = name {
            if !NAMING.contains(&method) {
                return Err("has a name behind a method that names nothing");
            }
            if name.is_empty() || name.chars().any(char::is_control) {
                return Err("has no name behind the colon");
            }
        }
        Ok(Self {
            method: method.to_owned(),
            name: name.map(ToOwned::to_owned),
        })
    }
}

impl fmt::Display for MethodPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}:{name}", self.method),
            None => f.write_str(&self.method),
        }
    }
}

/// The methods with `params.name` or `params.uri`.
const NAMING: [&str; 5] = [
    "tools/call",
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_method_with_or_without_a_name() {
        for (text, read) in [
            ("tools/list", Some(("tools/list", None))),
            ("tools/call", Some(("tools/call", None))),
            (
                "tools/call:delete_*",
                Some(("tools/call", Some("delete_*"))),
            ),
            ("tools/call:*", Some(("tools/call", Some("*")))),
            ("prompts/get:a b", Some(("prompts/get", Some("a b")))),
            (
                "resources/read:file:///a/*.md",
                Some(("resources/read", Some("file:///a/*.md"))),
            ),
            ("initialize", Some(("initialize", None))),
            ("x.acme/do_it", Some(("x.acme/do_it", None))),
            ("", None),
            (":", None),
            (":x", None),
            ("tools/call:", None),
            ("tools/call:a\nb", None),
            ("tools/list:x", None),
            ("tools/*", None),
            ("*", None),
            ("tools call", None),
            ("tools/list ", None),
            ("tööls/list", None),
        ] {
            let pattern = MethodPattern::parse(text).ok();
            let parts = pattern
                .as_ref()
                .map(|pattern| (pattern.method.as_str(), pattern.name.as_deref()));
            assert_eq!(parts, read, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_reads_the_same(text in "(tools/call|prompts/get|tools/list|[a-z/*]{0,8})(:.{0,12})?") {
            if let Ok(pattern) = MethodPattern::parse(&text) {
                proptest::prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}
