//! What people see: escaped, without script, with the headers that keep it safe.

use anteroom::endpoint::page::{
    ActionLine, ConsentPage, ErrorPage, ProviderLine, RefusedPage, ReturnPage, ScopeLine, icon,
    icon_path, scope_words, style, style_path,
};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;

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

/// CONS-03, CONS-04, CONS-05, CLI-21
#[tokio::test]
async fn consent_says_who_asks_and_where_the_answer_goes() {
    let local = text(consent("Tool").into_response()).await;
    let metadata = ConsentPage {
        client_id: "https://app.example/client.json".to_owned(),
        redirect_host: "app.example".to_owned(),
        loopback: false,
        ..consent("Tool")
    };
    let remote = text(metadata.into_response()).await;
    for (html, said) in [
        (&local, "“<bdi>Tool</bdi>” asks to use"),
        (
            &local,
            "This app registered itself. Its name is not verified",
        ),
        (&local, "A program on this computer"),
        (&local, "<bdi>localhost:6274</bdi>"),
        (&local, "http://localhost:6274/cb"),
        (&local, "Continue only if you just started connecting it."),
        (&local, "<li>asked Tool</li>"),
        (
            &remote,
            "This app describes itself at <strong><bdi>app.example</bdi></strong>",
        ),
        (
            &remote,
            "<p class=\"destination\"><bdi>app.example</bdi></p>",
        ),
    ] {
        assert!(html.contains(said), "{said} is missing: {html}");
    }
    assert!(
        !remote.contains("Continue only if you just started"),
        "{remote}"
    );
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
        client_uri_host: Some(x.to_owned()),
        redirect_host: "localhost:6274".to_owned(),
        redirect_uri: "http://localhost:6274/cb".to_owned(),
        loopback: true,
        app_scheme: false,
        server_name: format!("server {x}"),
        resource: format!("resource {x}"),
        scopes: vec![ScopeLine {
            scope: x.to_owned(),
            words: scope_words(x),
        }],
        providers: vec![ProviderLine {
            id: x.to_owned(),
            label: x.to_owned(),
            asks_for: vec![format!("asked {x}")],
        }],
        ticket: format!("ticket {x}"),
    }
}

/// Every page, with `x` in every text.
fn pages(x: &str) -> [(&'static str, Response); 4] {
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
        base,
        app: x.clone(),
        url: format!("cursor://{x}"),
    };
    [
        ("consent", consent(&x).into_response()),
        ("error", error.into_response()),
        ("refused", refused.into_response()),
        ("return", back.into_response()),
    ]
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
