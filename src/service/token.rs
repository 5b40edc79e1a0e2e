//! Tokens: issue, retrieve, list, modify, revoke.

use std::collections::BTreeSet;

use super::{
    Error, Result, Service,
    caller::Caller,
    change::Change,
    error::FieldErrors,
    permit::{ChangeToken, CreateToken, Permit},
    policy::Action,
    precondition::Precondition,
};
use crate::{
    domain::{
        collection::{Page, Selection, Take},
        event::{EventKind, Subject},
        id::{TokenId, UserId},
        role_binding::RoleBinding,
        secret::Secret,
        token::{NewToken, Token, TokenChange},
    },
    store::Conn,
};

/// The maximum number of other users who may know a token's secret. They may also know the secret of each token created
/// with it, so their number is limited.
const MOST_KNOWERS: usize = 64;

impl Service {
    /// Returns a token.
    ///
    /// # Errors
    /// When the token doesn't exist, or the caller may not see it.
    pub async fn retrieve_token(&self, caller: &Caller, user: UserId, token: TokenId) -> Result<Token> {
        let mut conn = self.store.read().await?;
        find(&mut conn, caller, Action::ReadTokens, user, token).await
    }

    /// Returns a page of a user's tokens.
    ///
    /// # Errors
    /// When the user isn't in the account, or the caller may not see its tokens.
    pub async fn list_tokens(
        &self,
        caller: &Caller,
        user: UserId,
        selection: &Selection,
        take: Take<'_, Token>,
    ) -> Result<Page> {
        let mut conn = self.store.list(caller.user_id).await?;
        caller.may_with(Action::ReadTokens, user, &mut conn).await?;
        Ok(conn.list_tokens(user, selection, take).await?)
    }

    /// Whether the caller may issue a token to that user now. Called before the request's body is read.
    ///
    /// # Errors
    /// When the user isn't in the account, or the caller may not issue a token to it.
    pub async fn may_create_token(&self, caller: &Caller, user: UserId) -> Result<Permit<CreateToken>> {
        may_create(caller, user, &mut self.store.read().await?).await?;
        Ok(Permit::new(caller, CreateToken { user }))
    }

    /// Issues a token and returns it with its secret, which can't be retrieved later.
    ///
    /// # Errors
    /// As [`Service::may_create_token`], when the user's quota is reached, or when too many others may know the secret.
    pub async fn create_token(&self, permit: Permit<CreateToken>, new: NewToken) -> Result<(Token, Secret)> {
        let user = permit.target.user;
        let (mut change, caller) = self.change(&permit.who, Some(user)).await?;
        may_create(&caller, user, &mut change.writer).await?;
        let secret = Secret::generate(self.entropy())?;
        let token = Token::new(TokenId::random(self.entropy())?, user, new, change.at, change.by);
        let knowers = knowers(&mut change.writer, &caller, user).await?;
        let (home, at_most) = change.writer.insert_token(&token, secret.digest(), &knowers).await?;
        change.may_have_tokens(user, at_most).await?;
        change.record(home, EventKind::Created, Subject::Token(token.id, user)).await?;
        change.commit().await?;
        Ok((token, secret))
    }

    /// Whether the caller may modify or delete that token now. Called before the request's headers and body are read.
    ///
    /// # Errors
    /// When the token doesn't exist, or the caller may not change it.
    pub async fn may_change_token(&self, caller: &Caller, user: UserId, token: TokenId) -> Result<Permit<ChangeToken>> {
        find(&mut self.store.read().await?, caller, Action::ChangeTokens, user, token).await?;
        Ok(Permit::new(caller, ChangeToken { user, token }))
    }

