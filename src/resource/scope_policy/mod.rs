//! MCP method and name -> the scopes that open it; the most specific rule decides.
//!
//! Names are compared byte for byte, as MCP tells them apart: `Delete_x` is another tool than `delete_x`, and falls to the
//! rule for all others if there is one. Before a server that takes the two for the same no wide rule should stand:
//! where only open names are named, every other spelling is refused.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use url::Url;

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

    /// Whether some scope opens `method` for some names alone.
    #[must_use]
    pub fn tells_names_apart(&self, method: &str) -> bool {
        let rules = self.rules.get(method);
        rules.is_some_and(|rules| rules.iter().any(|rule| rule.pattern.is_some()))
    }

    /// Whether who holds these scopes may use `method` with every name there is.
    #[must_use]
    pub fn opens_every_name(&self, method: &str, held: &ScopeSet) -> bool {
        let is_open = |rule: &Rule| rule.scopes.iter().any(|scope| held.contains(scope));
        self.rules.get(method).is_some_and(|rules| {
            rules.iter().any(|rule| rule.pattern.is_none()) && rules.iter().all(is_open)
        })
    }

    /// Whether this list can be one thing for one token and another for the next: whether somebody who may ask for it by
    /// `list` may not use `opener` with every name.
    #[must_use]
    pub fn tells_tokens_apart(&self, list: &str, opener: &str) -> bool {
        let Need::AnyOf(scopes) = self.needed(list, None) else {
            return false;
        };
        let mut alone = scopes.into_iter().map(|scope| [scope.clone()].into_iter());
        alone.any(|alone| !self.opens_every_name(opener, &alone.collect()))
    }

    /// What `method` needs for one URI of `template` (RFC 6570) at least, as far as patterns tell: the scopes of every rule
    /// that can decide for one, the widest first.
    #[must_use]
    pub fn needed_by_template(&self, method: &str, template: &str) -> Need<'_> {
        let Some(rules) = self.rules.get(method) else {
            return self.needed(method, None);
        };
        let met = met_by(rules, template);
        let scopes: Vec<_> = met.iter().rev().flat_map(|rule| &rule.scopes).collect();
        if scopes.is_empty() {
            return Need::Unknown;
        }
        Need::AnyOf(scopes)
    }

    /// What `method` needs for all URIs of `template`: what every rule asks that can decide for one.
    #[must_use]
    pub fn needed_by_every_uri(&self, method: &str, template: &str) -> Vec<Need<'_>> {
        let Some(rules) = self.rules.get(method) else {
            return vec![self.needed(method, None)];
        };
        let met = met_by(rules, template);
        if met.is_empty() {
            return vec![Need::Unknown];
        }
        let needs = met.into_iter().rev();
        needs
            .map(|rule| Need::AnyOf(rule.scopes.iter().collect()))
            .collect()
    }

    /// Whether everybody who reads `uri` reads the same, or at least nothing that `method` needs more for. Servers parse it
    /// before they look it up, and what a parser makes of other capitals, dots, escapes or white space is not what was
    /// judged. Fragments and passwords are cut off by some.
    #[must_use]
    pub fn has_one_reading(&self, method: &str, uri: &str) -> bool {
        let is_plain = uri
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\\#".contains(&byte));
        let escapes = uri.match_indices('%').all(|(at, _)| {
            let digits = uri.get(at + 1..at + 3).unwrap_or_default();
            let meant = u8::from_str_radix(digits, 16).unwrap_or(b'.');
            !meant.is_ascii_alphanumeric() && !b"-._~/\\".contains(&meant)
        });
        let dots = uri.split(['/', '?']).any(|part| matches!(part, "." | ".."));
        let as_parsed = Url::parse(uri).map_or(true, |url| {
            let is_anybodys = url.username().is_empty() && url.password().is_none();
            // The path of a bare origin: parsers write it out.
            let is_same = url.as_str() == uri
                || url.as_str().strip_suffix('/') == Some(uri)
                    && self.needed(method, Some(uri)) == self.needed(method, Some(url.as_str()));
            is_anybodys && is_same
        });
        is_plain && escapes && !dots && as_parsed
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

    /// Whether it fits a text that has these literals with anything between them.
    fn meets(&self, literals: &[&str]) -> bool {
        let Some(pattern) = self.pattern.as_deref() else {
            return true;
        };
        match (pattern.split_once('*'), literals) {
            (_, [name]) => matches(pattern, name),
            (None, literals) => fits(literals.iter().copied(), pattern),
            // What stands in the middle of one has room where the other leaves it open: only the ends can clash.
            (Some((head, rest)), literals) => {
                let tail = rest.rsplit('*').next().unwrap_or_default();
                let (first, last) = (literals.first(), literals.last());
                first.is_some_and(|first| first.starts_with(head) || head.starts_with(first))
                    && last.is_some_and(|last| last.ends_with(tail) || tail.ends_with(last))
            }
        }
    }
}

/// What is the same in all URIs of a template: the text around its expressions. One that is never closed goes to the end.
#[must_use]
pub fn literals(template: &str) -> Vec<&str> {
    let mut literals = Vec::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        literals.push(literal);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    literals.push(rest);
    literals
}

/// The rules that can decide for a URI of a template, the most specific first. One that holds for all of them leaves nothing
/// to less specific ones.
fn met_by<'a>(rules: &'a [Rule], template: &str) -> Vec<&'a Rule> {
    let literals = literals(template);
    // No pattern has a NUL in it: what fits this fits whatever stands in the place of the expressions.
    let any = literals.join("\0");
    let mut decided = None;
    let mut met = Vec::new();
    for rule in rules.iter().filter(|rule| rule.meets(&literals)) {
        if decided.is_some_and(|decided| rule.specificity < decided) {
            break;
        }
        met.push(rule);
        if rule.fits(Some(&any)) {
            decided = Some(rule.specificity);
        }
    }
    met
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
    fits(pattern.split('*'), name)
}

/// Whether `name` has these parts in their order, with anything between them.
fn fits<'a>(mut parts: impl DoubleEndedIterator<Item = &'a str>, name: &str) -> bool {
    let Some(mut left) = parts.next().and_then(|head| name.strip_prefix(head)) else {
        return false;
    };
    let Some(tail) = parts.next_back() else {
        return left.is_empty();
    };
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(tail)
}
