//! What every resource knows of its own history.

use super::{clock::Timestamp, id::UserId, label::Labels};

/// Labels, and who created and last modified a resource when (spec/contract/CONTRACT.md §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The client's own marks.
    pub labels: Labels,
    /// When the resource came to be; unique and rising among the changes of one account.
    pub created_at: Timestamp,
    /// When the resource last changed; `created_at` until then.
    pub modified_at: Timestamp,
    /// Who created it.
    pub created_by: UserId,
    /// Who modified it last, if anyone has.
    pub modified_by: Option<UserId>,
}

impl Metadata {
    /// Of a resource that `by` creates now.
    #[must_use]
    pub fn new(labels: Labels, at: Timestamp, by: UserId) -> Self {
        Self { labels, created_at: at, modified_at: at, created_by: by, modified_by: None }
    }

    /// Records a modification. Its time is later than that of every earlier one, also when the clock went back.
    pub fn modified(&mut self, at: Timestamp, by: UserId) {
        self.modified_at = at.max(self.modified_at.next());
        self.modified_by = Some(by);
    }
}
