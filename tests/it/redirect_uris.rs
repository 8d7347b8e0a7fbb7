//! Redirect URIs under attack: what comes close to one that is registered, and is none (R1 to R8 of the advisories).

use anteroom::protocol::redirect_uri::RedirectUri;
use url::Url;

const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// R3, CLI-36
#[test]
fn no_spelling_of_a_scheme_that_runs_or_reads_is_let_in() {
    for scheme in ["javascript", "data", "vbscript", "file", "blob", "about"] {
        let mixed: String = (0..)
            .zip(scheme.chars())
            .map(|(at, c)| {
                if at % 2 == 0 {
                    c.to_ascii_uppercase()
                } else {
                    c
                }
            })
            .collect();
        for scheme in [scheme, mixed.as_str(), scheme.to_uppercase().as_str()] {
            for inside in ["", "\t", "\n", "\r", "\0", " ", "%09", "%0a", "%00", "%20"] {
                for rest in [
                    ":x",
                    ":/x",
                    "://x/y",
                    ":\u{9}/x",
                    "%3a/x",
                    "%3A//x",
                    "&colon;/x",
                ] {
                    let (head, tail) = scheme.split_at(3);
                    for begin in ["", inside] {
                        let uri = format!("{begin}{head}{inside}{tail}{rest}");
                        assert!(RedirectUri::parse(&uri).is_err(), "{uri:?}");
                    }
                }
            }
        }
    }
}

