//! The shape of the source: who may import whom, how long a file may be, that each says what it is for.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms that it may import. A room stands above all that it imports, and after them here, so there are no cycles.
const ROOMS: [(&str, &[&str]); 21] = [
    ("clock", &[]),
    ("cors", &[]),
    ("entropy", &[]),
    ("outbound", &[]),
    ("secret", &["entropy"]),
    ("seal", &["clock", "entropy", "secret"]),
    ("protocol", &["clock", "entropy", "seal", "secret"]),
    ("event", &["secret", "protocol"]),
    ("config", &["secret", "protocol"]),
    ("store", &["clock", "seal", "secret", "protocol"]),
    (
        "jwt",
        &["clock", "entropy", "outbound", "secret", "protocol"],
    ),
    (
        "upstream",
        &["clock", "entropy", "outbound", "secret", "protocol"],
    ),
    ("document", &["clock", "outbound", "secret", "protocol"]),
    (
        "flow",
        &[
            "clock", "entropy", "outbound", "secret", "seal", "protocol", "event", "store", "jwt",
            "upstream", "document",
        ],
    ),
    // no store: it works against any issuer
    (
        "resource",
        &["clock", "cors", "secret", "protocol", "event", "jwt"],
    ),
    (
        "backend",
        &[
            "clock", "entropy", "outbound", "secret", "protocol", "event", "jwt", "resource",
        ],
    ),
    (
        "endpoint",
        &["clock", "cors", "secret", "protocol", "event", "flow"],
    ),
    ("admin", &["protocol", "event", "flow"]),
    ("standin", &["clock", "entropy", "secret", "protocol"]),
    ("demo", &["clock", "outbound", "protocol", "backend"]),
    ("telemetry", &["clock", "protocol", "event"]),
];

/// Where everything is put together: these import all rooms, and no room imports them.
const ABOVE_ALL: [&str; 5] = ["app", "arguments", "command", "lib", "main"];

/// Lines of a file with its tests.
const LONGEST: usize = 450;

/// Longer files, each with its reason.
const LONG: [(&str, &str); 1] = [(
    "src/protocol/redirect_uri.rs",
    "where an answer may go: every rule of it, and every attack on it, in sight",
)];

#[test]
fn rooms_import_only_what_stands_below_them() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let trespasses = trespasses(room(&file), &text).into_iter();
        wrong.extend(trespasses.map(|path| format!("{file}: {path}")));
    }
    assert!(
        wrong.is_empty(),
        "imports that the table does not have:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_room_is_in_the_table_and_stands_above_what_it_imports() {
    for (file, _) in sources() {
        let room = room(&file);
        assert!(
            rank(room).is_some() || ABOVE_ALL.contains(&room),
            "{file}: no room {room} in the table"
        );
    }
    for (at, (room, imports)) in ROOMS.iter().enumerate() {
        assert!(
            sources().iter().any(|(file, _)| self::room(file) == *room),
            "there is no room {room}"
        );
        for import in *imports {
            assert!(
                rank(import).is_some_and(|below| below < at),
                "{import} does not stand below {room}"
            );
        }
    }
}

#[test]
fn imports_are_written_so_that_they_can_be_checked() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let code = without_comments(&text);
        let refused = ["crate::{", "super::super"]
            .into_iter()
            .filter(|path| code.contains(path));
        wrong.extend(refused.map(|path| format!("{file}: {path}")));
    }
    assert!(
        wrong.is_empty(),
        "write one `use crate::<room>::...` for each room instead:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn a_file_is_short_enough_to_be_read() {
    let mut long = Vec::new();
    for (file, text) in sources() {
        let lines = text.lines().count();
        if lines > LONGEST {
            long.push(file);
        }
    }
    let known: Vec<_> = LONG.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(
        long, known,
        "files of more than {LONGEST} lines, against those with a reason"
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    let says = |text: &str| {
        text.strip_prefix("//! ")
            .is_some_and(|rest| !rest.starts_with("TODO"))
    };
    let all = sources().into_iter().chain(files("tests/it"));
    let silent: Vec<_> = all
        .filter(|(_, text)| !says(text))
        .map(|(file, _)| file)
        .collect();
    assert!(
        silent.is_empty(),
        "these do not begin with `//!` and a sentence: {silent:?}"
    );
}

#[test]
fn a_trespass_is_seen() {
    for (room, text, seen) in [
        (
            "endpoint",
            "use crate::store::Store;",
            vec!["crate::store::Store"],
        ),
        (
            "endpoint",
            "fn f(x: &crate::jwt::Keys) {}",
            vec!["crate::jwt::Keys"],
        ),
        (
            "endpoint",
            "use crate::flow::Flows;\nuse crate::endpoint::page::style;",
            vec![],
        ),
        (
            "endpoint",
            "// as crate::store::Store\n/// [`crate::store`]",
            vec![],
        ),
        (
            "protocol",
            "use crate::flow::Flows; use crate::clock::Clock;",
            vec!["crate::flow::Flows"],
        ),
        ("clock", "use crate::{store, flow};", vec!["crate::"]),
        ("store", "$crate::store_conformance!()", vec![]),
        ("app", "use crate::store::Store;", vec![]),
        ("flow", "use crate::app::App;", vec!["crate::app::App"]),
        ("flow", "pub(crate) fn f() {}", vec![]),
    ] {
        assert_eq!(trespasses(room, text), seen, "{room}: {text}");
    }
}

/// The `crate::` paths of `text`, in `room`, that lead where it may not go.
fn trespasses(room: &str, text: &str) -> Vec<String> {
    let Some(rank) = rank(room) else {
        return Vec::new();
    };
    let code = without_comments(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        // a macro's own `$crate`
        if code[..at].ends_with('$') {
            continue;
        }
        let in_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let path: String = code[at..].chars().take_while(|c| in_path(*c)).collect();
        let to = path.split("::").nth(1).unwrap_or_default();
        if to != room && !ROOMS[rank].1.contains(&to) {
            found.push(path);
        }
    }
    found
}

fn rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|(name, _)| *name == room)
}

/// `src/flow/token.rs` and `src/flow.rs` are of the room `flow`.
fn room(file: &str) -> &str {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    inside.split('/').next().unwrap_or_default()
}

fn without_comments(text: &str) -> String {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

fn sources() -> Vec<(String, String)> {
    files("src")
}

/// The Rust files below `folder` of this package, by path from its root, in order.
fn files(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut left = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(entries(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            let Ok(text) = fs::read_to_string(&path) else {
                panic!("{name} cannot be read")
            };
            found.push((name, text));
        }
    }
    assert!(!found.is_empty(), "there is nothing in {folder}");
    found.sort();
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        panic!("{} cannot be read", folder.display())
    };
    entries.flatten().map(|entry| entry.path()).collect()
}
