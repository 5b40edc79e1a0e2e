//! Tokens: the resource that this service is about.

use super::{
    clock::Timestamp,
    id::{TokenId, UserId},
    label::Labels,
    metadata::Metadata,
    name::ResourceName,
};

/// A token as its owner sees it. The secret isn't part of it; the store keeps that one's digest beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id; not a secret.
    pub id: TokenId,
    /// Whose token it is.
    pub user_id: UserId,
    /// What it is called; need not be unique.
    pub name: ResourceName,
    /// Its history.
    pub metadata: Metadata,
}

impl Token {
    /// A new token of a user, issued by somebody.
    #[must_use]
    pub fn new(id: TokenId, user_id: UserId, new: NewToken, at: Timestamp, by: UserId) -> Self {
        Self { id, user_id, name: new.name, metadata: Metadata::new(new.labels, at, by) }
    }

    /// Takes over what is given.
    pub fn apply(&mut self, change: TokenChange, at: Timestamp, by: UserId) {
        let TokenChange { name, labels, .. } = change;
        self.name = name.unwrap_or_else(|| self.name.clone());
        self.metadata.labels = labels.unwrap_or_else(|| self.metadata.labels.clone());
        self.metadata.modified(at, by);
    }
}

/// What a client gives to have a token made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it shall be called.
    pub name: ResourceName,
    /// The client's marks.
    pub labels: Labels,
}

impl NewToken {
    /// A token of that name, and no more said of it.
    #[must_use]
    pub fn named(name: ResourceName) -> Self {
        Self { name, labels: Labels::default() }
    }
}

/// What a client gives to modify a token: `None` preserves. The identity can be repeated, and not changed.
#[derive(Debug, Clone, Default)]
pub struct TokenChange {
    /// Must agree with the token's.
    pub id: Option<TokenId>,
    /// Must agree with the token's.
    pub user_id: Option<UserId>,
    /// A new name.
    pub name: Option<ResourceName>,
    /// Labels that replace all present ones.
    pub labels: Option<Labels>,
}
