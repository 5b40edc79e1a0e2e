//! The errors of the service's operations, independent of HTTP.

use crate::{domain::Refused, store::StoreError};

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A field of the request, and what is wrong with it, as a phrase: "must not be empty".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name on the wire, with dots for nesting.
    pub name: String,
    /// What is wrong with the field, or how to correct it. Never quotes a secret.
    pub reason: String,
}

impl FieldError {
    /// An error of the field `name`.
    pub fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }
}

/// Why an operation failed.
#[derive(Debug)]
pub enum Error {
    /// The secret is malformed or unknown, or may not be used now. The error doesn't say which.
    InvalidCredentials,
    /// The caller may not do this.
    Forbidden,
    /// A quota is reached; the text is a sentence that says which one.
    QuotaReached(String),
    /// The requested resource doesn't exist.
    NotFound,
    /// Fields break rules that the JSON schema doesn't express. Never empty.
    Invalid(Vec<FieldError>),
    /// The query would take too long; contains the field to change, and how.
    TooDear(FieldError),
    /// The preconditions that the caller set don't hold.
    PreconditionFailed,
    /// Fields conflict with existing data or with values that can't change. Never empty.
    Conflict(Vec<FieldError>),
    /// The store can't be reached at present. The cause is for the log only.
    Unavailable(Cause),
    /// A defect. The cause is for the log only.
    Internal(Cause),
}

/// The cause of a failure. Has no `Display`, so that it can't get into a response by mistake.
#[derive(Debug, Default)]
pub struct Cause(String);

impl Cause {
    /// The cause as text, for the log.
    #[must_use]
    pub fn for_log(&self) -> &str {
        &self.0
    }
}

impl Error {
    /// [`Error::Unavailable`] with its cause.
    pub fn unavailable(cause: impl ToString) -> Self {
        Self::Unavailable(Cause(cause.to_string()))
    }

    /// [`Error::Internal`] with its cause.
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

/// Collects the errors of several fields, so that a response can list them all.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Returns the value of a field, or adds an error that says why it was refused.
    pub fn check<T>(&mut self, name: &str, value: std::result::Result<T, Refused>) -> Option<T> {
        value.map_err(|refused| self.0.push(FieldError::new(name, refused.0))).ok()
    }

    /// Adds an error if the field is given and differs from the actual value.
    pub fn must_equal<T: PartialEq>(&mut self, name: &str, given: Option<T>, actual: T) {
        if given.is_some_and(|given| given != actual) {
            self.0.push(FieldError::new(name, "can't change"));
        }
    }

    /// Adds an error for a field, with the reason.
    pub fn refuse(&mut self, name: &str, reason: impl Into<String>) {
        self.0.push(FieldError::new(name, reason));
    }

    /// The checked value.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all errors, if there are any.
    pub fn or_invalid<T>(self, value: Option<T>) -> Result<T> {
        value.filter(|_| self.0.is_empty()).ok_or(Error::Invalid(self.0))
    }

    /// Succeeds if there are no errors.
    ///
    /// # Errors
    /// [`Error::Conflict`] with all errors, if there are any.
    pub fn or_conflict(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Conflict(self.0)) }
    }
}
