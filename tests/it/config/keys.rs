//! Secrets and keys: by reference, and never shown.

use anteroom::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{SECRET, check_refusals, faults, read, read_with, smallest, warnings};

#[test]
fn a_secret_that_cannot_be_had_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        format!("file:{}", path.display())
    };
    let absent = format!("file:{}", folder.path().join("absent").display());
    let unfit = "is empty, or holds a space or a character that is not ASCII";
    for (secret, says) in [
        (
            "env:ABSENT",
            "names the environment variable ABSENT, which is not set",
        ),
        (
            "env:EMPTY",
            "names the environment variable EMPTY, which is empty",
        ),
        ("", unfit),
        (&file("spaced", b"a b"), unfit),
        (&file("empty", b"\n"), "names an empty file: "),
        (
            &file("binary", b"\xff"),
            "names a file that cannot be read: ",
        ),
        (&absent, "names a file that cannot be read: "),
        (
            "file:.",
            "names a file that cannot be read: . (it is not a regular file",
        ),
    ] {
        let found = faults(&smallest("", "").replace("env:GITHUB_CLIENT_SECRET", secret));
        let expected = format!("6:17 provider.github.client_secret {says}");
        assert!(found[0].starts_with(&expected), "{found:?}");
    }
    let good = file("good", format!("{SECRET}\n").as_bytes());
    let loaded = read(&smallest("", "").replace("env:GITHUB_CLIENT_SECRET", &good)).unwrap();
    assert_eq!(loaded.config.providers[0].client_secret.expose(), SECRET);
    assert_eq!(warnings(loaded), Vec::<String>::new());
}

#[test]
fn a_signing_key_is_pkcs8() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing.pem");
    let file = format!("[tokens]\nsigning_key = \"file:{}\"", path.display());
    let convert = "-> convert it to PKCS#8 with: openssl pkey -in OLD.pem -out NEW.pem";
    let with_parameters = format!("{}{}", pem("EC PARAMETERS"), pem("EC PRIVATE KEY"));
    let cut = "-----BEGIN PRIVATE KEY-----\nMIGH".to_owned();
    for (content, what, remedy) in [
        (
            pem("EC PRIVATE KEY"),
            "is an EC key in the form SEC1 ",
            convert,
        ),
        (with_parameters, "is an EC key in the form SEC1 ", convert),
        (
            pem("RSA PRIVATE KEY"),
            "is an RSA key in the form PKCS#1 ",
            convert,
        ),
        (
            pem("ENCRYPTED PRIVATE KEY"),
            "is locked with a password ",
            convert,
        ),
        (
            pem("PUBLIC KEY"),
            "is not a private key in PEM ",
            "-> make one",
        ),
        (cut, "is not a private key in PEM ", "-> make one"),
        ("\n".to_owned(), "names an empty file: ", ""),
    ] {
        std::fs::write(&path, content).unwrap();
        let found = faults(&smallest("", &file));
        let expected = format!("9:15 tokens.signing_key {what}{remedy}");
        assert!(found[0].starts_with(&expected), "{found:?}");
    }
    for right in [
        pem("PRIVATE KEY"),
        format!("# ours\n{}", pem("PRIVATE KEY")),
    ] {
        std::fs::write(&path, &right).unwrap();
        let tokens = read(&smallest("", &file)).unwrap().config.tokens;
        assert_eq!(tokens.signing_key.unwrap().expose(), right);
    }
    check_refusals(
        r#"
        [tokens] / signing_key = "signing.pem"  | 9:15 tokens.signing_key is not a private key in PEM                          | file:signing.pem
        [tokens] / signing_key = "env:ABSENT"   | 9:15 tokens.signing_key names the environment variable ABSENT, which is not set | set ABSENT
        "#,
    );
}

