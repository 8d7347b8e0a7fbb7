//! The documents of the sample server.

use rmcp::model::{
    ErrorData, ListResourcesResult, ReadResourceResponse, ReadResourceResult, Resource,
    ResourceContents,
};

/// The table of contents.
pub(super) fn list() -> ListResourcesResult {
    let resources = DOCUMENTS.iter().map(|document| {
        Resource::new(document.uri(), document.name)
            .with_description(document.description)
            .with_mime_type(document.mime_type)
            .with_size(document.text.len() as u64)
    });
    ListResourcesResult::with_all_items(resources.collect())
}

/// One of them.
pub(super) fn read(uri: &str) -> Result<ReadResourceResponse, ErrorData> {
    let document = DOCUMENTS
        .iter()
        .find(|document| document.uri() == uri)
        .ok_or_else(|| {
            let data = serde_json::json!({ "uri": uri });
            ErrorData::resource_not_found(
                "there is no such resource: see resources/list",
                Some(data),
            )
        })?;
    let contents = ResourceContents::text(document.text, uri).with_mime_type(document.mime_type);
    Ok(ReadResourceResult::new(vec![contents]).into())
}

struct Document {
    name: &'static str,
    description: &'static str,
    mime_type: &'static str,
    text: &'static str,
}

impl Document {
    fn uri(&self) -> String {
        format!("sample:///{}", self.name)
    }
}

const DOCUMENTS: [Document; 4] = [
    Document {
        name: "welcome.txt",
        description: "What this server is, and what to try first",
        mime_type: "text/plain",
        text: "Welcome to the sample server of anteroom.\n\n\
               If you can read this, your client found the authorization server, signed you in and was given a token.\n\n\
               Try next:\n\
               - the tool `whoami`: the account you signed in with, as this server sees it\n\
               - the tool `divide` with 1 and 0: how a tool says that it cannot do what was asked\n\
               - the prompt `security_review` with some code of yours\n",
    },
    Document {
        name: "config.json",
        description: "What this server offers, as JSON",
        mime_type: "application/json",
        text: concat!(
            "{\n  \"name\": \"anteroom-sample\",\n  \"version\": \"",
            env!("CARGO_PKG_VERSION"),
            "\",\n  \"revisions\": [\"2025-03-26\", \"2025-06-18\", \"2025-11-25\", \"2026-07-28\"],\n",
            "  \"features\": { \"tools\": true, \"prompts\": true, \"resources\": true }\n}\n"
        ),
    },
    Document {
        name: "sample.md",
        description: "A page of Markdown",
        mime_type: "text/markdown",
        text: "# Sample page\n\n\
               A page of *Markdown*, to see how a client shows it.\n\n\
               | scope | opens |\n| --- | --- |\n\
               | `mcp:tools:execute` | `tools/call` |\n\
               | `mcp:resources:read` | `resources/read`: this page |\n\n\
               ```rust\nfn main() {\n    println!(\"the door is open\");\n}\n```\n",
    },
    Document {
        name: "oauth2-config.yaml",
        description: "What an MCP client finds and does before it reaches this server",
        mime_type: "application/yaml",
        text: "# What an MCP client goes through before it reaches a server behind anteroom.\n\
               challenge: 401 with WWW-Authenticate, which names the metadata of the resource\n\
               resource_metadata: /.well-known/oauth-protected-resource\n\
               authorization_server_metadata: /.well-known/oauth-authorization-server\n\
               endpoints:\n  authorize: /authorize\n  token: /token\n  register: /register\n  revoke: /revoke\n\
               flow:\n  response_type: code\n  code_challenge_method: S256   # PKCE is always required\n  \
               refresh_tokens: rotate at each use\n",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_that_is_listed_can_be_read() {
        let listed = list().resources;
        let names: Vec<_> = listed
            .iter()
            .map(|resource| resource.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "welcome.txt",
                "config.json",
                "sample.md",
                "oauth2-config.yaml"
            ]
        );
        for resource in listed {
            let ReadResourceResponse::Complete(read) = read(&resource.uri).unwrap() else {
                panic!("{}", resource.uri)
            };
            let ResourceContents::TextResourceContents {
                text, mime_type, ..
            } = &read.contents[0]
            else {
                panic!("{}", resource.uri)
            };
            assert_eq!(*mime_type, resource.mime_type, "{}", resource.uri);
            assert_eq!(Some(text.len() as u64), resource.size, "{}", resource.uri);
        }
    }

    #[test]
    fn the_json_document_is_json() {
        let document = DOCUMENTS
            .iter()
            .find(|document| document.name == "config.json");
        serde_json::from_str::<serde_json::Value>(document.unwrap().text).unwrap();
    }

    #[test]
    fn nothing_but_a_listed_document_can_be_read() {
        for uri in [
            "",
            "welcome.txt",
            "sample:///",
            "sample:///../welcome.txt",
            "file:///etc/passwd",
        ] {
            assert!(read(uri).is_err(), "{uri}");
        }
    }
}
