//! A name that a stranger chose, as one line of text.

/// A name in one line, without characters that move, hide or break the text around it, and not longer than `longest`
/// characters; none where nothing is left of it.
#[must_use]
pub fn plain_name(name: &str, longest: usize) -> Option<String> {
    let seen = name.chars().filter(|letter| !moves_text(*letter));
    let seen: String = seen
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let line = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(longest).collect();
    let cut = cut.trim_end();
    (!cut.is_empty()).then(|| cut.to_owned())
}

/// Unicode bidirectional controls, separators, invisible and tag characters.
fn moves_text(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CLI-42, C2
    #[test]
    fn a_name_cannot_move_or_hide_text() {
        for (name, kept) in [
            ("Claude", Some("Claude")),
            ("  a\u{202e}b\u{200b}c\u{0007}\n ", Some("abc")),
            ("two\n\t\u{2028}words", Some("two words")),
            ("\u{202e}", None),
            ("\u{3164}\u{200d}\u{e0041}", None),
            ("", None),
            ("<b>x</b>", Some("<b>x</b>")),
        ] {
            assert_eq!(plain_name(name, 9).as_deref(), kept, "{name:?}");
        }
        assert_eq!(plain_name(&"x".repeat(500), 9).unwrap().len(), 9);
        assert_eq!(plain_name("12345678 0", 9).unwrap(), "12345678");
    }
}
