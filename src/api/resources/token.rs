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
    /// What the token is called. Need not be unique.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// Whose token it is.
    #[serde(rename = "userID")]
    #[oai(rename = "userID")]
    pub user_id: UserId,
    /// Where the token comes from, and its labels.
    pub metadata: Metadata,
}

/// A token that was just issued, with its secret.
#[derive(Debug, Clone, Serialize, Object)]
pub struct IssuedToken {
    /// The token as it will be answered from now on.
    #[serde(flatten)]
    #[oai(flatten)]
    pub token: Token,
    /// The secret to present as bearer token. Nothing else ever shows it again: store it now.
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
    /// What to call the token: printable ASCII without `< > " ' ; \` and the backtick, without `..`, `--` and `/*`, and
    /// without spaces at its ends.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// The token's labels.
    pub metadata: Option<MetadataChange>,
}

/// What shall change about a token. What is left out stays as it is.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields)]
pub struct TokenChange {
    /// The media type of the resource.
    pub r#type: TokenType,
    /// The version of the resource's schema.
    pub version: TokenVersion,
    /// If given, the id that the token has.
    pub id: Option<TokenId>,
    /// A new name, as for a new token.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: Option<String>,
    /// If given, the user whose token it is.
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
