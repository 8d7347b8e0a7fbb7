//! `[provider.NAME]` and `scope_policy.roles`: who people sign in with, who may enter, and to whom a scope is open.

use anteroom::config::ProviderKind;

use super::{CORP, GOOGLE, check_refusals, faults, read, read_with, smallest, warnings};

/// CONS-27
#[test]
fn who_may_enter_is_written_out() {
    check_refusals(
        r#"
        @                                           | 4:11 provider.github.allow names nobody                           | allow.anyone = true
        @allow = {}                                 | 7:1 provider.github.allow names nobody                            | allow.anyone = true
        @allow.anyone = false                       | 7:1 provider.github.allow names nobody                            | allow.anyone = true
        @allow.orgs = []                            | 7:1 provider.github.allow names nobody                            | allow.anyone = true
        @allow = { anyone = true, orgs = ["acme"] } | 7:20 provider.github.allow.anyone contradicts the lists beside it | take out
        @allow.orgs = ["acme/platform"]             | 7:15 provider.github.allow.orgs holds something that is not the name of an organisation | "acme"
        @allow.teams = ["acme"]                     | 7:16 provider.github.allow.teams holds something that is not a team | "acme/platform"
        @allow.teams = ["acme/a/b"]                 | 7:16 provider.github.allow.teams holds something that is not a team | "acme/platform"
        @allow.users = ["octocat", "@octocat"]      | 7:27 provider.github.allow.users holds something that is neither a login nor an id | without @
        @allow.users = ["id:octocat"]               | 7:16 provider.github.allow.users holds something that is neither a login nor an id | "id:583231"
        @allow.users = ["id:"]                      | 7:16 provider.github.allow.users holds something that is neither a login nor an id | "id:583231"
        @allow.emails = ["acme.com"]                | 7:17 provider.github.allow.emails holds something that is not an address | "*@acme.com"
        @allow.emails = ["*@*.acme.com"]            | 7:17 provider.github.allow.emails holds something that is not an address | "*@acme.com"
        @allow.domains = ["acme.com"]               | 7:17 provider.github.allow.domains is for Google, which signs domains; GitHub does not | allow.emails
        @allow.claims.groups = ["a"]                | 7:7 provider.github.allow.claims is for providers of OpenID Connect; GitHub has no claims | allow.orgs
        %                                           | 8:11 provider.corp.allow names nobody                             | allow.emails = ["*@acme.com"]
        %allow.claims = {}                          | 12:1 provider.corp.allow names nobody                             | allow.anyone = true
        %allow.claims.groups = []                   | 12:1 provider.corp.allow names nobody                             | allow.anyone = true
        %allow = { anyone = true, claims.a = ["b"] } | 12:20 provider.corp.allow.anyone contradicts the lists beside it  | take out
        %allow.orgs = ["acme"]                      | 12:14 provider.corp.allow.orgs is for GitHub alone                | allow.claims.groups
        %allow.teams = ["acme/platform"]            | 12:15 provider.corp.allow.teams is for GitHub alone               | kind = "github"
        %allow.users = ["mona"]                     | 12:16 provider.corp.allow.users holds something that is not an id: at OpenID providers no other name of an account stays with it | "id:" and the sub
        %allow.users = ["id:"]                      | 12:16 provider.corp.allow.users holds something that is not an id: at OpenID providers no other name of an account stays with it | allow.emails
        %allow.emails = ["a@b@acme.com"]            | 12:17 provider.corp.allow.emails holds something that is not an address | "mona@acme.com"
        %allow.claims.groups = [" "]                | 12:24 provider.corp.allow.claims."groups" holds something that no claim is | mcp-users
        %allow.claims."" = ["a"]                    | 12:19 provider.corp.allow.claims."" is not the name of a claim    | allow.claims.groups
        &                                           | 8:11 provider.google.allow names nobody                           | allow.domains = ["acme.com"]
        &allow.orgs = ["acme"]                      | 11:14 provider.google.allow.orgs is for GitHub alone              | allow.domains
        &allow.teams = ["acme/a"]                   | 11:15 provider.google.allow.teams is for GitHub alone             | allow.emails
        &allow.users = ["me"]                       | 11:16 provider.google.allow.users holds something that is not an id: at OpenID providers no other name of an account stays with it | "id:110169484474386276334"
        &allow.domains = ["*"]                      | 11:18 provider.google.allow.domains holds something that is not a domain | without @ and *
        &allow.domains = ["*.acme.com"]             | 11:18 provider.google.allow.domains holds something that is not a domain | subdomains one by one
        &allow.domains = ["bücher.example"]    | 11:18 provider.google.allow.domains holds something that is not a domain | xn--
        &allow.domains = ["gmail.com"]              | 11:18 provider.google.allow.domains holds the domain of private accounts, which Google signs for nobody | allow.emails
        @allow.users = ["me@acme.com"]              | 7:16 provider.github.allow.users holds something that is neither a login nor an id | "octocat"
        "#,
    );
}

