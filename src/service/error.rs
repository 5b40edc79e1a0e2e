//! Why a use case ended early. Knows no HTTP.

use crate::{domain::Refused, store::StoreError};

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A field of the request, and what is wrong with it, as a predicate: "must not be empty".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name on the wire, with dots for nesting.
    pub name: String,
    /// What would mend it. Never quotes a secret.
    pub reason: String,
}

impl FieldError {
    /// The field and its fault.
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }
}

/// Why a use case ended early.
#[derive(Debug)]
pub enum Error {
    /// The presented secret is nobody's, or its holder may not use it now. Which of these isn't told.
    InvalidCredentials,
    /// The caller may not do this.
    Forbidden,
    /// There is as much as there may be, with a sentence that says of what.
    QuotaReached(String),
    /// What was asked for isn't there.
    NotFound,
    /// Fields break rules that a schema can't say. Never empty.
    Invalid(Vec<FieldError>),
    /// The query would take too long, with what would mend it.
    TooDear(FieldError),
    /// The preconditions that the caller set don't hold.
    PreconditionFailed,
    /// Fields contradict what can't change. Never empty.
    Conflict(Vec<FieldError>),
    /// The store can't be reached; later it may. For the log only.
    Unavailable(Cause),
    /// A defect. For the log only.
    Internal(Cause),
}

/// What lies behind a failure. Has no `Display`, so that it can't end up in an answer by mistake.
#[derive(Debug, Default)]
pub struct Cause(String);

impl Cause {
    /// For the log.
    #[must_use]
    pub fn for_log(&self) -> &str {
        &self.0
    }
}

impl Error {
    /// Something that has to be waited for, described for the log.
    pub fn unavailable(cause: impl ToString) -> Self {
        Self::Unavailable(Cause(cause.to_string()))
    }

    /// A defect, described for the log.
    pub fn internal(cause: impl ToString) -> Self {
        Self::Internal(Cause(cause.to_string()))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Late | StoreError::Misplaced(_) => Self::unavailable(error),
            StoreError::TooDear { conditions, items } => Self::TooDear(FieldError::new(
                "filter",
                format!(
                    "takes too long over so many items: {conditions} conditions like these can be set over {items} at \
                        most; set fewer"
                ),
            )),
            StoreError::Duplicate | StoreError::Failed(_) => Self::internal(error),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

/// Collects the faults of several fields, so that an answer can list them all.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Takes the value of a field, or notes why it was refused.
    pub fn check<T>(&mut self, name: &str, value: std::result::Result<T, Refused>) -> Option<T> {
        value.map_err(|refused| self.0.push(FieldError::new(name, refused.0))).ok()
    }

    /// Notes a field that is given and differs from what it has to be.
    pub fn must_equal<T: PartialEq>(&mut self, name: &str, given: Option<T>, actual: T) {
        if given.is_some_and(|given| given != actual) {
            self.0.push(FieldError::new(name, "can't change"));
        }
    }

    /// Notes a field that contradicts what is, with the reason.
    pub fn refuse(&mut self, name: &str, reason: impl Into<String>) {
        self.0.push(FieldError::new(name, reason));
    }

    /// The checked value.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault noted, if any was.
    pub fn or_invalid<T>(self, value: Option<T>) -> Result<T> {
        value.filter(|_| self.0.is_empty()).ok_or(Error::Invalid(self.0))
    }

    /// # Errors
    /// [`Error::Conflict`] with every fault noted, if any was.
    pub fn or_conflict(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Conflict(self.0)) }
    }
}
