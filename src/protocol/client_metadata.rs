//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document): a `client_id` that is an https URL, and
//! the document that it names -> [`Client`].

use serde::{Deserialize, Serialize};
use url::Url;

use super::client::Client;
use super::error::OAuthError;
use super::ids::ClientId;
use crate::clock::UnixTime;

/// A `client_id` that is the URL of a document, kept as the text it came as (§3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentUrl {
    text: String,
    url: Url,
}

/// A document as it was last read: what is kept of it, in memory and in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientDocument {
    /// The client that it describes.
    pub client: Client,
    /// Until when it need not be read again.
    pub fresh_until: UnixTime,
    /// `ETag`
    pub etag: Option<String>,
}

impl DocumentUrl {
    /// The URL that a client id is; none where it is no URL at all.
    ///
    /// # Errors
    /// `invalid_client`, with the rule that the URL breaks (CLI-02).
    pub fn parse(id: &ClientId) -> Result<Option<Self>, OAuthError> {
        let text = id.as_str();
        if !text.starts_with("https://") {
            return Ok(None);
        }
        let url = Url::parse(text).map_err(|_| {
            super::error::ErrorCode::InvalidClient.with("the client_id cannot be read as a URL")
        })?;
        Ok(Some(Self {
            text: text.to_owned(),
            url,
        }))
    }

    /// The text of it, byte for byte: the client id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL, to be fetched.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The host: what a person is shown.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// Reads the document at `url` (§4.1).
///
/// # Errors
/// `invalid_client_metadata` or `invalid_redirect_uri`, with the member and the rule.
pub fn read(url: &DocumentUrl, body: &[u8]) -> Result<Client, OAuthError> {
    super::register::document(url, body)
}
