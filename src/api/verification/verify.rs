//! Verification of a presented token, for reverse proxies (`/verify`) and for the token's holder (`/whoami`).

use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use poem::http::{HeaderName, StatusCode};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type,
};
use serde::Serialize;

use crate::{
    api::{
        operations::VERIFY,
        request::{
            credentials::{UnverifiedCredentials, VerifiedCredentials},
            query::{NoQuery, Query},
            routed::RoutedRequest,
        },
        wire::{
            answer::{Answer, Deleted, response},
            json::{JSON, to_json},
            problem::Problem,
            scalar::Identifier,
            tag::Tag,
        },
    },
    domain::{id::AccountId, role::Role},
    service::{Error, FieldError, verification},
};

/// The characters that are percent-encoded in headers: all but visible ASCII, and `%` itself.
const NOT_IN_A_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

const ACCOUNT: HeaderName = HeaderName::from_static("x-auth-account");
const USER: HeaderName = HeaderName::from_static("x-auth-user");
const EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
const ROLE: HeaderName = HeaderName::from_static("x-auth-role");
const TOKEN_ID: HeaderName = HeaderName::from_static("x-auth-token-id");
const ROLE_CONSTRAINTS: HeaderName = HeaderName::from_static("x-auth-role-constraints");
/// The maximum length of `X-Auth-Role-Constraints` in bytes. Together with the longest email, the response still fits
/// into the buffers of proxies: 8 KiB in all for nginx with our example configuration.
const MOST_SCOPES: usize = 4_096;

/// The presented token, its user, and that user's role.
#[derive(Debug, Serialize, Object)]
pub struct WhoAmI {
    /// The token's id.
    #[serde(rename = "tokenID")]
    #[oai(rename = "tokenID")]
    pub token_id: Identifier,
    /// The token's name.
    #[serde(rename = "tokenName")]
    #[oai(rename = "tokenName")]
    pub token_name: String,
    /// The user that the token belongs to.
    #[serde(rename = "userID")]
    #[oai(rename = "userID")]
    pub user_id: Identifier,
    /// The user's email address.
    pub email: String,
    /// The account that the user was created in, if the user has a role there.
    #[serde(rename = "accountID", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "accountID", skip_serializing_if_is_none)]
    pub account_id: Option<Identifier>,
    /// The user's role in that account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub role: Option<String>,
    /// The scopes of that role.
    #[serde(rename = "roleConstraints", skip_serializing_if = "Option::is_none")]
    #[oai(rename = "roleConstraints", skip_serializing_if_is_none)]
    pub role_constraints: Option<Vec<String>>,
}

impl From<&verification::Verification> for WhoAmI {
    fn from(verified: &verification::Verification) -> Self {
        let membership = verified.identity.membership;
        Self {
            token_id: verified.identity.token_id.into(),
            token_name: verified.token_name.to_string(),
            user_id: verified.identity.user_id.into(),
            email: verified.email.to_string(),
            account_id: membership.map(|(account, _)| account.into()),
            role: membership.map(|(_, role)| role.to_string()),
            role_constraints: verified.role_constraints.as_ref().map(|constraints| constraints.as_slice().to_vec()),
        }
    }
}

/// What a proxy requires of a token: a role in this account, at least this role.
struct Demand {
    account: Option<AccountId>,
    role: Option<Role>,
}

impl Demand {
    /// Reads the query. If it can't be parsed, nobody passes: the operator of the proxy has made a mistake.
    fn read(routed: &RoutedRequest) -> Result<Self, Problem> {
        let behind = routed.path.get(VERIFY.len()..).unwrap_or_default();
        // After `/verify/` the query is still the operator's: a trailing slash must not remove a requirement.
        if !matches!(behind, "" | "/") {
            // Path and query are the client's own, appended to ours by the proxy.
            return Ok(Self { account: None, role: None });
        }
        let mut faults = routed.query.unknown(&["account", "role"]);
        let account = one(&routed.query, "account", &mut faults);
        let role = one(&routed.query, "role", &mut faults);
        if faults.is_empty() {
            Ok(Self { account, role })
        } else {
            tracing::warn!(
                "/verify was asked with a query that it doesn't understand: it knows account and role, each once; \
                    nobody passes"
            );
            Err(Problem::InvalidQuery(faults))
        }
    }
}

/// The value of a parameter that may be given once.
fn one<T: FromStr>(query: &Query, name: &str, faults: &mut Vec<FieldError>) -> Option<T> {
    let mut values = query.values(name);
    let (first, second) = (values.next()?, values.next());
    let value = first.and_then(|text| text.parse().ok()).filter(|_| second.is_none());
    if value.is_none() {
        faults.push(FieldError::new(name, "can't be understood"));
    }
    value
}

/// A text, percent-encoded for a header.
fn in_a_header(text: &str) -> String {
    utf8_percent_encode(text, NOT_IN_A_HEADER).to_string()
}

