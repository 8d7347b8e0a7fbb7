//! Every page that people see, in each of its forms, with the words of an ordinary day: for the tests of pages, and for the
//! browser that looks at them (`examples/pages.rs`).

use anteroom::clock::UnixTime;
use anteroom::endpoint::page::account::{AccountPage, ConnectionLine, SignInPage};
use anteroom::endpoint::page::consent::{
    ConsentPage, Destination, Origin, ProviderLine, ScopeLine,
};
use anteroom::endpoint::page::failed::{Again, Choice, FailedPage, Trouble, Way};
use anteroom::endpoint::page::help::HelpPage;
use anteroom::endpoint::page::scope_words::scope_words;
use anteroom::endpoint::page::{ActionLine, ErrorPage, RefusedPage, ReturnPage};
use anteroom::protocol::consent::Familiarity;
use anteroom::protocol::method_pattern::MethodPattern;
use anteroom::protocol::scope::{Scope, ScopeSet};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// 3 November 2026
const AGREED: UnixTime = UnixTime(1_793_700_000);

const SCOPES: [&str; 4] = [
    "mcp:tools:read",
    "mcp:tools:execute",
    "mcp:resources:read",
    "offline_access",
];

/// The consent page in each of its forms.
pub(crate) fn consents() -> Vec<(&'static str, ConsentPage)> {
    vec![
        ("registered", registered()),
        ("loopback", loopback()),
        ("app-scheme", app_scheme()),
        ("document", document()),
        ("document-elsewhere", elsewhere()),
        ("document-loopback", document_loopback()),
        ("logo", with_logo("/logo/sample")),
        ("logo-missing", with_logo("/logo/missing")),
        ("logo-slow", with_logo("/logo/slow")),
        ("known", known()),
        ("remembered", remembered(document())),
        ("remembered-loopback", remembered(document_loopback())),
        ("changed", changed()),
        ("more", more()),
        ("providers", providers()),
        ("long", long()),
    ]
}

/// Every page.
pub(crate) fn pages() -> Vec<(&'static str, Response)> {
    let consents = consents().into_iter();
    let consents = consents.map(|(name, page)| (name, page.into_response()));
    let others = others().into_iter().chain(accounts()).chain(helps());
    consents.chain(others).chain(unsuccessful()).collect()
}

fn registered() -> ConsentPage {
    ConsentPage {
        base: String::new(),
        client_name: Some("Claude".to_owned()),
        client_id: "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4".to_owned(),
        origin: Origin::Registered,
        logo: None,
        client_uri_host: Some("claude.ai".to_owned()),
        redirect_host: "claude.ai".to_owned(),
        redirect_uri: "https://claude.ai/api/mcp/auth_callback".to_owned(),
        destination: Destination::Site,
        server_name: "Example tools".to_owned(),
        resource: "https://mcp.example.com/mcp".to_owned(),
        scopes: SCOPES.iter().map(|scope| line(scope)).collect(),
        stays: "It stays connected for 180 days at most, and ends sooner if it is not used for 30 days."
            .to_owned(),
        providers: vec![provider("github", "GitHub")],
        familiarity: Familiarity::New,
        ticket: "ticket".to_owned(),
    }
}

fn loopback() -> ConsentPage {
    ConsentPage {
        client_name: Some("MCP Inspector".to_owned()),
        client_uri_host: None,
        redirect_host: "localhost".to_owned(),
        redirect_uri: "http://localhost:6274/oauth/callback".to_owned(),
        destination: Destination::Computer,
        ..registered()
    }
}

fn app_scheme() -> ConsentPage {
    ConsentPage {
        client_name: Some("Cursor".to_owned()),
        client_uri_host: Some("cursor.com".to_owned()),
        redirect_host: "cursor://anysphere.cursor-mcp".to_owned(),
        redirect_uri: "cursor://anysphere.cursor-mcp/oauth/callback".to_owned(),
        destination: Destination::App,
        ..registered()
    }
}