/// What is tried; what is registered; what is asked for.
const NEAR_MISSES: [(&str, &str, &str); 66] = [
    (
        "another host",
        "https://a.example/cb",
        "https://b.example/cb",
    ),
    (
        "a slash more",
        "https://a.example/cb",
        "https://a.example/cb/",
    ),
    (
        "a slash less",
        "https://a.example/cb/",
        "https://a.example/cb",
    ),
    (
        "a path where there is none",
        "https://a.example",
        "https://a.example/",
    ),
    (
        "a longer path",
        "https://a.example/cb",
        "https://a.example/cb/evil",
    ),
    (
        "a longer name",
        "https://a.example/cb",
        "https://a.example/cbevil",
    ),
    (
        "a shorter path",
        "https://a.example/a/cb",
        "https://a.example/a",
    ),
    (
        "a doubled slash",
        "https://a.example/cb",
        "https://a.example//cb",
    ),
    (
        "an empty query",
        "https://a.example/cb",
        "https://a.example/cb?",
    ),
    (
        "a query more",
        "https://a.example/cb",
        "https://a.example/cb?x=1",
    ),
    (
        "a query less",
        "https://a.example/cb?x=1",
        "https://a.example/cb",
    ),
    (
        "a parameter more",
        "https://a.example/cb?x=1",
        "https://a.example/cb?x=1&y=2",
    ),
    (
        "another order",
        "https://a.example/cb?x=1&y=2",
        "https://a.example/cb?y=2&x=1",
    ),
    (
        "an empty fragment",
        "https://a.example/cb",
        "https://a.example/cb#",
    ),
    (
        "a fragment",
        "https://a.example/cb",
        "https://a.example/cb#x",
    ),
    (
        "path in other case",
        "https://a.example/cb",
        "https://a.example/CB",
    ),
    (
        "host in other case",
        "https://a.example/cb",
        "https://A.example/cb",
    ),
    (
        "scheme in other case",
        "https://a.example/cb",
        "HTTPS://a.example/cb",
    ),
    ("no TLS", "https://a.example/cb", "http://a.example/cb"),
    (
        "the usual port written out",
        "https://a.example/cb",
        "https://a.example:443/cb",
    ),
    (
        "another port",
        "https://a.example/cb",
        "https://a.example:8443/cb",
    ),
    (
        "another port for a port",
        "https://a.example:8443/cb",
        "https://a.example:8444/cb",
    ),
    (
        "an empty port",
        "https://a.example/cb",
        "https://a.example:/cb",
    ),
    (
        "a final dot",
        "https://a.example/cb",
        "https://a.example./cb",
    ),
    (
        "a subdomain",
        "https://a.example/cb",
        "https://x.a.example/cb",
    ),
    (
        "a host that begins so",
        "https://a.example/cb",
        "https://a.example.evil.example/cb",
    ),
    (
        "a host that ends so",
        "https://a.example/cb",
        "https://evil-a.example/cb",
    ),
    (
        "a user name",
        "https://a.example/cb",
        "https://evil@a.example/cb",
    ),
    (
        "the host as user name",
        "https://a.example/cb",
        "https://a.example@evil.example/cb",
    ),
    (
        "host and port as user",
        "https://a.example/cb",
        "https://a.example:443@evil.example/cb",
    ),
    (
        "a backslash",
        "https://a.example/cb",
        "https://a.example\\@evil.example/cb",
    ),
    (
        "backslash for slash",
        "https://a.example/cb",
        "https://a.example\\cb",
    ),
    (
        "a dot segment",
        "https://a.example/cb",
        "https://a.example/./cb",
    ),
    (
        "a way up",
        "https://a.example/cb",
        "https://a.example/x/../cb",
    ),
    (
        "an escaped way up",
        "https://a.example/cb",
        "https://a.example/x/%2e%2e/cb",
    ),
    (
        "a letter escaped",
        "https://a.example/cb",
        "https://a.example/%63b",
    ),
    (
        "a host escaped",
        "https://a.example/cb",
        "https://%61.example/cb",
    ),
    (
        "a slash decoded",
        "https://a.example/a%2Fb",
        "https://a.example/a/b",
    ),
    (
        "a slash encoded",
        "https://a.example/a/b",
        "https://a.example/a%2Fb",
    ),
    (
        "double encoding",
        "https://a.example/a%2Fb",
        "https://a.example/a%252Fb",
    ),
    (
        "double decoding",
        "https://a.example/a%252Fb",
        "https://a.example/a%2Fb",
    ),
    (
        "twice decoded",
        "https://a.example/a%252Fb",
        "https://a.example/a/b",
    ),
    (
        "escapes in other case",
        "https://a.example/a%2Fb",
        "https://a.example/a%2fb",
    ),
    (
        "a space in front",
        "https://a.example/cb",
        " https://a.example/cb",
    ),
    (
        "a line break behind",
        "https://a.example/cb",
        "https://a.example/cb\n",
    ),
    (
        "a tab inside",
        "https://a.example/cb",
        "https://a.ex\tample/cb",
    ),
    (
        "a NUL behind",
        "https://a.example/cb",
        "https://a.example/cb\0",
    ),
    (
        "a letter that looks alike",
        "https://a.example/cb",
        "https://\u{430}.example/cb",
    ),
    (
        "a wide letter",
        "https://a.example/cb",
        "https://\u{ff41}.example/cb",
    ),
    (
        "another port over https",
        "https://localhost/cb",
        "https://localhost:1/cb",
    ),
    (
        "another loopback name",
        "http://localhost/cb",
        "http://127.0.0.1/cb",
    ),
    (
        "the name for the address",
        "http://127.0.0.1/cb",
        "http://localhost:5/cb",
    ),
    (
        "the other address",
        "http://127.0.0.1/cb",
        "http://[::1]:5/cb",
    ),
    (
        "another loopback address",
        "http://127.0.0.1/cb",
        "http://127.0.0.2/cb",
    ),
    (
        "the address cut short",
        "http://127.0.0.1/cb",
        "http://127.1/cb",
    ),
    (
        "the long form of ::1",
        "http://[::1]/cb",
        "http://[0:0:0:0:0:0:0:1]/cb",
    ),
    (
        "a loopback name in capitals",
        "http://localhost/cb",
        "http://LOCALHOST/cb",
    ),
    (
        "a host that begins like loopback",
        "http://localhost/cb",
        "http://localhost.evil.example/cb",
    ),
    (
        "an address as a name",
        "http://127.0.0.1/cb",
        "http://127.0.0.1.evil.example/cb",
    ),
    (
        "loopback with TLS",
        "http://localhost/cb",
        "https://localhost/cb",
    ),
    (
        "another path on another port",
        "http://localhost/cb",
        "http://localhost:1/other",
    ),
    (
        "a query on another port",
        "http://localhost/cb",
        "http://localhost:1/cb?x",
    ),
    (
        "a port as user name",
        "http://localhost/cb",
        "http://localhost:1@evil.example/cb",
    ),
    (
        "a backslash after the host",
        "http://localhost/cb",
        "http://localhost\\/cb",
    ),
    (
        "another scheme of an app",
        "cursor://h/cb",
        "cursor2://h/cb",
    ),
    ("a port for an app", "cursor://h/cb", "cursor://h:1/cb"),
];

