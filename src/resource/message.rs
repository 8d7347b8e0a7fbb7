//! A body as the gate judges it: JSON-RPC messages, each with its method and what that method is about.

use std::borrow::Cow;

use serde_json::error::Category;
use serde_json::value::RawValue;

use super::json::{Field, Members, Messages, Params};
use super::revision::MODERN;

/// What a client posts.
#[derive(Debug)]
pub enum Body<'a> {
    /// One message.
    Single(Message<'a>),
    /// An array of messages (revision 2025-03-26 alone); never empty.
    Batch(Vec<Message<'a>>),
}

/// A JSON-RPC 2.0 message.
#[derive(Debug)]
pub enum Message<'a> {
    /// It has an id and wants an answer.
    Request(&'a RawValue, Call<'a>),
    /// It wants none; its method begins with `notifications/`.
    Notification(Call<'a>),
    /// It answers a request of the server.
    Response,
}

impl<'a> Message<'a> {
    /// The id of a request.
    #[must_use]
    pub fn id(&self) -> Option<&'a RawValue> {
        match self {
            Self::Request(id, _) => Some(id),
            Self::Notification(_) | Self::Response => None,
        }
    }

    /// What is called; a response calls nothing.
    #[must_use]
    pub fn call(&self) -> Option<&Call<'a>> {
        match self {
            Self::Request(_, call) | Self::Notification(call) => Some(call),
            Self::Response => None,
        }
    }
}

/// A method and what it is about.
#[derive(Debug)]
pub struct Call<'a> {
    /// The method, unescaped.
    pub method: Cow<'a, str>,
    /// The tool, prompt, resource or task, where the method is about one.
    pub name: Option<Cow<'a, str>>,
    /// Whether the name is that of a resource or template, where `completion/complete` is about it, and not of a prompt.
    pub completes_uri: bool,
    /// The resources that `subscriptions/listen` wants to hear of.
    pub subscribed: Vec<Cow<'a, str>>,
    /// `_meta["io.modelcontextprotocol/protocolVersion"]`.
    pub version: Option<Cow<'a, str>>,
    /// Whether `_meta["io.modelcontextprotocol/clientCapabilities"]` is there.
    pub has_capabilities: bool,
}

/// Why a body is no message.
#[derive(Clone, Copy, Debug)]
pub struct Fault<'a> {
    /// What is wrong.
    pub kind: FaultKind,
    /// The id of the request, where one could be read.
    pub id: Option<&'a RawValue>,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// It is not JSON, or nested too deeply.
    Json,
    /// It is not a JSON-RPC message, or one that parsers may read in two ways.
    Message,
    /// The method needs a name that is not there.
    Name,
}

/// Reads a body.
///
/// # Errors
/// What is wrong with it: a body that two parsers could read differently never passes (RS-15).
pub fn parse(body: &[u8]) -> Result<Body<'_>, Fault<'_>> {
    let fault = |kind| Fault { kind, id: None };
    let text = std::str::from_utf8(body).map_err(|_| fault(FaultKind::Json))?;
    let messages = serde_json::from_str(text).map_err(|error| {
        fault(match error.classify() {
            Category::Data => FaultKind::Message,
            Category::Io | Category::Syntax | Category::Eof => FaultKind::Json,
        })
    })?;
    match messages {
        Messages::One(members) => judge(*members).map(Body::Single),
        Messages::Batch(batch) if batch.is_empty() => Err(fault(FaultKind::Message)),
        Messages::Batch(batch) => batch
            .into_iter()
            .map(judge)
            .collect::<Result<_, _>>()
            .map(Body::Batch),
    }
}

/// Members -> message, or what is wrong with them (JSON-RPC 2.0 §4, §5).
fn judge(members: Members<'_>) -> Result<Message<'_>, Fault<'_>> {
    let id = members.id.filter(|id| is_id(id));
    let fault = |kind| Fault { kind, id };
    let is_version_2 = matches!(&members.jsonrpc, Field::Text(version) if version == "2.0");
    if !is_version_2 || members.id.is_some() != id.is_some() {
        return Err(fault(FaultKind::Message));
    }
    match (members.method, id, members.is_answer) {
        (Field::Text(method), Some(id), false) => Ok(Message::Request(
            id,
            call(method, members.params).ok_or(fault(FaultKind::Name))?,
        )),
        // A call without an id would run where a server is lenient, and be told to nobody.
        (Field::Text(method), None, false) if method.starts_with("notifications/") => {
            let call = call(method, members.params).ok_or(fault(FaultKind::Name))?;
            Ok(Message::Notification(call))
        }
        (Field::Absent, Some(_), true) => Ok(Message::Response),
        _ => Err(fault(FaultKind::Message)),
    }
}