fn document() -> ConsentPage {
    ConsentPage {
        client_id: "https://claude.ai/oauth/mcp-client-metadata.json".to_owned(),
        origin: Origin::Document {
            host: "claude.ai".to_owned(),
        },
        ..registered()
    }
}

fn elsewhere() -> ConsentPage {
    ConsentPage {
        client_id: "https://apps.example/client.json".to_owned(),
        origin: Origin::Document {
            host: "apps.example".to_owned(),
        },
        ..registered()
    }
}

fn document_loopback() -> ConsentPage {
    ConsentPage {
        client_name: Some("Visual Studio Code".to_owned()),
        client_id: "https://vscode.dev/oauth/client-metadata.json".to_owned(),
        origin: Origin::Document {
            host: "vscode.dev".to_owned(),
        },
        ..loopback()
    }
}

fn with_logo(path: &str) -> ConsentPage {
    ConsentPage {
        logo: Some(path.to_owned()),
        ..document()
    }
}

fn known() -> ConsentPage {
    ConsentPage {
        client_name: Some("Continuous integration".to_owned()),
        client_id: "ci".to_owned(),
        origin: Origin::Known,
        client_uri_host: None,
        redirect_host: "ci.acme.com".to_owned(),
        redirect_uri: "https://ci.acme.com/cb".to_owned(),
        ..registered()
    }
}

fn remembered(page: ConsentPage) -> ConsentPage {
    ConsentPage {
        familiarity: Familiarity::Remembered { at: AGREED },
        ..page
    }
}

fn changed() -> ConsentPage {
    ConsentPage {
        familiarity: Familiarity::Changed,
        ..document()
    }
}

fn more() -> ConsentPage {
    let added = ScopeSet::parse("mcp:tools:execute").unwrap_or_default();
    let scopes = SCOPES.iter().map(|scope| ScopeLine {
        is_new: *scope == "mcp:tools:execute",
        ..line(scope)
    });
    ConsentPage {
        scopes: scopes.collect(),
        familiarity: Familiarity::More { added },
        ..document()
    }
}

fn providers() -> ConsentPage {
    ConsentPage {
        providers: vec![provider("github", "GitHub"), provider("corp", "Acme login")],
        ..registered()
    }
}

/// Everything as long as it can be.
fn long() -> ConsentPage {
    let host = format!("{}.example", ["a-rather-long-label"; 8].join("."));
    ConsentPage {
        client_name: Some("An app with a name that goes on and on ".repeat(5)),
        client_id: format!("https://{host}/{}", "x".repeat(200)),
        origin: Origin::Document { host: host.clone() },
        redirect_host: format!("login.{host}"),
        redirect_uri: format!("https://login.{host}/{}", "callback/".repeat(20)),
        server_name: "The tools of the department of very long names".to_owned(),
        scopes: vec![line("mcp:tools:execute"), line(&"files:admin:".repeat(12))],
        ..registered()
    }
}

fn choices() -> Vec<Choice> {
    let choice = |(id, label): (&str, &str)| Choice {
        id: id.to_owned(),
        label: label.to_owned(),
    };
    let all = [("github", "GitHub"), ("corp", "Acme login")];
    all.map(choice).to_vec()
}