#[test]
fn allow_is_a_table_or_dotted_keys() {
    let lists = r#"users = ["id:583231", "octocat"], orgs = ["acme"], teams = ["acme/platform"]"#;
    for allow in [
        format!("allow = {{ {lists} }}"),
        format!("allow.{}", lists.replace("], ", "]\nallow.")),
        format!("[provider.github.allow]\n{}", lists.replace("], ", "]\n")),
    ] {
        let loaded = read(&smallest("", "").replace("allow.orgs = [\"acme\"]", &allow)).unwrap();
        let allowed = &loaded.config.providers[0].allow;
        assert!(!allowed.anyone);
        assert_eq!(allowed.ids, [583_231]);
        assert_eq!(allowed.logins, ["octocat"]);
        assert_eq!(allowed.orgs, ["acme"]);
        assert_eq!(allowed.teams, [("acme".to_owned(), "platform".to_owned())]);
    }
}

#[test]
fn half_a_provider_is_refused() {
    check_refusals(
        r#"
        [provider.ghe] / kind = "github" / client_id = "a"  | 8:11 provider.ghe.client_secret is missing  | client_secret = "env:
        [provider.ghe] / kind = "github"                    | 8:11 provider.ghe.client_id is missing      | client_id = "
        [provider.ghe] / kind = "github"                    | 8:11 provider.ghe.allow names nobody        | allow.orgs
        [provider.Git]                                      | 8:11 provider.Git is not a name for a provider     | a-z, 0-9 and -
        [provider.a_b]                                      | 8:11 provider.a_b is not a name for a provider     | a-z, 0-9 and -
        [provider.""]                                       | 8:11 provider. is not a name for a provider        | a-z, 0-9 and -
        "#,
    );
    let text = smallest("", "");
    let (top, _) = text.split_once("[provider").unwrap();
    for (tables, place) in [("", ""), ("[provider]", "4:2 ")] {
        let found = faults(&format!("{top}{tables}"));
        assert!(
            found[0].starts_with(&format!(
                "{place}provider is missing -> write [provider.github]"
            )),
            "{found:?}"
        );
    }
}

#[test]
fn an_openid_provider_is_told_from_github() {
    check_refusals(
        r#"
        issuer = "https://a.example"              | 8:10 provider.github.issuer is for providers of OpenID Connect     | kind = "oidc"
        scopes = ["openid"]                       | 8:10 provider.github.scopes is for providers of OpenID Connect     | take
        %base_url = "https://git.acme.com"        | 12:12 provider.corp.base_url is for GitHub alone                   | kind = "github"
        %api_url = "https://git.acme.com"         | 12:11 provider.corp.api_url is for GitHub alone                    | write issuer
        &base_url = "https://git.acme.com"        | 11:12 provider.google.base_url is for GitHub alone                 | take it out
        [provider.corp]                           | 8:11 provider.corp.issuer is missing                               | issuer = "https://
        &issuer = "https://login.acme.com"        | 11:10 provider.google.issuer is not the issuer of Google           | kind = "oidc"
        &issuer = "https://accounts.google.com/"  | 11:10 provider.google.issuer is not the issuer of Google           | take it out
        &scopes = ["openid", "offline_access"]    | 11:21 provider.google.scopes holds offline_access, which Google refuses | take it out
        &scopes = ["email"]                       | 11:10 provider.google.scopes leaves out openid                     | "openid"
        %scopes = []                              | 12:10 provider.corp.scopes leaves out openid                       | "openid"
        %scopes = ["openid email"]                | 12:11 provider.corp.scopes holds something that is not a scope     | a text of its own
        [provider.a] / issuer = "http://login.acme.com"       | 9:10 provider.a.issuer is http on a host that is not loopback | write https
        [provider.a] / issuer = "login.acme.com"              | 9:10 provider.a.issuer is not a URL                    | as the provider does
        [provider.a] / issuer = "https://accounts.google.com" | 9:10 provider.a.issuer is the issuer of Google         | kind = "google"
        [provider.a] / issuer = "https://login.microsoftonline.com/common/v2.0" | 9:10 provider.a.issuer stands for many issuers | TENANT-ID
        [provider.a] / issuer = "https://a.example/.well-known/openid-configuration" | 9:10 provider.a.issuer is the address of a document about the issuer | /.well-known
        "#,
    );
}

