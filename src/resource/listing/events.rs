//! Lists in event streams: events are sifted one by one, as they come; all others pass byte for byte.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http::StatusCode;
use http_body::Frame;

use super::{ANSWER_LIMIT, ListFilter, UNREADABLE, sift};
use crate::resource::answer::RpcError;

/// The body of an event stream without what is hidden.
pub(super) struct SiftedEvents {
    body: Body,
    events: Events,
    is_over: bool,
}

/// A stream as far as it has been read. Lines before the first data of an event pass at once; from there on they are held
/// until the event is complete.
struct Events {
    filter: ListFilter,
    /// Bytes that may be held.
    limit: usize,
    /// The line that has begun.
    line: Vec<u8>,
    /// The lines of the event from its first data on, with their ends.
    held: Vec<u8>,
    /// The event is longer than may be held; its bytes are let go.
    is_too_long: bool,
    /// The last line ended with a CR; an LF that follows belongs to it.
    is_after_return: bool,
}

impl SiftedEvents {
    pub(super) fn new(body: Body, filter: ListFilter) -> Self {
        Self {
            body,
            events: Events::new(filter, ANSWER_LIMIT),
            is_over: false,
        }
    }
}

impl HttpBody for SiftedEvents {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while !self.is_over {
            let mut out = Vec::new();
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.events.feed(&piece, &mut out),
                    // Trailers speak of the bytes that the server sent.
                    Err(_) => continue,
                },
                Some(Err(error)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.is_over = true;
                    self.events.finish(&mut out);
                }
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from(out)))));
            }
        }
        Poll::Ready(None)
    }
}

impl Events {
    fn new(filter: ListFilter, limit: usize) -> Self {
        Self {
            filter,
            limit,
            line: Vec::new(),
            held: Vec::new(),
            is_too_long: false,
            is_after_return: false,
        }
    }

    /// Reads a piece of the stream, and writes to `out` what may go on.
    fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        if self.is_after_return && !rest.is_empty() {
            self.is_after_return = false;
            if let Some(after) = rest.strip_prefix(b"\n") {
                let to = if self.held.is_empty() {
                    &mut *out
                } else {
                    &mut self.held
                };
                to.push(b'\n');
                rest = after;
            }
        }
        while let Some((line, end, after)) = split_line(rest) {
            self.begin_line(line);
            self.end_line(end, out);
            self.is_after_return = end == b"\r" && after.is_empty();
            rest = after;
        }
        self.begin_line(rest);
    }

    /// The end of the stream: some clients take what stands before it for an event.
    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.line.is_empty() {
            self.end_line(b"", out);
        }
        self.end_event(b"", out);
    }

    fn begin_line(&mut self, part: &[u8]) {
        if self.held.len() + self.line.len() + part.len() > self.limit {
            self.is_too_long = true;
            self.held = Vec::new();
        }
        if self.is_too_long {
            // That the line is not empty is all that matters of it.
            self.line.truncate(1);
            self.line
                .extend(part.first().filter(|_| self.line.is_empty()));
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn end_line(&mut self, end: &[u8], out: &mut Vec<u8>) {
        let line = mem::take(&mut self.line);
        if line.is_empty() {
            self.end_event(end, out);
        } else if !self.is_too_long {
            let is_held = !self.held.is_empty() || data(&line).is_some();
            let to = if is_held { &mut self.held } else { out };
            to.extend_from_slice(&line);
            to.extend_from_slice(end);
        }
    }

    fn end_event(&mut self, end: &[u8], out: &mut Vec<u8>) {
        let held = mem::take(&mut self.held);
        let is_too_long = mem::take(&mut self.is_too_long);
        let sifted = if is_too_long {
            Err(sift::Unreadable)
        } else {
            self.sift(&held)
        };
        match sifted {
            Ok(None) => out.extend_from_slice(&held),
            Ok(Some(data)) => replace_data(&held, Some(&data), out),
            Err(sift::Unreadable) => {
                self.filter
                    .warn("an event is too long, not JSON, or can be read in two ways");
                let error = RpcError::http(StatusCode::BAD_GATEWAY, UNREADABLE);
                // Whoever waits for the answer is to know that it will not come.
                let error = self.filter.id.as_deref().map(|id| error.text(Some(id)));
                let held = if held.is_empty() {
                    &b"data\n"[..]
                } else {
                    &held
                };
                replace_data(held, error.as_deref(), out);
            }
        }
        out.extend_from_slice(end);
    }

    /// What the data of an event become; none: they stay.
    fn sift(&self, event: &[u8]) -> Result<Option<String>, sift::Unreadable> {
        let data: Vec<&[u8]> = lines(event).filter_map(|(line, _)| data(line)).collect();
        let data = data.join(&b'\n');
        // Without a bracket there is no message in it.
        if !data.iter().any(|byte| matches!(byte, b'{' | b'[')) {
            return Ok(None);
        }
        let text = std::str::from_utf8(&data).map_err(|_| sift::Unreadable)?;
        sift::sift(text, &self.filter.reach())
    }
}

/// Writes the lines of an event with other data, or none; the rest stays.
fn replace_data(event: &[u8], mut text: Option<&str>, out: &mut Vec<u8>) {
    for (line, end) in lines(event) {
        if data(line).is_none() {
            out.extend_from_slice(line);
            out.extend_from_slice(end);
        } else if let Some(text) = text.take() {
            for line in text.split(['\r', '\n']) {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(line.as_bytes());
                out.extend_from_slice(if end.is_empty() { b"\n" } else { end });
            }
        }
    }
}

/// The data of a line, if it has some. A parser that is not strict with the name of the field is reckoned with.
fn data(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
    let colon = line.iter().position(|&byte| byte == b':');
    let (name, value) = line.split_at(colon.unwrap_or(line.len()));
    let value = value.strip_prefix(b":").unwrap_or(value);
    name.trim_ascii()
        .eq_ignore_ascii_case(b"data")
        .then(|| value.strip_prefix(b" ").unwrap_or(value))
}

/// The lines of a text, with their ends.
fn lines(mut text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let (line, end, after) = split_line(text).unwrap_or((text, b"", b""));
        text = after;
        Some((line, end))
    })
}

/// The first line, its end (LF, CR or both), and what follows.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let at = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    let (line, rest) = text.split_at(at);
    let (end, after) = rest.split_at(if rest.starts_with(b"\r\n") { 2 } else { 1 });
    Some((line, end, after))
}
