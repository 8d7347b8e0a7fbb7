//! What a scope opens at one server, in words for a person.

use super::words::plain;
use crate::protocol::authorize::OFFLINE_ACCESS;
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::scope::Scope;

/// What `scope` means at a server where it opens this; `None` where that server does not know it. A name says nothing: the
/// same one may open something else at the server beside it, and "read" the deletion of everything. The patterns do.
#[must_use]
pub fn scope_words(scope: &Scope, opens: Option<&[MethodPattern]>) -> String {
    let stays = scope.as_str() == OFFLINE_ACCESS;
    match opens {
        None | Some([]) if stays => STAYS.to_owned(),
        None => format!("Nothing: this server does not know “{scope}” any more"),
        Some([]) => format!("Nothing: “{scope}” opens nothing at this server"),
        Some(patterns) if stays => format!("{STAYS}; {}", lower_first(&sentence(patterns))),
        Some(patterns) => sentence(patterns),
    }
}

const STAYS: &str = "Stay connected when you are not there (until you revoke it)";

/// Each kind of thing once, with all that is named of it, in the order of [`KINDS`].
fn sentence(patterns: &[MethodPattern]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for kind in &KINDS {
        let opened = patterns.iter().filter(|pattern| kind.has(pattern));
        let opened: Vec<_> = opened.collect();
        if opened.is_empty() || kind.goes_without_saying(patterns) {
            continue;
        }
        let names = names(&opened);
        parts.push(match kind.named {
            Some(said) if !names.is_empty() => format!("{said} {}", names.join(", ")),
            _ => kind.all.to_owned(),
        });
    }
    let is_other = |pattern: &&MethodPattern| !KINDS.iter().any(|kind| kind.has(pattern));
    for other in patterns.iter().filter(is_other) {
        parts.push(format!("Do what this server calls “{}”", other.method));
    }
    parts.dedup();
    let mut parts = parts.into_iter();
    let first = parts.next().unwrap_or_default();
    parts.fold(first, |said, part| {
        format!("{said}; {}", lower_first(&part))
    })
}

/// The names that are opened, quoted; none where all are. A pattern reads `delete_*`, which people understand.
fn names(opened: &[&MethodPattern]) -> Vec<String> {
    let mut names = Vec::new();
    for pattern in opened {
        match pattern.name.as_deref() {
            name if is_every(name) => return Vec::new(),
            name => {
                let name = format!("“{}”", plain(name.unwrap_or_default()));
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
    }
    names
}

/// Whether a pattern for names is one for every name.
fn is_every(name: Option<&str>) -> bool {
    name.is_none_or(|name| name.chars().all(|letter| letter == '*'))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(letters).collect()
}

/// Methods that are one thing to a person.
struct Kind {
    methods: &'static [&'static str],
    /// Said of all there is.
    all: &'static str,
    /// Said before names, where the methods have any.
    named: Option<&'static str>,
    /// Methods beside which it need not be said.
    said_by: &'static [&'static str],
}

impl Kind {
    fn has(&self, pattern: &MethodPattern) -> bool {
        self.methods.contains(&&*pattern.method)
    }

    /// Whether all of it belongs to what is said already: whoever reads a resource may watch it.
    fn goes_without_saying(&self, patterns: &[MethodPattern]) -> bool {
        let is_said = |own: &MethodPattern| {
            patterns.iter().any(|other| {
                let is_above = self.said_by.contains(&&*other.method);
                is_above && (is_every(other.name.as_deref()) || other.name == own.name)
            })
        };
        let mut own = patterns.iter().filter(|pattern| self.has(pattern));
        own.all(is_said)
    }
}