#[test]
fn several_providers_stand_side_by_side() {
    let end = format!(
        "{GOOGLE}allow.domains = [\"Acme.com\"]\nallow.users = [\"id:1101\"]\n\
         {CORP}allow = {{ emails = [\"*@Acme.com\"], users = [\"id:a|b\"], claims = {{ groups = [\"x\", \"y\"], \"https://a.example/role\" = [\"z\"] }} }}\n\
         [provider.local]\nissuer = \"http://localhost:9090/\"\nlabel = \"Local\"\nclient_id = \"a\"\nclient_secret = \"env:GITHUB_CLIENT_SECRET\"\nallow.anyone = true\n"
    );
    let loaded = read(&smallest("", &end)).unwrap();
    assert_eq!(warnings(loaded.clone()), Vec::<String>::new());
    let told: Vec<String> = loaded
        .config
        .providers
        .iter()
        .map(|provider| {
            let kind = match &provider.kind {
                ProviderKind::OpenId {
                    issuer,
                    scopes,
                    google,
                } => format!("{issuer} {} {google}", scopes.join("+")),
                _ => "github".to_owned(),
            };
            let rules: Vec<String> = provider
                .allow
                .rules()
                .iter()
                .map(ToString::to_string)
                .collect();
            format!(
                "{} {:?} {kind}: {}",
                provider.id,
                provider.label,
                rules.join(" ")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "github \"GitHub\" github: org:acme",
            "google \"Google\" https://accounts.google.com openid+email+profile true: user:id:1101 domain:acme.com",
            "corp \"login.acme.com\" https://login.acme.com/realms/main openid+email+profile+offline_access false: user:id:a|b \
             email:*@acme.com claim:groups=x claim:groups=y claim:https://a.example/role=z",
            "local \"Local\" http://localhost:9090/ openid+email+profile+offline_access false: anyone",
        ]
    );
    let local = format!("{GOOGLE}issuer = \"http://127.0.0.1:9090\"\nallow.anyone = true");
    assert!(read(&smallest("", &local)).is_ok());
}

#[test]
fn a_role_that_does_not_fit_is_told_what_does() {
    let rows = r#"
        []                          | 14:20 KEY is open to nobody                                       | write to whom
        ["acme"]                    | 14:21 KEY holds something that names no provider and nobody there | "PROVIDER:KIND:VALUE"
        ["github"]                  | 14:21 KEY holds something that names no provider and nobody there | "PROVIDER:KIND:VALUE"
        ["gitlab:org:acme"]         | 14:21 KEY names a provider that there is not                      | one that there is: github, corp
        ["github:org"]              | 14:21 KEY names people in a way that their provider does not      | "PROVIDER:user:id:583231"
        ["github:anyone"]           | 14:21 KEY names people in a way that their provider does not      | "PROVIDER:org:acme"
        ["github:domain:acme.com"]  | 14:21 KEY names people in a way that their provider does not      | "PROVIDER:team:acme/platform"
        ["github:claim:a=b"]        | 14:21 KEY names people in a way that their provider does not      | "PROVIDER:email:*@acme.com"
        ["github:team:acme"]        | 14:21 KEY holds something that is not a team                      | "acme/platform"
        ["github:user:@octocat"]    | 14:21 KEY holds something that is neither a login nor an id       | without @
        ["github:org:acme", "x"]    | 14:40 KEY holds something that names no provider and nobody there | "PROVIDER:KIND:VALUE"
        ["corp:org:acme"]           | 14:21 KEY names people in a way that their provider does not      | "PROVIDER:user:id:SUB"
        ["corp:team:acme/a"]        | 14:21 KEY names people in a way that their provider does not      | "PROVIDER:claim:groups=admins"
        ["corp:user:mona"]          | 14:21 KEY holds something that is not an id: at OpenID providers no other name of an account stays with it | "id:"
        ["corp:claim:groups"]       | 14:21 KEY names people in a way that their provider does not      | "PROVIDER:claim:groups=admins"
        ["corp:claim:=a"]           | 14:21 KEY holds something that no claim is                        | "mcp-users"
        ["corp:email:acme.com"]     | 14:21 KEY holds something that is not an address                  | "*@acme.com"
        ["corp:domain:*"]           | 14:21 KEY holds something that is not a domain                    | without @ and *
    "#;
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let row = row.replace("KEY", "scope_policy.roles.\"mcp:tools:read\"");
        check_refusals(&format!(
            "%allow.anyone = true / [scope_policy.roles] / \"mcp:tools:read\" = {row}"
        ));
    }
    check_refusals(
        r#"
        [scope_policy.roles] / "files:admin" = ["github:org:acme"] | 9:17 scope_policy.roles."files:admin" is not a scope in [scopes] | on the left
        [scope_policy.roles] / "a b" = ["github:org:acme"]         | 9:9 scope_policy.roles."a b" is not a scope in [scopes]          | on the left
        [scope_policy] / roles."mcp:tools:read" = "github:org:acme" | 9:26 scope_policy.roles."mcp:tools:read" is a list of texts, in brackets | ["github:team:acme/platform"]
        "#,
    );
}

