//! The tests that go through the public parts: one binary, so that it links once.

mod architecture;
mod attacks;
mod authorize;
mod bad_input;
mod callback;
mod checklist;
mod clients;
mod config;
mod consent;
mod crash;
mod demo;
mod discovery;
mod github;
mod harness;
mod pages;
mod proxy;
mod refresh;
mod register;
mod resource;
mod revisions;
mod revoke;
mod standin;
mod store;
mod store_model;
mod token;
