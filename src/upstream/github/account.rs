//! The account that signed in, as GitHub's user API shows it.

use serde::Deserialize;

use super::api::{Answer, Api};
use super::invalid;
use crate::secret::Secret;
use crate::upstream::UpstreamError;

/// The account that signed in.
pub(super) struct Account {
    pub(super) id: u64,
    pub(super) login: String,
    pub(super) name: Option<String>,
}

/// Whose token it is.
pub(super) async fn account_of(api: &Api, token: &Secret) -> Result<Account, UpstreamError> {
    match api.get::<User>(token, &["user"]).await? {
        Answer::Found(user) => Account::try_from(user.value),
        Answer::Absent => Err(invalid("GET /user answers 404: is api_url right?")),
        Answer::Refused(_) => Err(invalid("GET /user answers 403")),
    }
}

/// The address of an account. Only the primary one counts, for the rules too: it is what the server behind is told, so that
/// nobody is let in by an address that is shown nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Email {
    /// The primary address, verified by GitHub.
    Verified(String),
    /// GitHub has not verified the primary address.
    Unverified,
    /// GitHub does not let us see it.
    Hidden,
}

impl Email {
    pub(super) fn verified(self) -> Option<String> {
        match self {
            Self::Verified(address) => Some(address),
            Self::Unverified | Self::Hidden => None,
        }
    }
}

/// The primary address of whose token it is.
pub(super) async fn email(api: &Api, token: &Secret) -> Result<Email, UpstreamError> {
    let Answer::Found(listed) = api.list::<Listed>(token, &["user", "emails"]).await? else {
        return Ok(Email::Hidden);
    };
    let mut listed = listed.value.into_iter();
    let primary = listed.find(|email| email.primary && email.verified);
    Ok(primary.map_or(Email::Unverified, |email| Email::Verified(email.address)))
}

/// An account, in the API about the person and in the one about a token.
#[derive(Deserialize)]
pub(super) struct User {
    id: Option<u64>,
    login: Option<String>,
    #[serde(default)]
    name: Name,
}

/// What an answer says of the name to show.
#[derive(Default, Deserialize)]
#[serde(from = "Option<String>")]
enum Name {
    /// Nothing: not every part of the API tells it.
    #[default]
    Untold,
    /// This is it, or there is none.
    Told(Option<String>),
}

impl From<Option<String>> for Name {
    fn from(told: Option<String>) -> Self {
        Self::Told(told)
    }
}

impl User {
    /// Whether it says what the account is called, or that it is called nothing.
    pub(super) fn tells_name(&self) -> bool {
        matches!(self.name, Name::Told(_))
    }
}

/// `GET /user/emails`
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "email")]
    address: String,
    primary: bool,
    verified: bool,
}

impl TryFrom<User> for Account {
    type Error = UpstreamError;

    fn try_from(user: User) -> Result<Self, UpstreamError> {
        // Without a number there is nobody to be: never a default.
        let id = user.id.filter(|id| *id != 0);
        let id = id.ok_or_else(|| invalid("the user has no id"))?;
        let plain = |login: &String| {
            (1..=100).contains(&login.len()) && login.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let login = user.login.filter(plain);
        let login = login.ok_or_else(|| invalid("the user has no login"))?;
        let name = match user.name {
            Name::Told(Some(name)) => name,
            Name::Told(None) | Name::Untold => String::new(),
        };
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        let name = name.trim();
        Ok(Self {
            id,
            login,
            name: (!name.is_empty()).then(|| name.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// U7, CONS-19
    #[test]
    fn an_account_is_its_number_and_never_a_default() {
        for (body, account) in [
            (
                r#"{"id":1,"login":"mona","name":" Mona "}"#,
                Some((1, "mona", Some("Mona"))),
            ),
            (r#"{"id":1,"login":"mona"}"#, Some((1, "mona", None))),
            (
                r#"{"id":1,"login":"mona","name":null}"#,
                Some((1, "mona", None)),
            ),
            (
                r#"{"id":1,"login":"mona","name":"\r\n"}"#,
                Some((1, "mona", None)),
            ),
            (
                r#"{"id":1,"login":"mona","name":"A\r\nX-B: c"}"#,
                Some((1, "mona", Some("AX-B: c"))),
            ),
            (r#"{"login":"mona"}"#, None),
            (r#"{"id":null,"login":"mona"}"#, None),
            (r#"{"id":0,"login":"mona"}"#, None),
            (r#"{"id":1}"#, None),
            (r#"{"id":1,"login":""}"#, None),
            (r#"{"id":1,"login":"a b"}"#, None),
            (r#"{"id":1,"login":"a\r\nb"}"#, None),
        ] {
            let user: User = serde_json::from_str(body).unwrap();
            assert_eq!(user.tells_name(), body.contains("name"), "{body}");
            let read = Account::try_from(user).ok();
            let read = read
                .as_ref()
                .map(|a| (a.id, a.login.as_str(), a.name.as_deref()));
            assert_eq!(read, account, "{body}");
        }
        for body in [
            r#"{"id":"1","login":"mona"}"#,
            r#"{"id":-1,"login":"mona"}"#,
            r#"{"id":1,"id":2,"login":"m"}"#,
        ] {
            assert!(serde_json::from_str::<User>(body).is_err(), "{body}");
        }
    }
}
