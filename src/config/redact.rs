//! The file as it may be shown: everything that is a secret, or might be one, is struck out, and nothing moves.

use std::ops::Range;

use super::schema::{self, Shape};

/// The text with `hidden` struck out, and everything that looks like a secret: what stands behind a word such as
/// `client_secret`, also in a comment, and the user and password of a URL.
pub(super) fn shown(text: &str, hidden: &[Range<usize>]) -> String {
    let mut hidden = hidden.to_vec();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        suspects(line, start, &mut hidden);
        start += line.len();
    }
    strike(text, &hidden)
}

/// Everything that is hidden where the file cannot be read as TOML, so that nobody knows which text is which value: all
/// but headers, comments, known keys, and the values of those that hold no secret.
pub(super) fn unreadable(text: &str) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let mut start = 0;
    // A text in three quotes goes over lines, and a line of a secret may look like anything.
    let mut multiline = false;
    // The names of variables are the operator's: any of them may hold a secret.
    let mut of_child = false;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let trimmed = line.trim_start();
        multiline |= line.contains("\"\"\"") || line.contains("'''");
        if is_header(trimmed) {
            of_child = trimmed.contains("environment");
        }
        let quiet = !multiline && (trimmed.starts_with('#') || is_header(trimmed));
        // Two `=` may be two keys on one line, with an end of line lost between them.
        let key = line
            .split_once('=')
            .filter(|(_, rest)| !multiline && !rest.contains('='));
        let key = key.map(|(key, _)| key);
        match key.map(|key| (key.len(), schema::shape_of(key.trim()))) {
            _ if quiet => {}
            _ if of_child || line.contains("environment") => hidden.push(start..end),
            Some((length, Some(Shape::Secret | Shape::Secrets | Shape::Words))) => {
                hidden.push(start + length..end);
            }
            Some((_, Some(_))) => {}
            _ => hidden.push(start..end),
        }
        start = end;
    }
    hidden
}

