//! Users: create, retrieve, list, modify, delete.

use super::{
    Error, Result, Service,
    activity::Activity,
    caller::Caller,
    change::Change,
    error::FieldErrors,
    permit::{CreateUser, DeleteUser, ModifyUser, Permit},
    policy::Action,
    precondition::Precondition,
};
use crate::{
    domain::{
        collection::{Page, Selection, Take},
        event::{EventKind, Subject},
        id::UserId,
        user::{NewUser, User, UserChange},
    },
    store::{Conn, user::Member},
};

impl Service {
    /// Returns a user.
    ///
    /// # Errors
    /// When the user isn't in the account.
    pub async fn retrieve_user(&self, caller: &Caller, user: UserId) -> Result<User> {
        let unwritten = self.activity.unwritten(user);
        let (mut user, _) = find(&mut self.store.read().await?, caller, Action::ReadPeople, user).await?;
        Activity::complete(&mut user, unwritten);
        Ok(user)
    }

    /// Returns a page of the account's users.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn list_users(&self, caller: &Caller, selection: &Selection, take: Take<'_, User>) -> Result<Page> {
        caller.may(Action::ReadPeople)?;
        let mut complete = |mut user: User| {
            let unwritten = self.activity.unwritten(user.id);
            Activity::complete(&mut user, unwritten);
            take(user)
        };
        Ok(self.store.list(caller.user_id).await?.list_users(caller.account_id, selection, &mut complete).await?)
    }

    /// Whether the caller may create a user now. Called before the request's body is read.
    ///
    /// # Errors
    /// When the caller may not create a user.
    pub fn may_create_user(&self, caller: &Caller) -> Result<Permit<CreateUser>> {
        // A new user has no role yet.
        let may = Action::AdministerUsers.reach(caller.role).covers(caller.role, None);
        if may { Ok(Permit::new(caller, CreateUser {})) } else { Err(Error::Forbidden) }
    }

    /// Creates a user in the caller's account.
    ///
    /// # Errors
    /// As [`Service::may_create_user`], when the account's quota is reached, or a conflict when the email is taken.
    pub async fn create_user(&self, permit: Permit<CreateUser>, new: NewUser) -> Result<User> {
        let (mut change, caller) = self.change(&permit.who, None).await?;
        self.may_create_user(&caller)?;
        let id = UserId::random(self.entropy())?;
        let mut user = User::local(id, caller.account_id, new.email, new.profile, change.metadata(new.labels));
        user.auth_provider = new.auth_provider;
        user.auth_id = new.auth_id.unwrap_or(user.auth_id);
        email_is_free(&mut change.writer, &user).await?;
        let at_most = change.writer.insert_user(&user).await?;
        change.may_have_users(caller.account_id, at_most).await?;
        change.record(caller.account_id, EventKind::Created, Subject::User(user.id)).await?;
        change.commit().await?;
        Ok(user)
    }

    /// Whether the caller may modify any field of that user now. Called before the request's headers and body are read.
    ///
    /// # Errors
    /// When the user isn't in the account, or the caller may not modify it.
    pub async fn may_modify_user(&self, caller: &Caller, user: UserId) -> Result<Permit<ModifyUser>> {
        find(&mut self.store.read().await?, caller, Action::ModifyProfile, user).await?;
        Ok(Permit::new(caller, ModifyUser { user }))
    }

    /// Modifies a user and returns its new state.
    ///
    /// # Errors
    /// As [`Service::may_modify_user`], when the caller may not modify a given field, when the precondition doesn't
    /// hold, or a conflict with existing data.
    pub async fn modify_user(
        &self,
        permit: Permit<ModifyUser>,
        new: UserChange,
        precondition: &impl Precondition<User>,
    ) -> Result<User> {
        let id = permit.target.user;
        let (mut change, caller) = self.change(&permit.who, Some(id)).await?;
        let unwritten = self.activity.unwritten(id);
        let (mut before, member) = find(&mut change.writer, &caller, Action::ModifyProfile, id).await?;
        Activity::complete(&mut before, unwritten);
        let mut faults = FieldErrors::default();
        faults.must_equal("id", new.id, before.id);
        faults.must_equal("authProvider", new.auth_provider, before.auth_provider);
        let mut user = before.clone();
        user.apply(new);
        if user.is_enabled && !before.is_enabled {
            user.enabled_at = Some(change.at);
        }
        let profile_only = User { profile: before.profile.clone(), ..user.clone() } == before;
        if !profile_only && !caller.reaches(Action::AdministerUsers, &member) {
            return Err(Error::Forbidden);
        }
        precondition.check(&before)?;
        if before.takes_part() && !user.takes_part() && is_last_owner_anywhere(&mut change.writer, id).await? {
            let name = if user.state == before.state { "isEnabled" } else { "state" };
            faults.refuse(name, "can't take an account its last owner");
        }
        faults.or_conflict()?;
        email_is_free(&mut change.writer, &user).await?;
        user.metadata.modified(change.at, change.by);
        change.writer.update_user(&user).await?;
        change.record(user.account_id, EventKind::Modified, Subject::User(id)).await?;
        change.commit().await?;
        Ok(user)
    }

    /// Whether the caller may delete that user now. Called before the request's headers are read.
    ///
    /// # Errors
    /// When the user isn't in the account, or the caller may not delete it.
    pub async fn may_delete_user(&self, caller: &Caller, user: UserId) -> Result<Permit<DeleteUser>> {
        find(&mut self.store.read().await?, caller, Action::AdministerUsers, user).await?;
        Ok(Permit::new(caller, DeleteUser { user }))
    }

    /// Deletes a user, its tokens and its role bindings.
    ///
    /// # Errors
    /// As [`Service::may_delete_user`], when the precondition doesn't hold, or when an account would be left without an
    /// owner.
    pub async fn delete_user(&self, permit: Permit<DeleteUser>, precondition: &impl Precondition<User>) -> Result<()> {
        let id = permit.target.user;
        let (mut change, caller) = self.change(&permit.who, Some(id)).await?;
        let unwritten = self.activity.unwritten(id);
        let (mut user, _) = find(&mut change.writer, &caller, Action::AdministerUsers, id).await?;
        Activity::complete(&mut user, unwritten);
        if is_last_owner_anywhere(&mut change.writer, id).await? {
            return Err(Error::Forbidden);
        }
        precondition.check(&user)?;
        delete(&mut change, &user).await?;
        change.commit().await
    }
}

