//! MCP method and name -> the scopes that open it; the most specific rule decides.

use std::collections::HashMap;

use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::scope::{Scope, ScopeSet};

/// What each scope opens.
#[derive(Clone, Debug)]
pub struct ScopePolicy {
    rules: HashMap<String, Vec<Rule>>,
    default: ScopeSet,
}

/// Names of one method, and the scopes that open them.
#[derive(Clone, Debug)]
struct Rule {
    pattern: Option<String>,
    specificity: Specificity,
    scopes: Vec<Scope>,
}

/// A name in full, before a longer pattern, before a shorter one, before the method alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Method,
    Pattern(usize),
    Name,
}

/// What a method needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need<'a> {
    /// Any valid token.
    Open,
    /// One of these scopes, in the order of the configuration; never empty.
    AnyOf(Vec<&'a Scope>),
    /// Nobody has named it: it is refused.
    Unknown,
}

/// Methods that open a connection, keep it or end it; they tell nothing and do nothing.
const OPEN: [&str; 5] = [
    "initialize",
    "server/discover",
    "ping",
    "logging/setLevel",
    "subscriptions/listen",
];

impl ScopePolicy {
    /// The policy of `[scopes]`; `default` is what is challenged for.
    #[must_use]
    pub fn new(scopes: Vec<(Scope, Vec<MethodPattern>)>, default: ScopeSet) -> Self {
        let mut rules: HashMap<String, Vec<Rule>> = HashMap::new();
        for (scope, patterns) in scopes {
            for pattern in patterns {
                let rules = rules.entry(pattern.method).or_default();
                // `tools/call:*` says no more than `tools/call`.
                let name = pattern.name.filter(|name| name != "*");
                match rules.iter_mut().find(|rule| rule.pattern == name) {
                    Some(rule) if rule.scopes.contains(&scope) => {}
                    Some(rule) => rule.scopes.push(scope.clone()),
                    None => rules.push(Rule::new(name, scope.clone())),
                }
            }
        }
        for rules in rules.values_mut() {
            rules.sort_by_key(|rule| std::cmp::Reverse(rule.specificity));
        }
        Self { rules, default }
    }

    /// What is challenged for, and granted when a client asks for nothing.
    #[must_use]
    pub fn default_scopes(&self) -> &ScopeSet {
        &self.default
    }

    /// What `method` needs, where it is about `name`.
    #[must_use]
    pub fn needed(&self, method: &str, name: Option<&str>) -> Need<'_> {
        if let Some(rules) = self.rules.get(method) {
            return most_specific(rules, name);
        }
        if OPEN.contains(&method) || method.starts_with("notifications/") {
            return Need::Open;
        }
        match self.rules.get("tools/call") {
            // What a task is about is no longer to be seen: who may call any tool may ask for the tasks of such calls.
            Some(rules) if method.starts_with("tasks/") => {
                Need::AnyOf(rules.iter().flat_map(|rule| &rule.scopes).collect())
            }
            _ => Need::Unknown,
        }
    }
}

impl Rule {
    fn new(pattern: Option<String>, scope: Scope) -> Self {
        let specificity = match pattern.as_deref() {
            None => Specificity::Method,
            Some(text) if text.contains('*') => {
                Specificity::Pattern(text.chars().filter(|&letter| letter != '*').count())
            }
            Some(_) => Specificity::Name,
        };
        Self {
            pattern,
            specificity,
            scopes: vec![scope],
        }
    }

    fn fits(&self, name: Option<&str>) -> bool {
        match (self.pattern.as_deref(), name) {
            (None, _) => true,
            (Some(pattern), Some(name)) => matches(pattern, name),
            (Some(_), None) => false,
        }
    }
}

/// The scopes of the fitting rules that are more specific than all others.
fn most_specific<'a>(rules: &'a [Rule], name: Option<&str>) -> Need<'a> {
    let mut fitting = rules.iter().filter(|rule| rule.fits(name)).peekable();
    let Some(best) = fitting.peek().map(|rule| rule.specificity) else {
        return Need::Unknown;
    };
    let equal = fitting.take_while(|rule| rule.specificity == best);
    Need::AnyOf(equal.flat_map(|rule| &rule.scopes).collect())
}

/// Whether `name` is what `pattern` describes; `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(tail)
}