/// An id is a string or a number (MCP), short enough to be repeated in an answer.
pub(super) fn is_id(id: &RawValue) -> bool {
    let text = id.get();
    text.len() <= 256 && text.starts_with(|first: char| matches!(first, '"' | '-' | '0'..='9'))
}

/// The call, unless it lacks the name that its method needs.
fn call<'a>(method: Cow<'a, str>, params: Params<'a>) -> Option<Call<'a>> {
    let is_modern = matches!(&params.meta.version, Field::Text(version) if version == MODERN);
    let completes_uri = !matches!(params.reference.uri, Field::Absent);
    let (name, needed) = match &*method {
        "tools/call" | "prompts/get" => (params.name, true),
        "resources/read" => (params.uri, true),
        // 2026-07-28 has neither, which is said before what they lack (HTTP-26). A call that lies about its revision is
        // refused for that.
        "resources/subscribe" | "resources/unsubscribe" => (params.uri, !is_modern),
        "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => (params.task, false),
        // A prompt has a name and a template a URI: with both, servers may differ on what it is about.
        "completion/complete" => match (params.reference.name, params.reference.uri) {
            (name, Field::Absent) => (name, true),
            (Field::Absent, uri) => (uri, true),
            _ => return None,
        },
        _ => match params.name {
            Field::Absent => (params.uri, false),
            name => (name, false),
        },
    };
    let name = text(name);
    (name.is_some() || !needed).then(|| Call {
        method,
        name,
        completes_uri,
        subscribed: params.subscribed.0,
        version: text(params.meta.version),
        has_capabilities: matches!(params.meta.capabilities, Field::Object),
    })
}

