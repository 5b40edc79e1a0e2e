//! Accounts: the tenants, and the requests to create and modify them.

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
    /// The lifecycle state of an account. In this service an account is active until it is deleted.
    AccountState, "must be active" {
        /// In use.
        Active = "active",
        /// Not in use yet.
        Pending = "pending",
        /// Scheduled for deletion.
        DeletePending = "deletePending",
    }
}

/// A tenant. The resources of one account are not visible from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The account's id.
    pub id: AccountId,
    /// The account's name.
    pub name: ResourceName,
    /// A disabled account refuses everyone but its owners.
    pub is_enabled: bool,
    /// When the account was last enabled.
    pub enabled_at: Option<Timestamp>,
    /// The contact person of the account.
    pub contact: Option<AccountContact>,
    /// Labels, creation and last modification.
    pub metadata: Metadata,
}

impl Account {
    /// A new account, enabled and without a contact.
    #[must_use]
    pub fn new(id: AccountId, name: ResourceName, metadata: Metadata) -> Self {
        Self { id, name, is_enabled: true, enabled_at: Some(metadata.created_at), contact: None, metadata }
    }
}

impl Account {
    /// Applies the change. Fields that are `None` keep their value.
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

/// The contact person of an account, serialized with the field names of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountContact {
    /// The contact's first name.
    pub first_name: FreeText,
    /// The contact's last name.
    pub last_name: FreeText,
    /// The contact's company.
    pub company_name: Option<FreeText>,
    /// The contact's email address.
    pub email: Email,
    /// The contact's phone number.
    pub phone: Option<FreeText>,
    /// The contact's postal address.
    pub postal_address: PostalAddress,
}

/// A request to create an account.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// The account's name.
    pub name: ResourceName,
    /// The labels set by the client.
    pub labels: Labels,
}

/// A request to modify an account. `None` keeps the present value.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    /// If given, must equal the account's id.
    pub id: Option<AccountId>,
    /// The new name.
    pub name: Option<ResourceName>,
    /// Whether to enable or disable the account.
    pub is_enabled: Option<bool>,
    /// The new contact person.
    pub contact: Option<AccountContact>,
    /// The new labels, which replace all present ones.
    pub labels: Option<Labels>,
}
