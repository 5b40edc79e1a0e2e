//! Accounts: the tenants.

use serde::{Deserialize, Serialize};

use super::{
    clock::Timestamp,
    id::{AccountId, UserId},
    label::Labels,
    metadata::Metadata,
    name::{Email, FreeText, ResourceName},
    postal_address::PostalAddress,
    spelled,
};

spelled! {
    /// How far an account's life has come. Here each is active until it is deleted.
    AccountState, "must be active" {
        /// In use.
        Active = "active",
        /// Not in use yet.
        Pending = "pending",
        /// Soon to be deleted.
        DeletePending = "deletePending",
    }
}

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
    /// Who answers for it.
    pub contact: Option<AccountContact>,
    /// Its history.
    pub metadata: Metadata,
}

impl Account {
    /// An account that is enabled from its creation on.
    #[must_use]
    pub fn new(id: AccountId, name: ResourceName, metadata: Metadata) -> Self {
        Self { id, name, is_enabled: true, enabled_at: Some(metadata.created_at), contact: None, metadata }
    }
}

impl Account {
    /// Takes over what is given.
    pub fn apply(&mut self, change: AccountChange, at: Timestamp, by: UserId) {
        if change.is_enabled == Some(true) && !self.is_enabled {
            self.enabled_at = Some(at);
        }
        self.name = change.name.unwrap_or_else(|| self.name.clone());
        self.is_enabled = change.is_enabled.unwrap_or(self.is_enabled);
        self.contact = change.contact.or_else(|| self.contact.clone());
        self.metadata.labels = change.labels.unwrap_or_else(|| self.metadata.labels.clone());
        self.metadata.modified(at, by);
    }
}

/// Who answers for an account. Members are called as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountContact {
    /// A first name.
    pub first_name: FreeText,
    /// A last name.
    pub last_name: FreeText,
    /// A company.
    pub company_name: Option<FreeText>,
    /// An address to write to.
    pub email: Email,
    /// A number to call.
    pub phone: Option<FreeText>,
    /// Where letters go.
    pub postal_address: PostalAddress,
}

/// What a client gives to have an account made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// What it shall be called.
    pub name: ResourceName,
    /// The client's marks.
    pub labels: Labels,
}

/// What a client gives to modify an account: `None` preserves.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    /// Must agree with the account's.
    pub id: Option<AccountId>,
    /// A new name.
    pub name: Option<ResourceName>,
    /// Disable, or enable.
    pub is_enabled: Option<bool>,
    /// Who answers for it from now on.
    pub contact: Option<AccountContact>,
    /// Labels that replace all present ones.
    pub labels: Option<Labels>,
}
