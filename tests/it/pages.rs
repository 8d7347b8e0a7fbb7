//! What people see: escaped, without script, with the headers that keep it safe.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use anteroom::clock::UnixTime;
use anteroom::endpoint::page::account::{AccountPage, ConnectionLine, SignInPage};
use anteroom::endpoint::page::asset::{icon, icon_path, style, style_path};
use anteroom::endpoint::page::consent::{
    ConsentPage, Destination, Origin, ProviderLine, ScopeLine,
};
use anteroom::endpoint::page::failed::{Again, Choice, FailedPage, Trouble, Way};
use anteroom::endpoint::page::help::HelpPage;
use anteroom::endpoint::page::{ActionLine, ErrorPage, RefusedPage, ReturnPage};
use anteroom::protocol::consent::Familiarity;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;

use crate::samples;

const HEADERS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
];

/// SEC-09, C2
#[tokio::test]
async fn nothing_a_stranger_wrote_becomes_markup() {
    let hostile = r#"<script>alert(1)</script>"'><img src=x onerror=alert(1)>"#;
    for (name, page) in pages(hostile) {
        let html = text(page).await;
        for mark in ["<script", "<img", "\"'>", "javascript:"] {
            assert!(!html.contains(mark), "{name}: {mark} in {html}");
        }
        assert!(
            html.contains("&#60;script&#62;"),
            "{name} does not show the value at all: {html}"
        );
    }
}

/// AUTHZ-23, AUTHZ-24, SEC-10, CONS-07
#[tokio::test]
async fn every_page_is_kept_from_caches_frames_and_strangers() {
    for (name, page) in pages("x") {
        for (header, value) in HEADERS {
            assert_eq!(
                page.headers().get(header).map(http::HeaderValue::as_bytes),
                Some(value.as_bytes()),
                "{name}: {header}"
            );
        }
    }
}

#[tokio::test]
async fn pages_load_nothing_but_our_own_files() {
    for (name, page) in pages("x") {
        let html = text(page).await;
        for banned in [
            "<script",
            "<style",
            "style=",
            " on",
            "src=",
            "http-equiv",
            "href=\"//",
        ] {
            let found = html
                .match_indices(banned)
                .find(|(at, _)| banned != " on" || is_handler(&html[at + 1..]));
            assert_eq!(found, None, "{name}: {html}");
        }
        let loads = html
            .lines()
            .filter(|line| line.contains("<link"))
            .collect::<Vec<_>>();
        assert_eq!(loads.len(), 2, "{name}: {loads:?}");
        assert!(
            loads
                .iter()
                .all(|line| line.contains("href=\"/a/b/assets/")),
            "{name}: {loads:?}"
        );
    }
    let sheet = text(style().await).await;
    for elsewhere in ["url(", "@import", "//"] {
        assert!(!sheet.contains(elsewhere), "{elsewhere}");
    }
}

const JUST_STARTED: &str = "Continue only if you just started connecting it.";

/// Forms of the consent page: what each says, and what it does not.
const FORMS: [(&str, &[&str], &[&str]); 10] = [
    (
        "registered",
        &[
            "“<bdi>Claude</bdi>” asks to use <bdi>Example tools</bdi>",
            "<p class=\"fact\">An unverified app</p>",
            "This app registered itself",
            "anyone can choose any name",
            "<p class=\"fact\"><bdi>claude.ai</bdi></p>",
            "https://mcp.example.com/mcp",
            "It stays connected for 180 days at most",
            "your e-mail addresses (read)",
        ],
        &[JUST_STARTED, "described by", "<img"],
    ),
    (
        "loopback",
        &["A program on this computer", JUST_STARTED],
        &["is described by"],
    ),
    (
        "app-scheme",
        &[
            "The app that opens <bdi>cursor://anysphere.cursor-mcp</bdi> links",
            JUST_STARTED,
        ],
        &["A program on this computer"],
    ),
    (
        "document",
        &[
            "<p class=\"quiet\"><code><bdi>https://claude.ai/oauth/mcp-client-metadata.json</bdi></code></p>",
            "described by a page at <bdi>claude.ai</bdi>; this server has not checked who wrote it.",
        ],
        &["registered itself", "This is not", "vouches"],
    ),
    (
        "document-elsewhere",
        &["<strong>This is not <bdi>apps.example</bdi>, which describes the app.</strong>"],
        &[JUST_STARTED],
    ),
    (
        "document-loopback",
        &["<bdi>vscode.dev</bdi>", JUST_STARTED],
        &["This is not"],
    ),
    (
        "logo",
        &["<img class=\"logo\" alt=\"\" width=\"48\" height=\"48\" src=\"/logo/sample\">"],
        &[],
    ),
    (
        "known",
        &["The operator of this server set it up, and gave it its name."],
        &["not verified", "vouches"],
    ),
    (
        "changed",
        &["It has changed since you let it in"],
        &["class=\"rest\""],
    ),
    (
        "more",
        &[
            "It asks for more than before",
            "Run tools on your behalf <strong class=\"mark\">New</strong>",
        ],
        &["class=\"rest\"", "there are <strong class"],
    ),
];

