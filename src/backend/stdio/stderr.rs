//! What a child writes to stderr: into our log, line by line, but neither endlessly nor with the secrets that we gave it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::time::sleep;

use super::environment::Variables;
use crate::clock::{Clock, UnixTime};
use crate::secret::Secret;

/// Whose lines they are.
pub(super) struct Teller {
    pub(super) server: String,
    pub(super) pid: Option<u32>,
    pub(super) secrets: Arc<Secrets>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Teller {
    /// Tells every line until nobody can write any more.
    pub(super) async fn tell(self, stderr: impl AsyncRead + Unpin) {
        let mut lines = Lines {
            reader: BufReader::new(stderr),
            // a secret that begins in what is told is seen whole
            longest: LONGEST + self.secrets.margin(),
            line: Vec::new(),
            is_cut: false,
        };
        let mut allowance = Allowance::begin(self.clock.now());
        loop {
            let has_silence_to_tell = allowance.left_out > 0;
            let line = tokio::select! {
                line = lines.next() => line,
                () = sleep(WINDOW), if has_silence_to_tell => Some(Line::default()),
            };
            self.left_out(allowance.renew(self.clock.now()));
            match line {
                Some(line) if line.bytes.is_empty() => {}
                Some(line) if allowance.take() => self.line(&line),
                Some(_) => {}
                None => return self.left_out(allowance.left_out),
            }
        }
    }

    fn line(&self, line: &Line) {
        let (server, pid) = (&*self.server, self.pid);
        let text = self.secrets.told(line);
        // as a value and not as the message: then it is written in quotes, and nothing in it looks like a field
        tracing::info!(server, pid, line = text, "an MCP server wrote to stderr");
    }

    fn left_out(&self, lines: u64) {
        if lines > 0 {
            let (server, pid) = (&*self.server, self.pid);
            tracing::warn!(
                server,
                pid,
                lines,
                "an MCP server writes too much to stderr: lines were left out"
            );
        }
    }
}

/// What nobody may read in the log.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<Secret>);

impl Secrets {
    /// The values of variables, but for those that are `in_clear`. Those of a few characters are words like any other, and
    /// PATH is no secret.
    pub(super) fn of(variables: &Variables, in_clear: &[String]) -> Self {
        let values = variables.iter();
        let values = values.filter(|(name, _)| name != "PATH" && !in_clear.contains(name));
        // a key of several lines comes line by line
        let parts = values.flat_map(|(_, value)| value.expose().lines());
        let parts = parts
            .map(str::trim)
            .filter(|part| part.len() >= SHORTEST_SECRET);
        let mut parts: Vec<_> = parts.map(Secret::new).collect();
        // one may contain another
        parts.sort_by_key(|part| std::cmp::Reverse(part.expose().len()));
        Self(parts)
    }

    /// The text without them.
    pub(super) fn redact(&self, text: &str) -> String {
        let text = text.to_owned();
        self.0.iter().fold(text, |text, secret| {
            if text.contains(secret.expose()) {
                text.replace(secret.expose(), "(secret)")
            } else {
                text
            }
        })
    }

    /// As much of a line as is told. At the end of one that was cut may stand a part of a secret, which is not known as
    /// one: without secrets before it, that is what is left out anyway; with them, the line has become shorter.
    fn told(&self, line: &Line) -> String {
        let text = self.redact(&String::from_utf8_lossy(&line.bytes));
        let margin = if line.is_cut { self.margin() } else { 0 };
        let most = text.len().saturating_sub(margin).min(LONGEST);
        beginning(&text, most).to_owned()
    }

    /// The longest part of a secret at a cut; half a character is told as three bytes.
    fn margin(&self) -> usize {
        let longest = self.0.first();
        longest.map_or(0, |secret| secret.expose().len() + '\u{fffd}'.len_utf8())
    }
}

/// As much of a text as is told.
pub(super) fn shortened(text: &str) -> &str {
    beginning(text, LONGEST)
}

fn beginning(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Lines, of which only the beginning is kept.
struct Lines<R> {
    reader: BufReader<R>,
    longest: usize,
    line: Vec<u8>,
    is_cut: bool,
}

/// A line, or its beginning.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The next line that is not empty. Can be dropped and asked again.
    async fn next(&mut self) -> Option<Line> {
        loop {
            let read = self.reader.fill_buf().await.unwrap_or_default();
            let is_over = read.is_empty();
            let end = read.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(read.len());
            let kept = taken.min(self.longest - self.line.len());
            self.line.extend_from_slice(&read[..kept]);
            self.is_cut |= kept < taken;
            let consumed = end.map_or(taken, |end| end + 1);
            self.reader.consume(consumed);
            if is_over || end.is_some() {
                let line = std::mem::take(&mut self.line);
                let line = Line {
                    bytes: line.trim_ascii_end().to_vec(),
                    is_cut: std::mem::take(&mut self.is_cut),
                };
                if !line.bytes.is_empty() {
                    return Some(line);
                }
                if is_over {
                    return None;
                }
            }
        }
    }
}

/// How many lines may still be told.
struct Allowance {
    since: UnixTime,
    told: u32,
    left_out: u64,
}

impl Allowance {
    fn begin(now: UnixTime) -> Self {
        Self {
            since: now,
            told: 0,
            left_out: 0,
        }
    }

