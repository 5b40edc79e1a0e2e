//! Accounts: the tenants.

use super::{clock::Timestamp, id::AccountId, metadata::Metadata, name::ResourceName};

/// A tenant: what lies in one is invisible from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What it is called.
    pub name: ResourceName,
    /// A disabled account refuses everyone but its owners.
    pub is_enabled: bool,
    /// When it was enabled last.
    pub enabled_at: Option<Timestamp>,
    /// Its history.
    pub metadata: Metadata,
}
