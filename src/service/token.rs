//! Tokens: issue, retrieve, list, modify, revoke.

use super::{Error, Result, Service, caller::Caller, error::Faults, policy::Action};
use crate::{
    domain::{
        collection::{Page, Selection},
        id::{TokenId, UserId},
        metadata::Metadata,
        secret::Secret,
        token::{NewToken, Token, TokenChange},
    },
    store::Conn,
};

impl Service {
    /// Returns a token.
    ///
    /// # Errors
    /// When it isn't there, or the caller may not see it.
    pub async fn retrieve_token(&self, caller: &Caller, user: UserId, token: TokenId) -> Result<Token> {
        let mut conn = self.store.read().await?;
        find(&mut conn, caller, Action::ReadTokens, user, token).await
    }

    /// Returns some of a user's tokens.
    ///
    /// # Errors
    /// When the user isn't there, or the caller may not see its tokens.
    pub async fn list_tokens(&self, caller: &Caller, user: UserId, selection: &Selection) -> Result<Page<Token>> {
        let mut conn = self.store.read().await?;
        caller.may(Action::ReadTokens, user, &mut conn, any).await?;
        Ok(conn.list_tokens(user, selection).await?)
    }

    /// Whether the caller could issue a token to that user now: asked before the request's body is read.
    ///
    /// # Errors
    /// When the user isn't there, or the caller may not.
    pub async fn may_create_token(&self, caller: &Caller, user: UserId) -> Result<()> {
        caller.may(Action::CreateTokens, user, &mut self.store.read().await?, any).await
    }

    /// Issues a token, and returns it with its secret, which nobody can ask for again.
    ///
    /// # Errors
    /// As [`Service::may_create_token`].
    pub async fn create_token(&self, caller: &Caller, user: UserId, new: NewToken) -> Result<(Token, Secret)> {
        let mut change = self.change(caller).await?;
        change.caller.may(Action::CreateTokens, user, &mut change.writer, any).await?;
        let secret = Secret::generate(self.entropy())?;
        let metadata = Metadata::new(new.labels, change.at, change.caller.user_id);
        let token = Token { id: TokenId::random(self.entropy())?, user_id: user, name: new.name, metadata };
        change.writer.insert_token(&token, secret.digest()).await?;
        change.commit().await?;
        Ok((token, secret))
    }

    /// Whether the caller could modify or delete that token now: asked before the request's headers and body are read.
    ///
    /// # Errors
    /// When the token isn't there, or the caller may not.
    pub async fn may_change_token(&self, caller: &Caller, user: UserId, token: TokenId) -> Result<()> {
        find(&mut self.store.read().await?, caller, Action::ChangeTokens, user, token).await.map(drop)
    }

    /// Modifies a token and returns its new state. `admit` is shown the present one and may refuse; nothing can come in between.
    ///
    /// # Errors
    /// As [`Service::may_change_token`], what `admit` says, or a conflict with what can't change.
    pub async fn modify_token(
        &self,
        caller: &Caller,
        user: UserId,
        token: TokenId,
        new: TokenChange,
        admit: impl FnOnce(&Token) -> Result<()>,
    ) -> Result<Token> {
        let mut change = self.change(caller).await?;
        let mut token = find(&mut change.writer, &change.caller, Action::ChangeTokens, user, token).await?;
        admit(&token)?;
        let mut faults = Faults::default();
        faults.must_agree("id", new.id.as_deref(), &token.id);
        faults.must_agree("userID", new.user_id.as_deref(), &token.user_id);
        faults.or_conflict()?;
        token.name = new.name.unwrap_or(token.name);
        token.metadata.labels = new.labels.unwrap_or(token.metadata.labels);
        token.metadata.modified(change.at, change.caller.user_id);
        change.writer.update_token(&token).await?;
        change.commit().await?;
        Ok(token)
    }

    /// Revokes a token: once this returns, its secret is refused, everywhere and for ever. `admit` as above.
    ///
    /// # Errors
    /// As [`Service::may_change_token`], or what `admit` says.
    pub async fn delete_token(
        &self,
        caller: &Caller,
        user: UserId,
        token: TokenId,
        admit: impl FnOnce(&Token) -> Result<()>,
    ) -> Result<()> {
        let mut change = self.change(caller).await?;
        let token = find(&mut change.writer, &change.caller, Action::ChangeTokens, user, token).await?;
        admit(&token)?;
        change.writer.delete_token(token.id).await?;
        change.commit().await
    }
}

/// Nothing beside the user has to exist.
async fn any(_: &mut Conn) -> Result<bool> {
    Ok(true)
}

/// The token, if the caller may do that with it.
async fn find(conn: &mut Conn, caller: &Caller, action: Action, user: UserId, token: TokenId) -> Result<Token> {
    let mut found = None;
    caller
        .may(action, user, conn, async |conn| {
            found = conn.find_token(user, token).await?;
            Ok(found.is_some())
        })
        .await?;
    found.ok_or(Error::NotFound)
}
