//! The profile of the person at GitHub: what a tool does with the provider's token of whoever calls it.

use http::header::{ACCEPT, AUTHORIZATION};
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::outbound::Outbound;
use crate::protocol::ids::ProviderId;
use crate::protocol::principal::Principal;

/// GitHub's API, for people who signed in at this provider.
#[derive(Clone)]
pub struct GitHubApi {
    /// The provider's name in the configuration.
    pub provider: ProviderId,
    /// Where the API is.
    pub url: Url,
    /// Who asks it.
    pub outbound: Outbound,
}

/// What GitHub shows of a person to themselves. Nothing that is not on their public page.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Profile {
    login: String,
    name: Option<String>,
    company: Option<String>,
    location: Option<String>,
    bio: Option<String>,
    public_repos: Option<u64>,
    followers: Option<u64>,
}

impl Profile {
    /// In lines.
    pub(super) fn text(&self) -> String {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let lines = [
            ("login", Some(self.login.clone())),
            ("name", self.name.clone()),
            ("company", self.company.clone()),
            ("location", self.location.clone()),
            ("bio", self.bio.clone()),
            ("public repositories", number(self.public_repos)),
            ("followers", number(self.followers)),
        ];
        let told = lines
            .into_iter()
            .filter_map(|(label, value)| Some(format!("{label}: {}", value?)));
        told.collect::<Vec<_>>().join("\n")
    }
}

/// Asks GitHub, in the name of whoever calls, for their profile.
///
/// # Errors
/// Why not, in words for the model.
pub(super) async fn of(
    principal: Option<&Principal>,
    apis: &[GitHubApi],
) -> Result<Profile, String> {
    let principal = principal
        .ok_or("nobody is signed in: this server runs without authorization, or apart from it")?;
    let subject = &principal.identity().subject;
    let api = apis
        .iter()
        .find(|api| subject.is_at(&api.provider))
        .ok_or("the person did not sign in with GitHub")?;
    let token = principal.upstream_token().await;
    let token = token.map_err(|none| none.to_string())?;
    let mut url = api.url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("user");
    }
    let request = Request::get(url.as_str())
        .header(AUTHORIZATION, format!("Bearer {}", token.expose()))
        .header(ACCEPT, "application/vnd.github+json")
        .body(Vec::new())
        .map_err(|_| "the request to GitHub cannot be made")?;
    let answer = api.outbound.send(request).await;
    let answer = answer.map_err(|error| format!("GitHub cannot be asked now: {error}"))?;
    match answer.status() {
        StatusCode::OK => serde_json::from_slice(answer.body())
            .map_err(|_| "the answer of GitHub cannot be read".to_owned()),
        status => Err(format!("GitHub answers with status {}", status.as_u16())),
    }
}