/// The scopes of the role, encoded for a header. If they are too long, the request is refused: an application that got
/// no scopes, or only some of them, could misjudge what the role permits.
fn scopes(verified: &verification::Verification) -> Result<String, Problem> {
    let scopes = in_a_header(&serde_json::to_string(&verified.role_constraints).map_err(Error::internal)?);
    if scopes.len() > MOST_SCOPES {
        tracing::warn!(user = %verified.identity.user_id, "a role has more scopes than a header carries; its user \
            doesn't pass");
        return Err(Problem::Forbidden);
    }
    Ok(scopes)
}

/// 200 with identity headers and no body.
pub(in crate::api) struct Passed;
/// 200 with the token, its user and role.
pub(in crate::api) struct Known;

impl ApiResponse for Answer<Passed> {
    fn meta() -> MetaResponses {
        let headers = [
            ("X-Auth-Account", "The account."),
            ("X-Auth-User", "Whose token it is."),
            (
                "X-Auth-Email",
                "How that user is reached. What isn't visible ASCII, and `%`, is percent-encoded as UTF-8, so that no \
                    address can break out of its header.",
            ),
            ("X-Auth-Role", "The user's role in the account."),
            ("X-Auth-Token-Id", "The token's id."),
            (
                "X-Auth-Role-Constraints",
                "The scopes of that role, as a JSON list of texts: percent-decoded, it can be parsed. What isn't \
                    visible ASCII, and `%`, is percent-encoded as UTF-8.",
            ),
        ];
        MetaResponses { responses: vec![response(200, "The token is good, and good enough.", vec![], &headers)] }
    }

    fn register(_: &mut Registry) {}
}

impl ApiResponse for Answer<Known> {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: JSON, schema: WhoAmI::schema_ref() }];
        let known = MetaResponse {
            description: "What is known of the token.",
            status: Some(200),
            status_range: None,
            content,
            headers: vec![],
        };
        MetaResponses { responses: vec![known] }
    }

    fn register(registry: &mut Registry) {
        WhoAmI::register(registry);
    }
}

/// The operations on the presented token.
pub(in crate::api) struct Verifications;

#[OpenApi(tag = "Tag::Verification")]
impl Verifications {
    /// Verify a token for a reverse proxy
    ///
    /// Forward authentication for nginx `auth_request`, Traefik's `forwardAuth`, Caddy's `forward_auth`, HAProxy and
    /// Envoy `ext_authz`. Every method is accepted. Neither the request nor the response has a body. A refused token is
    /// always answered with 401 or 403; a query that can't be parsed with 403. The operator may configure another
    /// header that carries the secret in place of `Authorization`. If the scopes of the role need more than 4,096
    /// characters in `X-Auth-Role-Constraints`, the response is 403.
    ///
    /// A proxy that appends the client's own path and query to a prefix must use the prefix `/verify/for`: there, and
    /// at every other path below `/verify/`, path and query are ignored. `/verify/` alone is the same as `/verify`: its
    /// query sets requirements, so the client must not be able to write it.
    #[oai(path = "/verify", method = "get", operation_id = "verify_token")]
    async fn verify_token(
        &self,
        credentials: UnverifiedCredentials<'_>,
        routed: RoutedRequest,
    ) -> Result<Answer<Passed>, Problem> {
        let demand = Demand::read(&routed)?;
        let verified = credentials.verify(credentials.secret(), demand.account).await?;
        let (account, role) = verified.at_least(demand.role)?;
        Ok(Answer::new(StatusCode::OK)
            .with(ACCOUNT, &account.to_string())
            .with(USER, &verified.identity.user_id.to_string())
            .with(EMAIL, &in_a_header(verified.email.as_str()))
            .with(ROLE, role.as_str())
            .with(TOKEN_ID, &verified.identity.token_id.to_string())
            .with(ROLE_CONSTRAINTS, &scopes(&verified)?)
            .of(&verified.identity))
    }

    /// Whose token is this?
    ///
    /// Returns the presented token's id and name, its user, and that user's role in the account that the user was
    /// created in.
    #[oai(path = "/whoami", method = "get", operation_id = "who_am_i")]
    async fn who_am_i(&self, caller: VerifiedCredentials, _no_query: NoQuery) -> Result<Answer<Known>, Problem> {
        let body = to_json(&WhoAmI::from(&*caller))?;
        Ok(Answer::new(StatusCode::OK).body(JSON, body).of(&caller.identity))
    }

    /// Revoke the presented token
    ///
    /// Revokes the token that the request presents. From the moment of the response, its secret is refused everywhere
    /// and permanently.
    #[oai(path = "/whoami", method = "delete", operation_id = "revoke_presented_token")]
    async fn revoke_presented_token(
        &self,
        caller: VerifiedCredentials,
        _no_query: NoQuery,
    ) -> Result<Answer<Deleted>, Problem> {
        caller.service.revoke_verified(&caller).await?;
        Ok(Answer::new(StatusCode::NO_CONTENT).of(&caller.identity))
    }
}
