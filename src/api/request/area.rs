//! The areas of the server's paths. What a request has to bring, and what an error looks like, depends on which it
//! speaks to.

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
    /// What OAuth 2.0 libraries speak to.
    OAuth,
    /// What proxies ask before they let a request through. Envoy puts the path of that request behind ours.
    Verify,
    /// What else has to do with tokens.
    Tokens,
    /// What is open to everyone.
    Open,
}

impl Area {
    /// Where a path leads.
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

    /// An answer that says what is wrong, as this area says it.
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
                // A proxy understands 401 and 403; nginx makes a 500 of every other refusal.
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