/// CONS-03, CONS-04, CONS-05, CLI-21, C2
#[tokio::test]
async fn consent_says_what_is_known_of_the_app_and_where_the_answer_goes() {
    for (name, said, unsaid) in FORMS {
        let html = text(sample(name)).await;
        for said in said {
            assert!(html.contains(said), "{name}: {said} is missing: {html}");
        }
        for unsaid in unsaid {
            assert!(!html.contains(unsaid), "{name}: {unsaid}: {html}");
        }
    }
}

/// CONS-24, A5
#[tokio::test]
async fn the_short_page_folds_what_was_read_before_and_never_where_the_answer_goes() {
    for (name, at_once) in [
        ("remembered", &["claude.ai", "This app is described by"][..]),
        (
            "remembered-loopback",
            &["A program on this computer", "Any program on this computer"],
        ),
    ] {
        let html = text(sample(name)).await;
        let (before, rest) = html.split_once("<details class=\"rest\">").unwrap();
        let (folded, after) = rest.split_once("</details>").unwrap();
        // the address and the app id are folded on every page
        let open = before.split("<details>").next().unwrap();
        for told in at_once.iter().chain(&[
            "You let this app in before, on 3 November 2026.",
            "https://mcp.example.com/mcp",
            "asks to use",
            "It stays connected for 180 days at most",
        ]) {
            assert!(open.contains(told), "{name}: {told}: {open}");
        }
        for told in ["mcp:tools:execute", "How you sign in"] {
            assert!(folded.contains(told), "{name}: {told}: {folded}");
        }
        assert_eq!(after.matches("Continue with").count(), 1, "{after}");
        assert!(after.contains("Deny"), "{after}");
    }
}

fn sample(name: &str) -> Response {
    let page = samples::pages().into_iter().find(|(of, _)| *of == name);
    page.unwrap().1
}

#[tokio::test]
async fn consent_is_a_form_that_works_without_script() {
    let html = text(consent("x").into_response()).await;
    for part in [
        "<form method=\"post\" action=\"/a/b/consent\">",
        "<input type=\"hidden\" name=\"ticket\" value=\"ticket x\">",
        "name=\"decision\" value=\"x\">Continue with x</button>",
        "name=\"decision\" value=\"deny\">Deny</button>",
    ] {
        assert!(html.contains(part), "{part} is missing: {html}");
    }
}

/// AUTHZ-25
#[tokio::test]
async fn the_way_back_to_an_app_is_a_link_that_a_person_follows() {
    let page = |url: &str| ReturnPage {
        base: String::new(),
        app: "Cursor".to_owned(),
        url: url.to_owned(),
    };
    let html = text(page("cursor://mcp/cb?code=a&state=b").into_response()).await;
    assert!(
        html.contains("href=\"cursor://mcp/cb?code=a&#38;state=b\""),
        "{html}"
    );
    assert!(html.contains("Return to <bdi>Cursor</bdi></a>"), "{html}");
    for url in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " data:text/html,x",
        "file:///etc",
        "no url",
    ] {
        let html = text(page(url).into_response()).await;
        assert!(!html.contains("class=\"go\""), "{url}: {html}");
    }
}

/// CONS-25
#[tokio::test]
async fn each_connection_has_a_button_of_its_own_and_all_of_them_one_that_is_folded() {
    let html = text(sample("account")).await;
    let buttons = html.matches("name=\"session\" value=").count();
    assert_eq!(buttons, 2, "{html}");
    assert!(html.contains("Disconnect<span class=\"unseen\"> “Claude” at claude.ai</span>"));
    let (_, folded) = html.split_once("<details>").unwrap();
    let (folded, _) = folded.split_once("</details>").unwrap();
    assert!(folded.contains("/account/revoke-all"), "{folded}");
    assert!(!text(sample("account-one")).await.contains("revoke-all"));
}

