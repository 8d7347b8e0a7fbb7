//! The tests that go through the public parts: one binary, so that it links once.

mod architecture;
mod attacks;
mod authorize;
mod bad_input;
mod checklist;
mod clients;
mod config;
mod crash;
mod demo;
mod discovery;
mod github;
mod harness;
mod kill;
mod process;
mod proxy;
mod refresh;
mod register;
mod resource;
mod revisions;
mod revoke;
mod secrets;
mod standin;
mod store;
mod store_model;
mod token;
