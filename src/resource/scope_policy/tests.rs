//! Rules and URIs, each with what comes of it.

use super::*;

fn pattern(text: &str) -> MethodPattern {
    let (method, name) = text
        .split_once(':')
        .map_or((text, None), |(method, name)| (method, Some(name)));
    MethodPattern {
        method: method.to_owned(),
        name: name.map(str::to_owned),
    }
}

fn policy(scopes: &[(&str, &[&str])]) -> ScopePolicy {
    let scopes = scopes.iter().map(|(scope, patterns)| {
        let patterns = patterns.iter().map(|text| pattern(text)).collect();
        (Scope::parse(scope).unwrap(), patterns)
    });
    ScopePolicy::new(scopes.collect(), ScopeSet::default())
}

fn shown(need: Need<'_>) -> String {
    match need {
        Need::Open => "open".to_owned(),
        Need::Unknown => "unknown".to_owned(),
        Need::AnyOf(scopes) => scopes
            .iter()
            .map(|scope| scope.as_str())
            .collect::<Vec<_>>()
            .join("|"),
    }
}

#[test]
fn the_most_specific_rule_decides() {
    let policy = policy(&[
        ("call", &["tools/call"]),
        ("admin", &["tools/call:delete_*"]),
        ("root", &["tools/call:delete_everything"]),
        (
            "danger",
            &["tools/call:*_everything", "tools/call:delete_every*"],
        ),
        ("every", &["tools/call:*"]),
        ("read", &["resources/read:file:///pub/*"]),
        ("a", &["acme/x:ab*"]),
        ("b", &["acme/x:*bc"]),
    ]);
    for (method, name, expected) in [
        ("tools/call", Some("add"), "call|every"),
        ("tools/call", Some("delete_one"), "admin"),
        ("tools/call", Some("delete_everyone"), "danger"),
        ("tools/call", Some("keep_everything"), "danger"),
        ("tools/call", Some("delete_everything"), "root"),
        ("tools/call", Some("Delete_everything"), "danger"),
        ("tools/call", Some(""), "call|every"),
        ("tools/call", None, "call|every"),
        ("resources/read", Some("file:///pub/a"), "read"),
        ("resources/read", Some("file:///etc/a"), "unknown"),
        ("resources/read", None, "unknown"),
        ("acme/x", Some("abc"), "a|b"),
        ("tools/Call", Some("add"), "unknown"),
        ("tools/list", None, "unknown"),
        ("sampling/createMessage", None, "unknown"),
        ("tasks/get", Some("7"), "root|danger|admin|call|every"),
    ] {
        let need = shown(policy.needed(method, name));
        let sorted = |text: &str| {
            let mut all: Vec<_> = text.split('|').map(str::to_owned).collect();
            all.sort();
            all.dedup();
            all
        };
        assert_eq!(sorted(&need), sorted(expected), "{method} {name:?}");
    }
}

#[test]
fn what_keeps_a_connection_needs_no_scope_unless_it_is_named() {
    let policy = policy(&[("log", &["logging/setLevel"])]);
    for method in [
        "initialize",
        "ping",
        "server/discover",
        "subscriptions/listen",
        "notifications/cancelled",
    ] {
        assert_eq!(policy.needed(method, None), Need::Open, "{method}");
    }
    assert_eq!(shown(policy.needed("logging/setLevel", None)), "log");
    assert_eq!(policy.needed("tasks/get", None), Need::Unknown);
}

#[test]
fn a_star_stands_for_any_characters() {
    for (pattern, name, fits) in [
        ("a*", "a", true),
        ("a*", "ba", false),
        ("*a", "ba", true),
        ("a*a", "a", false),
        ("a*a", "aa", true),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("*b*", "abc", true),
        ("**", "", true),
        ("é*", "été", true),
        ("a", "a", true),
        ("a", "ab", false),
    ] {
        assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
    }
}

