//! The schemas that request bodies are validated against.

use jsonschema::Validator;

/// The compiled schemas of the document, by name.
pub(in crate::api) type Schemas = std::collections::HashMap<String, Validator>;
