//! Operator commands, which work on the database directly: issue, list and revoke tokens, and list users. No permission
//! is checked. Their events carry the nil UUID as `userID`.

use std::{collections::BTreeSet, sync::Arc};

use super::{Error, FieldError, Result, Service};
use crate::domain::{
    credential::{AccountChoice, Credential},
    event::{EventKind, RequestContext, Subject},
    id::{AccountId, TokenId, UserId, random_uuid},
    name::{Email, ResourceName},
    secret::Secret,
    token::{NewToken, Token},
    user::User,
};

impl Service {
    /// All users of all accounts.
    pub async fn operator_list_users(&self) -> Result<Vec<User>> {
        Ok(self.store.survey().await?.all_users().await?)
    }

    /// All tokens, or those of the user with this email.
    ///
    /// # Errors
    /// When there is no such user, or several; or when the store fails.
    pub async fn operator_list_tokens(
        &self,
        email: Option<&Email>,
        account: Option<AccountId>,
    ) -> Result<Vec<(User, Token)>> {
        let users = match email {
            Some(email) => vec![self.user_of(email, account).await?],
            None => self.operator_list_users().await?,
        };
        let mut conn = self.store.survey().await?;
        let mut tokens = vec![];
        for user in users {
            tokens.extend(conn.tokens_of(user.id).await?.into_iter().map(|token| (user.clone(), token)));
        }
        Ok(tokens)
    }

    /// Issues a token to the user with this email.
    ///
    /// # Errors
    /// When there is no such user, or several; or when the store fails.
    pub async fn operator_issue_token(
        &self,
        email: &Email,
        account: Option<AccountId>,
        name: ResourceName,
    ) -> Result<(User, Token, Secret)> {
        let user = self.user_of(email, account).await?;
        let mut change =
            self.change_in(user.account_id, Some(user.id), UserId::nil(), self.at_the_command_line()?).await?;
        change.writer.find_user(user.id).await?.ok_or(Error::NotFound)?;
        let secret = Secret::generate(self.entropy())?;
        let token = Token::new(TokenId::random(self.entropy())?, user.id, NewToken::named(name), change.at, change.by);
        change.writer.insert_token(&token, secret.digest(), &BTreeSet::new()).await?;
        change.record(user.account_id, EventKind::Created, Subject::Token(token.id, user.id)).await?;
        change.commit().await?;
        Ok((user, token, secret))
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no token with this id; or when the store fails.
    pub async fn operator_revoke_token(&self, id: TokenId) -> Result<()> {
        let found = self.store.read().await?.find_credential(id, AccountChoice::None).await?;
        let Credential { user_id, home, .. } = found.ok_or(Error::NotFound)?;
        let context = self.at_the_command_line()?;
        let mut change = self.change_in(home, Some(user_id), UserId::nil(), context).await?;
        change.writer.find_token(user_id, id).await?.ok_or(Error::NotFound)?;
        change.writer.delete_token(id).await?;
        change.record(home, EventKind::Deleted, Subject::Token(id, user_id)).await?;
        change.commit().await
    }

    fn at_the_command_line(&self) -> Result<Arc<RequestContext>> {
        Ok(Arc::new(RequestContext::without_request(random_uuid(self.entropy())?.to_string())))
    }

    /// The only user with this email, in `account` if one is given.
    async fn user_of(&self, email: &Email, account: Option<AccountId>) -> Result<User> {
        let mut found = self.store.read().await?.users_by_email(email).await?;
        found.retain(|user| account.is_none_or(|account| account == user.account_id));
        let user = found.pop().ok_or(Error::NotFound)?;
        if found.is_empty() {
            Ok(user)
        } else {
            Err(Error::Invalid(vec![FieldError::new(
                "email",
                "is that of users in several accounts; say which account is meant",
            )]))
        }
    }
}
