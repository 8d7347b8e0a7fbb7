//! `[[server]]`: what stands behind, what it is told of the caller, and scopes of its own.

use std::time::Duration;

use anteroom::config::{Backend, ChildSessions, Command, Loaded, Server};

use super::{SECRET, check_refusals, read, read_with, smallest, warnings};

/// The smallest file with these servers.
fn with_servers(servers: &str) -> String {
    smallest("", servers).replace("backend = \"http://localhost:9000/mcp\"\n\n", "")
}

fn servers(text: &str) -> Loaded {
    read(&with_servers(text)).unwrap_or_else(|refused| panic!("{refused}"))
}

/// What `check` prints, without the columns.
fn in_single_spaces(loaded: &Loaded) -> String {
    let mut text = loaded.explain();
    while text.contains("  ") {
        text = text.replace("  ", " ");
    }
    text
}

fn command(server: &Server) -> &Command {
    match &server.backend {
        Backend::Command(command) => command,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_is_a_list_of_words_and_stands_alone() {
    check_refusals(
        r#"
        $[[server]] / command = "npx -y x"                    | 7:11 server.0.command is a list of texts, in brackets            | command = ["npx", "-y", "@
        $[[server]] / command = "npx 'a b'"                   | 7:11 server.0.command is a list of texts, in brackets            | command = ["npx", "-y", "@
        $[[server]] / command = ["npx -y x"]                  | 7:11 server.0.command is one word with spaces in it              | each of its arguments
        $[[server]] / command = ["npx ", "-y"]                | 7:11 server.0.command has white space before or behind the program | take it out
        $[[server]] / command = ["\tnpx"]                     | 7:11 server.0.command has white space before or behind the program | take it out
        $[[server]] / command = []                            | 7:11 server.0.command names no program                           | ["npx", "-y", "x"]
        $[[server]] / command = [" ", "x"]                    | 7:11 server.0.command names no program                           | each of its arguments
        $[[server]] / command = ["x", "\u0000"]               | 7:17 server.0.command holds a NUL                                | take it out
        $[[server]] / command = ["x"] / backend = "http://h"  | 8:11 server.0.backend contradicts the command beside it          | write command or backend
        $[[server]] / command = ["x"] / sample = true         | 8:10 server.0.sample contradicts the command beside it           | write command or sample
        $[[server]] / path = "/x"                             | 6:1 server.0.backend is missing                                  | command = ["npx", "-y", "x"]
        $[[server]] / comand = ["x"]                          | 7:1 server.0.comand is unknown                                   | did you mean command?
        "#,
    );
}

#[test]
fn what_goes_with_a_command_is_told_how_it_is_written() {
    check_refusals(
        r#"
        $[[server]] / command = ["x"] / sessions = "each"             | 8:12 server.0.sessions does not say who shares a child          | "per-user"
        $[[server]] / command = ["x"] / idle = "10s"                  | 8:8 server.0.idle is too short or too long                      | from 1m to 24h
        $[[server]] / command = ["x"] / children = 0                  | 8:12 server.0.children is not a number from 1                   | such as 100
        $[[server]] / command = ["x"] / children = -1                 | 8:12 server.0.children is a number, without quotes              | children = 100
        $[[server]] / command = ["x"] / children = "many"             | 8:12 server.0.children is a number, without quotes              | children = 100
        $[[server]] / command = ["x"] / directory = "none-such"       | 8:13 server.0.directory names a folder that is not there        | make it
        $[[server]] / command = ["x"] / environment = "A=b"           | 8:1 server.0.environment is a table                             | write [server.environment]
        $[[server]] / command = ["x"] / environment.A = 1             | 8:17 server.0.environment."A" is a text, in quotes              | write the value in quotes: A = "..."
        $[[server]] / command = ["x"] / environment.A = ["b"]         | 8:17 server.0.environment."A" is a text, in quotes              | A = "env:NAME"
        $[[server]] / command = ["x"] / environment.1A = "b"          | 8:18 server.0.environment."1A" is not the name of a variable    | letters, digits and _
        $[[server]] / command = ["x"] / environment."A=B" = "b"       | 8:21 server.0.environment."A=B" is not the name of a variable   | letters, digits and _
        $[[server]] / command = ["x"] / environment.ANTEROOM_USER = "b" | 8:29 server.0.environment."ANTEROOM_USER" begins with ANTEROOM_, which is how children are told who calls | another name
        $[[server]] / command = ["x"] / environment.A = "env:NONE"    | 8:17 server.0.environment."A" names the environment variable NONE, which is not set | set NONE
        $[[server]] / command = ["x"] / environment.A = "file:none-such" | 8:17 server.0.environment."A" names a file that cannot be read: none-such (No such file or directory (os error 2)) | write the path
        $[[server]] / command = ["x"] / environment.A = "\u0000"      | 8:17 server.0.environment."A" holds a NUL                       | take it out
        $[[server]] / command = ["x"] / upstream_token_variable = "ANTEROOM_USER" | 8:27 server.0.upstream_token_variable begins with ANTEROOM_, which is how children are told who calls | another name
        $[[server]] / command = ["x"] / identity.upstream_token = true / upstream_token_variable = "T" / environment.T = "b" | 10:17 server.0.environment."T" is where the provider's token of the caller goes | another name
        "#,
    );
}

#[test]
fn what_goes_with_a_command_is_refused_without_one() {
    for (key, column) in [
        ("environment.A = \"b\"", 1),
        ("directory = \".\"", 13),
        ("sessions = \"shared\"", 12),
        ("idle = \"10m\"", 8),
        ("children = 3", 12),
        ("upstream_token_variable = \"T\"", 27),
    ] {
        let word = key.split([' ', '.']).next().unwrap();
        for server in ["sample = true", "backend = \"http://h\""] {
            let row = format!("$[[server]] / {server} / {key}");
            let fault = format!("8:{column} server.0.{word} is about a command");
            check_refusals(&format!("{row} | {fault} | not started by anteroom"));
        }
    }
}

#[test]
fn a_command_has_everything_that_is_not_written() {
    let loaded = servers("[[server]]\ncommand = [\"npx\", \"-y\", \"x y\", \"\"]");
    let server = &loaded.config.servers[0];
    let command = command(server);
    assert_eq!(command.words, ["npx", "-y", "x y", ""]);
    assert!(command.environment.is_empty() && command.directory.is_none());
    assert_eq!(command.sessions, ChildSessions::PerUser);
    assert_eq!(command.idle, Duration::from_secs(600));
    assert_eq!(command.children.get(), 100);
    assert_eq!(command.upstream_token_variable, "ANTEROOM_UPSTREAM_TOKEN");
    let told = server.identity;
    assert!(told.headers && !told.assertion && !told.upstream_token);
    assert_eq!(warnings(loaded), Vec::<String>::new());
}

#[test]
fn a_child_finds_what_the_file_says_and_no_output_shows_it() {
    let text = r#"[[server]]
command = ["./run", "--token=s3cr3t-0123456789abcdef"]
environment = { TOKEN = "env:GITHUB_CLIENT_SECRET", PLAIN = "s3cr3t-0123456789abcdef", EMPTY_ONE = "" }
directory = "."
sessions = "per-user"
idle = "90m"
children = 7
upstream_token_variable = "GITHUB_TOKEN"
identity.upstream_token = true"#;
    let loaded = servers(text);
    let server = &loaded.config.servers[0];
    let command = command(server);
    let found: Vec<(&str, &str)> = command
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(
        found,
        [("TOKEN", SECRET), ("PLAIN", SECRET), ("EMPTY_ONE", "")]
    );
    assert_eq!(command.upstream_token_variable, "GITHUB_TOKEN");
    assert!(server.identity.upstream_token);
    for said in [
        loaded.explain(),
        format!("{loaded:?}"),
        loaded.warnings.join("\n"),
    ] {
        assert!(!said.contains(SECRET), "{said}");
    }
    let explained = in_single_spaces(&loaded);
    for line in [
        r"server.0.command ./run with 1 argument providers.toml:7",
        r#"server.0.environment."PLAIN" (set) providers.toml:8"#,
        " server /mcp runs ./run with 1 argument for each person, 7 at most, which is told who calls, and gets the provider's token of each\n",
    ] {
        assert!(explained.contains(line), "{line}\n{explained}");
    }
    // with something else wrong, the line is shown, and not the value
    let torn = with_servers(&text.replace("TOKEN =", "A-B ="));
    let refused = read(&torn).unwrap_err().to_string();
    assert!(
        refused.contains("environment") && !refused.contains(SECRET),
        "{refused}"
    );
}

#[test]
fn a_container_can_have_servers_of_every_kind() {
    let file = smallest("", "").replace("backend = \"http://localhost:9000/mcp\"\n", "");
    let variables = [
        ("ANTEROOM_SERVER_0_COMMAND", "npx, -y, x"),
        (
            "ANTEROOM_SERVER_0_ENVIRONMENT",
            "A=b=c; TOKEN=env:GITHUB_CLIENT_SECRET",
        ),
        ("ANTEROOM_SERVER_0_CHILDREN", "3"),
        ("ANTEROOM_SERVER_0_IDENTITY_HEADERS", "false"),
        ("ANTEROOM_SERVER_1_COMMAND", r#"["a,b", "", "c d"]"#),
        ("ANTEROOM_SERVER_1_PATH", "/b"),
        ("ANTEROOM_SERVER_1_NAME", "B"),
        ("ANTEROOM_SERVER_1_SESSIONS", "shared"),
        (
            "ANTEROOM_SERVER_1_SCOPES",
            "files=tools/call:f_*, tools/list; more=tools/call",
        ),
        ("ANTEROOM_SERVER_1_DEFAULT_SCOPES", "files"),
    ];
    let loaded = read_with(&file, &variables).unwrap_or_else(|refused| panic!("{refused}"));
    let [first, second] = &loaded.config.servers[..] else {
        panic!("two servers")
    };
    assert_eq!(command(first).words, ["npx", "-y", "x"]);
    assert_eq!(command(first).children.get(), 3);
    assert!(!first.identity.headers);
    let (names, values): (Vec<&str>, Vec<&str>) = command(first)
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .unzip();
    assert_eq!((names, values), (vec!["A", "TOKEN"], vec!["b=c", SECRET]));
    assert_eq!(command(second).words, ["a,b", "", "c d"]);
    assert_eq!(command(second).sessions, ChildSessions::Shared);
    assert!(!second.identity.headers);
    let own = second.scopes.as_ref().unwrap();
    assert_eq!(
        (own.scopes.len(), own.default.to_string()),
        (2, "files".to_owned())
    );
}

#[test]
fn a_variable_of_a_server_is_told_how_it_is_written() {
    let file = smallest("", "").replace("backend = \"http://localhost:9000/mcp\"\n", "");
    for (name, value, expected) in [
        (
            "COMMAND",
            "[npx",
            "(server.0.command) begins with [ and is not a list of texts",
        ),
        (
            "COMMAND",
            "npx -y x",
            "(server.0.command) is one word with spaces in it",
        ),
        ("COMMAND", ",", "(server.0.command) names no program"),
        (
            "ENVIRONMENT",
            "A",
            "(server.0.environment) holds something between two ; that is not NAME=value",
        ),
        ("ENVIRONMENT", "", "(server.0.environment) is empty"),
        ("SCOPES", "", "(server.0.scopes) is empty"),
        (
            "CHILDREN",
            "many",
            "(server.0.children) is not a number from 1",
        ),
    ] {
        let name = format!("ANTEROOM_SERVER_0_{name}");
        let mut variables = vec![("ANTEROOM_SERVER_0_COMMAND", "x")];
        variables.retain(|(known, _)| *known != name);
        variables.push((&name, value));
        let refused = read_with(&file, &variables).unwrap_err();
        let said: Vec<&str> = refused
            .faults()
            .map(anteroom::config::Fault::message)
            .collect();
        assert_eq!(said, [format!("{name} {expected}")]);
    }
}

/// RS-13
#[test]
fn nothing_of_the_caller_goes_where_it_must_not() {
    check_refusals(
        r#"
        $[[server]] / command = ["x"] / sessions = "shared" / identity.upstream_token = true | 9:27 server.0.identity.upstream_token contradicts sessions = "shared": everybody would act with the token of whoever came first | "per-user"
        $[[server]] / command = ["x"] / sessions = "shared" / identity.headers = true | 9:20 server.0.identity.headers contradicts sessions = "shared": one child for everybody cannot be told who calls | "per-user"
        $[[server]] / command = ["x"] / identity = { assertion = true } | 8:26 server.0.identity.assertion is for servers over HTTP: a child is told who calls in its variables, and needs no signature | take it out
        $[[server]] / backend = "http://tools.example.com" / identity.upstream_token = true | 8:27 server.0.identity.upstream_token would send the provider's token of the caller in clear to a host that may be far away | https://
        $[[server]] / backend = "http://203.0.113.7/mcp" / identity.upstream_token = true | 8:27 server.0.identity.upstream_token would send the provider's token of the caller in clear to a host that may be far away | upstream_token = false
        $[[server]] / sample = true / identity = true             | 8:1 server.0.identity is a table                               | write [server.identity]
        $[[server]] / sample = true / identity.header = true      | 8:10 server.0.identity.header is unknown                       | did you mean headers?
        "#,
    );
    for (server, expected) in [
        ("backend = \"http://localhost:9000\"", None),
        ("backend = \"http://127.0.0.1:9000\"", None),
        ("backend = \"https://tools.example.com/mcp\"", None),
        (
            "backend = \"http://tools:9000\"",
            Some("providers.toml:8: server.0.identity.upstream_token sends the provider's token"),
        ),
        (
            "sample = true",
            Some("providers.toml:8: server.0.identity.upstream_token does nothing"),
        ),
    ] {
        let loaded = servers(&format!(
            "[[server]]\n{server}\nidentity.upstream_token = true"
        ));
        let warned = warnings(loaded);
        assert_eq!(warned.len(), usize::from(expected.is_some()), "{warned:?}");
        assert!(
            expected.is_none_or(|expected| warned[0].starts_with(expected)),
            "{warned:?}"
        );
    }
    let written = servers(
        "[[server]]\nbackend = \"https://tools.example.com/mcp\"\n[server.identity]\nheaders = false\nassertion = false",
    );
    let told = written.config.servers[0].identity;
    assert!(!told.headers && !told.assertion && !told.upstream_token);
    let line = "  server         /mcp  passes on to https://tools.example.com/mcp, which is not told who calls\n";
    assert!(written.explain().contains(line), "{}", written.explain());
}

#[test]
fn a_backend_is_not_anteroom_itself() {
    for backend in [
        "https://mcp.example.com/mcp",
        "https://mcp.example.com:443/mcp/",
        "https://mcp.example.com",
        "https://MCP.example.com/mcp/x",
        "https://mcp.example.com/x/../mcp",
        "http://127.0.0.1:8080/other",
        "http://localhost:8080",
        "http://[::1]:8080/mcp",
    ] {
        let row = format!("$[[server]] / backend = \"{backend}\"");
        let fault = "7:11 server.0.backend is anteroom itself";
        check_refusals(&format!(
            "{row} | {fault} | an address or a port of its own"
        ));
    }
    for (listen, backend, accepted) in [
        ("127.0.0.1:8080", "https://mcp.example.com/tools", true),
        ("127.0.0.1:8080", "https://mcp.example.com/mcp-2", true),
        ("127.0.0.1:8080", "https://mcp.example.com:8443/mcp", true),
        ("127.0.0.1:8080", "http://localhost:8081/mcp", true),
        ("0.0.0.0:8080", "http://10.0.0.7:8080/mcp", true),
        ("10.0.0.7:8080", "http://10.0.0.7:8080/mcp", false),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/mcp", false),
        ("10.0.0.7:8080", "http://127.0.0.1:8080/mcp", true),
        ("10.0.0.7:80", "http://10.0.0.7/mcp", false),
    ] {
        let text = smallest(&format!("listen = \"{listen}\""), "");
        let read = read(&text.replace("http://localhost:9000/mcp", backend));
        assert_eq!(read.is_ok(), accepted, "{listen} {backend}");
    }
}

#[test]
fn a_server_can_have_scopes_of_its_own() {
    let text = r#"[[server]]
backend = "http://a:9000"
name = "A"
scopes."files:read" = ["tools/list", "tools/call:read_*"]
scopes."files:write" = ["tools/call"]
default_scopes = ["files:read"]
[[server]]
path = "/b"
name = "B"
backend = "http://b:9000"
scopes = { "files:read" = ["resources/read"] }
[[server]]
path = "/c"
name = "C"
backend = "http://c:9000"
[scope_policy.roles]
"files:write" = ["github:user:octocat"]
"mcp:tools:execute" = ["github:user:octocat"]
[[clients.known]]
id = "ci"
redirect_uris = ["https://ci.acme.com/callback"]
scopes = ["files:read", "mcp:tools:read"]"#;
    let loaded = servers(text);
    let config = &loaded.config;
    let opened = config.servers.iter().map(|server| {
        let (scopes, default) = config.scopes_of(server);
        (scopes.len(), default.to_string())
    });
    let opened: Vec<(usize, String)> = opened.collect();
    let all = config.default_scopes.to_string();
    let expected = [(2, "files:read"), (1, "files:read"), (6, &all)];
    assert_eq!(
        opened,
        expected.map(|(count, default)| (count, default.to_owned()))
    );
    assert_eq!(config.roles.len(), 2);
    let warned = warnings(loaded.clone());
    let expected = [
        "providers.toml:27: clients.known.0.scopes goes by name at every server, and files:read opens one thing at /mcp and another at /b: ",
        "providers.toml:11: server.0.default_scopes leaves out files:write: ",
    ];
    assert_eq!(warned.len(), expected.len(), "{warned:?}");
    for (warned, expected) in warned.iter().zip(expected) {
        assert!(warned.starts_with(expected), "{warned}");
    }
    let line = r#"server.0.scopes."files:read" [tools/list, tools/call:read_*] providers.toml:9"#;
    let explained = in_single_spaces(&loaded);
    assert!(explained.contains(line), "{explained}");
}

#[test]
fn scopes_of_a_server_are_refused_as_those_of_all_are() {
    check_refusals(
        r#"
        $[[server]] / sample = true / scopes = {}                           | 8:1 server.0.scopes opens nothing                                   | take the table out
        $[[server]] / sample = true / scopes.x = []                         | 8:12 server.0.scopes."x" opens nothing                              | tools/list
        $[[server]] / sample = true / scopes = ["x"]                        | 8:1 server.0.scopes is a table                                      | write [server.scopes]
        $[[server]] / sample = true / scopes."a b" = ["tools/list"]         | 8:16 server.0.scopes."a b" is not a scope                           | visible ASCII
        $[[server]] / sample = true / scopes.x = ["tools/*"]                | 8:13 server.0.scopes."x" holds a method that has a * in the method, which is named exactly | tools/list
        $[[server]] / sample = true / default_scopes = ["x"]                | 8:18 server.0.default_scopes stands there without scopes            | [scope_policy]
        $[[server]] / sample = true / scopes.x = ["tools/list"] / default_scopes = ["y"] | 9:19 server.0.default_scopes holds something that is not a scope in [server.scopes] | add them there
        $[[server]] / sample = true / scopes.x = ["tools/list"] / default_scopes = [] | 9:18 server.0.default_scopes is empty                     | at least one
        $[[server]] / sample = true / scopes.x = ["tools/list"] / [scope_policy] / roles.y = ["github:user:octocat"] | 10:11 scope_policy.roles."y" is not a scope in [scopes] | of a server
        "#,
    );
    let unused =
        "[[server]]\nsample = true\nscopes.x = [\"tools/call\"]\n[scopes]\ny = [\"tools/list\"]";
    let warned = warnings(servers(unused));
    assert_eq!(
        warned,
        ["providers.toml:9: scopes does nothing: each server has scopes of its own"]
    );
}

#[test]
fn what_is_said_of_scopes_that_no_server_has_is_worth_a_warning() {
    let own = "[[server]]\nsample = true\nscopes.x = [\"tools/list\"]\n";
    let shared = "[[server]]\nsample = true\npath = \"/b\"\nname = \"B\"\n";
    let client =
        "[[clients.known]]\nid = \"ci\"\nredirect_uris = [\"https://ci.acme.com/callback\"]\n";
    for (said, warning) in [
        (
            "[scope_policy]\ndefault = [\"mcp:tools:execute\", \"mcp:resources:read\", \"mcp:prompts:read\"]".to_owned(),
            "scope_policy.default does nothing: ",
        ),
        (
            "[scope_policy.roles]\n\"mcp:tools:execute\" = [\"github:user:octocat\"]".to_owned(),
            "scope_policy.roles.\"mcp:tools:execute\" does nothing for mcp:tools:execute: ",
        ),
        (
            format!("{client}scopes = [\"x\", \"offline_access\", \"mcp:tools:read\"]"),
            "clients.known.0.scopes does nothing for mcp:tools:read: ",
        ),
        ("[scope_policy.roles]\nx = [\"github:user:octocat\"]".to_owned(), ""),
        (format!("{client}scopes = [\"x\"]"), ""),
    ] {
        let warned = warnings(servers(&format!("{own}{said}")));
        assert_eq!(warned.len(), usize::from(!warning.is_empty()), "{warned:?}");
        assert!(warned.iter().all(|warned| warned.contains(warning)), "{warned:?}");
        // one server has those of all
        let warned = warnings(servers(&format!("{own}{shared}{said}")));
        assert_eq!(warned, Vec::<String>::new(), "{said}");
    }
}

#[test]
fn a_name_that_means_two_things_is_worth_a_warning_where_it_limits_somebody() {
    let two = |first: &str, second: &str, rest: &str| {
        let text = format!(
            "[[server]]\nsample = true\nname = \"A\"\nscopes.x = [{first}]\n[[server]]\npath = \"/b\"\nsample = true\nscopes.x = [{second}]\n{rest}"
        );
        warnings(servers(&text))
    };
    let (list, call) = ("\"tools/list\"", "\"tools/call\"");
    let both = format!("{list}, {call}");
    let turned = format!("{call}, {list}");
    let role = "[scope_policy.roles]\nx = [\"github:user:octocat\"]";
    let warned = two(list, call, role);
    let expected = "providers.toml:15: scope_policy.roles.\"x\" goes by name at every server, and x opens one thing at /mcp and another at /b";
    assert!(
        matches!(&warned[..], [one] if one.starts_with(expected)),
        "{warned:?}"
    );
    assert_eq!(two(list, call, ""), Vec::<String>::new());
    assert_eq!(two(&both, &turned, role), Vec::<String>::new());
}

#[test]
fn a_default_that_hides_what_people_came_for_is_worth_a_warning() {
    let of_server = |scopes: &str, default: &str| {
        let text = format!("[[server]]\nsample = true\n{scopes}\ndefault_scopes = {default}");
        warnings(servers(&text))
    };
    let scopes = r#"scopes = { list = ["tools/list"], call = ["tools/call"], read = ["tools/call", "resources/list"], say = ["prompts/get:a"] }"#;
    for (default, expected) in [
        (r#"["list", "call", "read", "say"]"#, None),
        // what read opens is open, and a list is nothing without what it lists
        (r#"["call", "say"]"#, None),
        (r#"["list", "say"]"#, Some("leaves out call, read: ")),
        (r#"["list", "read"]"#, Some("leaves out say: ")),
    ] {
        let warned = of_server(scopes, default);
        let expected =
            expected.map(|what| format!("providers.toml:9: server.0.default_scopes {what}"));
        assert_eq!(warned.len(), usize::from(expected.is_some()), "{warned:?}");
        for (warned, expected) in warned.iter().zip(expected) {
            assert!(warned.starts_with(&expected), "{warned}");
        }
    }
    let of_all = warnings(servers(
        "[[server]]\nsample = true\n[scope_policy]\ndefault = [\"mcp:tools:read\", \"mcp:tools:execute\"]",
    ));
    let expected =
        "providers.toml:9: scope_policy.default leaves out mcp:resources:read, mcp:prompts:read: ";
    assert!(
        matches!(&of_all[..], [one] if one.starts_with(expected)),
        "{of_all:?}"
    );
}

/// P3
#[test]
fn no_argument_of_a_command_is_shown() {
    for command in [
        r#""npx -y x --token s3cr3t-0123456789abcdef""#,
        r#"["npx -y x postgres://me:s3cr3t-0123456789abcdef@db"]"#,
        r#"[" npx", "--token", "s3cr3t-0123456789abcdef"]"#,
        r#"["npx", 1, "s3cr3t-0123456789abcdef"]"#,
        r#"["npx", "s3cr3t-0123456789abcdef"] x"#,
        "[\"npx\",\n\"s3cr3t-0123456789abcdef\"\nsessions",
    ] {
        let refused = read(&with_servers(&format!("[[server]]\ncommand = {command}"))).unwrap_err();
        for said in [refused.to_string(), format!("{refused:?}")] {
            assert!(!said.contains(SECRET), "{command}: {said}");
        }
    }
}

#[test]
fn a_value_with_a_semicolon_is_refused_or_whole() {
    let file = smallest("", "").replace("backend = \"http://localhost:9000/mcp\"\n", "");
    let read = |value: &str| {
        let variables = [
            ("ANTEROOM_SERVER_0_COMMAND", "x"),
            ("ANTEROOM_SERVER_0_ENVIRONMENT", value),
        ];
        read_with(&file, &variables)
    };
    let read_whole = read(r#" {"A": "b;c=d", "B": "env:GITHUB_CLIENT_SECRET", "C": ""}"#).unwrap();
    let found = command(&read_whole.config.servers[0]).environment.iter();
    let found: Vec<(&str, &str)> = found
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(found, [("A", "b;c=d"), ("B", SECRET), ("C", "")]);
    for value in [
        "TOKEN=abc;s3cr3t-0123456789abcdef",
        "TOKEN=abc;s3cr3t-0123456789abcdef==",
        "TOKEN=abc;=s3cr3t-0123456789abcdef",
        "TOKEN=s3cr3t-0123456789abcdef;",
        "TOKEN=s3cr3t-0123456789abcdef;;A=b",
        r#"{"TOKEN": "s3cr3t-0123456789abcdef", "PORT": 3000}"#,
        r#"{"TOKEN": "s3cr3t-0123456789abcdef""#,
    ] {
        let refused = read(value).unwrap_err();
        let said = refused.to_string();
        assert!(
            said.contains("JSON") || said.contains("texts alone"),
            "{said}"
        );
        for said in [said, format!("{refused:?}")] {
            assert!(!said.contains(&SECRET[..6]), "{said}");
        }
    }
}

#[test]
fn servers_that_people_cannot_tell_apart_are_worth_a_warning() {
    let two = |first: &str, second: &str| {
        let text = format!(
            "[[server]]\nsample = true\n{first}\n[[server]]\npath = \"/b\"\nsample = true\n{second}"
        );
        warnings(servers(&text))
    };
    let (a, b) = ("name = \"A\"", "name = \"B\"");
    for (first, second) in [(a, b), ("", b), (a, "")] {
        assert_eq!(two(first, second), Vec::<String>::new());
    }
    for (first, second, expected) in [
        (
            "",
            "",
            "providers.toml:9: server.1.name is missing here and at another server",
        ),
        (
            a,
            a,
            "providers.toml:12: server.1.name is the name of another server, too",
        ),
    ] {
        let warned = two(first, second);
        assert!(
            matches!(&warned[..], [one] if one.starts_with(expected)),
            "{warned:?}"
        );
    }
}
