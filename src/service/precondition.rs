//! Preconditions: conditions on the present state of a resource, without which a change is not made.

use super::Result;

/// A condition on a `T`, checked within the change's transaction, so that no other change can come in between.
pub trait Precondition<T> {
    /// Checks the condition.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](super::Error::PreconditionFailed) if it doesn't hold.
    fn check(&self, present: &T) -> Result<()>;
}
