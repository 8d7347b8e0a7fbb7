//! Logos: fetched by us, shown from our own origin (CLI-22).

use std::net::IpAddr;

use url::Url;

pub use crate::document::Logo;
use crate::protocol::client::{Client, ClientSource};
use crate::seal::{Purpose, Sealed};

use super::Flows;

impl Flows {
    /// What a page puts into its link to the logo of a client: the logo's address, sealed, so that nobody can make us fetch
    /// what they like. Only for clients that are described at their client id: that host is who it says it is, while whoever
    /// registers could borrow anybody's face.
    #[must_use]
    pub fn logo_link(&self, client: &Client) -> Option<String> {
        let logo = client.logo.as_deref()?;
        let shown = self.admission.metadata_documents && client.source == ClientSource::Document;
        shown.then(|| {
            let sealed = self.sealer.seal(Purpose::LogoLink, b"", logo.as_bytes());
            sealed.to_text()
        })
    }

    /// The logo behind such a link; nothing where the link is not of our making, or the logo cannot be had.
    pub async fn logo(&self, link: &str, asker: IpAddr) -> Option<Logo> {
        let sealed = Sealed::from_text(link)?;
        let clear = self.sealer.open(Purpose::LogoLink, b"", &sealed).ok()?;
        let url = Url::parse(std::str::from_utf8(&clear).ok()?).ok()?;
        match self.admission.documents.logo(&url, asker).await {
            Ok(logo) => Some(logo),
            Err(error) => {
                tracing::debug!(%error, "a logo cannot be shown");
                None
            }
        }
    }
}