#[test]
fn sealing_keys_of_before_are_read_beside_the_one_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealing.key");
    std::fs::write(&path, format!("{}\n", key(3))).unwrap();
    let top = format!(
        "sealing_key = \"env:NOW\"\nsealing_keys_before = [\"env:BEFORE\", \"file:{}\", \"{}\"]",
        path.display(),
        key(4)
    );
    let loaded = read_with(
        &smallest(&top, ""),
        &[("NOW", &key(1)), ("BEFORE", &key(2))],
    )
    .unwrap();
    let before = loaded.config.sealing_keys_before.iter();
    let before: Vec<&str> = before.map(Secret::expose).collect();
    assert_eq!(before, [key(2), key(3), key(4)]);
    let in_clear = "providers.toml:4: sealing_keys_before stands in the file in clear: write env:NAME or file:PATH instead";
    assert_eq!(warnings(loaded), [in_clear]);
    check_refusals(
        r#"
        ^sealing_keys_before = ["env:GITHUB_CLIENT_SECRET"] | 3:24 sealing_keys_before is not 32 bytes in base64                             | openssl rand -base64 32
        ^sealing_keys_before = ["env:ABSENT"]               | 3:24 sealing_keys_before names the environment variable ABSENT, which is not set | set ABSENT
        "#,
    );
    let found = faults(&smallest(
        &format!("sealing_keys_before = [\"{}\"]", key(6)),
        "",
    ));
    let alone =
        "3:23 sealing_keys_before stands there without a sealing_key -> write sealing_key as well";
    assert!(found[0].starts_with(alone), "{found:?}");
}

#[test]
fn the_file_that_anteroom_made_is_read_where_the_settings_take_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealing.key");
    let text = format!(
        "{} 1795219200\n# The key in use.\n# Keys before it.\n{}\n",
        key(3),
        key(2)
    );
    std::fs::write(&path, text).unwrap();
    let now = format!("sealing_key = \"file:{}\"", path.display());
    let found = faults(&smallest(&now, ""));
    assert!(found[0].contains("sealing_key holds 2 keys"), "{found:?}");
    let before = format!("sealing_keys_before = [\"file:{}\"]", path.display());
    let top = format!("sealing_key = \"env:NOW\"\n{before}");
    let loaded = read_with(&smallest(&top, ""), &[("NOW", &key(4))]).unwrap();
    let before = loaded.config.sealing_keys_before.iter();
    let before: Vec<&str> = before.map(Secret::expose).collect();
    assert_eq!(before, [key(3), key(2)]);
    std::fs::write(&path, format!("{} 1795219200\n# It.\n", key(3))).unwrap();
    let loaded = read(&smallest(&now, "")).unwrap();
    assert_eq!(loaded.config.sealing_key.unwrap().expose(), key(3));
    for wrong in ["yesterday", &key(1)] {
        std::fs::write(&path, format!("{} {wrong}\n", key(3))).unwrap();
        assert!(!faults(&smallest(&now, "")).is_empty(), "{wrong}");
    }
}

/// CONS-15
#[test]
fn no_key_is_shown_whether_it_is_accepted_or_refused() {
    let (one, two, signing) = (key(1), key(5), pem("PRIVATE KEY"));
    let variables = [("NOW", one.as_str()), ("PEM", signing.as_str())];
    let now = "sealing_key = \"env:NOW\"\n";
    for (top, is_accepted) in [
        (format!("{now}tokens.signing_key = \"env:PEM\""), true),
        (format!("{now}sealing_keys_before = [\"{two}\"]"), true),
        (
            format!("{now}tokens.signing_key = \"\"\"\n{signing}\"\"\""),
            true,
        ),
        (format!("sealing_keys_before = [\"{two}\"]"), false),
        (format!("{now}sealing_keys_before = [\"{two}x\"]"), false),
        (format!("{now}sealing_keys_before = \"{two}\""), false),
        (
            format!("{now}sealing_keys_before = {{ a = \"{two}\" }}"),
            false,
        ),
        (format!("sealing_keys_befor = [\"{two}\"]"), false),
        (
            format!("sealing_keys_before = [\n\"{two}\"\n\"{two}\"]"),
            false,
        ),
        (
            format!(
                "tokens.signing_key = \"\"\"\n{}{two}\"\"\"",
                pem("EC PRIVATE KEY")
            ),
            false,
        ),
        (
            format!("tokens.signing_ke = \"\"\"\n{signing}{two}\"\"\""),
            false,
        ),
    ] {
        let loaded = read_with(&smallest(&top, ""), &variables);
        assert_eq!(loaded.is_ok(), is_accepted, "{top}");
        let said = match loaded {
            Ok(loaded) => format!("{}{loaded:?}{:?}", loaded.explain(), loaded.warnings),
            Err(refused) => format!("{refused}{refused:?}"),
        };
        for secret in [&one[..40], &two[..40], "MIGH"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

/// 32 bytes in base64.
fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

/// Something that looks like a key in PEM.
fn pem(kind: &str) -> String {
    format!("-----BEGIN {kind}-----\nMIGHAgEA\n-----END {kind}-----\n")
}