/// The account page in each of its forms.
fn accounts() -> Vec<(&'static str, Response)> {
    let sign_in = |providers| SignInPage {
        base: String::new(),
        providers,
        ticket: "ticket".to_owned(),
    };
    let account = |done, connections| AccountPage {
        base: String::new(),
        account: "octocat".to_owned(),
        provider: "GitHub".to_owned(),
        done,
        connections,
        ticket: "ticket".to_owned(),
    };
    let disconnected = Some("Disconnected. The app can do nothing here any more.");
    let long = || {
        let name = "An app with a name that goes on and on ".repeat(5);
        let host = format!("{}.example", ["a-rather-long-label"; 8].join("."));
        connection(&name, &host, &[&"files:admin:".repeat(12)])
    };
    let list = [
        connection("Claude", "claude.ai", &SCOPES),
        connection(
            "Cursor",
            "cursor://anysphere.cursor-mcp",
            &["mcp:tools:read"],
        ),
    ];
    let many = (1..=6).map(|number| connection(&format!("App {number}"), "claude.ai", &SCOPES));
    let many = many.collect();
    let nameless = connection("", "localhost", &["mcp:tools:read"]);
    [
        ("account", account(None, list.into())),
        ("account-one", account(disconnected, vec![nameless])),
        ("account-long", account(None, vec![long(), long()])),
        ("account-many", account(None, many)),
        ("account-empty", account(None, Vec::new())),
    ]
    .into_iter()
    .map(|(name, page)| (name, page.into_response()))
    .chain([
        ("sign-in", sign_in(choices()).into_response()),
        (
            "sign-in-one",
            sign_in(choices()[..1].to_vec()).into_response(),
        ),
    ])
    .collect()
}

/// The pages of those who did not get in.
fn unsuccessful() -> Vec<(&'static str, Response)> {
    let url = |error| format!("https://claude.ai/api/mcp/auth_callback?error={error}");
    let waiting = |error| Way::Waiting {
        app: "Claude".to_owned(),
        url: url(error),
    };
    let failed = |trouble, way| FailedPage {
        base: String::new(),
        provider: "GitHub".to_owned(),
        trouble,
        again: None,
        way,
        request_id: "h2X9aB3cD1".to_owned(),
    };
    let unavailable = || failed(Trouble::Unavailable, waiting("temporarily_unavailable"));
    let leaving = FailedPage {
        again: Some(Again {
            path: "/consent",
            field: "decision",
            ticket: "ticket".to_owned(),
            providers: choices(),
        }),
        way: Way::App(url("temporarily_unavailable")),
        ..unavailable()
    };
    let invalid = failed(Trouble::Invalid, waiting("server_error"));
    let account = failed(Trouble::Unavailable, Way::Account);
    let refused = RefusedPage {
        base: String::new(),
        account: "octocat".to_owned(),
        provider: "GitHub".to_owned(),
        reasons: vec!["octocat is not a member of acme.".to_owned()],
        actions: Vec::new(),
        back: None,
        request_id: "h2X9aB3cD1".to_owned(),
    };
    vec![
        ("failed", unavailable().into_response()),
        ("failed-invalid", invalid.into_response()),
        ("failed-leaving", leaving.into_response()),
        ("failed-account", account.into_response()),
        ("refused-account", refused.into_response()),
    ]
}

