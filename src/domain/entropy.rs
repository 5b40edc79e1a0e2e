//! The source of random bytes, as a parameter of the service.

use std::io;

/// A source of unpredictable bytes, from which ids and secrets are generated.
pub trait Entropy: Send + Sync {
    /// Fills the buffer with random bytes.
    ///
    /// # Errors
    /// When the source fails. The buffer must not be used then.
    fn fill(&self, buffer: &mut [u8]) -> io::Result<()>;
}

/// The operating system's random number generator.
#[derive(Debug, Clone, Copy)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system")]
    fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
        getrandom::fill(buffer).map_err(io::Error::other)
    }
}
