//! What a provider is asked for: the scopes and parameters of the authorization request, and the same in words.

use oauth2::Scope;

use super::OidcSettings;
use super::discovery::Known;
use crate::protocol::person_rule::PersonRule;
use crate::upstream::Intent;

/// The scopes to ask for, `openid` first. To stay connected is asked for only where somebody wants to, and the provider
/// does not exclude it.
pub(super) fn scopes(settings: &OidcSettings, known: &Known, intent: Intent) -> Vec<Scope> {
    let mut scopes = vec![OPENID];
    for scope in &settings.scopes {
        let fits =
            *scope != OFFLINE_ACCESS || intent == Intent::Connect && known.supports(OFFLINE_ACCESS);
        if fits && !scopes.contains(&scope.as_str()) {
            scopes.push(scope);
        }
    }
    let scopes = scopes.into_iter();
    scopes.map(|scope| Scope::new(scope.to_owned())).collect()
}

/// Parameters that not every provider is sent.
pub(super) fn more(
    settings: &OidcSettings,
    scopes: &[Scope],
    intent: Intent,
) -> Vec<(&'static str, String)> {
    if !settings.google {
        // Core §11: without it, the request for offline access is ignored
        let offline = scopes.iter().any(|scope| scope.as_str() == OFFLINE_ACCESS);
        let prompt = match intent {
            Intent::Connect => offline.then_some("consent"),
            // not select_account, which some providers refuse to have heard of
            Intent::Identify => Some("login"),
        };
        let prompt = prompt.map(|prompt| ("prompt", prompt.to_owned()));
        return prompt.into_iter().collect();
    }
    let mut more = match intent {
        // Google gives a refresh token only to whoever agrees again
        Intent::Connect => vec![
            ("access_type", "offline".to_owned()),
            ("prompt", "consent select_account".to_owned()),
        ],
        Intent::Identify => vec![("prompt", "select_account".to_owned())],
    };
    // a hint that saves people the wrong account; what counts is signed
    if let [PersonRule::Domain(domain)] = settings.rules.allow.as_slice() {
        more.push(("hd", domain.clone()));
    }
    more
}

/// What is asked for in words for the consent page.
pub(super) fn in_words(settings: &OidcSettings) -> Vec<String> {
    let scopes = settings.scopes.iter().map(String::as_str);
    let google = settings.google.then_some(OFFLINE_ACCESS);
    let mut asked: Vec<String> = Vec::new();
    for scope in [OPENID].into_iter().chain(scopes).chain(google) {
        let words = match scope {
            OPENID => "who you are (openid)",
            "email" => "your e-mail address (read)",
            "profile" => "your profile (read)",
            OFFLINE_ACCESS => "to stay signed in (offline access)",
            other => other,
        };
        if !asked.iter().any(|it| it == words) {
            asked.push(words.to_owned());
        }
    }
    asked
}

const OPENID: &str = "openid";
const OFFLINE_ACCESS: &str = "offline_access";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_said_in_words() {
        let mut settings = crate::upstream::oidc::fake::settings("https://op.example");
        let [who, email, profile, offline] = [
            "who you are (openid)",
            "your e-mail address (read)",
            "your profile (read)",
            "to stay signed in (offline access)",
        ];
        assert_eq!(in_words(&settings), [who, email, profile, offline]);
        settings.scopes = vec!["groups".to_owned(), "openid".to_owned()];
        assert_eq!(in_words(&settings), [who, "groups"]);
        settings.google = true;
        assert_eq!(in_words(&settings), [who, "groups", offline]);
    }
}