#[test]
fn a_role_names_a_scope_a_provider_and_people_there() {
    let role = r#""files.all" = ["github:team:acme/platform", "github:org:acme", "github:user:octocat", "github:user:id:583231", "corp:domain:Acme.com", "corp:email:*@acme.com", "corp:claim:groups=a=b", "corp:user:id:a:b"]"#;
    let text = format!(
        "{CORP}allow.anyone = true\n[scope_policy.roles]\n{role}\n[scopes]\n\"files.all\" = [\"tools/call\"]"
    );
    let loaded = read(&smallest("", &text)).unwrap();
    let [(scope, people)] = &loaded.config.roles[..] else {
        panic!("{:?}", loaded.config.roles)
    };
    assert_eq!(scope.as_str(), "files.all");
    let printed: Vec<String> = people
        .iter()
        .map(|(id, rule)| format!("{id}:{rule}"))
        .collect();
    let written: Vec<String> = role
        .split('"')
        .skip(3)
        .step_by(2)
        .map(|text| text.replace('A', "a"))
        .collect();
    assert_eq!(printed, written);
}

#[test]
fn what_the_readme_shows_is_accepted() {
    let blocks = include_str!("../../../README.md")
        .split("```toml\n")
        .skip(1);
    let text: Vec<&str> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    // what is short for one server does not stand beside several
    let text = text.concat();
    let text = text.replacen("backend    = \"http://localhost:9000/mcp\"", "", 1);
    let variables = [("GOOGLE_CLIENT_SECRET", "a"), ("CORP_CLIENT_SECRET", "b")];
    let loaded = read_with(&text, &variables).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(loaded.config.providers.len(), 3);
    assert_eq!(loaded.config.roles[0].1.len(), 3);
    assert_eq!(warnings(loaded), Vec::<String>::new());
}

