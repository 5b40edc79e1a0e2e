//! Roles and their order.

use super::spelled;

spelled! {
    /// What a user may do in an account; each role may all that the ones before it may (spec/contract/CONTRACT.md §9).
    Role, "must be viewer, member, admin or owner" {
        /// Reads.
        Viewer = "viewer",
        /// Reads, and minds its own things.
        Member = "member",
        /// Rules over lower roles.
        Admin = "admin",
        /// Rules over the account.
        Owner = "owner",
    }
}
