//! What the tests share.

pub(crate) mod answer;
pub(crate) mod backend;
pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod gate;
pub(crate) mod listening;
pub(crate) mod log;
pub(crate) mod openid;
pub(crate) mod patience;
pub(crate) mod process;
pub(crate) mod provider;
pub(crate) mod revision;
pub(crate) mod server;
pub(crate) mod visitor;
pub(crate) mod website;
