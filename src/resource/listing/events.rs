//! Lists in event streams: events are sifted one by one, as they come; all others pass byte for byte.

use std::borrow::Cow;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http::StatusCode;
use http_body::Frame;
use serde_json::value::RawValue;

use super::part::answered_id;
use super::room::{FREE, Place};
use super::sift::{Sifted, Unreadable};
use super::{ANSWER_LIMIT, Care, ListFilter, UNREADABLE};
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
    /// The room that they take.
    place: Option<Place>,
    /// The event is longer than may be held; its bytes are let go.
    is_too_long: bool,
    /// Whom it answers, if its beginning told.
    answers: Option<Box<RawValue>>,
    /// A line of an event has been read that is not complete yet.
    is_in_event: bool,
    /// What has become of the request.
    asked: Asked,
    /// The last line ended with a CR; an LF that follows belongs to it.
    is_after_return: bool,
}

/// What has become of the request that a stream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Its answer is to come.
    Waits,
    /// Something was held back that may have been its answer.
    Doubted,
    /// It has been answered.
    Answered,
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
            place: None,
            is_too_long: false,
            answers: None,
            is_in_event: false,
            asked: Asked::Waits,
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

    /// The end of the stream: some clients take what stands before it for an event. Whoever waits for an answer still is to
    /// know that it will not come.
    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.line.is_empty() {
            self.end_line(b"", out);
        }
        let is_in_event = self.is_in_event;
        self.end_event(b"", out);
        let id = self.filter.id.as_deref();
        if let Some(id) = id.filter(|_| self.asked == Asked::Doubted) {
            if is_in_event {
                out.extend_from_slice(b"\n\n");
            }
            replace_data(NO_DATA, Some(&error(id)), out);
            out.push(b'\n');
        }
    }

    fn begin_line(&mut self, part: &[u8]) {
        let length = self.held.len() + self.line.len() + part.len();
        if !self.is_too_long && (length > self.limit || !self.has_room(length)) {
            self.is_too_long = true;
            let pieces = [&self.held, &self.line, part].into_iter();
            let pieces = pieces.flat_map(|piece| piece.iter().copied());
            let beginning: Vec<u8> = pieces.take(BEGINNING).collect();
            self.answers = whom_it_answers(&beginning);
            self.held = Vec::new();
            self.place = None;
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

    /// Whether so many bytes may be held now.
    fn has_room(&mut self, length: usize) -> bool {
        // In steps, so that pieces of some bytes do not ask each.
        let length = length.next_multiple_of(FREE);
        length <= FREE || self.filter.room.widen(&mut self.place, length)
    }

    fn end_line(&mut self, end: &[u8], out: &mut Vec<u8>) {
        let line = mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event(end, out);
        }
        self.is_in_event = true;
        if !self.is_too_long {
            let is_held = !self.held.is_empty() || data(&line).is_some();
            let to = if is_held { &mut self.held } else { out };
            to.extend_from_slice(&line);
            to.extend_from_slice(end);
        }
    }

    fn end_event(&mut self, end: &[u8], out: &mut Vec<u8>) {
        let held = mem::take(&mut self.held);
        self.is_in_event = false;
        if mem::take(&mut self.is_too_long) {
            let id = self.answers.take();
            self.hold_back(NO_DATA, id.as_deref(), out);
        } else {
            match self.sift(&held) {
                Ok(sifted) => {
                    if sifted.has_answer {
                        self.asked = Asked::Answered;
                    }
                    self.filter.tell(&sifted);
                    match sifted.text {
                        Some(data) => replace_data(&held, Some(&data), out),
                        None => out.extend_from_slice(&held),
                    }
                }
                Err(Unreadable) if self.filter.care == Care::Mark => {
                    out.extend_from_slice(&held);
                }
                Err(Unreadable) => {
                    let id = whom_it_answers(&held);
                    self.hold_back(&held, id.as_deref(), out);
                }
            }
        }
        self.place = None;
        out.extend_from_slice(end);
    }

    /// Writes an event without its data: whoever it answers is told, and nobody else, since their answer may come yet.
    fn hold_back(&mut self, event: &[u8], id: Option<&RawValue>, out: &mut Vec<u8>) {
        self.filter
            .warn("an event is too long, not JSON, or can be read in two ways");
        let own = self.filter.id.as_deref().map(RawValue::get);
        match id {
            None if self.asked == Asked::Waits => self.asked = Asked::Doubted,
            Some(id) if Some(id.get()) == own => self.asked = Asked::Answered,
            _ => {}
        }
        let error = id.map(error);
        replace_data(event, error.as_deref(), out);
    }

    /// What the data of an event become.
    fn sift(&self, event: &[u8]) -> Result<Sifted, Unreadable> {
        let data = data_of(event);
        // Without a bracket there is no message in it.
        if !data.iter().any(|byte| matches!(byte, b'{' | b'[')) {
            return Ok(Sifted::default());
        }
        self.filter.sift(&data)
    }
}

/// The data of an event, or of as much as there is of it.
fn data_of(event: &[u8]) -> Cow<'_, [u8]> {
    let mut data = lines(event).filter_map(|(line, _)| data(line));
    let first = data.next().unwrap_or_default();
    match data.next() {
        None => first.into(),
        Some(second) => {
            let all: Vec<&[u8]> = [first, second].into_iter().chain(data).collect();
            all.join(&b'\n').into()
        }
    }
}

/// The request that an event answers, if its beginning tells.
fn whom_it_answers(event: &[u8]) -> Option<Box<RawValue>> {
    let data = data_of(event.get(..BEGINNING).unwrap_or(event));
    let text = data.utf8_chunks().next()?.valid();
    answered_id(text)
}

/// What whoever waits for an answer is told.
fn error(id: &RawValue) -> String {
    RpcError::http(StatusCode::BAD_GATEWAY, UNREADABLE).text(Some(id))
}

/// An event of which nothing is left.
const NO_DATA: &[u8] = b"data\n";

/// Bytes of an event in which it is looked for whom it answers.
const BEGINNING: usize = 64 << 10;

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
