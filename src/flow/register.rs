//! Dynamic client registration (RFC 7591).

use crate::event::Event;
use crate::protocol::ids::{ClientId, Handle, Id};
use crate::protocol::register::{self, Fresh, Registration};

use super::{Failure, Flows};

impl Flows {
    /// Registers a client; it is forgotten again unless somebody signs in with it.
    ///
    /// # Errors
    /// What is wrong with the request, by field and rule.
    pub async fn register(&self, body: &[u8]) -> Result<Registration, Failure> {
        let now = self.now();
        let id = ClientId::new(Id::new(now).to_string());
        let fresh = Fresh {
            uri: self.issuer.url(&format!("/register/{id}")),
            id,
            secret: Handle::new(now).clear,
            access: Handle::new(now).clear,
            issuer: self.issuer.as_str().to_owned(),
            now,
        };
        let registration =
            register::register(body, &self.scopes, fresh).inspect_err(|refused| {
                Event::RegistrationRefused { error: refused }.tell();
            })?;
        self.store
            .put_client(
                registration.client.clone(),
                now + self.lifetimes.unused_client,
            )
            .await?;
        Event::ClientRegistered {
            client: &registration.client.id,
        }
        .tell();
        Ok(registration)
    }
}
