//! Where log lines go: to standard error, for people or for machines.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people; in colours where somebody looks on.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts to write the events of this process that `filter` lets through: `info`, or `warn,anteroom::audit=info`.
///
/// # Errors
/// Where the filter cannot be read, or something else in this process writes logs already.
pub fn init(format: Format, filter: &str) -> Result<(), TelemetryError> {
    let colours = io::stderr().is_terminal();
    subscriber(format, filter, io::stderr, colours)?
        .try_init()
        .map_err(|_| TelemetryError::Taken)
}

/// Why nothing can be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter is wrong.
    #[error(
        "the log filter `{0}` cannot be read: write a level like `info`, or `warn,anteroom::audit=info`"
    )]
    Filter(String),
    /// Somebody else was first.
    #[error("this process writes logs in another way already")]
    Taken,
}

/// At lower levels it writes whole messages of clients and servers down: for whoever asks for it by name.
const QUIET: &str = "rmcp=error";

fn subscriber<W>(
    format: Format,
    filter: &str,
    writer: W,
    colours: bool,
) -> Result<impl Subscriber + Send + Sync + 'static, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .map_err(|_| TelemetryError::Filter(filter.to_owned()))?;
    let lines = fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
    };
    Ok(tracing_subscriber::registry().with(lines).with(filter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use crate::clock::UnixTime;
    use crate::event::{Event, GrantNews};
    use crate::protocol::error::ErrorCode;
    use crate::protocol::ids::{ClientId, Id, ProviderId, Subject};

    /// The lines, as JSON, that are written while `what` runs.
    fn lines(filter: &str, what: impl FnOnce()) -> Vec<serde_json::Value> {
        written(Format::Json, filter, what)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn written(format: Format, filter: &str, what: impl FnOnce()) -> String {
        let page = Page::default();
        let mine = page.clone();
        let subscriber = subscriber(format, filter, move || mine.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, what);
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_of_json_carries_its_fields_at_the_top() {
        let told = lines("info", || tracing::info!(client.id = "c1", "hello"));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["client.id"], "c1");
        assert_eq!(told[0]["message"], "hello");
        assert_eq!(told[0]["level"], "INFO");
    }

    #[test]
    fn a_line_of_text_can_be_read_alone() {
        let told = written(Format::Text, "info", || tracing::warn!(n = 1, "hello"));
        assert_eq!(told.lines().count(), 1);
        assert!(
            told.contains("WARN") && told.contains("hello n=1"),
            "{told}"
        );
    }

    #[test]
    fn a_filter_decides_what_is_written() {
        for (filter, expected) in [("info", 1), ("debug", 2), ("error", 0), ("off", 0)] {
            let told = lines(filter, || {
                tracing::info!("one");
                tracing::debug!("two");
            });
            assert_eq!(told.len(), expected, "{filter}");
        }
    }

    #[test]
    fn messages_are_written_down_where_somebody_asks_for_it_by_name() {
        for (filter, expected) in [("info", 0), ("debug", 0), ("info,rmcp=info", 1)] {
            let told = lines(
                filter,
                || tracing::info!(target: "rmcp::service", "a message"),
            );
            assert_eq!(told.len(), expected, "{filter}");
        }
    }

    #[test]
    fn a_wrong_filter_is_refused_with_what_to_write() {
        let refused = subscriber(Format::Text, "anteroom=loud", io::sink, false).err();
        assert!(refused.unwrap().to_string().contains("write a level like"));
    }

    /// The one line that an event leaves, checked against what it should say.
    fn assert_line(event: Event<'_>, level: &str, expected: &serde_json::Value) {
        let told = lines("debug", || event.tell());
        assert_eq!(told.len(), 1, "{event:?}");
        let mut line = told[0].as_object().unwrap().clone();
        assert_eq!(line["level"], level, "{event:?}");
        assert_eq!(line["target"], "anteroom::audit");
        assert!(line["message"].as_str().unwrap().len() > 10);
        for everywhere in ["level", "target", "message", "timestamp"] {
            line.remove(everywhere);
        }
        assert_eq!(line, *expected.as_object().unwrap());
    }

    #[test]
    fn events_of_clients_and_providers_name_them_and_nothing_more() {
        let client = &ClientId::new("c1");
        let provider = &ProviderId::new("github");
        let error = &ErrorCode::InvalidRedirectUri.with("no fragment");
        let address = "192.0.2.1".parse().unwrap();
        for (event, name) in [
            (Event::ClientRegistered { client }, "client_registered"),
            (Event::ConsentDenied { client }, "consent_denied"),
            (
                Event::ClientAuthenticationFailed { client },
                "client_authentication_failed",
            ),
        ] {
            assert_line(event, "INFO", &json!({ "event": name, "client.id": "c1" }));
        }
        assert_line(
            Event::OtherBrowser {
                client: Some(client),
            },
            "WARN",
            &json!({ "event": "other_browser", "client.id": "c1" }),
        );
        assert_line(
            Event::RegistrationRefused { error },
            "WARN",
            &json!({ "event": "registration_refused", "error": "invalid_redirect_uri", "cause": "no fragment" }),
        );
        assert_line(
            Event::SignInRefused {
                provider,
                client: None,
            },
            "INFO",
            &json!({ "event": "sign_in_refused", "provider": "github" }),
        );
        let cause = "timed out";
        assert_line(
            Event::UpstreamFailed { provider, cause },
            "WARN",
            &json!({ "event": "upstream_failed", "provider": "github", "cause": cause }),
        );
        let endpoint = "token";
        assert_line(
            Event::RateLimited { endpoint, address },
            "INFO",
            &json!({ "event": "rate_limited", "address": "192.0.2.1", "cause": "token" }),
        );
    }

    #[test]
    fn events_of_grants_name_provider_and_person() {
        let provider = &ProviderId::new("github");
        let subject = &Subject::new("github:583231");
        for (news, level, name, cause) in [
            (
                GrantNews::Unknown("timed out"),
                "WARN",
                "upstream_unknown",
                Some("timed out"),
            ),
            (GrantNews::KnownAgain, "INFO", "upstream_known_again", None),
            (
                GrantNews::Ended("revoked"),
                "INFO",
                "upstream_ended",
                Some("revoked"),
            ),
            (GrantNews::Renewed, "DEBUG", "upstream_renewed", None),
            (GrantNews::GivenBack, "INFO", "upstream_given_back", None),
            (
                GrantNews::NotGivenBack("down"),
                "WARN",
                "upstream_not_given_back",
                Some("down"),
            ),
        ] {
            let mut line =
                json!({ "event": name, "provider": "github", "subject": "github:583231" });
            if let Some(cause) = cause {
                line["cause"] = json!(cause);
            }
            assert_line(
                Event::OfGrant {
                    provider,
                    subject,
                    news,
                },
                level,
                &line,
            );
        }
    }

    #[test]
    fn events_of_sessions_name_client_person_and_session() {
        let client = &ClientId::new("c1");
        let subject = &Subject::new("github:583231");
        let session = Id::new(UnixTime(0));
        let id = session.to_string();
        macro_rules! of_a_person {
            ($variant:ident, $level:expr, $name:expr) => {
                assert_line(
                    Event::$variant { client, subject, session },
                    $level,
                    &json!({ "event": $name, "client.id": "c1", "subject": "github:583231", "session.id": id }),
                );
            };
        }
        of_a_person!(CodeIssued, "INFO", "code_issued");
        of_a_person!(TokenIssued, "INFO", "token_issued");
        of_a_person!(TokenRefreshed, "DEBUG", "token_refreshed");
        of_a_person!(RefreshReused, "WARN", "refresh_reused");
        assert_line(
            Event::CodeReplayed { client, session },
            "WARN",
            &json!({ "event": "code_replayed", "client.id": "c1", "session.id": id }),
        );
        assert_line(
            Event::RefreshAnsweredAgain { session },
            "DEBUG",
            &json!({ "event": "refresh_answered_again", "session.id": id }),
        );
        let why = "revoked";
        assert_line(
            Event::SessionEnded { session, why },
            "INFO",
            &json!({ "event": "session_ended", "session.id": id, "cause": why }),
        );
    }

    #[test]
    fn a_stranger_cannot_write_lines_of_the_log() {
        let evil = "x\n2026-11-21 INFO forged\r\u{1b}[31m\u{202e}\u{0}\u{2028}ä\"\\";
        let client = ClientId::new(evil.to_owned() + &"y".repeat(10_000));
        let told = lines("info", || {
            Event::ClientAuthenticationFailed { client: &client }.tell();
        });
        let written = told[0]["client.id"].as_str().unwrap();
        assert!(!written.contains([' ', '=']), "{written:?}");
        let harmless = |c: char| !c.is_control() && c != '\u{202e}' && c != '\u{2028}';
        assert!(written.chars().all(harmless), "{written:?}");
        assert!(written.starts_with(r"x\n2026"), "{written:?}");
        assert!(written.contains('ä'));
        assert!(written.len() < 400, "{}", written.len());
    }

    #[test]
    fn a_filter_can_leave_the_audit_log_out() {
        let session = Id::new(UnixTime(0));
        let ended = || {
            Event::SessionEnded {
                session,
                why: "revoked",
            }
            .tell();
        };
        assert_eq!(lines("info,anteroom::audit=warn", ended).len(), 0);
        assert_eq!(lines("warn,anteroom::audit=info", ended).len(), 1);
    }
}
