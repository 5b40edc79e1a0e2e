//! The operations that check whether the server is up and ready.

use poem::{
    http::{StatusCode, header},
    web::Data,
};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type,
};
use serde::Serialize;

use crate::{
    api::{
        request::context::Shared,
        wire::{
            answer::Answer,
            json::{JSON, to_json},
            scalar::choice,
            tag::Tag,
        },
    },
    domain::spelled,
    service::{Error, Place, Unfit, Unready},
};

/// How long the readiness check usually waits for the database; longer if the database is far away.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

spelled! {
    /// The result of a health check.
    HealthStatus, "must be ok or unavailable" {
        /// The check has passed.
        Ok = "ok",
        /// The check has failed.
        Unavailable = "unavailable",
    }
}

choice!(
    /// The result of a health check.
    HealthStatus = HealthStatus
);

/// The health of the server.
#[derive(Debug, Serialize, Object)]
pub struct Health {
    /// `ok`, or `unavailable`.
    pub status: HealthStatus,
    /// Why the server is unavailable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub reason: Option<String>,
}

/// 200 if the check passes; 503 if not, for checks that can fail.
pub(in crate::api) struct Check<const MAY_FAIL: bool>;

impl<const MAY_FAIL: bool> ApiResponse for Answer<Check<MAY_FAIL>> {
    fn meta() -> MetaResponses {
        let answer = |status, description| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType { content_type: JSON, schema: Health::schema_ref() }],
            headers: vec![],
        };
        let mut responses = vec![answer(200, "All is well.")];
        if MAY_FAIL {
            responses.push(answer(503, "Not now; the body says why."));
        }
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        Health::register(registry);
    }
}

/// The operations for operators of the server.
pub(in crate::api) struct Operations;

#[OpenApi(tag = "Tag::Operations")]
impl Operations {
    /// Is the server up?
    ///
    /// Responds as long as the process runs. Checks nothing else, not even the database: a restart would not repair
    /// that.
    #[oai(path = "/healthz", method = "get", operation_id = "check_health")]
    async fn check_health(&self) -> poem::Result<Answer<Check<false>>> {
        Ok(check(Ok(()))?)
    }

    /// Is the server ready?
    ///
    /// Checks whether the database responds and accepts writes. While the response is 503, send requests to another
    /// server; `reason` gives the cause.
    #[oai(path = "/readyz", method = "get", operation_id = "check_readiness")]
    async fn check_readiness(&self, shared: Data<&Shared>) -> poem::Result<Answer<Check<true>>> {
        let outcome = match tokio::time::timeout(shared.service.patience(PATIENCE), shared.service.readiness()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Unready::Unfit(Unfit::NoWrites))) => Err("the database takes no writes"),
            Ok(Err(Unready::Unfit(Unfit::Misplaced(Place::Removed)))) => Err("the database's file was removed"),
            Ok(Err(Unready::Unfit(Unfit::Misplaced(_)))) => Err("the database was replaced by another"),
            Ok(Err(Unready::Unreachable(error))) => {
                if let Error::Unavailable(cause) | Error::Internal(cause) = &error {
                    tracing::warn!(cause = cause.for_log(), "not ready");
                }
                Err(SILENT)
            }
            Err(_) => Err(SILENT),
        };
        Ok(check(outcome)?)
    }
}

/// The `reason` when the database can't be reached.
const SILENT: &str = "the database doesn't answer";

fn check<const MAY_FAIL: bool>(
    outcome: Result<(), &str>,
) -> Result<Answer<Check<MAY_FAIL>>, crate::api::wire::problem::Problem> {
    let (status, health) = match outcome {
        Ok(()) => (StatusCode::OK, Health { status: HealthStatus::Ok, reason: None }),
        Err(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Health { status: HealthStatus::Unavailable, reason: Some(reason.to_owned()) },
        ),
    };
    Ok(Answer::new(status).with(header::CACHE_CONTROL, "no-store").body(JSON, to_json(&health)?))
}
