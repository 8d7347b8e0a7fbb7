//! Which test proves which requirement: `tests/checklist.md`, generated from the ids that tests carry.
//!
//! A Rust test carries its ids in one doc line right above its attribute, `/// CONS-01, A3`; a script in `tests/e2e`
//! in a comment, `@covers CONS-01`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The requirements that we answer for: group, and its numbers as ranges. Groups of one letter are mistakes that others made.
const REQUIREMENTS: [(&str, &[(u32, u32)]); 18] = [
    ("DISC", &[(1, 13), (20, 37), (40, 42)]),
    ("CLI", &[(1, 25), (30, 49), (60, 63)]),
    ("AUTHZ", &[(1, 26)]),
    ("CONS", &[(1, 28)]),
    ("TOK", &[(1, 11), (20, 26), (30, 40)]),
    ("AT", &[(1, 13)]),
    ("RS", &[(1, 20)]),
    ("REV", &[(1, 7)]),
    ("HTTP", &[(1, 4), (10, 17), (20, 35), (40, 46)]),
    ("CORS", &[(1, 7)]),
    ("SEC", &[(1, 16)]),
    ("A", &[(1, 9)]),
    ("R", &[(1, 8)]),
    ("K", &[(1, 7)]),
    ("T", &[(1, 17)]),
    ("C", &[(1, 7)]),
    ("P", &[(1, 15)]),
    ("U", &[(1, 8)]),
];

/// Why a requirement has no test: "later: ..." or "does not concern us: ...".
const REASONS: [(&str, &str); 16] = [
    (
        "CLI-24",
        "does not concern us: the operator says to which hosts answers may go, not the document",
    ),
    (
        "DISC-40, DISC-41",
        "does not concern us: we issue no ID tokens, so there is no OpenID document (DISC-42)",
    ),
    (
        "AT-09",
        "later: tokens of another issuer; our own keys are never fetched",
    ),
    ("AT-12", "does not concern us: access tokens are JWTs"),
    ("RS-07", "does not concern us: no scope implies another"),
    (
        "RS-17",
        "does not concern us: handles in arguments belong to the server behind",
    ),
    (
        "RS-19",
        "does not concern us: nothing is open without a token",
    ),
    (
        "HTTP-04, HTTP-14, HTTP-25, HTTP-27, HTTP-33, HTTP-34, HTTP-44, HTTP-45",
        "does not concern us: the server behind decides it; what the gate changes of an answer is in backend/http",
    ),
    ("HTTP-30", "does not concern us: both eras are served"),
    (
        "HTTP-46",
        "does not concern us: the transport of 2024-11-05 is not offered",
    ),
    (
        "T9",
        "does not concern us: secrets are of types that compare in constant time, and the admin socket goes by its mode",
    ),
    (
        "T12, T13",
        "does not concern us: keys and identifiers are bytes of the system's randomness, never of an alphabet or a secret",
    ),
    (
        "P14",
        "later: TLS in the program; behind a proxy it is the proxy's",
    ),
    ("U5", "does not concern us: there is no device flow"),
    (
        "U6",
        "does not concern us: lists are paged by ids in the process alone; nobody outside hands in a cursor",
    ),
    (
        "SEC-02",
        "later: TLS in the program; behind a proxy it is the proxy's",
    ),
];

/// Where the table is.
const TABLE: &str = "tests/checklist.md";

/// How to write it.
const WRITE: &str = "cargo test --test it checklist::write_the_table -- --ignored";

#[test]
fn the_table_says_what_the_tests_say() {
    let written = fs::read_to_string(root().join(TABLE)).unwrap_or_default();
    assert!(
        written == table(&covered()),
        "{TABLE} is not what the tests say. Write it anew: {WRITE}"
    );
}

#[test]
fn every_requirement_has_a_test_or_a_reason() {
    let covered = covered();
    let missing: Vec<_> = requirements()
        .into_iter()
        .filter(|id| !covered.contains_key(id) && reason(id).is_none())
        .collect();
    assert!(
        missing.is_empty(),
        "neither a test nor a reason in REASONS ({}): {}",
        missing.len(),
        missing.join(", ")
    );
}

#[test]
fn a_reason_is_given_once_and_only_where_there_is_no_test() {
    let (covered, known) = (covered(), requirements());
    let mut seen = BTreeSet::new();
    for (ids, reason) in REASONS {
        let kind = reason.starts_with("later: ") || reason.starts_with("does not concern us: ");
        assert!(
            kind,
            "{ids}: neither later nor none of our concern: {reason}"
        );
        for id in ids.split(", ") {
            assert!(
                known.iter().any(|known| known == id),
                "{id} is no requirement"
            );
            assert!(seen.insert(id), "{id} has two reasons");
            let tests = covered.get(id);
            assert!(
                tests.is_none(),
                "{id} has a test, so it needs no reason: {tests:?}"
            );
        }
    }
}

#[test]
fn tests_cite_only_requirements_that_exist() {
    let known = requirements();
    for (id, tests) in covered() {
        let ours = id
            .split_once('-')
            .is_some_and(|(group, _)| REQUIREMENTS.iter().any(|(name, _)| *name == group));
        assert!(
            !ours || known.contains(&id),
            "{tests:?} cite {id}, which does not exist"
        );
    }
}

