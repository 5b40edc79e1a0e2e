//! Role bindings: grant, retrieve, list, modify, revoke.

use super::{
    Error, Result, Service,
    caller::Caller,
    error::FieldErrors,
    permit::{ChangeRoleBinding, CreateRoleBinding, Permit},
    policy::Action,
    precondition::Precondition,
    token,
    user::{self, is_last_owner},
};
use crate::{
    domain::{
        collection::{Page, Selection, Take},
        event::{EventKind, Subject},
        id::{AccountId, GroupId, RoleBindingId, UserId},
        role::Role,
        role_binding::{RoleBinding, RoleBindingDraft},
        user::{AuthProvider, User},
    },
    store::Conn,
};

const NO_OWNER: &str = "can't take the account its last owner";

impl Service {
    /// Returns a binding; `of` is the user in whose collection it is requested, if any.
    ///
    /// # Errors
    /// When the binding doesn't exist.
    pub async fn retrieve_role_binding(
        &self,
        caller: &Caller,
        of: Option<UserId>,
        id: RoleBindingId,
    ) -> Result<RoleBinding> {
        caller.may(Action::ReadPeople)?;
        find(&mut self.store.read().await?, caller.account_id, of, id).await
    }

    /// Returns a page of the account's bindings, or of those of the user `of`.
    ///
    /// # Errors
    /// When the user isn't in the account.
    pub async fn list_role_bindings(
        &self,
        caller: &Caller,
        of: Option<UserId>,
        selection: &Selection,
        take: Take<'_, RoleBinding>,
    ) -> Result<Page> {
        caller.may(Action::ReadPeople)?;
        let mut conn = self.store.list(caller.user_id).await?;
        exists(&mut conn, caller.account_id, of).await?;
        Ok(conn.list_role_bindings(caller.account_id, of, selection, take).await?)
    }

    /// Whether the caller may grant any role now. Called before the request's body is read.
    ///
    /// # Errors
    /// When the user isn't in the account, or the caller may not grant a role.
    pub async fn may_create_role_binding(
        &self,
        caller: &Caller,
        of: Option<UserId>,
    ) -> Result<Permit<CreateRoleBinding>> {
        exists(&mut self.store.read().await?, caller.account_id, of).await?;
        may_change(caller, None)?;
        Ok(Permit::new(caller, CreateRoleBinding { of }))
    }

    /// Grants a role.
    ///
    /// # Errors
    /// As [`Service::may_create_role_binding`]; when the caller may not grant this role; or a conflict with existing
    /// data.
    pub async fn create_role_binding(
        &self,
        permit: Permit<CreateRoleBinding>,
        new: RoleBindingDraft,
    ) -> Result<RoleBinding> {
        let (caller, of) = (&permit.who, permit.target.of);
        let user = principal(of, &new)?;
        // Checked before anything is locked, so that a caller can't lock the accounts of a user outside its own
        // account.
        is_member(&mut self.store.read().await?, caller.account_id, user).await?;
        let (mut change, caller) = self.change(caller, Some(user)).await?;
        exists(&mut change.writer, caller.account_id, of).await?;
        may_change(&caller, None)?;
        is_member(&mut change.writer, caller.account_id, user).await?;
        may_change(&caller, Some(new.role))?;
        let mut faults = FieldErrors::default();
        faults.must_equal("accountID", new.account_id, caller.account_id);
        faults.must_equal("userID", new.user_id.filter(|id| *id != UserId::nil()), user);
        if change.writer.role_bindings_of(user).await?.iter().any(|binding| binding.account_id == caller.account_id) {
            faults.refuse("userID", "has a role in the account already");
        }
        faults.or_conflict()?;
        let binding = RoleBinding {
            id: RoleBindingId::random(self.entropy())?,
            account_id: caller.account_id,
            user_id: user,
            role: new.role,
            role_constraints: new.role_constraints.unwrap_or_default(),
            metadata: change.metadata(new.labels.unwrap_or_default()),
        };
        change.writer.insert_role_binding(&binding).await?;
        change.record(caller.account_id, EventKind::Created, Subject::RoleBinding(binding.id, user)).await?;
        token::revoke_outgrown(&mut change, &binding).await?;
        change.commit().await?;
        Ok(binding)
    }

    /// Whether the caller may modify or revoke that binding now. Called before the request's headers and body are read.
    ///
    /// # Errors
    /// When the binding doesn't exist, or the caller may not change it.
    pub async fn may_change_role_binding(
        &self,
        caller: &Caller,
        of: Option<UserId>,
        id: RoleBindingId,
    ) -> Result<Permit<ChangeRoleBinding>> {
        let binding = find(&mut self.store.read().await?, caller.account_id, of, id).await?;
        may_change(caller, Some(binding.role))?;
        Ok(Permit::new(caller, ChangeRoleBinding { of, id }))
    }

