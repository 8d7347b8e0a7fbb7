//! An error as an operator is told of it.

use std::error::Error;
use std::fmt;

/// An error with its causes, in one line: of what happened in the store or on the way to a server, the error itself says
/// nothing.
#[derive(Clone, Copy, Debug)]
pub struct Causes<'a>(pub &'a dyn Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn an_error_is_told_with_all_its_causes() {
        let disk = Layer("no space left", None);
        assert_eq!(Causes(&disk).to_string(), "no space left");
        let tree = Layer("the tree cannot be written", Some(Box::new(disk)));
        let store = Layer("the store failed", Some(Box::new(tree)));
        assert_eq!(
            Causes(&store).to_string(),
            "the store failed: the tree cannot be written: no space left"
        );
    }
}