#[test]
fn ids_are_read_where_they_belong_to_a_test() {
    let rust = "/// AUTHZ-04, R1\n#[test]\nfn a() {}\n/// TOK-01\nfn b() {}\n/// See TOK-02\n#[test]\nfn c() {}\n    \
                /// K6\n    #[tokio::test(flavor = \"multi_thread\")]\n    async fn d() {}\n/// E1\n#[test]\n\
                #[ignore]\nfn e() {}\n#[test]\nfn f() {}\n";
    assert_eq!(
        in_rust(rust),
        [("AUTHZ-04", "a"), ("R1", "a"), ("K6", "d"), ("E1", "e")]
            .map(|(id, name)| (id.to_owned(), name.to_owned()))
    );
    let script = "  // @covers RS-01, A3\nfoo(); // CONS-01\n# @covers HTTP-13\n";
    assert_eq!(in_script(script), ["RS-01", "A3", "HTTP-13"]);
}

/// Writes the table; see [`WRITE`].
#[test]
#[ignore = "writes a file that is committed"]
fn write_the_table() {
    let written = fs::write(root().join(TABLE), table(&covered()));
    assert!(written.is_ok(), "{TABLE} cannot be written: {written:?}");
}

fn table(covered: &BTreeMap<String, BTreeSet<String>>) -> String {
    let mut ids = requirements();
    let further: Vec<_> = covered
        .keys()
        .filter(|id| !ids.contains(id))
        .cloned()
        .collect();
    ids.extend(further);
    let row = |id: &String| {
        let tests = covered
            .get(id)
            .map(|tests| tests.iter().cloned().collect::<Vec<_>>().join("<br>"));
        format!(
            "| {id} | {} |",
            tests
                .or_else(|| reason(id).map(str::to_owned))
                .unwrap_or_default()
        )
    };
    let rows: Vec<_> = ids.iter().map(row).collect();
    format!(
        "Generated from the tests: `{WRITE}`.\n\n| id | tests |\n| --- | --- |\n{}\n",
        rows.join("\n")
    )
}

/// Every id that a test carries, with the tests.
fn covered() -> BTreeMap<String, BTreeSet<String>> {
    let mut covered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let rust = files("src").into_iter().chain(files("tests/it"));
    for (file, text) in rust {
        for (id, name) in in_rust(&text) {
            covered
                .entry(id)
                .or_default()
                .insert(format!("{file} {name}"));
        }
    }
    for (file, text) in files("tests/e2e") {
        for id in in_script(&text) {
            covered.entry(id).or_default().insert(file.clone());
        }
    }
    covered
}

/// The ids in a Rust file, each with the test that carries it.
fn in_rust(text: &str) -> Vec<(String, String)> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for pair in lines.windows(2).enumerate() {
        let (at, [line, next]) = pair else { continue };
        let Some(ids) = line.strip_prefix("/// ").and_then(ids) else {
            continue;
        };
        if !next.starts_with("#[test]") && !next.starts_with("#[tokio::test") {
            continue;
        }
        let name = lines[at..]
            .iter()
            .find_map(|line| line.split_once("fn ")?.1.split(['(', '<']).next());
        found.extend(
            ids.into_iter()
                .map(|id| (id, name.unwrap_or_default().to_owned())),
        );
    }
    found
}

/// The ids in a script.
fn in_script(text: &str) -> Vec<String> {
    let marked = text.lines().filter_map(|line| line.split_once("@covers "));
    marked
        .filter_map(|(_, list)| ids(list.trim()))
        .flatten()
        .collect()
}

/// A list of ids and nothing else: `CONS-01, A3`.
fn ids(list: &str) -> Option<Vec<String>> {
    list.split(", ")
        .map(|word| is_id(word).then(|| word.to_owned()))
        .collect()
}

/// Capitals, perhaps a hyphen, digits.
fn is_id(word: &str) -> bool {
    let number = word.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let digits = number.strip_prefix('-').unwrap_or(number);
    number.len() < word.len()
        && !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn requirements() -> Vec<String> {
    let numbers = |ranges: &[(u32, u32)]| {
        ranges
            .iter()
            .flat_map(|(from, to)| *from..=*to)
            .collect::<Vec<_>>()
    };
    let group = |(name, ranges): (&str, &[(u32, u32)])| {
        numbers(ranges)
            .into_iter()
            .map(|number| match name.len() {
                1 => format!("{name}{number}"),
                _ => format!("{name}-{number:02}"),
            })
            .collect::<Vec<_>>()
    };
    REQUIREMENTS.into_iter().flat_map(group).collect()
}

fn reason(id: &str) -> Option<&'static str> {
    let given = REASONS
        .iter()
        .find(|(ids, _)| ids.split(", ").any(|listed| listed == id));
    given.map(|(_, reason)| *reason)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The text files below `folder`, by path from the root; not what is installed or made there.
fn files(folder: &str) -> Vec<(String, String)> {
    let mut left = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "node_modules" || name == "__pycache__" {
            continue;
        }
        if path.is_dir() {
            let Ok(entries) = fs::read_dir(&path) else {
                panic!("{} cannot be read", path.display())
            };
            left.extend(entries.flatten().map(|entry| entry.path()));
        } else if let Ok(text) = fs::read_to_string(&path) {
            let name = path
                .strip_prefix(root())
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            found.push((name, text));
        }
    }
    found.sort();
    found
}
