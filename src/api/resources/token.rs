//! Tokens over HTTP (spec/contract/CONTRACT.md §7).

use poem_openapi::Object;
use serde::Serialize;

use crate::{
    api::wire::{
        metadata::{Metadata, MetadataChange, labels},
        resource::resource,
        scalar::ShownSecret,
    },
    domain::{
        id::{TokenId, UserId},
        name::ResourceName,
        token,
    },
    service::{self, error::FieldErrors},
    store::token::FIELDS,
};

resource! {
    /// Media type of a token.
    TokenType = "application/astra-token",
    /// The version of a token's schema.
    TokenVersion = "1.0";
    Token of token::Token, FIELDS, NewToken, TokenChange
}

/// An API token, without its secret.
#[derive(Debug, Clone, Serialize, Object)]
pub struct Token {
    /// The media type of the resource.
    pub r#type: TokenType,
    /// The version of the resource's schema.
    pub version: TokenVersion,
    /// The token's id. Not a secret.
    pub id: TokenId,
    /// The token's name. Need not be unique.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// The user that the token belongs to.
    #[serde(rename = "userID")]
    #[oai(rename = "userID")]
    pub user_id: UserId,
    /// The token's labels, creation and last modification.
    pub metadata: Metadata,
}

/// A token that was just issued, with its secret.
#[derive(Debug, Clone, Serialize, Object)]
pub struct IssuedToken {
    /// The token, as later responses show it.
    #[serde(flatten)]
    #[oai(flatten)]
    pub token: Token,
    /// The secret to present as bearer token. It is never shown again: store it now.
    #[serde(rename = "token")]
    #[oai(rename = "token")]
    pub secret: ShownSecret,
}

/// A token to be issued.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct NewToken {
    /// The media type of the resource.
    pub r#type: TokenType,
    /// The version of the resource's schema.
    pub version: TokenVersion,
    /// The token's name: printable ASCII without `< > " ' ; \` and the backtick, without `..`, `--` and `/*`, and
    /// without leading or trailing spaces.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// The token's labels.
    pub metadata: Option<MetadataChange>,
}

/// Changes to a token. Fields that are left out stay unchanged.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct TokenChange {
    /// The media type of the resource.
    pub r#type: TokenType,
    /// The version of the resource's schema.
    pub version: TokenVersion,
    /// If given, must be the token's id.
    pub id: Option<TokenId>,
    /// A new name, under the same rules as for a new token.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: Option<String>,
    /// If given, must be the user that the token belongs to.
    #[oai(rename = "userID")]
    pub user_id: Option<UserId>,
    /// New labels, in place of all present ones.
    pub metadata: Option<MetadataChange>,
}

impl From<token::Token> for Token {
    fn from(token: token::Token) -> Self {
        Self {
            r#type: TokenType,
            version: TokenVersion,
            id: token.id,
            name: token.name.to_string(),
            user_id: token.user_id,
            metadata: token.metadata.into(),
        }
    }
}

impl TryFrom<NewToken> for token::NewToken {
    type Error = service::Error;

    fn try_from(new: NewToken) -> service::Result<Self> {
        let mut faults = FieldErrors::default();
        let name = faults.check("name", ResourceName::parse(&new.name));
        let labels = labels(new.metadata, &mut faults).unwrap_or_default();
        faults.or_invalid(name).map(|name| Self { name, labels })
    }
}

impl TryFrom<TokenChange> for token::TokenChange {
    type Error = service::Error;

    fn try_from(change: TokenChange) -> service::Result<Self> {
        let mut faults = FieldErrors::default();
        let name = change.name.and_then(|name| faults.check("name", ResourceName::parse(&name)));
        let labels = labels(change.metadata, &mut faults);
        let change = Self { id: change.id, user_id: change.user_id, name, labels };
        faults.or_invalid(Some(change))
    }
}
