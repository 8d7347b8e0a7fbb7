//! `providers.toml` and the environment: what is accepted, and what a refusal says.

mod keys;
mod providers;
mod servers;

use anteroom::config::{self, Backend, Environment, Loaded, Refused, Source};

/// The secret that no output may hold.
const SECRET: &str = "s3cr3t-0123456789abcdef";

/// An environment with what the files here name.
fn environment(variables: &[(&str, &str)]) -> Environment {
    let named = [
        ("GITHUB_CLIENT_ID", "id"),
        ("GITHUB_CLIENT_SECRET", SECRET),
        ("EMPTY", " "),
    ];
    let all = named.iter().chain(variables);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Refused> {
    let name = "providers.toml";
    config::read(Some(Source { name, text }), &environment(variables))
}

fn read(text: &str) -> Result<Loaded, Refused> {
    read_with(text, &[])
}

/// What is worth knowing of a file, but that it names no proxy: neither does the smallest one.
fn warnings(loaded: Loaded) -> Vec<String> {
    let told = loaded.warnings.into_iter();
    told.filter(|warning| !warning.contains("proxy.trusted names no proxy"))
        .collect()
}

/// The smallest useful file: `top` is its third line, `end` begins on the eighth.
fn smallest(top: &str, end: &str) -> String {
    let parts = [
        r#"public_url = "https://mcp.example.com""#,
        r#"backend = "http://localhost:9000/mcp""#,
        top,
        "[provider.github]",
        r#"client_id = "Ov23li0123456789abcd""#,
        r#"client_secret = "env:GITHUB_CLIENT_SECRET""#,
        r#"allow.orgs = ["acme"]"#,
        end,
    ];
    parts.join("\n")
}

/// A provider of `OpenID` Connect, but for who may enter.
const CORP: &str = r#"[provider.corp]
issuer = "https://login.acme.com/realms/main"
client_id = "anteroom"
client_secret = "env:GITHUB_CLIENT_SECRET"
"#;

/// Google, but for who may enter.
const GOOGLE: &str = r#"[provider.google]
client_id = "1234.apps.googleusercontent.com"
client_secret = "env:GITHUB_CLIENT_SECRET"
"#;

/// What is wrong with `text`: a line for each fault, with its place, message and remedy.
fn faults(text: &str) -> Vec<String> {
    let refused = match read(text) {
        Ok(loaded) => panic!("accepted: {text}\n{}", loaded.explain()),
        Err(refused) => refused,
    };
    assert!(!refused.to_string().contains(SECRET), "{refused}");
    let line = |fault: &config::Fault| {
        let place = fault
            .position()
            .map_or_else(String::new, |(line, column)| format!("{line}:{column} "));
        format!("{place}{} -> {}", fault.message(), fault.remedy())
    };
    refused.faults().map(line).collect()
}

/// Each row is a piece of a file, `|`, what a fault begins with, `|`, and what its remedy holds. The piece stands at the
/// end of the smallest file; behind `^`, at its top; behind `@`, in the place of `allow`; behind `$`, at the end of the
/// file without its `backend`; behind `%`, in `[provider.corp]` from the 12th line, and behind `&`, in `[provider.google]` from
/// the 11th. `/` ends a line.
fn check_refusals(rows: &str) {
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let columns: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let [piece, fault, remedy] = columns[..] else {
            panic!("three columns: {row}")
        };
        let piece = piece.replace(" / ", "\n");
        let text = if let Some(top) = piece.strip_prefix('^') {
            smallest(top, "")
        } else if let Some(allow) = piece.strip_prefix('@') {
            smallest("", "").replace("allow.orgs = [\"acme\"]", allow)
        } else if let Some(servers) = piece.strip_prefix('$') {
            smallest("", servers).replace("backend = \"http://localhost:9000/mcp\"\n\n", "")
        } else if let Some(rest) = piece.strip_prefix('%') {
            smallest("", &format!("{CORP}{rest}"))
        } else if let Some(rest) = piece.strip_prefix('&') {
            smallest("", &format!("{GOOGLE}{rest}"))
        } else {
            smallest("", &piece)
        };
        let found = faults(&text);
        let is_said = |line: &String| {
            let said = line.split_once(" -> ");
            said.is_some_and(|(said, remedied)| said == fault && remedied.contains(remedy))
        };
        assert!(found.iter().any(is_said), "{row}\n{found:#?}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_key() {
    check_refusals(
        r#"
        ^lisen = 1              | 3:1 lisen is unknown                     | did you mean listen?
        ^colour = 1             | 3:1 colour is unknown                    | known here: public_url, listen,
        ^access = 1             | 3:1 access is unknown                    | did you mean access in [tokens]?
        ^"" = 1                 | 3:1 an empty key is unknown              | known here
        orgs = 1                | 8:1 provider.github.orgs is unknown      | did you mean orgs in [provider.NAME.allow]?
        listen = 1              | 8:1 provider.github.listen is unknown    | at the top of the file
        @allow.org = 1          | 7:7 provider.github.allow.org is unknown | did you mean orgs?
        [token] / x = 1         | 8:2 token is unknown                     | did you mean tokens?
        [tokens] / acess = 1    | 9:1 tokens.acess is unknown              | did you mean access?
        [[server]] / pth = "/x" | 9:1 server.0.pth is unknown              | did you mean path?
        "#,
    );
}

#[test]
fn a_setting_of_another_version_is_refused_by_name() {
    check_refusals(
        r#"
        ^tls = {}                                   | 3:1 tls is not in this version                              | take it out
        [log] / audit = "file:x"                    | 9:1 log.audit is not in this version                        | take it out
        [log] / metrics = "127.0.0.1:9464"          | 9:1 log.metrics is not in this version                      | take it out
        ^store = "postgres://h/db"                  | 3:9 store is a URL: a distributed store is not in this version | "sled"
        "#,
    );
}

#[test]
fn a_value_of_the_wrong_type_is_told_how_it_is_written() {
    check_refusals(
        r#"
        ^listen = 8080               | 3:10 listen is a text, in quotes                                     | listen = "127.0.0.1:8080"
        ^tokens = 1                  | 3:1 tokens is a table                                                | write [tokens]
        ^scopes = 1                  | 3:1 scopes is a table                                                | write [scopes]
        ^server = 1                  | 3:1 server is a list of tables                                       | [[server]], in two brackets
        ^server = [1]                | 3:1 server is a list of tables                                       | [[server]], in two brackets
        [server] / path = "/x"       | 8:2 server is a list of tables                                       | [[server]], in two brackets
        @allow.users = "me"          | 7:15 provider.github.allow.users is a list of texts, in brackets     | users = ["
        @allow.users = [1]           | 7:15 provider.github.allow.users is a list of texts, in brackets     | users = ["
        @allow.anyone = "no"         | 7:16 provider.github.allow.anyone is true or false, without quotes   | true
        [tokens] / access = 3600     | 9:10 tokens.access is a text, in quotes                              | access = "1h"
        ^sealing_keys_before = "x"   | 3:23 sealing_keys_before is a list of texts, in brackets              | sealing_keys_before = ["
        issuer = ["x"]               | 8:10 provider.github.issuer is a text, in quotes                     | issuer = "https://
        %allow.claims = ["x"]        | 12:7 provider.corp.allow.claims is a table                           | write [provider.corp.allow.claims]
        %allow.claims.groups = "x"   | 12:23 provider.corp.allow.claims."groups" is a list of texts, in brackets | groups = ["mcp-users"]
        %allow.claims.a.b = ["x"]    | 12:14 provider.corp.allow.claims."a" is a list of texts, in brackets | a = ["mcp-users"]
        [scope_policy] / roles = []  | 9:1 scope_policy.roles is a table                                    | write [scope_policy.roles]
        [scopes] / x = "tools/list"  | 9:5 scopes."x" is a list of texts, in brackets                       | tools/list
        "#,
    );
}

#[test]
fn a_value_that_does_not_fit_is_told_what_does() {
    check_refusals(
        r#"
        ^listen = "localhost"                      | 3:10 listen is not an address with a port                    | 0.0.0.0:8080
        ^store = "redis"                           | 3:9 store is not a store                                     | "sled"
        ^data_dir = ""                             | 3:12 data_dir is not a path                                  | ./data
        ^sealing_key = "c2hvcnQ="                  | 3:15 sealing_key is not 32 bytes in base64                   | openssl rand
        [tokens] / code = "11m"                    | 9:8 tokens.code is too short or too long                     | from 1s to 10m
        [tokens] / access = "25h"                  | 9:10 tokens.access is too short or too long                  | from 1s to 24h
        [tokens] / access = "0s"                   | 9:10 tokens.access is too short or too long                  | from 1s to 24h
        [tokens] / reuse_grace = "2m"              | 9:15 tokens.reuse_grace is too short or too long             | from 0s to 1m
        [tokens] / access = "3600"                 | 9:10 tokens.access is not a duration                         | its unit
        [tokens] / refresh = "200d"                | 9:11 tokens.refresh does not fit: refresh is 200d and session is 180d | at most session
        [tokens] / session = "24h"                 | 9:11 tokens.session does not fit: refresh is 30d and session is 24h   | at most session
        [tokens] / upstream_check = "9s"           | 9:18 tokens.upstream_check is too short or too long          | from 10s to 1h
        [tokens] / upstream_check = "61m"          | 9:18 tokens.upstream_check is too short or too long          | from 10s to 1h
        [tokens] / upstream_check = "5"            | 9:18 tokens.upstream_check is not a duration                 | its unit
        [tokens] / upstream_grace = "31d"          | 9:18 tokens.upstream_grace is too short or too long          | from 0s to 30d
        [tokens] / algorithm = "HS256"             | 9:13 tokens.algorithm is not an algorithm that tokens can be signed with | "ES256"
        [tokens] / algorithm = "none"              | 9:13 tokens.algorithm is not an algorithm that tokens can be signed with | "ES256"
        [clients] / registration = "on"            | 9:16 clients.registration is not a way to register           | "open"
        [clients] / unused_expire = "0s"           | 9:17 clients.unused_expire is too short or too long          | from 1m
        [limits] / token = "60"                    | 9:9 limits.token is not a rate                               | 60/m
        [limits] / register = "0/m"                | 9:12 limits.register is not a rate                           | at least 1
        [log] / format = "xml"                     | 9:10 log.format is not a format of logs                      | "json"
        [proxy] / trusted = ["10.0.0.0/8", "x"]    | 9:26 proxy.trusted holds something that is not a network     | 10.0.0.0/8
        [outbound] / proxy = "proxy:3128"          | 9:9 outbound.proxy is not the URL of a proxy                 | http://
        [outbound] / ca = ["providers.toml"]       | 9:7 outbound.ca names a file without a certificate: providers.toml | PEM
        label = ""                                 | 8:9 provider.github.label is not a name that could be shown  | one line
        kind = "gitlab"                            | 8:8 provider.github.kind is not a kind of provider           | "oidc"
        [scopes]                                   | 8:2 scopes opens nothing                                     | take the table out
        [scopes] / x = []                          | 9:5 scopes."x" opens nothing                                 | tools/list
        [scopes] / "a b" = ["tools/list"]          | 9:9 scopes."a b" is not a scope                              | visible ASCII
        [scopes] / x = ["tools/*"]                 | 9:6 scopes."x" holds a method that has a * in the method, which is named exactly | tools/list
        [scope_policy] / default = ["admin"]       | 9:12 scope_policy.default holds something that is not a scope in [scopes] | add them there
        [scope_policy] / default = []              | 9:11 scope_policy.default is empty                           | at least one
        "#,
    );
}

/// AUTHZ-26
#[test]
fn http_is_refused_except_on_loopback() {
    check_refusals(
        r#"
        base_url = "http://git.acme.com"  | 8:12 provider.github.base_url is http on a host that is not loopback | write https
        api_url = "http://127.0.0.1.evil" | 8:11 provider.github.api_url is http on a host that is not loopback  | write https
        "#,
    );
    for url in [
        "http://mcp.example.com",
        "http://localhost.evil.example",
        "http://0.0.0.0:8080",
    ] {
        let found = faults(&smallest("", "").replace("https://mcp.example.com", url));
        let expected =
            "1:14 public_url is http on a host that is not loopback -> write the address";
        assert!(found[0].starts_with(expected), "{found:?}");
    }
    let local = smallest(
        "",
        "base_url = \"http://127.0.0.1:9090\"\napi_url = \"http://[::1]:9090\"",
    );
    assert!(read(&local.replace("https://mcp.example.com", "http://localhost:8080")).is_ok());
}

#[test]
fn servers_have_paths_of_their_own_and_one_backend_each() {
    check_refusals(
        r#"
        [[server]]                                              | 2:11 backend contradicts the [[server]] beside it            | short for one
        $                                                       | backend is missing                                           | http://localhost:9000/mcp
        $[[server]]                                             | 6:1 server.0.backend is missing                              | backend = "http
        $[[server]] / sample = false                            | 6:1 server.0.backend is missing                              | backend = "http
        $[[server]] / sample = true / backend = "http://h"      | 7:10 server.0.sample contradicts the backend beside it       | write backend or sample
        $[[server]] / sample = true / path = "/token"           | 8:8 server.0.path begins with /token, which is anteroom's own | "/mcp"
        $[[server]] / sample = true / path = "mcp"              | 8:8 server.0.path is not a plain path                        | "/mcp"
        $[[server]] / sample = true / [[server]] / sample = true | 8:1 server.1.path collides with the server at /mcp          | of its own
        $[[server]] / sample = true / [[server]] / path = "/mcp/x" / sample = true | 9:8 server.1.path collides with the server at /mcp | inside
        $[[server]] / backend = "http://h?key=a"                | 7:11 server.0.backend has a query or a fragment              | such as
        $[[server]] / backend = "http://me:word@h"              | 7:11 server.0.backend has a user or a password in it         | such as
        $[[server]] / backend = "ftp://h"                       | 7:11 server.0.backend is not an http or https URL            | such as
        $[[server]] / sample = true / origins = ["https://a.example", "*"] | 8:33 server.0.origins holds something that is not an origin | without a path
        "#,
    );
    let two = "[[server]]\nsample = true\n[[server]]\npath = \"/b\"\nname = \"B\"\nbackend = \"http://b:9000/mcp\"\n";
    let text = smallest("", two).replace("backend = \"http://localhost:9000/mcp\"\n\n", "");
    let loaded = read(&text).unwrap();
    let [a, b] = &loaded.config.servers[..] else {
        panic!("two servers")
    };
    assert_eq!(
        (a.path.as_str(), b.path.as_str(), b.name.as_str()),
        ("/mcp", "/b", "B")
    );
    assert!(matches!(a.backend, Backend::Sample));
    assert!(matches!(&b.backend, Backend::Http(url) if url.as_str() == "http://b:9000/mcp"));
}

/// CLI-60, CLI-61, CLI-62
#[test]
fn clients_that_are_known_in_advance_are_named_in_the_file() {
    let digest = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08";
    let known = r#"
[[clients.known]]
id = "ci"
name = "Continuous integration"
secret_sha256 = "env:CI_SECRET_SHA256"
redirect_uris = ["https://ci.acme.com/callback", "http://127.0.0.1/cb"]
scopes = ["mcp:tools:read", "offline_access"]

[[clients.known]]
id = "https://app.acme.com/client.json"
redirect_uris = ["cursor://acme.app/cb"]"#;
    let loaded = read_with(&smallest("", known), &[("CI_SECRET_SHA256", digest)]).unwrap();
    assert_eq!(warnings(loaded.clone()), Vec::<String>::new());
    assert!(!loaded.explain().contains(digest), "{}", loaded.explain());
    let [ci, app] = &loaded.config.clients.known[..] else {
        panic!("{:?}", loaded.config.clients.known);
    };
    let secret = ci.secret.unwrap();
    assert!(secret.matches(&anteroom::secret::Secret::new("test")));
    assert_eq!(ci.redirect_uris.len(), 2);
    assert_eq!(
        ci.scopes.as_ref().unwrap().to_string(),
        "mcp:tools:read offline_access"
    );
    assert_eq!(app.id.as_str(), "https://app.acme.com/client.json");
    assert!(app.secret.is_none() && app.scopes.is_none() && app.name.is_none());

    let variables = [
        ("ANTEROOM_CLIENTS_KNOWN_0_ID", "ci"),
        (
            "ANTEROOM_CLIENTS_KNOWN_0_REDIRECT_URIS",
            "https://a.example/cb, https://b.example/cb",
        ),
    ];
    let loaded = read_with(&smallest("", ""), &variables).unwrap();
    assert_eq!(loaded.config.clients.known[0].redirect_uris.len(), 2);
}

/// CLI-23, CLI-62
#[test]
fn a_client_that_does_not_fit_is_told_what_does() {
    check_refusals(
        r#"
        [[clients.known]] / redirect_uris = ["https://a.example/cb"] | 8:1 clients.known.0.id is missing | write id
        [[clients.known]] / id = "ci"                    | 8:1 clients.known.0.redirect_uris is missing                  | https://
        [[clients.known]] / id = "a b" / redirect_uris = ["https://a.example/cb"] | 9:6 clients.known.0.id is not a client id | without spaces
        [[clients.known]] / id = "ci" / redirect_uris = ["http://a.example/cb"] | 10:18 clients.known.0.redirect_uris is refused: a redirect URI with http must be on localhost, 127.0.0.1 or [::1], written so | as the client sends it
        [[clients.known]] / id = "ci" / secret_sha256 = "short" / redirect_uris = ["https://a.example/cb"] | 10:17 clients.known.0.secret_sha256 is not SHA-256 in hexadecimal | sha256sum
        [[clients.known]] / id = "ci" / secret = "x"     | 10:1 clients.known.0.secret is unknown                         | known here
        [[clients.known]] / id = "ci" / scopes = ["no"] / redirect_uris = ["https://a.example/cb"] | 10:11 clients.known.0.scopes holds a scope that there is not | [scopes]
        [[clients.known]] / id = "ci" / redirect_uris = ["https://a.example/cb"] / [[clients.known]] / id = "ci" / redirect_uris = ["https://a.example/cb"] | 12:6 clients.known.1.id is the id of another client | its own
        [[clients.known]] / id = "ci" / scopes = ["offline_access"] / redirect_uris = ["https://a.example/cb"] | 10:10 clients.known.0.scopes opens nothing | every one
        [clients] / known = "ci"                         | 9:1 clients.known is a list of tables                         | [[clients.known]]
        [clients] / registration = "token"               | 8:2 clients.registration_token is missing                     | env:
        [clients] / redirect_hosts = ["https://a.example"] | 9:19 clients.redirect_hosts holds something that is not a host name | claude.ai
        [clients] / document_hosts = ["*"]               | 9:19 clients.document_hosts holds something that is not a host name | claude.ai
        [clients] / metadata_documents = "yes"           | 9:22 clients.metadata_documents is true or false, without quotes | true
        [outbound] / private_hosts = ["localhost"]       | 9:18 outbound.private_hosts holds something that is not a host and a port | localhost:8443
        [consent] / remember = "2 weeks"                 | 9:12 consent.remember is not a duration                       | its unit
        [limits] / register_all = "many"                 | 9:16 limits.register_all is not a rate                        | 60/m
        "#,
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_not_wrong_but_worth_knowing_is_a_warning() {
    for (top, end, expected) in [
        (
            "store = \"memory\"",
            "",
            "providers.toml:3: store is \"memory\"",
        ),
        (
            "",
            "[clients]\nregistration = \"off\"\nmetadata_documents = false",
            "providers.toml:9: clients.registration is \"off\"",
        ),
        (
            "",
            "[clients]\nregistration_token = \"env:GITHUB_CLIENT_SECRET\"",
            "providers.toml:9: clients.registration_token does nothing",
        ),
        (
            "",
            "[outbound]\nprivate_hosts = [\"localhost:8443\"]",
            "providers.toml:9: outbound.private_hosts lets clients have anteroom ask hosts",
        ),
        (
            "",
            "[clients]\nmetadata_documents = false\ndocument_hosts = [\"claude.ai\"]",
            "providers.toml:10: clients.document_hosts does nothing",
        ),
        (
            "",
            "[outbound]\nproxy = \"http://proxy.acme.com:3128\"",
            "providers.toml:9: outbound.proxy is not used for metadata documents",
        ),
        (
            "",
            "[proxy]\ntrusted = [\"0.0.0.0/0\"]",
            "providers.toml:9: proxy.trusted holds every address",
        ),
        (
            "",
            "[scopes]\nx = [\"tool/call\"]",
            "providers.toml:9: scopes.\"x\" opens tool/call, which is not a method of MCP; did you mean tools/call?",
        ),
    ] {
        let warnings = warnings(read(&smallest(top, end)).unwrap());
        assert!(
            matches!(&warnings[..], [warning] if warning.starts_with(expected)),
            "{warnings:?}"
        );
    }
    let loaded = read(&smallest("", "").replace("env:GITHUB_CLIENT_SECRET", SECRET)).unwrap();
    assert_eq!(
        warnings(loaded),
        [
            "providers.toml:6: provider.github.client_secret stands in the file in clear: write env:NAME or file:PATH instead"
        ]
    );
    let alone = read(&smallest("", "")).unwrap().warnings;
    assert!(
        matches!(&alone[..], [warning] if warning.starts_with("proxy.trusted names no proxy")),
        "{alone:?}"
    );
    for (backend, count) in [
        ("http://localhost:9000", 0),
        ("http://mcp:9000", 0),
        ("http://10.0.0.7:9000", 0),
        ("http://backend.example.com", 1),
        ("http://203.0.113.7", 1),
    ] {
        let loaded = read(&smallest("", "").replace("http://localhost:9000/mcp", backend)).unwrap();
        let warnings = warnings(loaded);
        assert_eq!(warnings.len(), count, "{backend} {warnings:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_the_text_underlined() {
    let text = smallest("lisen = \"x\"", "[tokens]\naccess = \"1 hour\"").replace("acme", "a b");
    let refused = read_with(&text, &[("ANTEROOM_LOG_FORMAT", "xml")]).unwrap_err();
    insta::assert_snapshot!(format!("refused:\n{refused}"), @r#"
    refused:
      × lisen is unknown
       ╭─[providers.toml:3:1]
     3 │ lisen = ***
       · ─────
       ╰────
      help: did you mean listen?

      × provider.github.allow.orgs holds something that is not the name of an organisation
       ╭─[providers.toml:7:15]
     7 │ allow.orgs = ["a b"]
       ·               ─────
       ╰────
      help: write names of organisations as they stand in their URL, such as "acme"

      × tokens.access is not a duration
       ╭─[providers.toml:9:10]
     9 │ access = "1 hour"
       ·          ────────
       ╰────
      help: write a number and its unit (s, m, h or d), such as "10m", "1h" or "30d"

      × ANTEROOM_LOG_FORMAT (log.format) is not a format of logs
      help: write "text" or "json"
    "#);
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_place() {
    for (text, expected) in [
        (
            "public_url = \"https://h",
            "1:24 the file is not TOML: invalid basic string",
        ),
        (
            "a = 1\na = 2\n",
            "2:1 the file is not TOML: duplicate key -> write each key and each [table] once",
        ),
        ("[a\n", "1:3 the file is not TOML: unclosed table"),
        ("a", "1:2 the file is not TOML: key with no value"),
    ] {
        let found = faults(text);
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn without_any_settings_the_refusal_says_what_to_write() {
    let refused = config::read(None, &environment(&[]))
        .unwrap_err()
        .to_string();
    let (_, example) = refused.split_once("--config:").unwrap();
    let example: Vec<&str> = example.lines().map(str::trim).collect();
    let example = example.join("\n");
    assert!(read(&example).is_ok(), "{refused}");
    let absent = std::path::Path::new("no/such/providers.toml");
    let refused = config::load(Some(absent), &environment(&[]))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("there is no no/such/providers.toml"),
        "{refused}"
    );
}

#[test]
fn a_file_is_read_from_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("providers.toml");
    std::fs::write(&path, smallest("", "")).unwrap();
    let loaded = config::load(Some(&path), &environment(&[])).unwrap();
    assert_eq!(loaded.effective[0].origin, format!("{}:1", path.display()));
    std::fs::write(&path, b"a = 1\n\xff").unwrap();
    let refused = config::load(Some(&path), &environment(&[]))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("providers.toml:2 is not UTF-8"),
        "{refused}"
    );
    let refused = config::load(Some(folder.path()), &environment(&[]))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("is not a regular file"), "{refused}");
}
