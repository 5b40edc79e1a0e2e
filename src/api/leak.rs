//! Secrets that were found where they don't belong.

use poem::http::StatusCode;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    registry::{MetaResponses, Registry},
};

use super::{
    Tag,
    body::{Body, Draft},
    caller::Anyone,
    exchange::Exchange,
    negotiation::JSON,
    problem::Problem,
    resource::{Answer, response},
};

/// What was found.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct LeakReport {
    /// Whatever looked like one of our secrets.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub secrets: Vec<String>,
}

impl Draft for LeakReport {
    const MEDIA_TYPE: &'static str = JSON;
}

/// 204, whatever was reported.
pub(super) struct Taken;

impl ApiResponse for Answer<Taken> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![response(204, "The report was taken, and what is ours of it revoked.", vec![], &[])] }
    }

    fn register(_: &mut Registry) {}
}

/// The operations on leaks.
pub(super) struct Leaks;

#[OpenApi(tag = "Tag::Verification")]
impl Leaks {
    /// Report leaked secrets
    ///
    /// For scanners of repositories, logs and chats. Each secret that is ours is revoked, and leaves an event of class `security` in its
    /// user's account. No credentials are needed: whoever has a secret has it all. The answer doesn't tell which were ours. Each client
    /// has a budget of reports.
    #[oai(path = "/leaks", method = "post", operation_id = "report_leaks")]
    async fn report_leaks(&self, anyone: Anyone, exchange: Exchange, body: Body<LeakReport>) -> Result<Answer<Taken>, Problem> {
        let report = exchange.read(body).await?;
        anyone.service.report_leaks(&report.secrets, &anyone.occasion).await?;
        Ok(Answer::new(StatusCode::NO_CONTENT))
    }
}