/// Deletes a user with its tokens and role bindings, and records an event for each. If there are many tokens, they are
/// all refused at once, and deleted in the background.
pub(super) async fn delete(change: &mut Change, user: &User) -> Result<()> {
    change.delete_tokens_of(user.id, user.account_id).await?;
    for binding in change.writer.role_bindings_of(user.id).await? {
        change.record(binding.account_id, EventKind::Deleted, Subject::RoleBinding(binding.id, user.id)).await?;
    }
    change.writer.delete_user(user.id).await?;
    change.record(user.account_id, EventKind::Deleted, Subject::User(user.id)).await
}

/// Whether the user is the last owner of any account (spec/contract/CONTRACT.md §9).
pub(super) async fn is_last_owner_anywhere(conn: &mut Conn, user: UserId) -> Result<bool> {
    for binding in conn.role_bindings_of(user).await? {
        if is_last_owner(conn, &binding).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the binding makes its user the last owner of the account.
pub(super) async fn is_last_owner(conn: &mut Conn, binding: &crate::domain::role_binding::RoleBinding) -> Result<bool> {
    let takes_part = conn.find_user(binding.user_id).await?.is_some_and(|user| user.takes_part());
    Ok(takes_part
        && binding.makes_owner()
        && conn.count_owners(binding.account_id, Some(binding.user_id), None).await? == 0)
}

/// Checks that no other user in any of the user's accounts has its email.
async fn email_is_free(conn: &mut Conn, user: &User) -> Result<()> {
    let mut accounts = conn.accounts_of(user.id).await?;
    accounts.insert(user.account_id);
    for account in accounts {
        if conn.email_is_taken(account, &user.email, user.id).await? {
            let mut faults = FieldErrors::default();
            faults.refuse("email", "is another user's in the account");
            return faults.or_conflict();
        }
    }
    Ok(())
}

/// The user, if the caller may perform the action on it.
async fn find(conn: &mut Conn, caller: &Caller, action: Action, user: UserId) -> Result<(User, Member)> {
    let member = conn.find_member(caller.account_id, user).await?.ok_or(Error::NotFound)?;
    let found = conn.find_user(user).await?.ok_or(Error::NotFound)?;
    if caller.reaches(action, &member) { Ok((found, member)) } else { Err(Error::Forbidden) }
}
