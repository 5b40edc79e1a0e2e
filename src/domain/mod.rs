//! The nouns of the service and their rules. Pure: no I/O, no HTTP, no SQL.

pub mod account;
pub mod clock;
pub mod collection;
pub mod entropy;
pub mod id;
pub mod label;
pub mod metadata;
pub mod name;
pub mod role;
pub mod role_binding;
pub mod secret;
pub mod token;
pub mod user;

/// Why a value was refused: a predicate that completes "`<field>` …", such as "must not be empty".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    pub(crate) fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