/// RS-14
#[test]
fn a_template_needs_what_one_of_its_uris_needs() {
    let policy = policy(&[
        ("read", &["resources/read"]),
        ("vault", &["resources/read:vault://*"]),
        ("key", &["resources/read:vault://*/key"]),
        ("one", &["resources/read:vault://a/one"]),
        ("only", &["acme/x:ab*c"]),
    ]);
    for (method, template, expected) in [
        ("resources/read", "file:///{path}", "read"),
        ("resources/read", "file:///a", "read"),
        ("resources/read", "{+uri}", "read|vault|key|one"),
        ("resources/read", "va{x}", "read|vault|key|one"),
        ("resources/read", "vault://{x}", "vault|key|one"),
        ("resources/read", "vault://{x}/lock", "vault"),
        ("resources/read", "vault://{x}/key", "key"),
        ("resources/read", "vault://a/{x}e", "vault|one"),
        ("resources/read", "vault://a/{", "vault|key|one"),
        ("resources/read", "vault://a/one", "one"),
        ("resources/read", "Vault://{x}", "read"),
        ("acme/x", "a{x}", "only"),
        ("acme/x", "abcd{x}", "only"),
        ("acme/x", "abcd{x}d", "unknown"),
        ("acme/x", "b{x}", "unknown"),
        ("acme/y", "{x}", "unknown"),
        ("ping", "{x}", "open"),
    ] {
        let need = shown(policy.needed_by_template(method, template));
        assert_eq!(need, expected, "{method} {template}");
    }
}

/// RS-14
#[test]
fn a_uri_that_parsers_would_change_has_more_than_one_reading() {
    let policy = policy(&[("read", &["resources/read"])]);
    for (uri, one) in [
        ("config://admin", true),
        ("sample:///welcome.txt", true),
        ("file:///public/a%20b", true),
        ("https://a.example", true),
        ("urn:x:y", true),
        ("welcome.txt", true),
        ("CONFIG://admin", false),
        (" config://admin", false),
        ("config://ad\tmin", false),
        ("file:///public/../secret", false),
        ("file:///public/%2e%2e/secret", false),
        ("file:///%70ublic", false),
        ("file:///public%2Fsecret", false),
        ("file:///public/%", false),
        ("file://localhost/public", false),
        ("https://A.example/", false),
        ("https://a.example:443/", false),
        ("file:///public\\secret", false),
        ("file:///\u{e4}", false),
        ("file:///public#x", false),
        ("https://me@a.example/", false),
        ("https://:word@a.example/", false),
        ("vault://me:word@a/b", false),
        ("mailto:me@a.example", true),
    ] {
        let read = policy.has_one_reading("resources/read", uri);
        assert_eq!(read, one, "{uri}");
    }
}

/// RS-14
#[test]
fn a_bare_origin_is_read_as_its_root_only_where_that_needs_the_same() {
    let policy = policy(&[
        ("read", &["resources/read"]),
        (
            "secret",
            &[
                "resources/read:https://a.example/*",
                "resources/read:file:///*",
            ],
        ),
    ]);
    for (uri, one) in [
        ("https://a.example", false),
        ("https://a.example/", true),
        ("https://b.example", true),
        ("file://", false),
        ("file:///", true),
    ] {
        let read = policy.has_one_reading("resources/read", uri);
        assert_eq!(read, one, "{uri}");
    }
}

/// RS-14
#[test]
fn all_uris_of_a_template_need_what_every_rule_asks_that_they_can_meet() {
    let policy = policy(&[
        ("read", &["resources/read"]),
        ("vault", &["resources/read:vault://*"]),
        ("safe", &["resources/read:vault://*"]),
        ("key", &["resources/read:vault://*/key"]),
    ]);
    for (method, template, expected) in [
        ("resources/read", "file:///{path}", "read"),
        ("resources/read", "{+uri}", "read & vault|safe & key"),
        ("resources/read", "vault://{x}", "vault|safe & key"),
        ("resources/read", "vault://{x}/key", "key"),
        ("acme/y", "{x}", "unknown"),
    ] {
        let needs = policy.needed_by_every_uri(method, template);
        let needs: Vec<_> = needs.into_iter().map(shown).collect();
        assert_eq!(needs.join(" & "), expected, "{template}");
    }
}

#[test]
fn a_policy_tells_tokens_apart_where_who_may_list_may_not_call_everything() {
    for (scopes, apart) in [
        (&[("all", &["tools/list", "tools/call"][..])][..], false),
        (
            &[("list", &["tools/list"]), ("call", &["tools/call"])],
            true,
        ),
        (
            &[
                ("a", &["tools/list", "tools/call"]),
                ("b", &["tools/call:x"]),
            ],
            true,
        ),
        (&[("a", &["tools/call"])], false),
    ] {
        let policy = policy(scopes);
        assert_eq!(policy.tells_tokens_apart("tools/list", "tools/call"), apart);
    }
}
