//! How the operations are grouped in the document.

use poem_openapi::Tags;

/// How the operations are grouped in the document.
#[derive(Tags)]
pub(in crate::api) enum Tag {
    /// Issue, retrieve, list, modify and revoke API tokens.
    Tokens,
    /// Whose tokens they are.
    Users,
    /// Who has which role.
    RoleBindings,
    /// The tenants.
    Accounts,
    /// The audit log.
    Events,
    /// Is a token good, and whose is it? For reverse proxies and other services.
    Verification,
    /// What can go wrong, and what to do then.
    Problems,
    /// For those who run the server.
    Operations,
}