    /// Begins anew where it is time to; how many were left out before.
    fn renew(&mut self, now: UnixTime) -> u64 {
        if now - self.since < WINDOW {
            return 0;
        }
        std::mem::replace(self, Self::begin(now)).left_out
    }

    /// Whether a line may be told.
    fn take(&mut self) -> bool {
        if self.told < LINES {
            self.told += 1;
            return true;
        }
        self.left_out += 1;
        false
    }
}

const LONGEST: usize = 4 << 10;
const SHORTEST_SECRET: usize = 8;
const WINDOW: Duration = Duration::from_secs(60);
const LINES: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        let values = values.iter();
        Secrets::of(
            &values
                .map(|value| ("NAME".to_owned(), Secret::new(*value)))
                .collect(),
            &[],
        )
    }

    async fn lines(bytes: &[u8], longest: usize) -> Vec<String> {
        // of three bytes at a time, as a pipe may give them
        let mut lines = Lines {
            reader: BufReader::with_capacity(3, bytes),
            longest,
            line: Vec::new(),
            is_cut: false,
        };
        let mut read = Vec::new();
        while let Some(line) = lines.next().await {
            read.push(String::from_utf8_lossy(&line.bytes).into_owned());
        }
        read
    }

    #[tokio::test]
    async fn a_line_is_cut_where_it_becomes_too_long() {
        for (bytes, read) in [
            (&b"one\ntwo\r\n\n \nthree"[..], vec!["one", "two", "three"]),
            (
                b"123456789\n12345678\nab\n",
                vec!["12345678", "12345678", "ab"],
            ),
            (b"\xff\xfe\n", vec!["\u{fffd}\u{fffd}"]),
            (b"", vec![]),
        ] {
            assert_eq!(lines(bytes, 8).await, read, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_told_ends_at_a_whole_character() {
        let text = "é".repeat(LONGEST);
        assert_eq!(shortened(&text).len(), LONGEST);
        let text = format!("a{text}");
        assert_eq!(shortened(&text).len(), LONGEST - 1);
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn a_secret_that_we_gave_it_is_not_told() {
        let secrets = secrets(&[
            "hunter2-hunter2",
            "hunter2-hunter2-more",
            "a",
            "-----\nMIIEvQIBADAN\n",
        ]);
        for (text, told) in [
            ("token=hunter2-hunter2!", "token=(secret)!"),
            ("hunter2-hunter2-more", "(secret)"),
            ("MIIEvQIBADAN", "(secret)"),
            ("a banana", "a banana"),
        ] {
            assert_eq!(secrets.redact(text), told);
        }
    }

    /// SEC-04
    #[tokio::test]
    async fn no_part_of_a_secret_is_told_wherever_a_line_is_cut() {
        let token = "gho_0123456789abcdefghijklmnopqrstuvwxyz";
        let secrets = secrets(&[token, "éééééééé", "0123456789"]);
        let parts: Vec<_> = (0..=token.len() - 8).map(|at| &token[at..at + 8]).collect();
        // the first ones make the line shorter
        for before in [String::new(), token.repeat(3), token.repeat(90)] {
            for at in LONGEST - 60..LONGEST + 160 {
                let line = format!(
                    "{before:x<at$}{token}{token}éééééééé{token}{}\n",
                    "z".repeat(99)
                );
                let mut lines = Lines {
                    reader: BufReader::new(line.as_bytes()),
                    longest: LONGEST + secrets.margin(),
                    line: Vec::new(),
                    is_cut: false,
                };
                let told = secrets.told(&lines.next().await.unwrap());
                let part = parts.iter().find(|part| told.contains(**part));
                assert!(part.is_none() && told.len() <= LONGEST, "{at}: {told}");
                assert!(
                    told.ends_with(['x', ')', 'z']) || !told.contains("gho_"),
                    "{at}: {told}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_told() {
        let variables = [
            ("PATH", "/usr/bin"),
            ("PWD", "/home/mona"),
            ("X", "hunter2x"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), Secret::new(value)));
        let secrets = Secrets::of(&variables.to_vec(), &["PWD".to_owned()]);
        let told = secrets.redact("/home/mona/a.js /usr/bin hunter2x");
        assert_eq!(told, "/home/mona/a.js /usr/bin (secret)");
    }

    #[test]
    fn a_flood_is_told_in_one_line_a_minute() {
        let mut allowance = Allowance::begin(UnixTime(0));
        let told = (0..1_000).filter(|_| allowance.take()).count();
        assert_eq!(told, 200);
        assert_eq!(allowance.renew(UnixTime(59)), 0);
        assert!(!allowance.take());
        assert_eq!(allowance.renew(UnixTime(60)), 801);
        assert!(allowance.take());
        assert_eq!(allowance.renew(UnixTime(120)), 0);
    }
}
