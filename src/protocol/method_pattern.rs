//! What a scope opens: an MCP method, or a method with a tool, prompt or resource by name.

/// `tools/list`, or `tools/call:delete_*`: what stands on the right side in `[scopes]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodPattern {
    /// The MCP method, exactly.
    pub method: String,
    /// A pattern for `params.name` or `params.uri`, in which `*` stands for any characters; none: every name.
    pub name: Option<String>,
}