    /// Modifies a token and returns its new state.
    ///
    /// # Errors
    /// As [`Service::may_change_token`], when the precondition doesn't hold, or when an id differs.
    pub async fn modify_token(
        &self,
        permit: Permit<ChangeToken>,
        new: TokenChange,
        precondition: &impl Precondition<Token>,
    ) -> Result<Token> {
        let ChangeToken { user, token } = permit.target;
        let (mut change, caller) = self.change(&permit.who, Some(user)).await?;
        let mut token = find(&mut change.writer, &caller, Action::ChangeTokens, user, token).await?;
        precondition.check(&token)?;
        let mut faults = FieldErrors::default();
        faults.must_equal("id", new.id, token.id);
        faults.must_equal("userID", new.user_id, token.user_id);
        faults.or_conflict()?;
        token.apply(new, change.at, change.by);
        change.writer.update_token(&token).await?;
        change.record_at_home(user, EventKind::Modified, Subject::Token(token.id, user)).await?;
        change.commit().await?;
        Ok(token)
    }

    /// Revokes a token: once this returns, all servers refuse its secret, permanently.
    ///
    /// # Errors
    /// As [`Service::may_change_token`], or when the precondition doesn't hold.
    pub async fn delete_token(
        &self,
        permit: Permit<ChangeToken>,
        precondition: &impl Precondition<Token>,
    ) -> Result<()> {
        let ChangeToken { user, token } = permit.target;
        let (mut change, caller) = self.change(&permit.who, Some(user)).await?;
        let token = find(&mut change.writer, &caller, Action::ChangeTokens, user, token).await?;
        precondition.check(&token)?;
        change.writer.delete_token(token.id).await?;
        change.record_at_home(user, EventKind::Deleted, Subject::Token(token.id, user)).await?;
        change.commit().await
    }
}

/// Revokes those tokens of a user whose secret may be known to someone with a lower role than the user's new one:
/// nobody may keep the secret of a token that outranks them (spec/contract/CONTRACT.md §9).
pub(super) async fn revoke_outgrown(change: &mut Change, risen: &RoleBinding) -> Result<()> {
    let mut knowers = change.writer.knowers_of_tokens_of(risen.user_id, risen.account_id).await?;
    knowers.retain(|(_, role)| *role < risen.granted());
    let home = change.writer.find_user(risen.user_id).await?.ok_or(Error::NotFound)?.account_id;
    change.delete_tokens_known_by(knowers.into_iter().map(|(knower, _)| knower).collect(), risen.user_id, home).await
}

/// The users, other than `user`, who may know the secret of a token that the caller creates for `user`: the caller, and
/// those who may know the secret of the token that the caller authenticated with.
async fn knowers(conn: &mut Conn, caller: &Caller, user: UserId) -> Result<BTreeSet<UserId>> {
    let mut knowers = conn.knowers_of(caller.token_id).await?;
    if user != caller.user_id {
        knowers.insert(caller.user_id);
        if knowers.len() > MOST_KNOWERS {
            return Err(Error::Forbidden);
        }
    }
    knowers.remove(&user);
    Ok(knowers)
}

/// A token is valid in every account in which its user has a role. So only the user itself may create a token for a
/// user who has a role in another account: a token of somebody else's making would open that account, too.
async fn may_create(caller: &Caller, user: UserId, conn: &mut Conn) -> Result<()> {
    caller.may_with(Action::CreateTokens, user, conn).await?;
    let elsewhere =
        user != caller.user_id && conn.role_bindings_of(user).await?.iter().any(|b| b.account_id != caller.account_id);
    if elsewhere { Err(Error::Forbidden) } else { Ok(()) }
}

/// The token, if the caller may perform the action on it.
async fn find(conn: &mut Conn, caller: &Caller, action: Action, user: UserId, token: TokenId) -> Result<Token> {
    caller.may_learn_of(action, user)?;
    let found = conn.find_member_and_token(caller.account_id, user, token).await?.ok_or(Error::NotFound)?;
    let token = found.token.ok_or(Error::NotFound)?;
    caller.reach(action, &found.member)?;
    Ok(token)
}