fn is_header(line: &str) -> bool {
    line.starts_with('[')
        && line
            .trim_end()
            .bytes()
            .all(|byte| is_word(byte) || b"[]".contains(&byte))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

/// Words behind which secrets stand.
const SECRETIVE: [&str; 7] = [
    "registration_token",
    "secret",
    "password",
    "passwd",
    "sealing_key",
    "signing_key",
    "private",
];

/// Words of which one stands in the name of a variable that holds a secret, besides those.
const SECRETIVE_IN_VARIABLES: [&str; 5] = ["token", "key", "pass", "auth", "credential"];

/// Whether a variable of somebody's shell may hold a secret: its name says so, or its value looks like one.
pub(super) fn may_be_secret(name: &str, value: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let mut words = SECRETIVE.iter().chain(&SECRETIVE_IN_VARIABLES);
    words.any(|word| lower.contains(word)) || shown(value, &[]) != value
}

fn suspects(line: &str, start: usize, hidden: &mut Vec<Range<usize>>) {
    let lower = line.to_ascii_lowercase();
    for word in SECRETIVE {
        for (at, _) in lower.match_indices(word) {
            let behind = &line[at..];
            let value = behind
                .find(|character: char| !is_word_char(character))
                .unwrap_or(behind.len());
            let value = at + value;
            let shape = line[value..].trim_start_matches([' ', '\t', '=', ':', '[', '"', '\'']);
            // env:NAME and file:PATH say where the secret is, and nothing more.
            if !refers(shape) {
                hidden.push(start + value..start + line.len());
            }
        }
    }
    for (scheme, _) in line.match_indices("://") {
        let authority = scheme + "://".len();
        let end = line[authority..]
            .find(['"', '\'', ' ', '\t', '\n'])
            .map_or(line.len(), |at| authority + at);
        if let Some(at) = line[authority..end].rfind('@') {
            hidden.push(start + authority..start + authority + at);
        }
    }
}

fn is_word_char(character: char) -> bool {
    u8::try_from(character).is_ok_and(is_word)
}

/// Whether `value` names the place of a secret, and nothing stands behind the reference.
pub(super) fn refers(value: &str) -> bool {
    let Some(reference) = value
        .strip_prefix("env:")
        .or_else(|| value.strip_prefix("file:"))
    else {
        return false;
    };
    let rest = reference
        .find(['"', '\''])
        .map_or("", |at| &reference[at + 1..]);
    !rest.contains(['"', '\''])
}

/// Puts a `*` for each byte, so that columns and offsets stay as they are; ends of lines and `=` stay readable.
fn strike(text: &str, hidden: &[Range<usize>]) -> String {
    text.char_indices()
        .flat_map(|(at, character)| {
            let struck = !character.is_whitespace()
                && character != '='
                && hidden.iter().any(|span| span.contains(&at));
            let width = if struck { character.len_utf8() } else { 1 };
            std::iter::repeat_n(if struck { '*' } else { character }, width)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_struck_out_and_nothing_moves() {
        for (text, expected) in [
            (r#"client_secret = "abc""#, r"client_secret = *****"),
            (
                r#"client_secret="abc" # was "def""#,
                r"client_secret=***** * *** *****",
            ),
            (
                r#"client_secret = "env:NAME""#,
                r#"client_secret = "env:NAME""#,
            ),
            (
                r#"client_secret = "file:a.txt" # b"#,
                r#"client_secret = "file:a.txt" # b"#,
            ),
            (
                r#"{ client_secret = "env:A", x = "abc" }"#,
                r"{ client_secret = ******** * = ***** *",
            ),
            (
                r#"sealing_keys_before = ["abc", "def"]"#,
                r"sealing_keys_before = ******* ******",
            ),
            (
                r#"sealing_keys_before = ["env:A"]"#,
                r#"sealing_keys_before = ["env:A"]"#,
            ),
            (
                r#"sealing_keys_before = ["env:A", "def"]"#,
                r"sealing_keys_before = ********* ******",
            ),
            ("# client_secret: abc", "# client_secret* ***"),
            ("CLIENT_SECRET=abc", "CLIENT_SECRET=***"),
            (r#"password = "ä""#, r"password = ****"),
            ("http://me:word@h/p", "http://*******@h/p"),
            ("http://me:w/d@h/p", "http://******@h/p"),
            ("https://h/p", "https://h/p"),
            (
                "listen = 1\nclient_secret = a\nstore = b",
                "listen = 1\nclient_secret = *\nstore = b",
            ),
        ] {
            let text_shown = shown(text, &[]);
            assert_eq!(text_shown, expected);
            assert_eq!(text_shown.len(), text.len());
        }
    }

    #[test]
    fn a_variable_that_may_hold_a_secret_is_told_from_one_that_does_not() {
        for (name, value, expected) in [
            ("GITHUB_TOKEN", "x", true),
            ("OPENAI_API_KEY", "x", true),
            ("PGPASSWORD", "x", true),
            ("DB_PASS", "x", true),
            ("client_secret", "x", true),
            ("DATABASE_URL", "postgres://me:pw@db/x", true),
            ("OPTIONS", "--password=x", true),
            ("DATABASE_URL", "postgres://db/x", false),
            ("HOME", "/home/mona", false),
            ("PWD", "/home/mona/x", false),
            ("LANG", "en_US.UTF-8", false),
            ("NODE_ENV", "development", false),
        ] {
            assert_eq!(may_be_secret(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn of_a_text_that_is_not_toml_only_harmless_lines_are_shown() {
        for (line, expected) in [
            ("[provider.github]", "[provider.github]"),
            (r#"listen = "1"#, r#"listen = "1"#),
            (r#"allow.orgs = ["a" "b"]"#, r#"allow.orgs = ["a" "b"]"#),
            ("# prose", "# prose"),
            (r#"client_secrt = "abc"#, "************ = ****"),
            (r#"client_secret = "env:A"#, "client_secret = ******"),
            (r#""abc""#, "*****"),
            (
                r#"sealing_keys_before = ["abc"#,
                "sealing_keys_before = *****",
            ),
            (r#"  "abc=","#, "  ****=**"),
            (r#"listen = "1" x = "abc""#, r"****** = *** * = *****"),
            (
                r#"x = { client_secrt = "abc" }"#,
                "* = * ************ = ***** *",
            ),
            (r#"[x] "abc""#, "*** *****"),
            (r#"command = ["x", "abc""#, "command = ***** *****"),
        ] {
            assert_eq!(strike(line, &unreadable(line)), expected);
        }
        let child =
            "[server.environment]\nname = \"a\"\n[log]\nformat = \"b\"\nenvironment.name = \"c\"";
        assert_eq!(
            strike(child, &unreadable(child)),
            "[server.environment]\n**** = ***\n[log]\nformat = \"b\"\n**************** = ***"
        );
        let multiline = "a = \"\"\"\nlisten = 1\n# abc";
        assert_eq!(
            strike(multiline, &unreadable(multiline)),
            "* = ***\n****** = *\n* ***"
        );
    }
}