/// CONS-25
#[tokio::test]
async fn what_ends_all_of_a_long_list_stands_above_it() {
    for (name, is_above) in [("account", false), ("account-many", true)] {
        let html = text(sample(name)).await;
        let list = html.find("class=\"cards\"").unwrap();
        for ends in ["/account/revoke-all\"", "/account/sign-out\""] {
            assert_eq!(html.matches(ends).count(), 1, "{name}: {html}");
            assert_eq!(html.find(ends).unwrap() < list, is_above, "{name}: {ends}");
        }
        assert!(html.contains("You stay signed in at GitHub in this browser"));
    }
}

/// AUTHZ-18, AUTHZ-25
#[tokio::test]
async fn a_browser_goes_by_itself_to_sites_alone_and_where_nothing_can_be_tried_again() {
    let page = |way| FailedPage {
        base: String::new(),
        provider: "GitHub".to_owned(),
        trouble: Trouble::Unavailable,
        again: None,
        way,
        request_id: "x".to_owned(),
    };
    let waiting = |url: &str| Way::Waiting {
        app: "Claude".to_owned(),
        url: url.to_owned(),
    };
    for (way, status, goes_to) in [
        (
            waiting("https://a.example/cb?error=x&iss=y"),
            200,
            "20; url=https://a.example/cb?error=x&iss=y",
        ),
        (
            waiting("http://127.0.0.1:1/?error=x"),
            200,
            "20; url=http://127.0.0.1:1/?error=x",
        ),
        (waiting("cursor://a/cb?error=x"), 200, ""),
        (waiting("javascript:alert(1)"), 200, ""),
        (Way::App("https://a.example/cb?error=x".to_owned()), 503, ""),
        (Way::Account, 503, ""),
    ] {
        let shown = format!("{way:?}");
        let response = page(way).into_response();
        assert_eq!(response.status(), status, "{shown}");
        let refresh = response.headers().get("refresh");
        let refresh = refresh.map_or("", |value| value.to_str().unwrap());
        assert_eq!(refresh, goes_to, "{shown}");
        let html = text(response).await;
        let says = html.contains("You are taken back to “<bdi>Claude</bdi>” in 20 seconds.");
        assert_eq!(says, !goes_to.is_empty(), "{shown}: {html}");
    }
}

/// CONS-21
#[tokio::test]
async fn the_page_of_a_provider_that_failed_offers_what_can_be_done() {
    for (name, said, unsaid) in [
        (
            "failed",
            &["GitHub cannot be reached", "Back to the app</a>"][..],
            &["<form", "/account\""][..],
        ),
        (
            "failed-invalid",
            &["Signing in at GitHub did not work", "?error=server_error"],
            &["<form"],
        ),
        (
            "failed-leaving",
            &[
                "value=\"github\">Try GitHub again</button>",
                "value=\"corp\">Continue with Acme login</button>",
                "Back to the app</a>",
            ],
            &["Go back to the app"],
        ),
        (
            "failed-account",
            &["href=\"/account\""],
            &["Back to the app", "<form"],
        ),
    ] {
        let html = text(sample(name)).await;
        for said in said {
            assert!(html.contains(said), "{name}: {said} is missing: {html}");
        }
        for unsaid in unsaid {
            assert!(!html.contains(unsaid), "{name}: {unsaid}: {html}");
        }
    }
}

#[tokio::test]
async fn files_are_named_by_content_and_kept_for_ever() {
    for (path, file, kind) in [
        (style_path(), style().await, "css"),
        (icon_path(), icon().await, "svg"),
    ] {
        let parts = path.split('.').collect::<Vec<_>>();
        assert!(
            parts.len() == 3 && parts[1].len() == 8 && parts[2] == kind,
            "{path}"
        );
        assert_eq!(
            file.headers()[CACHE_CONTROL],
            "public, max-age=31536000, immutable",
            "{path}"
        );
    }
}

