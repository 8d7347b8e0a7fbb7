//! The help page: what an MCP server is to a person who opens it in a browser, and how to connect apps to it.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::PAGE_HEADERS;
use crate::protocol::issuer::is_loopback;

/// Tells how to connect apps to an MCP server. It is the same for everybody, and is made once.
#[derive(Clone, Debug, Template)]
#[template(path = "help.html")]
pub struct HelpPage {
    /// The issuer's path: empty, or `/a/b`.
    pub base: String,
    /// What the server is called.
    pub server_name: String,
    /// Its resource identifier: the URL that apps are given.
    pub url: String,
    /// What the providers are called: "GitHub".
    pub providers: Vec<String>,
    /// The other servers of this host: name and URL.
    pub others: Vec<(String, String)>,
}

impl HelpPage {
    /// The page, with the headers that it travels under.
    ///
    /// # Errors
    /// The template cannot be written out.
    pub fn made(&self) -> askama::Result<(HeaderMap, String)> {
        let headers = PAGE_HEADERS.into_iter();
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        let headers = headers.chain([(CONTENT_TYPE, html)]).collect();
        Ok((headers, self.render()?))
    }

    /// Whether its name is the one that servers have to which nobody gave one, and says nothing.
    fn is_unnamed(&self) -> bool {
        self.server_name.eq_ignore_ascii_case("MCP server")
    }

    /// "GitHub, Google or Acme login".
    fn sign_in(&self) -> String {
        match self.providers.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [first @ .., last] => format!("{} or {last}", first.join(", ")),
        }
    }

    /// Whether nobody reaches it from elsewhere.
    fn is_local(&self) -> bool {
        Url::parse(&self.url).is_ok_and(|url| is_loopback(&url))
    }

    /// The name as the command lines and files of apps take it: letters, digits, hyphens. Where its own name says nothing, or
    /// the same as that of another server here, it goes by its address.
    fn short_name(&self) -> String {
        let name = plain(&self.server_name);
        let mut others = self.others.iter();
        let is_taken = others.any(|(other, _)| plain(other) == name);
        if !name.is_empty() && !is_taken && !self.is_unnamed() {
            return name;
        }
        let address = self
            .url
            .split_once("://")
            .map_or("", |(_, address)| address);
        match words(address) {
            address if address.is_empty() => "mcp-server".to_owned(),
            // What tells addresses apart stands at their end.
            address => {
                let end = &address[address.len().saturating_sub(SHORT_NAME)..];
                end.trim_start_matches('-').to_owned()
            }
        }
    }

    /// Adds the server to Claude Code.
    fn claude_code(&self) -> String {
        let (name, url) = (self.short_name(), shell_word(&self.url));
        format!("claude mcp add --transport http {name} {url}")
    }

    /// What VS Code takes on its command line and in links.
    fn vs_code_entry(&self) -> String {
        json!({"name": self.short_name(), "type": "http", "url": self.url}).to_string()
    }

    fn vs_code_command(&self) -> String {
        format!("code --add-mcp {}", shell_word(&self.vs_code_entry()))
    }

    fn vs_code_link(&self) -> String {
        let entry = encoded(&self.vs_code_entry());
        format!("vscode:mcp/install?{entry}")
    }

    fn cursor_entry(&self) -> Value {
        json!({"url": self.url})
    }

    fn cursor_link(&self) -> String {
        let entry = STANDARD.encode(self.cursor_entry().to_string());
        let (name, entry) = (self.short_name(), encoded(&entry));
        format!("cursor://anysphere.cursor-deeplink/mcp/install?name={name}&config={entry}")
    }

    /// What stands in the file of Cursor, and of many others.
    fn cursor_file(&self) -> String {
        let file = json!({"mcpServers": {self.short_name(): self.cursor_entry()}});
        // Nothing in it can fail to serialize.
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }
}

/// The letters and digits of a name, with hyphens between them, as far as a command line has room.
fn plain(name: &str) -> String {
    let name = words(name);
    let cut = &name[..name.len().min(SHORT_NAME)];
    cut.trim_end_matches('-').to_owned()
}

fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_ascii_lowercase()
}

