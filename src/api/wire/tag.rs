//! The tags that group the operations in the document.

use poem_openapi::Tags;

/// The tags that group the operations in the document.
#[derive(Tags)]
pub(in crate::api) enum Tag {
    /// Issue, retrieve, list, modify and revoke API tokens.
    Tokens,
    /// The users that tokens belong to.
    Users,
    /// The roles that users have in accounts.
    RoleBindings,
    /// The tenants.
    Accounts,
    /// The audit log.
    Events,
    /// Verify, introspect and revoke tokens by their secrets. For reverse proxies and other services.
    Verification,
    /// What each problem means, and what to do about it.
    Problems,
    /// Health checks for operators of the server.
    Operations,
}