const KINDS: [Kind; 9] = [
    Kind {
        methods: &["tools/list"],
        all: "See which tools there are",
        named: None,
        said_by: &[],
    },
    Kind {
        methods: &["tools/call"],
        all: "Run tools on your behalf",
        named: Some("Run these tools on your behalf:"),
        said_by: &[],
    },
    Kind {
        methods: &["tasks/get", "tasks/list", "tasks/result", "tasks/cancel"],
        all: "Look after what tools are doing on your behalf",
        named: None,
        said_by: &["tools/call"],
    },
    Kind {
        methods: &["resources/list", "resources/templates/list"],
        all: "See which resources there are",
        named: None,
        said_by: &[],
    },
    Kind {
        methods: &["resources/read"],
        all: "Read resources",
        named: Some("Read these resources:"),
        said_by: &[],
    },
    Kind {
        methods: &["resources/subscribe", "resources/unsubscribe"],
        all: "Be told when resources change",
        named: Some("Be told when these resources change:"),
        said_by: &["resources/read"],
    },
    Kind {
        methods: &["prompts/list"],
        all: "See which prompts there are",
        named: None,
        said_by: &[],
    },
    Kind {
        methods: &["prompts/get"],
        all: "Use prompts",
        named: Some("Use these prompts:"),
        said_by: &[],
    },
    Kind {
        methods: &["completion/complete"],
        all: "Be offered what to fill in",
        named: None,
        said_by: &["prompts/get", "resources/read"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(scope: &str, opens: Option<&[&str]>) -> String {
        let opens = opens.map(|opens| {
            let opens = opens.iter().map(|text| MethodPattern::parse(text).unwrap());
            opens.collect::<Vec<_>>()
        });
        scope_words(&Scope::parse(scope).unwrap(), opens.as_deref())
    }

    /// CONS-03
    #[test]
    fn a_scope_is_put_into_words_by_what_it_opens_and_not_by_its_name() {
        for (opens, said) in [
            (&["tools/list"][..], "See which tools there are"),
            (&["tools/call"], "Run tools on your behalf"),
            (
                &["tools/call:*", "tools/call:add"],
                "Run tools on your behalf",
            ),
            (
                &["tools/call:delete_*"],
                "Run these tools on your behalf: “delete_*”",
            ),
            (
                &["tools/call:delete_*", "tools/call:drop", "tools/call:drop"],
                "Run these tools on your behalf: “delete_*”, “drop”",
            ),
            (
                &["prompts/get:x", "tools/call:add", "tools/list"],
                "See which tools there are; run these tools on your behalf: “add”; use these prompts: “x”",
            ),
            (
                &["resources/list", "resources/templates/list"],
                "See which resources there are",
            ),
            (
                &[
                    "resources/read",
                    "resources/subscribe",
                    "resources/unsubscribe",
                ],
                "Read resources",
            ),
            (
                &[
                    "resources/read:file:///a/*",
                    "resources/subscribe:file:///a/*",
                ],
                "Read these resources: “file:///a/*”",
            ),
            (
                &[
                    "resources/read:file:///a/*",
                    "resources/subscribe:file:///b",
                ],
                "Read these resources: “file:///a/*”; be told when these resources change: “file:///b”",
            ),
            (&["resources/subscribe"], "Be told when resources change"),
            (&["prompts/get", "completion/complete"], "Use prompts"),
            (&["completion/complete"], "Be offered what to fill in"),
            (&["tools/call", "tasks/get"], "Run tools on your behalf"),
            (
                &["x.acme/do", "tools/call:a"],
                "Run these tools on your behalf: “a”; do what this server calls “x.acme/do”",
            ),
            (
                &[],
                "Nothing: “mcp:tools:read” opens nothing at this server",
            ),
        ] {
            assert_eq!(words("mcp:tools:read", Some(opens)), said, "{opens:?}");
        }
    }

    /// CONS-03
    #[test]
    fn what_the_server_does_not_know_opens_nothing_and_staying_is_the_same_everywhere() {
        assert_eq!(
            words("files:admin", None),
            "Nothing: this server does not know “files:admin” any more"
        );
        for opens in [None, Some(&[][..])] {
            assert_eq!(words("offline_access", opens), STAYS);
        }
        // and if somebody lets it open something, that is not kept quiet
        let opens = words("offline_access", Some(&["tools/call:**"]));
        assert_eq!(opens, format!("{STAYS}; run tools on your behalf"));
    }

    #[test]
    fn a_name_in_a_pattern_cannot_dress_up() {
        let opens = ["tools/call:a” and nothing else “\u{202e}b"];
        assert_eq!(
            words("x", Some(&opens)),
            "Run these tools on your behalf: “a' and nothing else 'b”"
        );
    }
}
