//! Secrets that were found where they don't belong.

use poem::{FromRequest, Request, RequestBody, http::StatusCode};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    registry::{MetaResponses, Registry},
};
use zeroize::Zeroize as _;

use crate::api::{
    request::{
        body::Body, client::Reporter, context::Shared, credentials::NoCredentials, query::NoQuery, responder::Responder,
    },
    wire::{
        answer::{Answer, response},
        json::JSON,
        problem::Problem,
        resource::RequestResource,
        tag::Tag,
    },
};

/// What was found.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct LeakReport {
    /// Whatever looked like one of our secrets.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub secrets: Vec<String>,
}

impl RequestResource for LeakReport {
    const MEDIA_TYPE: &'static str = JSON;
}

/// A report that its client may still make.
pub(in crate::api) struct WithinBudget {
    shared: Shared,
    reporter: Reporter,
}

impl<'a> FromRequest<'a> for WithinBudget {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let shared = Shared::of(request)?;
        let reporter = shared.budgets.reporter(request, &shared.service)?;
        Ok(Self { shared, reporter })
    }
}

/// 204, whatever was reported.
pub(in crate::api) struct Taken;

impl ApiResponse for Answer<Taken> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![response(204, "The report was taken, and what is ours of it revoked.", vec![], &[])],
        }
    }

    fn register(_: &mut Registry) {}
}

/// The operations on leaks.
pub(in crate::api) struct Leaks;

#[OpenApi(tag = "Tag::Verification")]
impl Leaks {
    /// Report leaked secrets
    ///
    /// For scanners of repositories, logs and chats. Each secret that is ours is revoked, and leaves an event of class
    /// `security` in its user's account. No credentials are needed: whoever has a secret has it all. The answer doesn't
    /// tell which were ours. Each client has a budget of reports.
    #[oai(path = "/leaks", method = "post", operation_id = "report_leaks")]
    async fn report_leaks(
        &self,
        within: WithinBudget,
        _no_query: NoQuery,
        client: NoCredentials,
        responder: Responder,
        body: Body<LeakReport>,
    ) -> Result<Answer<Taken>, Problem> {
        let mut report = responder.read(body).await?;
        within.shared.budgets.report(&within.reporter)?;
        let reported = client.service.report_leaks(&report.secrets, &client.context).await;
        report.secrets.zeroize();
        reported?;
        Ok(Answer::new(StatusCode::NO_CONTENT))
    }
}
