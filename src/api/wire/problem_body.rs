//! The body of a problem (RFC 9457), and how it quotes the client's input.

use poem_openapi::Object;
use serde::Serialize;

use super::catalogue::{Entry, NO_NUMBER};
use crate::service::FieldError;

/// The maximum number of characters of a client's input that a problem quotes.
const LONGEST_QUOTE: usize = 64;

/// The maximum number of faults that a problem lists.
pub(in crate::api) const MOST_FAULTS: usize = 16;

/// Why a request failed (RFC 9457). `type`, `title`, `detail` and `status` are the same for every instance of a problem
/// type; the other members describe this instance.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Problem")]
pub struct ProblemBody {
    /// Identifies the kind of problem by the number at the end; `about:blank` for kinds without a number.
    r#type: String,
    /// A short name of the kind of problem.
    title: String,
    /// A description of the kind of problem in one sentence.
    detail: String,
    /// The response's status code, as text.
    status: String,
    /// The correlation id of the request, also found in the `X-Correlation-ID` header and in the server's log.
    #[serde(rename = "correlationID")]
    #[oai(rename = "correlationID")]
    correlation_id: String,
    /// If the operation isn't permitted because a limit of the server is reached: which limit, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The query parameters or headers that must be corrected, each once: all of them, or the first 16.
    #[serde(rename = "invalidParams", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "invalidParams")]
    pub(super) invalid_params: Option<Vec<Fault>>,
    /// The fields of the body that must be corrected, each once: all of them, or the first 16.
    #[serde(rename = "invalidFields", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "invalidFields")]
    pub(super) invalid_fields: Option<Vec<Fault>>,
    /// Which field of the body violates the schema, and how.
    #[serde(rename = "schemaValidationFailure", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "schemaValidationFailure")]
    pub(super) schema_validation_failure: Option<String>,
}

impl ProblemBody {
    /// A body with the members that all problems of a kind have in common.
    pub(super) fn of(&Entry { number, status, title, detail, .. }: &Entry, correlation_id: &str) -> Self {
        let r#type = match number {
            NO_NUMBER => "about:blank".to_owned(),
            number => format!("https://astra.netapp.io/problems/{number}"),
        };
        Self {
            r#type,
            title: title.to_owned(),
            detail: detail.to_owned(),
            status: status.as_u16().to_string(),
            correlation_id: correlation_id.to_owned(),
            reason: None,
            invalid_params: None,
            invalid_fields: None,
            schema_validation_failure: None,
        }
    }

    /// The problem's `title`.
    pub fn title(&self) -> &str {
        &self.title
    }
}

/// A parameter, header or field that must be corrected.
#[derive(Debug, Serialize, Object)]
pub(super) struct Fault {
    /// The name of the parameter, header or field.
    name: String,
    /// What is wrong, or what the value must be.
    reason: String,
}

impl From<&FieldError> for Fault {
    fn from(error: &FieldError) -> Self {
        Self { name: quoted(&error.name), reason: error.reason.clone() }
    }
}

/// The faults that a problem lists. Their number is limited, so that a response isn't much larger than its request.
pub(super) fn listed(faults: &[FieldError]) -> Vec<Fault> {
    let mut listed: Vec<Fault> = faults.iter().take(MOST_FAULTS).map(Fault::from).collect();
    if let (Some(last), true) = (listed.last_mut(), faults.len() > MOST_FAULTS) {
        last.reason += " (and there are more to mend: this lists 16)";
    }
    listed
}

/// A client's input, as a problem may quote it: at most 64 characters, and nothing that could be a secret.
pub(in crate::api) fn quoted(input: &str) -> String {
    if crate::domain::secret::may_hold_secret(input) {
        "[redacted]".to_owned()
    } else {
        input.chars().take(LONGEST_QUOTE).collect()
    }
}
