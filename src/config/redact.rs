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
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let trimmed = line.trim_start();
        multiline |= line.contains("\"\"\"") || line.contains("'''");
        let quiet = !multiline && (trimmed.starts_with('#') || is_header(trimmed));
        let key = line
            .split_once('=')
            .map(|(key, _)| key)
            .filter(|_| !multiline);
        match key.map(|key| (key.len(), schema::shape_of(key.trim()))) {
            _ if quiet => {}
            Some((length, Some(Shape::Secret))) => hidden.push(start + length..end),
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
const SECRETIVE: [&str; 6] = [
    "secret",
    "password",
    "passwd",
    "sealing_key",
    "signing_key",
    "private",
];

fn suspects(line: &str, start: usize, hidden: &mut Vec<Range<usize>>) {
    let lower = line.to_ascii_lowercase();
    for word in SECRETIVE {
        for (at, _) in lower.match_indices(word) {
            let behind = &line[at..];
            let value = behind
                .find(|character: char| !is_word_char(character))
                .unwrap_or(behind.len());
            let value = at + value;
            let shape = line[value..].trim_start_matches([' ', '\t', '=', ':', '"', '\'']);
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
