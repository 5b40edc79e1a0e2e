//! Preconditions: what must hold of the present state of something for a change to be made.

use super::Result;

/// A condition on a `T`, held against it within the change: nothing can come in between.
pub trait Precondition<T> {
    /// Whether the change may be made.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`](super::Error::PreconditionFailed)
    fn check(&self, present: &T) -> Result<()>;
}