/// A word that a POSIX shell reads as it is: in quotes where it has a character that means something there.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What `encodeURIComponent` makes of it.
fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// Characters of a name on a command line.
const SHORT_NAME: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str, url: &str) -> HelpPage {
        HelpPage {
            base: String::new(),
            server_name: name.to_owned(),
            url: url.to_owned(),
            providers: vec!["GitHub".to_owned()],
            others: Vec::new(),
        }
    }

    const URL: &str = "https://mcp.example.com/mcp";

    #[test]
    fn a_name_on_a_command_line_is_letters_digits_and_hyphens() {
        for (name, short) in [
            ("Example tools", "example-tools"),
            ("MCP server", "mcp-example-com-mcp"),
            ("--scope=user; rm -rf ~", "scope-user-rm-rf"),
            (r#""$(id)" `x` <b> 'y' \"#, "id-x-b-y"),
            ("Büro", "b-ro"),
            ("道具", "mcp-example-com-mcp"),
            ("", "mcp-example-com-mcp"),
            ("a_b.c", "a-b-c"),
        ] {
            assert_eq!(page(name, URL).short_name(), short, "{name}");
        }
        let long = page(&"nine char ".repeat(20), URL).short_name();
        assert_eq!(long, "nine-char-nine-char-nine-char-nine-char");
    }

    #[test]
    fn servers_of_one_host_have_names_of_their_own() {
        let servers = [
            ("Tools", "https://mcp.example.com/a"),
            ("Tools!", "https://mcp.example.com/b"),
            ("道具", "https://mcp.example.com/c"),
            ("工具", "http://localhost:8080/d"),
            ("MCP server", "https://mcp.example.com/"),
            ("Notes", "https://mcp.example.com/notes"),
        ];
        let names = servers.map(|(name, url)| {
            let others = servers.iter().filter(|other| other.1 != url);
            let others = others.map(|other| (other.0.to_owned(), other.1.to_owned()));
            let others = others.collect();
            HelpPage {
                others,
                ..page(name, url)
            }
            .short_name()
        });
        assert_eq!(
            names,
            [
                "mcp-example-com-a",
                "mcp-example-com-b",
                "mcp-example-com-c",
                "localhost-8080-d",
                "mcp-example-com",
                "notes"
            ]
        );
        let long = "https://a-very-long-name-of-a-host.mcp.example.com/one";
        assert_eq!(
            page("", long).short_name(),
            "long-name-of-a-host-mcp-example-com-one"
        );
    }

    #[test]
    fn what_is_copied_is_what_the_apps_read() {
        let page = page("Example tools", URL);
        let expected = format!("claude mcp add --transport http example-tools {URL}");
        assert_eq!(page.claude_code(), expected);
        let entry = format!(r#"{{"name":"example-tools","type":"http","url":"{URL}"}}"#);
        assert_eq!(page.vs_code_command(), format!("code --add-mcp '{entry}'"));
        assert_eq!(
            page.vs_code_link(),
            "vscode:mcp/install?%7B%22name%22%3A%22example-tools%22%2C%22type%22%3A%22http%22%2C%22url%22%3A%22https%3A%2F%2Fmcp.example.com%2Fmcp%22%7D"
        );
        assert_eq!(
            page.cursor_link(),
            "cursor://anysphere.cursor-deeplink/mcp/install?name=example-tools&config=eyJ1cmwiOiJodHRwczovL21jcC5leGFtcGxlLmNvbS9tY3AifQ%3D%3D"
        );
        let file: Value = serde_json::from_str(&page.cursor_file()).unwrap();
        assert_eq!(file["mcpServers"]["example-tools"]["url"], URL);
    }

    #[test]
    fn a_url_breaks_out_of_no_quotes() {
        let url = r#"http://[::1]:8080/'$(id)'"\<b>"#;
        let page = page("x", url);
        assert_eq!(
            page.claude_code(),
            r#"claude mcp add --transport http x 'http://[::1]:8080/'\''$(id)'\''"\<b>'"#
        );
        let command = page.vs_code_command();
        let words = command.strip_prefix("code --add-mcp '").unwrap();
        let word = words.strip_suffix('\'').unwrap().replace(r"'\''", "\u{0}");
        assert!(!word.contains('\''), "{word}");
        let entry: Value = serde_json::from_str(&word.replace('\u{0}', "'")).unwrap();
        assert_eq!(entry["url"], url);
        for link in [page.vs_code_link(), page.cursor_link()] {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || ":/?=&%.*_-".contains(c);
            assert!(link.chars().all(is_plain), "{link}");
        }
    }

    #[test]
    fn providers_are_named_as_people_name_them() {
        for (providers, said) in [
            (&["GitHub"][..], "GitHub"),
            (&["GitHub", "Google"], "GitHub or Google"),
            (&["a", "b", "c"], "a, b or c"),
        ] {
            let providers = providers.iter().map(|name| (*name).to_owned()).collect();
            let page = HelpPage {
                providers,
                ..page("x", URL)
            };
            assert_eq!(page.sign_in(), said);
        }
    }
}
