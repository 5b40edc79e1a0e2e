//! The metadata that every resource has.

use super::{clock::Timestamp, id::UserId, label::Labels};

/// Labels, and who created and last modified a resource when (spec/contract/CONTRACT.md §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The labels set by the client.
    pub labels: Labels,
    /// When the resource was created; unique and increasing among the changes of one account.
    pub created_at: Timestamp,
    /// When the resource was last modified; `created_at` before the first modification.
    pub modified_at: Timestamp,
    /// The user that created the resource.
    pub created_by: UserId,
    /// The user that last modified the resource, if any.
    pub modified_by: Option<UserId>,
}

impl Metadata {
    /// The metadata of a resource that `by` creates at that time.
    #[must_use]
    pub fn new(labels: Labels, at: Timestamp, by: UserId) -> Self {
        Self { labels, created_at: at, modified_at: at, created_by: by, modified_by: None }
    }

    /// Records a modification. Its time is later than that of every earlier one, even if the clock went back.
    pub fn modified(&mut self, at: Timestamp, by: UserId) {
        self.modified_at = at.max(self.modified_at.next());
        self.modified_by = Some(by);
    }
}
