//! The operation that takes reports of leaked secrets and revokes them.

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

/// A report of leaked secrets.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct LeakReport {
    /// Texts that look like secrets of this server.
    #[oai(validator(min_items = 1, max_items = 100))]
    pub secrets: Vec<String>,
}

impl RequestResource for LeakReport {
    const MEDIA_TYPE: &'static str = JSON;
}

/// A client that has budget left for a leak report.
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
    /// For scanners of repositories, logs and chats. Each reported secret that belongs to a token of this server is
    /// revoked, and an event of class `security` is recorded in the account in which its user was created. No
    /// credentials are needed: whoever knows a secret can use it anyway. The response doesn't tell which secrets belong
    /// to tokens. The number of reports per client and minute is limited.
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
