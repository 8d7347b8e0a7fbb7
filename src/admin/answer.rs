//! What becomes of an order.

use std::error::Error;
use std::io;

use super::serve::Listener;
use super::{Choice, ClientLine, ClientWhole, Line, Order, SessionLine};
use crate::event::Causes;
use crate::flow::Flows;
use crate::flow::operate::{KeptClient, SessionChoice};
use crate::protocol::client::{ClientAuthentication, ClientSource};
use crate::protocol::grant::Grant;
use crate::protocol::ids::{ClientId, Id, Subject};
use crate::protocol::session::Session;

/// Carries out `order` and tells what there is to tell; returns the last line.
pub(super) async fn answer(
    flows: &Flows,
    order: Order,
    listener: &mut Listener,
) -> io::Result<Line> {
    let outcome = match order {
        Order::ListSessions(choice) => sessions(flows, choice, listener).await,
        Order::RevokeSessions(choice) => revoke(flows, choice).await,
        Order::ListClients => clients(flows, listener).await,
        Order::ShowClient { id } => show(flows, &id, listener).await,
        Order::RemoveClient { id } => remove(flows, &id).await,
        Order::ListKeys => super::keys::list(flows, listener).await,
        Order::RotateKey { kind } => super::keys::rotate(flows, kind, listener).await,
    };
    match outcome {
        Ok(said) => Ok(Line::Done { said }),
        Err(Stop::Line(error)) => Err(error),
        Err(Stop::Refused(said)) => Ok(Line::Failed { said }),
    }
}

/// Why an order is not carried out to its end.
pub(super) enum Stop {
    /// Nobody listens any more.
    Line(io::Error),
    /// It cannot be done.
    Refused(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Line(error)
    }
}

/// An incident, with its causes: the operator is who should read them.
pub(super) fn incident(error: impl Error) -> Stop {
    Stop::Refused(Causes(&error).to_string())
}

async fn sessions(flows: &Flows, choice: Choice, listener: &mut Listener) -> Result<String, Stop> {
    let choice = read(choice)?;
    let (mut told, mut after) = (0, None);
    loop {
        let page = flows.sessions(&choice, after).await.map_err(incident)?;
        for (session, grant) in page.found {
            listener
                .tell(&Line::Session(session_line(session, grant.as_ref())))
                .await?;
            told += 1;
        }
        after = page.next;
        if after.is_none() {
            return Ok(counted(told, "session"));
        }
    }
}

async fn revoke(flows: &Flows, choice: Choice) -> Result<String, Stop> {
    let all = choice.all;
    let names_some = choice.session.is_some() || choice.person.is_some() || choice.client.is_some();
    if all == names_some {
        let said = "the order has to name the sessions to be ended, or say that it is all of them";
        return Err(Stop::Refused(said.to_owned()));
    }
    let choice = read(choice)?;
    let ended = flows.revoke_sessions(&choice).await.map_err(incident)?;
    if ended == 0 && !all {
        let said = "there is no such session; `anteroom sessions list` tells those that there are, and what their people \
                    are called here: github:583231, not the name of the account";
        return Err(Stop::Refused(said.to_owned()));
    }
    Ok(format!("{} ended", counted(ended, "session")))
}

async fn clients(flows: &Flows, listener: &mut Listener) -> Result<String, Stop> {
    let (mut told, mut from) = (0, None);
    loop {
        let page = flows.clients(from).await.map_err(incident)?;
        for client in page.found {
            listener.tell(&Line::Client(client_line(&client))).await?;
            told += 1;
        }
        from = page.next;
        if from.is_none() {
            return Ok(counted(told, "client"));
        }
    }
}

async fn show(flows: &Flows, id: &str, listener: &mut Listener) -> Result<String, Stop> {
    let client = find(flows, id).await?;
    let choice = SessionChoice {
        client: Some(client.client.id.clone()),
        ..SessionChoice::default()
    };
    let (mut sessions, mut after) = (0, None);
    loop {
        let page = flows.sessions(&choice, after).await.map_err(incident)?;
        sessions += page.found.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let whole = ClientWhole {
        short: client_line(&client),
        redirect_uris: client
            .client
            .redirect_uris
            .iter()
            .map(|uri| uri.as_str().to_owned())
            .collect(),
        authentication: match client.client.authentication {
            ClientAuthentication::Secret(_) => "secret",
            ClientAuthentication::Keys { .. } => "private_key_jwt",
            _ => "none",
        }
        .to_owned(),
        scopes: client.client.scopes.as_ref().map(ToString::to_string),
        sessions,
    };
    listener.tell(&Line::ClientWhole(whole)).await?;
    Ok(String::new())
}

async fn remove(flows: &Flows, id: &str) -> Result<String, Stop> {
    let client = find(flows, id).await?;
    let ended = flows.remove_client(&client).await.map_err(incident)?;
    let ended = counted(ended, "session");
    Ok(match client.client.source {
        ClientSource::Known => format!(
            "{ended} ended; the client is named in the configuration: take it out there, too"
        ),
        _ => format!(
            "the client is forgotten, and {ended} ended; those people are asked anew if it comes again"
        ),
    })
}

async fn find(flows: &Flows, id: &str) -> Result<KeptClient, Stop> {
    let found = flows.kept_client(&ClientId::new(id)).await;
    found
        .map_err(incident)?
        .ok_or_else(|| Stop::Refused("there is no such client".to_owned()))
}

fn read(choice: Choice) -> Result<SessionChoice, Stop> {
    let session = choice.session.map(|id| {
        Id::parse(&id).ok_or_else(|| Stop::Refused(format!("{id:?} is not the id of a session")))
    });
    Ok(SessionChoice {
        session: session.transpose()?,
        person: choice.person.map(Subject::new),
        client: choice.client.map(ClientId::new),
    })
}

fn session_line(session: Session, grant: Option<&Grant>) -> SessionLine {
    SessionLine {
        id: session.id.to_string(),
        person: session.subject.to_string(),
        login: grant.and_then(|grant| grant.identity.login.clone()),
        client: session.client_id.to_string(),
        client_name: session.client_name,
        resource: session.resource,
        scopes: session.scopes.to_string(),
        created: session.created.0,
        used: session.used.0,
        checked: grant.map(|grant| grant.checked.0),
        expires: session.expires.0,
    }
}

fn client_line(kept: &KeptClient) -> ClientLine {
    ClientLine {
        id: kept.client.id.to_string(),
        name: kept.client.name.clone(),
        source: match kept.client.source {
            ClientSource::Registered { .. } => "registered",
            ClientSource::Document => "document",
            ClientSource::Known => "known",
        }
        .to_owned(),
        expires: kept.expires.map(|expires| expires.0),
    }
}

/// "1 session", "2 sessions".
pub(super) fn counted(number: usize, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}