#[test]
fn who_may_enter_is_told_in_words() {
    let end = format!(
        "{GOOGLE}allow.domains = [\"acme.com\"]\nallow.emails = [\"mona@example.com\", \"*@acme.org\", \"lisa@example.com\"]\n\
         {CORP}allow.claims.groups = [\"staff\"]\n\
         [scope_policy.roles]\n\"mcp:tools:execute\" = [\"github:team:acme/platform\", \"corp:claim:groups=admins\", \"github:user:id:583231\"]"
    );
    let explained = read(&smallest("", &end)).unwrap().explain();
    let (_, words) = explained.split_once("\n\n").unwrap();
    insta::assert_snapshot!(format!("told:\n{words}"), @r"
    told:
      server         /mcp  passes on to http://localhost:9000/mcp, which is told who calls, signed as well
      callback URL   https://mcp.example.com/callback/github  (to enter at GitHub)
      who may enter  members of acme
      callback URL   https://mcp.example.com/callback/google  (to enter at Google)
      who may enter  accounts of acme.com, verified addresses *@acme.org, 2 addresses
      callback URL   https://mcp.example.com/callback/corp  (to enter at login.acme.com)
      who may enter  accounts with staff in groups
      only for some  mcp:tools:execute: members of acme/platform, account 583231 (GitHub); accounts with admins in groups (login.acme.com)
    ");
    let anyone = smallest("", "").replace("allow.orgs = [\"acme\"]", "allow.anyone = true");
    let explained = read(&anyone).unwrap().explain();
    assert!(
        explained.contains("who may enter  anybody with an account at GitHub\n"),
        "{explained}"
    );
}

#[test]
fn how_long_the_word_of_a_provider_is_good_is_set() {
    let tokens = |text: &str| read(&smallest("", text)).unwrap().config.tokens;
    let seconds = |text: &str| {
        let tokens = tokens(text);
        (
            tokens.upstream_check.as_secs(),
            tokens.upstream_grace.as_secs(),
        )
    };
    assert_eq!(seconds(""), (300, 86_400));
    let shortest = "[tokens]\nupstream_check = \"10s\"\nupstream_grace = \"0s\"";
    assert_eq!(seconds(shortest), (10, 0));
    let longest = "[tokens]\nupstream_check = \"1h\"\nupstream_grace = \"30d\"";
    assert_eq!(seconds(longest), (3600, 2_592_000));
}

/// U7, CONS-27
#[test]
fn what_is_wider_open_than_it_seems_is_a_warning() {
    let rows = r#"
        @allow.users = ["id:583231"]                           |
        @allow.users = ["id:583231", "octocat"]                | 7: provider.github.allow.users goes by a name, which somebody else can take once it is given up: write id:NUMBER
        @allow.users = ["octocat"] / allow.orgs = ["acme"]     | 7: provider.github.allow.users goes by a name
        @allow.orgs = ["acme"]                                 |
        @allow.teams = ["acme/a"]                              |
        @allow.emails = ["*@acme.com", "mona@gmail.com"]       |
        @allow.emails = ["*@gmail.com"]                        | 7: provider.github.allow.emails lets in every address of a domain in which everybody can have one: write whole
        &allow.anyone = true                                   | 11: provider.google.allow.anyone lets in everybody with a Google account
        &allow.domains = ["acme.com"]                          |
        &allow.emails = ["mona@acme.com"]                      |
        &allow.emails = ["*@acme.com"]                         | 11: provider.google.allow.emails holds for accounts of Google Workspace alone
        &allow.emails = ["*@gmx.de"]                           | 11: provider.google.allow.emails holds for accounts of Google Workspace alone
        &allow.emails = ["*@gmail.com"]                        | 11: provider.google.allow.emails lets in every address
        &allow.domains = ["acme.com"] / [scope_policy.roles] / "mcp:tools:read" = ["google:email:*@acme.org"] | 13: scope_policy.roles."mcp:tools:read" holds for accounts of Google Workspace alone
        %allow.anyone = true                                   |
        %allow.emails = ["*@GMX.de"]                           | 12: provider.corp.allow.emails lets in every address
        %allow.domains = ["acme.com"]                          | 12: provider.corp.allow.domains goes by the claim hd
        %allow.anyone = true / scopes = ["openid", "email"]    | 13: provider.corp.scopes leaves out offline_access: sessions end when the provider's access token expires
        %allow.emails = ["*@acme.com"] / scopes = ["openid", "offline_access"] | 13: provider.corp.scopes leaves out email
        %allow.anyone = true / label = "GitHub"                | 13: provider.corp.label is what another provider is called, too
        %allow.anyone = true / [scope_policy.roles] / "mcp:tools:read" = ["corp:email:*@aol.com"] | 14: scope_policy.roles."mcp:tools:read" is open to every address
    "#;
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (piece, expected) = row.split_once('|').unwrap();
        let (piece, expected) = (piece.trim().replace(" / ", "\n"), expected.trim());
        let (head, rest) = piece.split_at(1);
        let text = match head {
            "@" => smallest("", "").replace("allow.orgs = [\"acme\"]", rest),
            "%" => smallest("", &format!("{CORP}{rest}")),
            _ => smallest("", &format!("{GOOGLE}{rest}")),
        };
        let mut told = read(&text).unwrap().warnings;
        let is_usual = |warning: &String| {
            warning.contains("proxy.trusted") || head != "@" && warning.contains("allow.orgs")
        };
        told.retain(|warning| !is_usual(warning));
        let is_said = |said: &String| {
            let said = said.strip_prefix("providers.toml:");
            said.is_some_and(|said| said.starts_with(expected))
        };
        let is_right = match &told[..] {
            [] => expected.is_empty(),
            [one] => !expected.is_empty() && is_said(one),
            _ => false,
        };
        assert!(is_right, "{row} {told:?}");
    }
}