/// The help page in each of its forms.
fn helps() -> [(&'static str, Response); 3] {
    let server = |name: &str, url: &str| (name.to_owned(), url.to_owned());
    let ordinary = HelpPage {
        base: String::new(),
        server_name: "Example tools".to_owned(),
        url: "https://mcp.example.com/mcp".to_owned(),
        providers: vec!["GitHub".to_owned()],
        others: Vec::new(),
    };
    let host = format!("{}.example", ["a-rather-long-label"; 8].join("."));
    let long = HelpPage {
        server_name: "The tools of the department of very long names".to_owned(),
        url: format!("https://{host}/{}", "tools/".repeat(20)),
        providers: ["GitHub", "Google", "Acme login"]
            .map(str::to_owned)
            .to_vec(),
        others: vec![
            server("Notes", &format!("https://{host}/notes")),
            server(&"W".repeat(100), &format!("https://{host}/calendar")),
        ],
        ..ordinary.clone()
    };
    let local = HelpPage {
        url: "http://localhost:8080/mcp".to_owned(),
        providers: vec!["GitHub (stand-in)".to_owned()],
        ..ordinary.clone()
    };
    [
        ("help", answer(&ordinary)),
        ("help-long", answer(&long)),
        ("help-local", answer(&local)),
    ]
}

/// A help page as a gate answers with it.
pub(crate) fn answer(page: &HelpPage) -> Response {
    let (headers, html) = page.made().unwrap_or_default();
    (StatusCode::UNAUTHORIZED, headers, html).into_response()
}

fn connection(name: &str, host: &str, scopes: &[&str]) -> ConnectionLine {
    ConnectionLine {
        id: format!("id of {name}"),
        client_name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        client_host: host.to_owned(),
        server_name: "Example tools".to_owned(),
        resource: "https://mcp.example.com/mcp".to_owned(),
        scopes: scopes.iter().map(|scope| words(scope)).collect(),
        created: UnixTime(1_793_600_000),
        used: AGREED,
    }
}

fn others() -> [(&'static str, Response); 5] {
    let action = |text: &str, link: Option<&str>| ActionLine {
        text: text.to_owned(),
        link: link.map(str::to_owned),
    };
    let error = |what: &str, code: &str| ErrorPage {
        base: String::new(),
        status: StatusCode::BAD_REQUEST,
        title: "This sign-in cannot go on".to_owned(),
        what: what.to_owned(),
        remedies: vec![action("Go back to the app and connect it again", None)],
        back: None,
        request_id: "h2X9aB3cD1".to_owned(),
        code: Some(code.to_owned()),
    };
    let with_way_back = ErrorPage {
        back: Some("cursor://anysphere.cursor-mcp/oauth/callback?error=invalid_scope".to_owned()),
        ..error("None of the scopes exists here.", "invalid_scope")
    };
    let busy = ErrorPage {
        status: StatusCode::TOO_MANY_REQUESTS,
        title: "Too many attempts".to_owned(),
        remedies: vec![action("Wait a minute, then try again", None)],
        code: None,
        ..error(
            "There were too many requests from this address in a short time.",
            "",
        )
    };
    let unknown = error(
        "No such client: its registration has expired or was made elsewhere; remove the connection in the app and add \
         it again.",
        "invalid_client",
    );
    let refused = RefusedPage {
        base: String::new(),
        account: "octocat".to_owned(),
        provider: "GitHub".to_owned(),
        reasons: vec!["octocat is not a member of acme.".to_owned()],
        actions: vec![action(
            "If you are a member, let this server see it at",
            Some("https://github.com/settings/connections/applications/Iv1"),
        )],
        back: Some("https://claude.ai/api/mcp/auth_callback?error=access_denied".to_owned()),
        request_id: "h2X9aB3cD1".to_owned(),
    };
    let back = ReturnPage {
        base: String::new(),
        app: "Cursor".to_owned(),
        url: "cursor://anysphere.cursor-mcp/oauth/callback?code=x&state=y".to_owned(),
    };
    [
        ("error", unknown.into_response()),
        ("error-back", with_way_back.into_response()),
        ("busy", busy.into_response()),
        ("refused", refused.into_response()),
        ("return", back.into_response()),
    ]
}

fn line(scope: &str) -> ScopeLine {
    ScopeLine {
        scope: scope.to_owned(),
        words: words(scope),
        is_new: false,
    }
}

/// What a scope opens at the server of these pages, in words.
fn words(scope: &str) -> String {
    let opens = match scope {
        "mcp:tools:read" => &["tools/list"][..],
        "mcp:tools:execute" => &["tools/call"],
        "mcp:resources:read" => &["resources/read", "resources/subscribe"],
        _ => &["tools/call:delete_*", "tools/call:drop_table"],
    };
    let opens = opens
        .iter()
        .filter_map(|text| MethodPattern::parse(text).ok());
    let opens: Vec<_> = opens.collect();
    let scope = Scope::parse(scope);
    scope.map_or_else(String::new, |scope| scope_words(&scope, Some(&opens)))
}

fn provider(id: &str, label: &str) -> ProviderLine {
    ProviderLine {
        id: id.to_owned(),
        label: label.to_owned(),
        asks_for: vec![
            "your public profile (read)".to_owned(),
            "your e-mail addresses (read)".to_owned(),
        ],
    }
}
