//! Accounts: create, retrieve, list, modify, delete.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Error, Result, Service,
    caller::{Caller, Identity},
    change::AlsoLocked,
    error::FieldErrors,
    permit::{ChangeAccount, CreateAccount, Permit, PermitOfIdentity},
    policy::Action,
    precondition::Precondition,
    token,
};
use crate::{
    domain::{
        account::{Account, AccountChange, NewAccount},
        collection::{Page, Selection, Take},
        event::{EventKind, Subject},
        id::{AccountId, RoleBindingId},
        label::Labels,
        role::Role,
        role_binding::RoleBinding,
    },
    store::Conn,
};

/// A user with roles in this many accounts can't create another one. Every change to a user locks all these accounts,
/// so their number must stay small.
const MOST_ACCOUNTS: usize = 100;

impl Service {
    /// Returns the caller's account.
    pub async fn retrieve_account(&self, caller: &Caller) -> Result<Account> {
        caller.may(Action::ReadAccount)?;
        find(&mut self.store.read().await?, caller.account_id).await
    }

    /// Returns a page of the accounts to which the caller has access.
    pub async fn list_accounts(
        &self,
        identity: &Identity,
        selection: &Selection,
        take: Take<'_, Account>,
    ) -> Result<Page> {
        Ok(self.store.list(identity.user_id).await?.list_accounts(identity.user_id, selection, take).await?)
    }

    /// Whether the caller may create an account now. Called before the request's body is read.
    ///
    /// # Errors
    /// When the caller owns no account, or has roles in as many accounts as it may.
    pub async fn may_create_account(&self, identity: &Identity) -> Result<PermitOfIdentity<CreateAccount>> {
        may_create(&mut self.store.read().await?, identity).await?;
        Ok(Permit::new(identity, CreateAccount {}))
    }

    /// Creates an account with the caller as its owner.
    ///
    /// # Errors
    /// As [`Service::may_create_account`].
    pub async fn create_account(&self, permit: PermitOfIdentity<CreateAccount>, new: NewAccount) -> Result<Account> {
        let identity = &permit.who;
        let mut change = self.change_of(identity).await?;
        may_create(&mut change.writer, identity).await?;
        let account = Account::new(AccountId::random(self.entropy())?, new.name, change.metadata(new.labels));
        let id = RoleBindingId::random(self.entropy())?;
        let binding = RoleBinding::of_owner(id, account.id, identity.user_id, change.metadata(Labels::default()));
        change.writer.insert_account(&account).await?;
        change.writer.insert_role_binding(&binding).await?;
        change.record(account.id, EventKind::Created, Subject::Account(account.id)).await?;
        change.record(account.id, EventKind::Created, Subject::RoleBinding(binding.id, binding.user_id)).await?;
        // Nobody else has a role in the new account. Anyone else who knows the secret of one of the caller's tokens
        // would own the account.
        token::revoke_outgrown(&mut change, &binding).await?;
        change.commit().await?;
        Ok(account)
    }

    /// Whether the caller may modify or delete its account now. Called before the request's headers and body are read.
    ///
    /// # Errors
    /// When the caller may not change the account.
    pub fn may_change_account(&self, caller: &Caller) -> Result<Permit<ChangeAccount>> {
        caller.may(Action::ChangeAccount)?;
        Ok(Permit::new(caller, ChangeAccount {}))
    }

    /// Modifies the caller's account and returns its new state.
    ///
    /// # Errors
    /// As [`Service::may_change_account`], when the precondition doesn't hold, or when `id` differs.
    pub async fn modify_account(
        &self,
        permit: Permit<ChangeAccount>,
        new: AccountChange,
        precondition: &impl Precondition<Account>,
    ) -> Result<Account> {
        let (mut change, caller) = self.change(&permit.who, None).await?;
        self.may_change_account(&caller)?;
        let mut account = find(&mut change.writer, caller.account_id).await?;
        precondition.check(&account)?;
        let mut faults = FieldErrors::default();
        faults.must_equal("id", new.id, account.id);
        faults.or_conflict()?;
        account.apply(new, change.at, change.by);
        change.writer.update_account(&account).await?;
        change.record(account.id, EventKind::Modified, Subject::Account(account.id)).await?;
        change.commit().await?;
        Ok(account)
    }

    /// Deletes the caller's account with all that it contains.
    ///
    /// # Errors
    /// As [`Service::may_change_account`], when the precondition doesn't hold, or when another account would be left
    /// without an owner.
    pub async fn delete_account(
        &self,
        permit: Permit<ChangeAccount>,
        precondition: &impl Precondition<Account>,
    ) -> Result<()> {
        let caller = &permit.who;
        let home = caller.account_id;
        let mut change =
            self.change_among(home, AlsoLocked::OfResidents(home), caller.user_id, Arc::clone(&caller.context)).await?;
        let caller = caller.reauthenticate(&mut change.writer, change.at).await?;
        self.may_change_account(&caller)?;
        let account = find(&mut change.writer, home).await?;
        for other in change.writer.accounts_of_residents(home).await? {
            let had = change.writer.count_owners(other, None, None).await?;
            if had > 0 && change.writer.count_owners(other, None, Some(home)).await? == 0 {
                return Err(Error::Forbidden);
            }
        }
        precondition.check(&account)?;
        // The account's log is deleted with it. Its users' role bindings in other accounts are deleted, too, and
        // recorded in the logs of those accounts.
        let mut abroad: BTreeMap<AccountId, Vec<Subject>> = BTreeMap::new();
        for binding in change.writer.role_bindings_abroad(home).await? {
            abroad.entry(binding.account_id).or_default().push(Subject::RoleBinding(binding.id, binding.user_id));
        }
        for (account, bindings) in abroad {
            change.record_all(account, EventKind::Deleted, bindings).await?;
        }
        change.writer.delete_role_bindings_abroad(home).await?;
        change.delete_account(home).await?;
        change.commit().await
    }
}

async fn may_create(conn: &mut Conn, identity: &Identity) -> Result<()> {
    let may = Action::ChangeAccount.reach(Role::Owner).is_everything()
        && conn.owns_an_account(identity.user_id).await?
        && conn.role_bindings_of(identity.user_id).await?.len() < MOST_ACCOUNTS;
    if may { Ok(()) } else { Err(Error::Forbidden) }
}

async fn find(conn: &mut Conn, account: AccountId) -> Result<Account> {
    // The caller had a role in the account, so the account has been deleted since then.
    conn.find_account(account).await?.ok_or(Error::Forbidden)
}
