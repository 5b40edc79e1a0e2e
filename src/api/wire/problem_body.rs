//! A problem as it goes over the wire (RFC 9457), and what it repeats of a client's own words.

use poem_openapi::Object;
use serde::Serialize;

use super::catalogue::{Entry, NO_NUMBER};
use crate::service::FieldError;

/// The most characters of its own input that a client is shown again.
const LONGEST_QUOTE: usize = 64;

/// The most faults that an answer lists.
pub(in crate::api) const MOST_FAULTS: usize = 16;

/// Why a request was not answered as it hoped (RFC 9457). `type`, `title`, `detail` and `status` are the same for every
/// instance of a problem type; the other members say what is particular to this one.
#[derive(Debug, Serialize, Object)]
#[oai(rename = "Problem")]
pub struct ProblemBody {
    /// Names the kind of problem; the number at the end is the one to tell apart by.
    r#type: String,
    /// The kind of problem in a few words.
    title: String,
    /// The kind of problem in a sentence.
    detail: String,
    /// The response's status code, as text.
    status: String,
    /// Names this very request: it stands in the `X-Correlation-ID` header and in the server's log, too.
    #[serde(rename = "correlationID")]
    #[oai(rename = "correlationID")]
    correlation_id: String,
    /// Of a refusal that isn't for want of a role: which bound of the server is reached, and what would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The query parameters or headers that have to be mended, each once: all of them, or the first 16.
    #[serde(rename = "invalidParams", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "invalidParams")]
    pub(super) invalid_params: Option<Vec<Fault>>,
    /// The fields of the body that have to be mended, each once: all of them, or the first 16.
    #[serde(rename = "invalidFields", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "invalidFields")]
    pub(super) invalid_fields: Option<Vec<Fault>>,
    /// Which field of the body breaks the schema, and how.
    #[serde(rename = "schemaValidationFailure", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "schemaValidationFailure")]
    pub(super) schema_validation_failure: Option<String>,
}

impl ProblemBody {
    /// What all problems of a kind have.
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

    /// The kind of problem in a few words.
    pub fn title(&self) -> &str {
        &self.title
    }
}

/// Something that has to be mended.
#[derive(Debug, Serialize, Object)]
pub(super) struct Fault {
    /// The parameter, header or field.
    name: String,
    /// What would mend it.
    reason: String,
}

impl From<&FieldError> for Fault {
    fn from(error: &FieldError) -> Self {
        Self { name: quoted(&error.name), reason: error.reason.clone() }
    }
}

/// The faults that an answer tells of: nobody gets much more than it has sent.
pub(super) fn listed(faults: &[FieldError]) -> Vec<Fault> {
    let mut listed: Vec<Fault> = faults.iter().take(MOST_FAULTS).map(Fault::from).collect();
    if let (Some(last), true) = (listed.last_mut(), faults.len() > MOST_FAULTS) {
        last.reason += " (and there are more to mend: this lists 16)";
    }
    listed
}

/// A client's own words, as they may be shown again: at most 64 characters, and nothing that could be a secret.
pub(in crate::api) fn quoted(input: &str) -> String {
    if crate::domain::secret::may_hold_secret(input) {
        "[redacted]".to_owned()
    } else {
        input.chars().take(LONGEST_QUOTE).collect()
    }
}
