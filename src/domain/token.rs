//! Tokens, and the requests to create and modify them.

use super::{
    clock::Timestamp,
    id::{TokenId, UserId},
    label::Labels,
    metadata::Metadata,
    name::ResourceName,
};

/// A token as the API returns it, without its secret. The store keeps the secret's digest with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token's id; not a secret.
    pub id: TokenId,
    /// The user that owns the token.
    pub user_id: UserId,
    /// The token's name; need not be unique.
    pub name: ResourceName,
    /// Labels, creation and last modification.
    pub metadata: Metadata,
}

impl Token {
    /// A new token of the user `user_id`, created by `by`.
    #[must_use]
    pub fn new(id: TokenId, user_id: UserId, new: NewToken, at: Timestamp, by: UserId) -> Self {
        Self { id, user_id, name: new.name, metadata: Metadata::new(new.labels, at, by) }
    }

    /// Applies the change. Fields that are `None` keep their value.
    pub fn apply(&mut self, change: TokenChange, at: Timestamp, by: UserId) {
        let TokenChange { name, labels, .. } = change;
        self.name = name.unwrap_or_else(|| self.name.clone());
        self.metadata.labels = labels.unwrap_or_else(|| self.metadata.labels.clone());
        self.metadata.modified(at, by);
    }
}

/// A request to create a token.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The token's name.
    pub name: ResourceName,
    /// The labels set by the client.
    pub labels: Labels,
}

impl NewToken {
    /// A request for a token with this name and without labels.
    #[must_use]
    pub fn named(name: ResourceName) -> Self {
        Self { name, labels: Labels::default() }
    }
}

/// A request to modify a token. `None` keeps the present value; the ids may be given but can't change.
#[derive(Debug, Clone, Default)]
pub struct TokenChange {
    /// If given, must equal the token's id.
    pub id: Option<TokenId>,
    /// If given, must equal the id of the token's user.
    pub user_id: Option<UserId>,
    /// The new name.
    pub name: Option<ResourceName>,
    /// The new labels, which replace all present ones.
    pub labels: Option<Labels>,
}
