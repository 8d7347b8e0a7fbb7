//! The page in the place of a refusal, where a person has opened the MCP path in a browser.

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{ACCEPT, AUTHORIZATION, VARY};
use http::{HeaderMap, HeaderValue, Method};

use crate::protocol::accept::wants_page;

/// A page that was made before anybody asked for it: what it shows, and the headers that it travels under.
#[derive(Clone, Debug)]
pub struct Help {
    headers: HeaderMap,
    body: Bytes,
}

impl Help {
    /// A page.
    #[must_use]
    pub fn new(headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        Self {
            headers,
            body: body.into(),
        }
    }

    /// What a request without a token is answered: the refusal, and to a browser the page in place of its body. Status and
    /// challenge stay as they are (RS-01); browsers have no way of their own to meet a Bearer challenge, and show the page.
    pub(super) fn answer(
        &self,
        method: &Method,
        headers: &HeaderMap,
        mut refusal: Response,
    ) -> Response {
        if method != Method::GET && method != Method::HEAD {
            return refusal;
        }
        refusal
            .headers_mut()
            .append(VARY, HeaderValue::from_static("Accept"));
        let accept = headers.get_all(ACCEPT).iter();
        // What cannot be read is wanted by no browser.
        let accept = accept.map(|field| field.to_str().unwrap_or("*/*"));
        if headers.contains_key(AUTHORIZATION) || !wants_page(accept) {
            return refusal;
        }
        for (name, value) in &self.headers {
            refusal.headers_mut().insert(name, value.clone());
        }
        *refusal.body_mut() = Body::from(self.body.clone());
        refusal
    }
}
