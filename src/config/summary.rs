//! Who may enter where, what is not for everybody, and what each server is told of them, in words.

use super::{Backend, ChildSessions, Config, Server, Told};
use crate::protocol::ids::ProviderId;
use crate::protocol::person_rule::PersonRule;

impl Config {
    /// For those who run it: what stands behind each path, the callback URL of each provider, who may enter by way of it,
    /// and the scopes that are not for everybody. Addresses of people are counted and not named, because it may end up in
    /// a log.
    #[must_use]
    pub fn summary(&self) -> String {
        let servers = self.servers.iter().map(|server| {
            let behind = behind(server);
            format!("  server         {}  {behind}\n", server.path)
        });
        let providers = self.providers.iter().map(|provider| {
            let callback = self.public_url.callback(&provider.id);
            let label = &provider.label;
            let people = if provider.allow.anyone {
                format!("anybody with an account at {label}")
            } else {
                in_words(&provider.allow.rules())
            };
            format!(
                "  callback URL   {callback}  (to enter at {label})\n  who may enter  {people}\n"
            )
        });
        let roles = self.roles.iter().map(|(scope, people)| {
            let here = |id: &ProviderId| -> Vec<PersonRule> {
                let rules = people.iter().filter(|(other, _)| other == id);
                rules.map(|(_, rule)| rule.clone()).collect()
            };
            let named = self.providers.iter().filter_map(|provider| {
                let rules = here(&provider.id);
                let label = &provider.label;
                (!rules.is_empty()).then(|| format!("{} ({label})", in_words(&rules)))
            });
            let people = named.collect::<Vec<_>>().join("; ");
            format!("  only for some  {scope}: {people}\n")
        });
        servers.chain(providers).chain(roles).collect()
    }
}

fn behind(server: &Server) -> String {
    match &server.backend {
        Backend::Sample => "is the sample, in this process".to_owned(),
        Backend::Here => "is in this process".to_owned(),
        Backend::Http(url) => format!("passes on to {url}, {}", is_told(server.identity)),
        Backend::Command(command) => {
            let words = command.in_short();
            match command.sessions {
                ChildSessions::Shared => {
                    format!("runs {words} once, for everybody; it is not told who calls")
                }
                ChildSessions::PerUser => {
                    let most = command.children;
                    let told = is_told(server.identity);
                    format!("runs {words} for each person, {most} at most, {told}")
                }
            }
        }
    }
}

fn is_told(told: Told) -> String {
    let who = match (told.headers, told.assertion) {
        (true, true) => "which is told who calls, signed as well",
        (true, false) => "which is told who calls",
        (false, true) => "which is told who calls, signed",
        (false, false) => "which is not told who calls",
    };
    let token = if told.upstream_token {
        ", and gets the provider's token of each"
    } else {
        ""
    };
    format!("{who}{token}")
}

fn in_words(rules: &[PersonRule]) -> String {
    let (addresses, rest): (Vec<&PersonRule>, Vec<&PersonRule>) =
        rules.iter().partition(|rule| is_one_address(rule));
    let mut words: Vec<String> = rest.into_iter().map(one_in_words).collect();
    match addresses.len() {
        0 => {}
        1 => words.push("one address".to_owned()),
        count => words.push(format!("{count} addresses")),
    }
    words.join(", ")
}

fn is_one_address(rule: &PersonRule) -> bool {
    matches!(rule, PersonRule::Email(pattern) if !pattern.to_string().starts_with("*@"))
}

fn one_in_words(rule: &PersonRule) -> String {
    match rule {
        PersonRule::Anyone => "anybody with an account".to_owned(),
        PersonRule::Id(id) => format!("account {id}"),
        PersonRule::Login(login) => login.clone(),
        PersonRule::Org(org) => format!("members of {org}"),
        PersonRule::Team { org, slug } => format!("members of {org}/{slug}"),
        PersonRule::Domain(domain) => format!("accounts of {domain}"),
        PersonRule::Email(pattern) => format!("verified addresses {pattern}"),
        PersonRule::Claim { name, value } => format!("accounts with {value} in {name}"),
    }
}