fn text(field: Field<'_>) -> Option<Cow<'_, str>> {
    match field {
        Field::Text(text) => Some(text),
        Field::Absent | Field::Object | Field::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn single(text: &str) -> Result<Message<'_>, FaultKind> {
        match parse(text.as_bytes()) {
            Ok(Body::Single(message)) => Ok(message),
            Ok(Body::Batch(_)) => panic!("a batch: {text}"),
            Err(fault) => Err(fault.kind),
        }
    }

    fn fault(body: impl AsRef<[u8]>) -> Option<FaultKind> {
        parse(body.as_ref()).err().map(|fault| fault.kind)
    }

    #[test]
    fn a_call_is_known_by_its_method_and_the_name_that_belongs_to_it() {
        for (method, params, name) in [
            (
                "tools/call",
                json!({"name": "add", "uri": "x"}),
                Some("add"),
            ),
            ("prompts/get", json!({"name": "review"}), Some("review")),
            (
                "resources/read",
                json!({"uri": "file:///a", "name": "x"}),
                Some("file:///a"),
            ),
            (
                "resources/subscribe",
                json!({"uri": "file:///a"}),
                Some("file:///a"),
            ),
            (
                "completion/complete",
                json!({"ref": {"type": "ref/prompt", "name": "p"}}),
                Some("p"),
            ),
            (
                "completion/complete",
                json!({"ref": {"type": "ref/resource", "uri": "u"}}),
                Some("u"),
            ),
            ("tasks/get", json!({"taskId": "7", "name": "x"}), Some("7")),
            ("tools/list", json!({}), None),
            ("acme/own", json!({"name": "n"}), Some("n")),
            ("acme/own", json!({"uri": "u"}), Some("u")),
        ] {
            let text =
                json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
            let message = single(&text).unwrap();
            let call = message.call().unwrap();
            assert_eq!(
                (&*call.method, call.name.as_deref()),
                (method, name),
                "{text}"
            );
            assert_eq!(message.id().map(RawValue::get), Some("1"));
        }
    }

    #[test]
    fn messages_are_told_apart() {
        let kind = |text| match single(text).unwrap() {
            Message::Request(..) => "request",
            Message::Notification(_) => "notification",
            Message::Response => "response",
        };
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#, "request"),
            (
                r#"{"jsonrpc":"2.0","id":-1,"method":"tools/list","params":null}"#,
                "request",
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
                "notification",
            ),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "response"),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
                "response",
            ),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    /// RS-15
    #[test]
    fn a_body_that_two_parsers_read_differently_is_refused() {
        let message = |inner: &str| format!(r#"{{"jsonrpc":"2.0","id":1,{inner}}}"#);
        for inner in [
            r#""method":"tools/list","method":"tools/call""#,
            r#""method":"tools/list","me\u0074hod":"tools/call""#,
            r#""method":"tools/list","Method":"tools/call""#,
            r#""method":"tools/list","id":2"#,
            r#""method":"tools/list","x":1,"x":2"#,
            r#""method":"tools/call","params":{"name":"a"},"params":{"name":"b"}"#,
            r#""method":"tools/call","params":{"name":"a"},"paramſ":{"name":"b"}"#,
            r#""method":"tools/call","params":{"name":"a","name":"b"}"#,
            r#""method":"tools/call","params":{"name":"a","n\u0061me":"b"}"#,
            r#""method":"tools/call","params":{"name":"a","NAME":"b"}"#,
            r#""method":"tasks/get","params":{"taskId":"a","tasKId":"b"}"#,
            r#""method":"tools/call","params":{"name":"a","x":1,"x":2}"#,
            r#""method":"tools/call","params":{"name":"a","_meta":{"k":1,"k":2}}"#,
            r#""method":"completion/complete","params":{"ref":{"name":"a","name":"b"}}"#,
            r#""method":"tools/list","result":{}"#,
            r#""method":["tools/list"]"#,
            r#""method":"tools/list","params":[]"#,
        ] {
            assert_eq!(fault(message(inner)), Some(FaultKind::Message), "{inner}");
        }
    }

    /// HTTP-17
    #[test]
    fn what_is_no_message_is_refused_with_its_reason() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"acme/own","params":{{"arguments":{open}{close}}}}}"#
            )
        };
        assert_eq!(fault(nested(100)), None);
        for body in [
            b"".to_vec(),
            b"{".to_vec(),
            b"\xEF\xBB\xBF{}".to_vec(),
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\xFF\"}".to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#.to_vec(),
            nested(200).into_bytes(),
            nested(2_000_000).into_bytes(),
        ] {
            assert_eq!(
                fault(&body),
                Some(FaultKind::Json),
                "{:?}",
                &body[..body.len().min(80)]
            );
        }
        for body in [
            "[]",
            "7",
            "{}",
            "null",
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"delete_all"}}"#,
        ] {
            assert_eq!(fault(body), Some(FaultKind::Message), "{body}");
        }
        for params in ["{}", r#"{"name":7}"#, r#"{"name":null}"#, r#"{"uri":"a"}"#] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            assert_eq!(fault(&body), Some(FaultKind::Name), "{body}");
        }
        let both = r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"name":"a","uri":"b"}}}"#;
        assert_eq!(fault(both), Some(FaultKind::Name));
    }

    #[test]
    fn a_batch_is_read_entry_by_entry_and_bounded() {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let batch = |count: usize| format!("[{}]", vec![ping; count].join(","));
        assert!(matches!(parse(batch(100).as_bytes()), Ok(Body::Batch(all)) if all.len() == 100));
        assert_eq!(fault(batch(101)), Some(FaultKind::Message));
        assert_eq!(fault(format!("[{ping},7]")), Some(FaultKind::Message));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// The same JSON with every character of its strings escaped.
    fn escaped(value: &Value) -> String {
        match value {
            Value::String(text) => {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                let units = units.collect::<Vec<_>>().concat();
                format!("\"{units}\"")
            }
            Value::Array(values) => {
                let values: Vec<_> = values.iter().map(escaped).collect();
                format!("[{}]", values.join(" ,"))
            }
            Value::Object(members) => {
                let member = |(name, value): (&String, &Value)| {
                    format!(
                        "{}: {}",
                        escaped(&Value::from(name.as_str())),
                        escaped(value)
                    )
                };
                let members: Vec<_> = members.iter().map(member).collect();
                format!("{{ {} }}", members.join("\n,"))
            }
            other => other.to_string(),
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn almost_json_is_read_without_panic(text in r#"[\[\]{}":,a-z0-9\\u ]{0,80}"#) {
            let _ = parse(text.as_bytes());
        }

        /// RS-14
        #[test]
        fn the_gate_sees_what_every_parser_sees(
            method in prop_oneof![Just("tools/call".to_owned()), Just("resources/read".to_owned()), any::<String>()],
            name in any::<String>(),
            id in any::<i64>(),
            extra in any_json(),
            escape in any::<bool>(),
        ) {
            let member = if method == "resources/read" { "uri" } else { "name" };
            let value = json!({
                "extra": extra, "jsonrpc": "2.0", "id": id, "method": method,
                "params": {"arguments": extra, member: name, "more": extra},
            });
            let text = if escape { escaped(&value) } else { value.to_string() };
            let as_value: Value = serde_json::from_str(&text).unwrap();
            let message = single(&text).unwrap();
            let call = message.call().unwrap();
            prop_assert_eq!(Some(&*call.method), as_value["method"].as_str());
            prop_assert_eq!(call.name.as_deref(), as_value["params"][member].as_str().filter(|_| method != "completion/complete"));
        }
    }
}