    /// Modifies a binding and returns its new state.
    ///
    /// # Errors
    /// As [`Service::may_change_role_binding`]; when the caller may not grant this role, or the precondition doesn't
    /// hold; or a conflict with existing data.
    pub async fn modify_role_binding(
        &self,
        permit: Permit<ChangeRoleBinding>,
        new: RoleBindingDraft,
        precondition: &impl Precondition<RoleBinding>,
    ) -> Result<RoleBinding> {
        let (caller, ChangeRoleBinding { of, id }) = (&permit.who, permit.target);
        let user =
            self.store.read().await?.find_role_binding(caller.account_id, id).await?.ok_or(Error::NotFound)?.user_id;
        let (mut change, caller) = self.change(caller, Some(user)).await?;
        let before = find(&mut change.writer, caller.account_id, of, id).await?;
        may_change(&caller, Some(before.role))?;
        may_change(&caller, Some(new.role))?;
        precondition.check(&before)?;
        let mut faults = FieldErrors::default();
        faults.must_equal("id", new.id, before.id);
        faults.must_equal("accountID", new.account_id, before.account_id);
        faults.must_equal("userID", new.user_id, before.user_id);
        faults.must_equal("groupID", new.group_id, GroupId::nil());
        let mut binding = before.clone();
        binding.role = new.role;
        binding.role_constraints = new.role_constraints.unwrap_or(binding.role_constraints);
        if !binding.makes_owner() && is_last_owner(&mut change.writer, &before).await? {
            faults.refuse(if binding.role == Role::Owner { "roleConstraints" } else { "role" }, NO_OWNER);
        }
        faults.or_conflict()?;
        binding.metadata.labels = new.labels.unwrap_or(binding.metadata.labels);
        binding.metadata.modified(change.at, change.by);
        change.writer.update_role_binding(&binding).await?;
        change.record(caller.account_id, EventKind::Modified, Subject::RoleBinding(id, user)).await?;
        if binding.granted() > before.granted() {
            token::revoke_outgrown(&mut change, &binding).await?;
        }
        change.commit().await?;
        Ok(binding)
    }

    /// Revokes a binding. If it is the last one of a local user whose home is this account, deletes the user as well
    /// (spec/contract/CONTRACT.md §9). Only the home account may delete a user.
    ///
    /// # Errors
    /// As [`Service::may_change_role_binding`], when the precondition doesn't hold, or when the account would be left
    /// without an owner.
    pub async fn delete_role_binding(
        &self,
        permit: Permit<ChangeRoleBinding>,
        precondition: &impl Precondition<RoleBinding>,
    ) -> Result<()> {
        let (caller, ChangeRoleBinding { of, id }) = (&permit.who, permit.target);
        let user =
            self.store.read().await?.find_role_binding(caller.account_id, id).await?.ok_or(Error::NotFound)?.user_id;
        let (mut change, caller) = self.change(caller, Some(user)).await?;
        let binding = find(&mut change.writer, caller.account_id, of, id).await?;
        may_change(&caller, Some(binding.role))?;
        if is_last_owner(&mut change.writer, &binding).await? {
            return Err(Error::Forbidden);
        }
        precondition.check(&binding)?;
        let is_last = change.writer.role_bindings_of(user).await?.len() == 1;
        let goes =
            |user: &User| is_last && user.auth_provider == AuthProvider::Local && user.account_id == caller.account_id;
        let holder = change.writer.find_user(user).await?.filter(goes);
        if let Some(holder) = holder {
            user::delete(&mut change, &holder).await?;
        } else {
            change.writer.delete_role_binding(id).await?;
            change.record(caller.account_id, EventKind::Deleted, Subject::RoleBinding(id, user)).await?;
        }
        change.commit().await
    }
}

/// The user that is to hold the role. Groups are not offered.
fn principal(of: Option<UserId>, new: &RoleBindingDraft) -> Result<UserId> {
    let mut faults = FieldErrors::default();
    if new.group_id.is_some_and(|group| group != GroupId::nil()) {
        faults.refuse("groupID", "must be left out: groups are not offered here");
    }
    let user = of.or(new.user_id.filter(|user| *user != UserId::nil()));
    if user.is_none() {
        faults.refuse("userID", "must name who shall hold the role");
    }
    faults.or_invalid(user)
}

/// Checks that the caller may change bindings of that role (`None`: of any role).
fn may_change(caller: &Caller, role: Option<Role>) -> Result<()> {
    let may = Action::ChangeRoleBindings.reach(caller.role).covers(caller.role, role);
    if may { Ok(()) } else { Err(Error::Forbidden) }
}

/// Checks that the user is in the account. A user of another account is refused like one that doesn't exist.
async fn is_member(conn: &mut Conn, account: AccountId, user: UserId) -> Result<()> {
    let mut faults = FieldErrors::default();
    if conn.find_member(account, user).await?.is_none() {
        faults.refuse("userID", "must be a user of the account");
    }
    faults.or_invalid(Some(()))
}

async fn exists(conn: &mut Conn, account: AccountId, user: Option<UserId>) -> Result<()> {
    let Some(user) = user else { return Ok(()) };
    conn.find_member(account, user).await?.map(drop).ok_or(Error::NotFound)
}

async fn find(conn: &mut Conn, account: AccountId, of: Option<UserId>, id: RoleBindingId) -> Result<RoleBinding> {
    let found = conn.find_role_binding(account, id).await?;
    found.filter(|binding| of.is_none_or(|user| user == binding.user_id)).ok_or(Error::NotFound)
}
