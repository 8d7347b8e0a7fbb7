//! What is wrong with the settings, said with file, line and column, the text underlined, and what to write instead.

use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use super::redact;
use super::schema;

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the file, at these bytes.
    File(Range<usize>),
    /// In an environment variable.
    Variable(String),
    /// Nowhere.
    Nowhere,
}

/// Why a value is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What is wrong, as the rest of a sentence that begins with the key.
    pub what: String,
    /// What to write.
    pub remedy: String,
}

impl Wrong {
    /// Says what is wrong and what to write. Neither may hold the value itself: it might be a secret in the wrong place.
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// The problem that this is at `key`.
    pub(super) fn at(self, key: &str, origin: &Origin) -> Problem {
        Problem {
            key: key.to_owned(),
            wrong: self,
            origin: origin.clone(),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug)]
pub(super) struct Problem {
    /// The dotted key.
    pub key: String,
    /// What is wrong with it.
    pub wrong: Wrong,
    /// Where it stands.
    pub origin: Origin,
}

/// A file of settings, as text.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The name to show.
    pub name: &'a str,
    /// What stands in it.
    pub text: &'a str,
}

impl Source<'_> {
    /// `providers.toml:7`
    pub(super) fn line(&self, span: &Range<usize>) -> String {
        format!("{}:{}", self.name, Line::at(*self, span).number)
    }
}

/// Why the settings are refused: everything that is wrong with them, at once. Its `Display` is the report to print; no
/// secret stands in it.
#[derive(Debug)]
pub struct Refused {
    faults: Vec<Fault>,
}

impl Refused {
    pub(super) fn new(
        source: Option<Source<'_>>,
        hidden: &[Range<usize>],
        mut problems: Vec<Problem>,
    ) -> Self {
        problems.sort_by_key(|problem| match &problem.origin {
            Origin::Nowhere => (0, 0),
            Origin::File(span) => (1, span.start),
            Origin::Variable(_) => (2, 0),
        });
        let shown = source
            .map(|source| redact::shown(source.text, hidden))
            .unwrap_or_default();
        let shown = source.map(|source| Source {
            name: source.name,
            text: &shown,
        });
        let faults = problems
            .into_iter()
            .map(|problem| Fault::new(problem, shown))
            .collect();
        Self { faults }
    }

    /// A refusal that has no place in a file.
    pub(super) fn plain(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let fault = Fault {
            message: what.into(),
            remedy: remedy.into(),
            place: None,
        };
        Self {
            faults: vec![fault],
        }
    }

    /// What is wrong, one by one, each with line and column where it stands in a file.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
            .with_context_lines(1)
            .with_width(120);
        let mut between = "";
        for fault in &self.faults {
            let mut text = String::new();
            handler.render_report(&mut text, fault)?;
            write!(f, "{between}{}", text.trim_matches('\n'))?;
            between = "\n\n";
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// One thing that is wrong with the settings.
#[derive(Debug)]
pub struct Fault {
    message: String,
    remedy: String,
    place: Option<Line>,
}

impl Fault {
    fn new(problem: Problem, shown: Option<Source<'_>>) -> Self {
        let Problem { key, wrong, origin } = problem;
        let key = schema::printed(&key);
        let subject = match &origin {
            Origin::Variable(name) if key.is_empty() => name.clone(),
            Origin::Variable(name) => format!("{name} ({key})"),
            _ => key,
        };
        let place = match (origin, shown) {
            (Origin::File(bytes), Some(source)) => Some(Line::at(source, &bytes)),
            _ => None,
        };
        Self {
            message: format!("{subject} {}", wrong.what).trim_start().to_owned(),
            remedy: wrong.remedy,
            place,
        }
    }

    /// What is wrong, beginning with the key or the environment variable.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Line and column in the file, from 1.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|line| (line.number, line.column))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl Diagnostic for Fault {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.remedy))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|line| line as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let bytes = self.place.as_ref()?.bytes.clone();
        let label = LabeledSpan::new(None, bytes.start, bytes.len());
        Some(Box::new(std::iter::once(label)))
    }
}

/// The one line that is shown with a fault: the lines around it are no help, and might hold secrets.
#[derive(Debug)]
struct Line {
    file: String,
    text: String,
    number: usize,
    column: usize,
    /// What is underlined of the text.
    bytes: Range<usize>,
}

impl Line {
    fn at(source: Source<'_>, bytes: &Range<usize>) -> Self {
        let text = source.text;
        let at = whole(text, bytes.start);
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..]
            .find('\n')
            .map_or(text.len(), |newline| at + newline);
        let end_of_bytes = whole(text, bytes.end.clamp(at, end));
        Self {
            file: source.name.to_owned(),
            text: text[start..end].to_owned(),
            number: text[..start].matches('\n').count() + 1,
            column: text[start..at].chars().count() + 1,
            bytes: at - start..end_of_bytes - start,
        }
    }
}

/// The nearest beginning of a character at or before `at`.
fn whole(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

impl SourceCode for Line {
    fn read_span<'a>(
        &'a self,
        _: &SourceSpan,
        context_before: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // Asked without context, it is asked for the position to print; with context, for the line to show.
        let column = if context_before == 0 {
            self.column - 1
        } else {
            0
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.clone(),
            self.text.as_bytes(),
            SourceSpan::from(0..self.text.len()),
            self.number - 1,
            column,
            1,
        )))
    }
}