fn consent(x: &str) -> ConsentPage {
    ConsentPage {
        base: "/a/b".to_owned(),
        client_name: Some(x.to_owned()),
        client_id: format!("id {x}"),
        origin: Origin::Document { host: x.to_owned() },
        logo: None,
        client_uri_host: Some(x.to_owned()),
        redirect_host: format!("host {x}"),
        redirect_uri: format!("https://{x}"),
        destination: Destination::Site,
        server_name: format!("server {x}"),
        resource: format!("resource {x}"),
        scopes: vec![ScopeLine {
            scope: x.to_owned(),
            words: format!("words {x}"),
            is_new: true,
        }],
        stays: x.to_owned(),
        providers: vec![ProviderLine {
            id: x.to_owned(),
            label: x.to_owned(),
            asks_for: vec![format!("asked {x}")],
        }],
        familiarity: Familiarity::Remembered { at: UnixTime(0) },
        ticket: format!("ticket {x}"),
    }
}

/// The account page and those around it, with `x` in every text.
fn account_pages(x: &str) -> [(&'static str, Response); 3] {
    let (base, x) = ("/a/b".to_owned(), x.to_owned());
    let choice = || Choice {
        id: x.clone(),
        label: x.clone(),
    };
    let account = AccountPage {
        base: base.clone(),
        account: x.clone(),
        provider: x.clone(),
        done: None,
        connections: vec![ConnectionLine {
            id: x.clone(),
            client_name: Some(x.clone()),
            client_host: format!("host {x}"),
            server_name: x.clone(),
            resource: format!("resource {x}"),
            scopes: vec![x.clone()],
            created: UnixTime(0),
            used: UnixTime(i64::MAX),
        }],
        ticket: x.clone(),
    };
    let sign_in = SignInPage {
        base: base.clone(),
        providers: vec![choice()],
        ticket: x.clone(),
    };
    let failed = FailedPage {
        base,
        provider: x.clone(),
        trouble: Trouble::Invalid,
        again: Some(Again {
            path: "/consent",
            field: "decision",
            ticket: x.clone(),
            providers: vec![choice(), choice()],
        }),
        way: Way::App(format!("javascript:{x}")),
        request_id: x.clone(),
    };
    [
        ("account", account.into_response()),
        ("sign-in", sign_in.into_response()),
        ("failed", failed.into_response()),
    ]
}

/// Every page, with `x` in every text.
fn pages(x: &str) -> Vec<(&'static str, Response)> {
    let (base, x) = ("/a/b".to_owned(), x.to_owned());
    let action = |link: &str| ActionLine {
        text: x.clone(),
        link: Some(format!("{link}{x}")),
    };
    let actions = || {
        vec![
            action("https://e.example/"),
            action("/authorize?"),
            action("javascript:"),
            action(""),
        ]
    };
    let error = ErrorPage {
        base: base.clone(),
        status: StatusCode::BAD_REQUEST,
        title: x.clone(),
        what: x.clone(),
        remedies: actions(),
        request_id: x.clone(),
        back: None,
        code: Some(x.clone()),
    };
    let refused = RefusedPage {
        base: base.clone(),
        account: x.clone(),
        provider: x.clone(),
        reasons: vec![x.clone()],
        actions: actions(),
        back: Some(format!("javascript:{x}")),
        request_id: x.clone(),
    };
    let back = ReturnPage {
        base: base.clone(),
        app: x.clone(),
        url: format!("cursor://{x}"),
    };
    let help = HelpPage {
        base,
        server_name: x.clone(),
        url: format!("https://{x}"),
        providers: vec![x.clone(), x.clone()],
        others: vec![(x.clone(), format!("https://{x}"))],
    };
    let mut pages = vec![
        ("consent", consent(&x).into_response()),
        ("error", error.into_response()),
        ("refused", refused.into_response()),
        ("return", back.into_response()),
        ("help", samples::answer(&help)),
    ];
    pages.extend(account_pages(&x));
    pages
}

async fn text(page: Response) -> String {
    let Ok(body) = axum::body::to_bytes(page.into_body(), usize::MAX).await else {
        panic!("a page breaks off");
    };
    String::from_utf8_lossy(&body).into_owned()
}

/// Whether an attribute such as `onclick=` begins here.
fn is_handler(html: &str) -> bool {
    let name = html.trim_start_matches(|c: char| c.is_ascii_lowercase());
    name.starts_with('=')
}
