//! The OAuth 2.0 operations: token introspection (RFC 7662) and token revocation (RFC 7009).

use poem::{
    FromRequest, Request, RequestBody,
    http::{HeaderMap, StatusCode, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, Object, OpenApi,
    registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, Registry},
    types::Type,
};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    api::{
        request::{
            admission::Place,
            body::read_whole,
            credentials::{NoCredentials, VerifiedCredentials},
            query::Query,
            responder::base_url,
        },
        wire::{
            answer::{Answer, response},
            json::{JSON, to_json},
            problem::Problem,
            scalar::Identifier,
            tag::Tag,
        },
    },
    domain::role::Role,
    service::verification::Verification,
};

const FORM: &str = "application/x-www-form-urlencoded";

/// The form of an introspection or a revocation.
#[derive(Debug, Object)]
pub struct TokenForm {
    /// The token's secret.
    #[oai(validator(min_length = 1))]
    pub token: String,
    /// A hint at the type of the token, as OAuth 2.0 libraries send it. Ignored: there is only one type.
    pub token_type_hint: Option<String>,
}

/// The result of an introspection. For a token that is inactive, or that the caller may not introspect, it contains
/// only `active`.
#[derive(Debug, Default, Serialize, Object)]
#[serde(rename_all = "snake_case")]
pub struct Introspection {
    /// Whether the token is active; `false` also if the caller may not introspect it.
    pub active: bool,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub sub: Option<Identifier>,
    /// The user's email address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub username: Option<String>,
    /// The token's id: this server identifies clients by their tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub client_id: Option<Identifier>,
    /// Always `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub token_type: Option<String>,
    /// When the token was issued, in seconds since the Unix epoch (1970-01-01T00:00:00Z).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub iat: Option<i64>,
    /// The token's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub jti: Option<Identifier>,
    /// The URL of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub iss: Option<String>,
    /// The user's role in the account and all lower roles, separated by spaces, so that a check for `viewer` also
    /// accepts an admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub scope: Option<String>,
    /// The account that `role` and `scope` refer to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub account: Option<Identifier>,
    /// The user's role in the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub role: Option<String>,
    /// The scopes of that role.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[oai(skip_serializing_if_is_none)]
    pub role_constraints: Option<Vec<String>>,
}

impl Introspection {
    fn of(found: &Verification, issuer: String) -> Self {
        let (account, role) = found.identity.membership.unzip();
        let scope = role.map(|role| {
            Role::ALL.iter().take_while(|lower| **lower <= role).map(|role| role.as_str()).collect::<Vec<_>>()
        });
        Self {
            active: true,
            sub: Some(found.identity.user_id.into()),
            username: Some(found.email.to_string()),
            client_id: Some(found.identity.token_id.into()),
            token_type: Some("Bearer".to_owned()),
            iat: Some(found.issued_at.seconds()),
            jti: Some(found.identity.token_id.into()),
            iss: Some(issuer),
            scope: scope.map(|roles| roles.join(" ")),
            account: account.map(Into::into),
            role: role.map(|role| role.to_string()),
            role_constraints: found.role_constraints.as_ref().map(|constraints| constraints.as_slice().to_vec()),
        }
    }
}

/// A form that hasn't been read.
pub(in crate::api) struct Form {
    is_form: bool,
    content: poem::Body,
    place: Place,
}

impl<'a> ApiExtractor<'a> for Form {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        TokenForm::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: FORM, schema: TokenForm::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self { is_form: is_form(request.headers()), content: body.take()?, place: Place::of(request) })
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (first, second) = (values.next().and_then(|value| value.to_str().ok()), values.next());
    let essence = first.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(FORM) && second.is_none()
}

impl Form {
    /// Reads the form, and returns its parameter `token`.
    ///
    /// # Errors
    /// When the body isn't a form, lacks the token, or gives a parameter more than once (RFC 6749 §3.2).
    pub async fn token(self) -> Result<String, Problem> {
        if !self.is_form {
            return Err(Problem::InvalidHeaders(vec![]));
        }
        let bytes = self.place.leave_for(read_whole(self.content)).await?;
        let form = std::str::from_utf8(&bytes).map(Query::parse).map_err(|_| malformed("The form must be UTF-8."))?;
        if form.repeats() {
            return Err(malformed("The form gives a parameter more than once."));
        }
        // A parameter without a value counts as left out (RFC 6749 §3.2). (`token.is_empty()` would be poem-openapi's,
        // which is always false.)
        let token = form.values("token").next().flatten().filter(|token| !str::is_empty(token));
        token.map(ToOwned::to_owned).ok_or_else(|| malformed("The form lacks the parameter `token`."))
    }
}

fn malformed(sentence: &str) -> Problem {
    Problem::NotTheSchema(sentence.to_owned())
}

/// The URL at which the client reaches this server.
pub(in crate::api) struct Issuer(String);

impl<'a> FromRequest<'a> for Issuer {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        Ok(base_url(request).map(Self)?)
    }
}

/// 200 with the result of an introspection.
pub(in crate::api) struct Introspected;
/// 200 without a body.
pub(in crate::api) struct Revoked;

impl ApiResponse for Answer<Introspected> {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: JSON, schema: Introspection::schema_ref() }];
        let told = MetaResponse {
            description: "What is known of the token.",
            status: Some(200),
            status_range: None,
            content,
            headers: vec![],
        };
        MetaResponses { responses: vec![told] }
    }

    fn register(registry: &mut Registry) {
        Introspection::register(registry);
    }
}

impl ApiResponse for Answer<Revoked> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![response(200, "The token is good for nothing, now if not before.", vec![], &[])],
        }
    }

    fn register(_: &mut Registry) {}
}

/// The operations of OAuth 2.0.
pub(in crate::api) struct OAuth2;

#[OpenApi(tag = "Tag::Verification")]
impl OAuth2 {
    /// Introspect a token
    ///
    /// OAuth 2.0 Token Introspection (RFC 7662). The caller presents a token of its own, whose user must be an admin or
    /// owner of an account. Tokens of users who have no role in any such account are reported as inactive, like unknown
    /// and revoked tokens and those of suspended or disabled users. Every token may introspect itself.
    #[oai(path = "/oauth2/introspect", method = "post", operation_id = "introspect_token")]
    async fn introspect_token(
        &self,
        caller: VerifiedCredentials,
        issuer: Issuer,
        form: Form,
    ) -> Result<Answer<Introspected>, Problem> {
        let found = caller.service.introspect(&caller, &Zeroizing::new(form.token().await?)).await?;
        let answer = Answer::new(StatusCode::OK).of(&caller.identity);
        Ok(match found {
            Some(found) => answer.body(JSON, to_json(&Introspection::of(&found, issuer.0))?),
            None => answer.body(JSON, to_json(&Introspection::default())?).inactive(),
        })
    }

    /// Revoke a token by its secret
    ///
    /// OAuth 2.0 Token Revocation (RFC 7009). Whoever knows a secret may revoke it; no other credentials are needed.
    /// From the moment of the response, the secret is refused everywhere and permanently. An unknown secret gets the
    /// same response.
    #[oai(path = "/oauth2/revoke", method = "post", operation_id = "revoke_token")]
    async fn revoke_token(&self, client: NoCredentials, form: Form) -> Result<Answer<Revoked>, Problem> {
        client.service.revoke_secret(&Zeroizing::new(form.token().await?), &client.context).await?;
        Ok(Answer::new(StatusCode::OK))
    }
}
