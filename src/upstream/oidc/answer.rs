//! What the answers of an `OpenID` provider's token endpoint mean, and what of its errors may be told.

use std::fmt;

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    EndpointNotSet, EndpointSet, ExtraTokenFields, RequestTokenError, StandardRevocableToken,
    StandardTokenResponse,
};
use serde::{Deserialize, Serialize};

use crate::outbound::OutboundError;
use crate::upstream::UpstreamError;

/// We as the client of an `OpenID` provider.
pub(super) type OAuthClient = oauth2::Client<
    BasicErrorResponse,
    TokenAnswer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// An answer of the token endpoint, its ID token not looked at yet.
pub(super) type TokenAnswer = StandardTokenResponse<IdTokenField, BasicTokenType>;

/// `id_token` (`OpenID` Connect Core 1.0 §3.1.3.3)
#[derive(Deserialize, Serialize)]
pub(super) struct IdTokenField {
    pub(super) id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

impl fmt::Debug for IdTokenField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdTokenField(..)")
    }
}

/// What is redeemed at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redeemed {
    Code,
    RefreshToken,
}

pub(super) fn invalid(what: &str) -> UpstreamError {
    UpstreamError::Invalid(what.to_owned())
}

/// A request that has no answer.
pub(super) fn unsent(error: &OutboundError) -> UpstreamError {
    match error {
        OutboundError::Connect(_)
        | OutboundError::Timeout(_)
        | OutboundError::Broken(_)
        | OutboundError::Unavailable { .. } => UpstreamError::Unavailable(error.to_string()),
        _ => invalid(&error.to_string()),
    }
}

/// A refusal of the token endpoint.
pub(super) fn refused(
    error: RequestTokenError<OutboundError, BasicErrorResponse>,
    redeemed: Redeemed,
) -> UpstreamError {
    match error {
        RequestTokenError::Request(error) => unsent(&error),
        RequestTokenError::ServerResponse(answer) => {
            refused_with(answer.error().as_ref(), redeemed)
        }
        // Either would print what the provider sent.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            invalid("the answer of the token endpoint cannot be read")
        }
    }
}

fn refused_with(code: &str, redeemed: Redeemed) -> UpstreamError {
    match code {
        "server_error" | "temporarily_unavailable" | "slow_down" => {
            UpstreamError::Unavailable(format!("the token endpoint answers {code}"))
        }
        // without the person, it goes no further
        "invalid_grant" | "interaction_required" | "login_required" | "consent_required"
            if redeemed == Redeemed::RefreshToken =>
        {
            UpstreamError::Ended(format!("the token endpoint answers {code}"))
        }
        "invalid_client" => invalid(
            "invalid_client: client_id and client_secret are not those of the application at the provider",
        ),
        "redirect_uri_mismatch" => {
            invalid("redirect_uri_mismatch: the callback URL is not registered for the application")
        }
        code => match plain_code(code) {
            Some(code) => invalid(&format!("the token endpoint answers {code}")),
            None => invalid("the token endpoint answers an error"),
        },
    }
}

/// An `error` code, if it is nothing but one (CONS-21).
pub(super) fn plain_code(code: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    ((1..=64).contains(&code.len()) && code.bytes().all(plain)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CONS-21, CONS-22
    #[test]
    fn an_error_of_the_token_endpoint_is_told_by_its_code_alone() {
        let ended = "the provider has ended it: the token endpoint answers invalid_grant";
        for (code, redeemed, told) in [
            (
                "invalid_grant",
                Redeemed::Code,
                "the provider's answer is of no use: the token endpoint answers invalid_grant",
            ),
            ("invalid_grant", Redeemed::RefreshToken, ended),
            (
                "unauthorized_client",
                Redeemed::RefreshToken,
                "the provider's answer is of no use: the token endpoint answers unauthorized_client",
            ),
            (
                "temporarily_unavailable",
                Redeemed::RefreshToken,
                "the provider is unavailable: the token endpoint answers temporarily_unavailable",
            ),
            (
                "<script>",
                Redeemed::Code,
                "the provider's answer is of no use: the token endpoint answers an error",
            ),
            (
                "",
                Redeemed::Code,
                "the provider's answer is of no use: the token endpoint answers an error",
            ),
        ] {
            assert_eq!(refused_with(code, redeemed).to_string(), told, "{code}");
        }
        let ours = refused_with("invalid_client", Redeemed::RefreshToken);
        assert!(matches!(&ours, UpstreamError::Invalid(text) if text.contains("client_secret")));
    }

    #[test]
    fn only_what_may_pass_is_called_unavailable() {
        let host = || "op.example".to_owned();
        for (error, later) in [
            (OutboundError::Connect(host()), true),
            (OutboundError::Timeout(host()), true),
            (OutboundError::Broken(host()), true),
            (OutboundError::TooLarge(host()), false),
            (OutboundError::NotHttps(host()), false),
        ] {
            let is_later = matches!(unsent(&error), UpstreamError::Unavailable(_));
            assert_eq!(is_later, later, "{error}");
        }
    }
}
