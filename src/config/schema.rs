//! Every key there is: what it holds, how it is written, and which ones this version does not read yet.

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A text.
    Text,
    /// A text that is never shown.
    Secret,
    /// `true` or `false`.
    Flag,
    /// Texts.
    List,
    /// Texts that are never shown.
    Secrets,
    /// A program and its arguments, which are never shown.
    Words,
    /// A whole number.
    Number,
}

/// A key this version reads.
#[derive(Debug)]
pub(super) struct Known {
    /// The dotted key; `*` stands for a name that the operator chooses, or for the number of a table in a row. At the end,
    /// it is a name that may hold dots.
    pub key: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// How a value is written.
    pub example: &'static str,
}

/// What stands at a dotted path.
#[derive(Debug)]
pub(super) enum Place {
    /// A value.
    Value(&'static Known),
    /// A table with further keys.
    Table,
    /// Tables in a row, such as `[[server]]`.
    Tables,
    /// Something that other versions read.
    Later,
    /// Nothing.
    Unknown,
}

/// The keys this version reads.
pub(super) const KNOWN: &[Known] = &[
    text("public_url", r#""https://mcp.example.com""#),
    text("listen", r#""127.0.0.1:8080""#),
    text("data_dir", r#""./data""#),
    text("store", r#""sled""#),
    secret("sealing_key", r#""file:sealing.key""#),
    Known {
        key: "sealing_keys_before",
        shape: Shape::Secrets,
        example: r#"["file:sealing-before.key"]"#,
    },
    text("backend", r#""http://localhost:9000/mcp""#),
    text("provider.*.kind", r#""github""#),
    text("provider.*.label", r#""GitHub""#),
    text("provider.*.client_id", r#""Ov23li0123456789abcd""#),
    secret("provider.*.client_secret", r#""env:GITHUB_CLIENT_SECRET""#),
    text("provider.*.base_url", r#""https://github.com""#),
    text("provider.*.api_url", r#""https://api.github.com""#),
    text(
        "provider.*.issuer",
        r#""https://login.acme.com/realms/main""#,
    ),
    list("provider.*.scopes", r#"["openid", "email", "profile"]"#),
    flag("provider.*.allow.anyone"),
    list("provider.*.allow.users", r#"["id:583231", "octocat"]"#),
    list("provider.*.allow.orgs", r#"["acme"]"#),
    list("provider.*.allow.teams", r#"["acme/platform"]"#),
    list("provider.*.allow.domains", r#"["acme.com"]"#),
    list("provider.*.allow.emails", r#"["*@acme.com"]"#),
    list("provider.*.allow.claims.*", r#"["mcp-users"]"#),
    text("server.*.path", r#""/mcp""#),
    text("server.*.name", r#""Example tools""#),
    text("server.*.backend", r#""http://localhost:9000/mcp""#),
    Known {
        key: "server.*.command",
        shape: Shape::Words,
        example: r#"["npx", "-y", "@modelcontextprotocol/server-everything"]"#,
    },
    secret("server.*.environment.*", r#""env:NAME""#),
    text("server.*.directory", r#""/srv/mcp""#),
    text("server.*.sessions", r#""per-user""#),
    text("server.*.idle", r#""10m""#),
    Known {
        key: "server.*.children",
        shape: Shape::Number,
        example: "100",
    },
    text("server.*.upstream_token_variable", r#""GITHUB_TOKEN""#),
    flag("server.*.sample"),
    flag("server.*.identity.headers"),
    flag("server.*.identity.assertion"),
    flag("server.*.identity.upstream_token"),
    list("server.*.scopes.*", r#"["tools/call:read_*"]"#),
    list("server.*.default_scopes", r#"["files:read"]"#),
    list("server.*.origins", r#"["https://app.example.com"]"#),
    list("scopes.*", r#"["tools/list"]"#),
    list("scope_policy.default", r#"["mcp:tools:read"]"#),
    list("scope_policy.roles.*", r#"["github:team:acme/platform"]"#),
    flag("clients.metadata_documents"),
    list("clients.document_hosts", r#"["claude.ai"]"#),
    text("clients.registration", r#""open""#),
    secret("clients.registration_token", r#""env:REGISTRATION_TOKEN""#),
    list("clients.redirect_hosts", r#"["claude.ai"]"#),
    text("clients.known.*.id", r#""ci""#),
    text("clients.known.*.name", r#""Continuous integration""#),
    secret("clients.known.*.secret_sha256", r#""env:CI_SECRET_SHA256""#),
    list(
        "clients.known.*.redirect_uris",
        r#"["https://ci.acme.com/callback"]"#,
    ),
    list("clients.known.*.scopes", r#"["mcp:tools:read"]"#),
    text("clients.unused_expire", r#""24h""#),
    text("tokens.algorithm", r#""ES256""#),
    text("tokens.code", r#""10m""#),
    text("tokens.access", r#""1h""#),
    text("tokens.refresh", r#""30d""#),
    text("tokens.session", r#""180d""#),
    text("tokens.reuse_grace", r#""10s""#),
    text("tokens.upstream_check", r#""5m""#),
    text("tokens.upstream_grace", r#""24h""#),
    secret("tokens.signing_key", r#""file:signing.pem""#),
    text("consent.remember", r#""90d""#),
    list("proxy.trusted", r#"["10.0.0.0/8"]"#),
    list("outbound.ca", r#"["/etc/ssl/acme.pem"]"#),
    text("outbound.proxy", r#""http://proxy.example.com:3128""#),
    list("outbound.private_hosts", r#"["localhost:8443"]"#),
    text("limits.register", r#""60/m""#),
    text("limits.register_all", r#""1200/m""#),
    text("limits.authorize", r#""120/m""#),
    text("limits.token", r#""600/m""#),
    text("log.format", r#""text""#),
];

/// Tables in a row: numbered from 0, in the place of a name.
pub(super) const NUMBERED: [&str; 2] = ["server", "clients.known"];

/// The keys and tables that this version refuses by name, so that nobody believes in a setting that does nothing.
pub(super) const LATER: &[&str] = &["tls", "log.audit", "log.metrics"];

/// What stands at `path`.
pub(super) fn place(path: &str) -> Place {
    if NUMBERED.contains(&path) {
        return Place::Tables;
    }
    if let Some(known) = KNOWN
        .iter()
        .find(|known| rest_behind(known.key, path) == Some(""))
    {
        return Place::Value(known);
    }
    if LATER.iter().any(|later| rest_behind(later, path).is_some()) {
        return Place::Later;
    }
    if KNOWN.iter().any(|known| begins_with(known.key, path)) {
        return Place::Table;
    }
    Place::Unknown
}

/// The known key that `path` was probably meant to be: the nearest in the same table, or the same word elsewhere.
pub(super) fn nearest(path: &str) -> Option<String> {
    let (table, word) = path.rsplit_once('.').unwrap_or(("", path));
    let siblings: Vec<String> = words_in(table);
    let near = closest(word, siblings.iter().map(String::as_str));
    if let Some(sibling) = near {
        return Some(join(table, sibling));
    }
    KNOWN
        .iter()
        .find(|known| known.key.rsplit('.').next() == Some(word))
        .map(|known| {
            known
                .key
                .replace("provider.*", "provider.NAME")
                .replace("server.*", "server")
                .replace("clients.known.*", "clients.known")
        })
}

/// What a key with this last word holds, whatever table it stands in.
pub(super) fn shape_of(key: &str) -> Option<Shape> {
    let word = key.rsplit('.').next();
    let known = KNOWN
        .iter()
        .find(|known| known.key.rsplit('.').next() == word)?;
    Some(known.shape)
}

/// The words that may stand in `table`.
pub(super) fn words_in(table: &str) -> Vec<String> {
    let depth = if table.is_empty() {
        0
    } else {
        table.split('.').count()
    };
    let mut words: Vec<String> = KNOWN
        .iter()
        .filter(|known| table.is_empty() || begins_with(known.key, table))
        .filter_map(|known| known.key.split('.').nth(depth))
        .filter(|word| *word != "*")
        .map(ToOwned::to_owned)
        .collect();
    words.dedup();
    words
}

/// The candidate that differs least from `word`, if it differs by a slip and not altogether.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // A long word is compared by its beginning: nobody mistypes more than a line, and the distance costs its square.
    let word: String = word.chars().take(80).collect();
    candidates
        .map(|candidate| (strsim::osa_distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `table.word`, or `word` at the top.
pub(super) fn join(table: &str, word: &str) -> String {
    if table.is_empty() {
        word.to_owned()
    } else {
        format!("{table}.{word}")
    }
}

/// A dotted key as it is shown: a name that may hold dots in quotes, as in the file.
pub(super) fn printed(key: &str) -> String {
    let mut named = KNOWN
        .iter()
        .filter(|known| known.key.ends_with(".*") && rest_behind(known.key, key).is_some());
    let name = named.find_map(|known| key.splitn(known.key.split('.').count(), '.').last());
    match name {
        Some(name) => format!("{}{name:?}", &key[..key.len() - name.len()]),
        None => key.to_owned(),
    }
}

/// How the header of a table is written: those in a row are not numbered there.
pub(super) fn header(table: &str) -> String {
    let numbered = NUMBERED.into_iter().find_map(|row| {
        let (number, rest) = table
            .strip_prefix(row)?
            .strip_prefix('.')?
            .split_once('.')?;
        number
            .parse::<usize>()
            .ok()
            .map(|_| format!("[{row}.{rest}]"))
    });
    numbered.unwrap_or_else(|| format!("[{table}]"))
}

/// What is left of `path` behind `pattern`; none: it does not lie there.
fn rest_behind<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let count = pattern.split('.').count();
    // The name of a scope or a claim may hold dots, so everything behind the table is the name.
    let parts = if pattern.ends_with(".*") {
        count
    } else {
        count + 1
    };
    let mut words = path.splitn(parts, '.');
    for expected in pattern.split('.') {
        let word = words.next()?;
        if expected != "*" && expected != word {
            return None;
        }
    }
    Some(words.next().unwrap_or(""))
}

/// Whether `path` is a table on the way to `pattern`.
fn begins_with(pattern: &str, path: &str) -> bool {
    let mut expected = pattern.split('.');
    let on_the_way = path.split('.').all(|word| {
        expected
            .next()
            .is_some_and(|known| known == "*" || known == word)
    });
    on_the_way && expected.next().is_some()
}

const fn text(key: &'static str, example: &'static str) -> Known {
    let shape = Shape::Text;
    Known {
        key,
        shape,
        example,
    }
}

const fn secret(key: &'static str, example: &'static str) -> Known {
    let shape = Shape::Secret;
    Known {
        key,
        shape,
        example,
    }
}

const fn flag(key: &'static str) -> Known {
    let shape = Shape::Flag;
    Known {
        key,
        shape,
        example: "true",
    }
}

const fn list(key: &'static str, example: &'static str) -> Known {
    let shape = Shape::List;
    Known {
        key,
        shape,
        example,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_value_a_table_for_later_or_unknown() {
        for (path, expected) in [
            ("listen", "value"),
            ("provider", "table"),
            ("provider.github", "table"),
            ("provider.github.allow", "table"),
            ("provider.github.allow.orgs", "value"),
            ("provider.github.allow.domains", "value"),
            ("provider.corp.allow.claims", "table"),
            ("provider.corp.allow.claims.groups", "value"),
            (
                "provider.corp.allow.claims.https://acme.com/groups",
                "value",
            ),
            ("provider.corp.issuer", "value"),
            ("provider.github.allow.orgs.x", "unknown"),
            ("provider.github.secret", "unknown"),
            ("server", "tables"),
            ("clients.known", "tables"),
            ("clients.known.0", "table"),
            ("clients.known.0.id", "value"),
            ("server.0", "table"),
            ("server.0.path", "value"),
            ("server.0.command", "value"),
            ("server.0.identity", "table"),
            ("server.0.environment.A.B", "value"),
            ("server.0.scopes.files.read", "value"),
            ("scopes", "table"),
            ("scopes.mcp:tools:read", "value"),
            ("scopes.files.read", "value"),
            ("scope_policy", "table"),
            ("scope_policy.roles", "table"),
            ("scope_policy.roles.files:admin", "value"),
            ("scope_policy.roles.files.admin", "value"),
            ("sealing_keys_before", "value"),
            ("log.audit", "later"),
            ("consent", "table"),
            ("consent.remember", "value"),
            ("tls", "later"),
            ("tlsx", "unknown"),
            ("", "unknown"),
            (".", "unknown"),
        ] {
            let found = match place(path) {
                Place::Value(_) => "value",
                Place::Table => "table",
                Place::Tables => "tables",
                Place::Later => "later",
                Place::Unknown => "unknown",
            };
            assert_eq!(found, expected, "{path:?}");
        }
    }

    #[test]
    fn a_name_that_may_hold_dots_is_printed_in_quotes() {
        for (key, expected) in [
            ("scopes.files.read", r#"scopes."files.read""#),
            (
                "scope_policy.roles.files:admin",
                r#"scope_policy.roles."files:admin""#,
            ),
            (
                "provider.corp.allow.claims.groups",
                r#"provider.corp.allow.claims."groups""#,
            ),
            ("provider.corp.scopes", "provider.corp.scopes"),
            ("scope_policy.roles", "scope_policy.roles"),
            ("server.1.scopes.a.b", r#"server.1.scopes."a.b""#),
            ("scopes.", r#"scopes."""#),
        ] {
            assert_eq!(printed(key), expected);
        }
    }

    #[test]
    fn an_unknown_key_is_told_the_nearest_known_one() {
        for (path, near) in [
            ("publicurl", Some("public_url")),
            ("public-url", Some("public_url")),
            ("lisen", Some("listen")),
            ("tokens.acess", Some("tokens.access")),
            ("token", Some("tokens")),
            ("access", Some("tokens.access")),
            (
                "provider.github.client_secrte",
                Some("provider.github.client_secret"),
            ),
            (
                "provider.github.allow.org",
                Some("provider.github.allow.orgs"),
            ),
            ("provider.github.orgs", Some("provider.NAME.allow.orgs")),
            ("server.0.pth", Some("server.0.path")),
            ("provider.corp.isuer", Some("provider.corp.issuer")),
            (
                "provider.corp.allow.domain",
                Some("provider.corp.allow.domains"),
            ),
            ("scope_policy.role", Some("scope_policy.roles")),
            ("tokens.upstream_chek", Some("tokens.upstream_check")),
            ("sealing_key_before", Some("sealing_keys_before")),
            ("client_secret", Some("provider.NAME.client_secret")),
            ("provider.github.listen", Some("listen")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(path).as_deref(), near, "{path:?}");
        }
    }
}