/// AUTHZ-04, AUTHZ-06, CLI-38, R1, R4, R5, R8
#[test]
fn a_near_miss_is_a_miss() {
    for (tried, registered, requested) in NEAR_MISSES {
        let uri = RedirectUri::parse(registered).unwrap();
        assert!(uri.admits(registered).is_some(), "{registered}");
        assert!(uri.admits(requested).is_none(), "{tried}: {requested}");
    }
    let loopback = RedirectUri::parse("http://localhost/cb").unwrap();
    for port in [
        "0", "00", "080", "+80", "-1", "0x50", "8O", "65536", "99999", "", "80:80", " 80", "80%20",
        "\u{0668}",
    ] {
        let requested = format!("http://localhost:{port}/cb");
        assert!(loopback.admits(&requested).is_none(), "{requested}");
    }
}

/// AUTHZ-06, CLI-15
#[test]
fn a_loopback_uri_is_good_for_any_port_under_its_own_name() {
    for host in LOOPBACK_HOSTS {
        for registered in ["", ":1", ":33418"] {
            let uri = RedirectUri::parse(&format!("http://{host}{registered}/cb?x=1")).unwrap();
            for requested in ["", ":1", ":80", ":443", ":49211", ":65535"] {
                let requested = format!("http://{host}{requested}/cb?x=1");
                let admitted = uri.admits(&requested);
                assert_eq!(admitted.unwrap().as_str(), requested);
            }
        }
    }
}

/// The URI without the port, if it is one whose port makes no difference: told without any of the code in question.
fn without_loopback_port(uri: &str) -> String {
    for host in LOOPBACK_HOSTS {
        let begin = format!("http://{host}");
        let port = uri
            .strip_prefix(&begin)
            .and_then(|rest| rest.strip_prefix(':'));
        if let Some(port) = port {
            let rest = port.trim_start_matches(|c: char| c.is_ascii_digit());
            return format!("{begin}{rest}");
        }
    }
    uri.to_owned()
}

proptest::proptest! {
    /// R4
    #[test]
    fn what_is_admitted_equals_what_is_registered_but_for_a_loopback_port(
        registered in "(https?://(localhost|127\\.0\\.0\\.1|\\[::1\\]|a\\.example)|app:/|app://h)(:[1-9][0-9]{0,4})?(/|/cb|/cb/|/a%2Fb|/cb\\?x=1)?",
        change in "[a-z0-9:/@?#.%\\\\ \\t\u{e4}]{0,6}",
        cut in 0_usize..4,
        at in 0_usize..40,
    ) {
        if let Ok(uri) = RedirectUri::parse(&registered) {
            let mut requested = registered.clone();
            let at = at.min(registered.len());
            requested.replace_range(at..(at + cut).min(registered.len()), &change);
            if let Some(admitted) = uri.admits(&requested) {
                proptest::prop_assert_eq!(admitted.as_str(), &requested);
                proptest::prop_assert_eq!(without_loopback_port(&requested), without_loopback_port(&registered));
                // and for those who parse: but for the port it is the same place
                let [mut asked, mut known] = [&requested, &registered].map(|uri| Url::parse(uri).unwrap());
                let _ = (asked.set_port(None), known.set_port(None));
                proptest::prop_assert_eq!(asked, known);
            }
        }
    }

    /// R3, R4
    #[test]
    fn no_text_makes_it_panic(
        text in "\\PC*|(https?|[a-z]{1,6}):/{0,3}[a-z0-9:@%\\[\\].?#/\\\\-]{0,24}",
        other in "\\PC*|http://(localhost|\\[::1\\])[0-9:@/?%\\[\\]\u{e4}]{0,12}",
    ) {
        if let Ok(uri) = RedirectUri::parse(&text) {
            let place = uri.admits(&text);
            proptest::prop_assert!(place.is_some_and(|place| !place.shown_host().is_empty()));
            let _ = uri.admits(&other);
        }
        for registered in ["http://localhost/cb", "http://[::1]/", "http://127.0.0.1"] {
            let _ = RedirectUri::parse(registered).unwrap().admits(&other);
        }
    }
}
