//! The areas of the server's paths. The required credentials and the format of errors depend on the area.

use poem::{
    Response,
    http::{HeaderValue, Method, StatusCode, header},
};

use crate::{
    api::wire::{
        challenge::{INSUFFICIENT_SCOPE, INVALID_TOKEN},
        oauth_error,
        problem::Problem,
    },
    config::PublicUrl,
};

/// An area of the server's paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Area {
    /// The resources of the contract, below `/accounts`.
    Accounts,
    /// The OAuth 2.0 operations, below `/oauth2`.
    OAuth,
    /// The verification of tokens for proxies, at `/verify` and below. Envoy appends the path of the client's request
    /// to ours.
    Verify,
    /// The other operations on presented tokens and secrets: `/whoami` and `/leaks`.
    Tokens,
    /// All other paths, which are open to everyone.
    Open,
}

impl Area {
    /// The area of a path.
    pub fn of(path: &str) -> Self {
        let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            "/whoami" | "/leaks" => Self::Tokens,
            _ if below("/accounts") => Self::Accounts,
            _ if below("/verify") => Self::Verify,
            _ if below("/oauth2") => Self::OAuth,
            _ => Self::Open,
        }
    }

    /// Renders a problem in the format of this area.
    pub fn render(
        self,
        problem: &Problem,
        method: &Method,
        correlation_id: &str,
        public_url: Option<&PublicUrl>,
    ) -> Response {
        match self {
            Self::Accounts | Self::Tokens | Self::Open => problem.render(method, correlation_id, public_url),
            Self::OAuth => oauth_error::render(problem, method, correlation_id),
            Self::Verify => {
                // Proxies understand 401 and 403; nginx turns every other refusal into a 500.
                let mut response = problem.head(Response::default(), method, correlation_id);
                if response.status().is_client_error() && response.status() != StatusCode::UNAUTHORIZED {
                    let refused = matches!(problem, Problem::TooManyFailures(_));
                    let challenge = HeaderValue::from_static(if refused { INVALID_TOKEN } else { INSUFFICIENT_SCOPE });
                    response.set_status(StatusCode::FORBIDDEN);
                    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                }
                response
            }
        }
    }
}
