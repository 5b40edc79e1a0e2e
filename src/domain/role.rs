//! Roles and their order.

use super::spelled;

spelled! {
    /// A user's role in an account. Each role has all permissions of those before it (spec/contract/CONTRACT.md §9).
    Role, "must be viewer, member, admin or owner" {
        /// Reads the account, its users and role bindings; manages its own profile and tokens.
        Viewer = "viewer",
        /// Has the permissions of a viewer, but a higher rank.
        Member = "member",
        /// Manages users, tokens and role bindings of lower roles.
        Admin = "admin",
        /// Manages the account and everything in it.
        Owner = "owner",
    }
}
