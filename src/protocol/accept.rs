//! `Accept` (RFC 9110 §12.5.1): whether a person at a browser asks, or a program.

/// Whether a page is wanted: `text/html` stands there, and nothing is preferred to it, as browsers write when a person
/// opens an address. Programs write `*/*`, nothing, or what they can read; who names a type of MCP is one of them, whatever
/// else it takes. `fields` are the fields of that name, in order.
pub fn wants_page<'a>(fields: impl Iterator<Item = &'a str>) -> bool {
    let mut html = 0;
    let mut others = 0;
    for range in fields.flat_map(|field| field.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        if OF_MCP.contains(&&*kind) {
            return false;
        }
        let Some(weight) = weight(parts) else {
            return false;
        };
        let best = if kind == "text/html" {
            &mut html
        } else {
            &mut others
        };
        *best = weight.max(*best);
    }
    html > 0 && html >= others
}

/// `q`, in thousandths (RFC 9110 §12.4.2); none: it is not one.
fn weight<'a>(mut parameters: impl Iterator<Item = &'a str>) -> Option<u32> {
    let weight = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(weight) = weight else {
        return Some(1000);
    };
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    let is_short = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if is_short && rest.bytes().all(|digit| digit == b'0') => Some(1000),
        "0" if is_short => format!("{rest:0<3}").parse().ok(),
        _ => None,
    }
}

const OF_MCP: [&str; 2] = ["application/json", "text/event-stream"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_want_a_page_and_programs_never_do() {
        for (accept, expected) in [
            // Chromium, Firefox, Safari, and text browsers
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
                true,
            ),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            (
                "text/html, text/plain, text/sgml, text/css, */*;q=0.01",
                true,
            ),
            ("TEXT/HTML;charset=utf-8 ; Q=1.000", true),
            ("*/*;q=0.1, text/html;q=0.1", true),
            // MCP clients
            ("application/json, text/event-stream", false),
            ("text/event-stream, application/json", false),
            ("text/event-stream", false),
            ("application/json", false),
            ("application/json, text/event-stream, text/html", false),
            ("text/html, application/json;q=0.1", false),
            ("text/html, Text/Event-Stream;q=0", false),
            // what libraries write by themselves
            ("*/*", false),
            ("", false),
            ("text/*", false),
            ("application/json, text/plain, */*", false),
            (
                "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
                false,
            ),
            // something else is preferred, or nothing of it can be read
            ("text/html;q=0.9, */*", false),
            ("text/html;q=0.5, text/plain;q=0.501", false),
            ("text/html;q=0", false),
            ("text/html;q=0.000", false),
            ("text/html;q=2", false),
            ("text/html;q=-1", false),
            ("text/html;q=", false),
            ("text/html;q=0.1234", false),
            ("text/html;q=0.+12", false),
            ("text/htmlx", false),
            ("atext/html", false),
        ] {
            assert_eq!(wants_page([accept].into_iter()), expected, "{accept}");
        }
        assert!(!wants_page(std::iter::empty()));
        assert!(wants_page(["text/html", "*/*;q=0.8"].into_iter()));
        assert!(!wants_page(["text/html", "text/event-stream"].into_iter()));
    }
}
