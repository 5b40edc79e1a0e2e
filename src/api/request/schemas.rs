//! The schemas that request bodies are held against.

use jsonschema::Validator;

/// The schemas of the document that bodies are held against, by name.
pub(in crate::api) type Schemas = std::collections::HashMap<String, Validator>;
