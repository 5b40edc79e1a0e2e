//! Bootstrap: creates the first account, its owner and the owner's token.

use std::collections::BTreeSet;

use super::{Result, Service};
use crate::{
    domain::{
        account::Account,
        event::{Event, EventKind, RequestContext, Subject},
        id::{AccountId, EventId, RoleBindingId, TokenId, UserId, random_uuid},
        label::Labels,
        metadata::Metadata,
        name::{Email, FreeText, ResourceName},
        role_binding::RoleBinding,
        secret::Secret,
        token::{NewToken, Token},
        user::{Profile, User},
    },
    store::Writer,
};

/// The first account, its owner and the owner's token, as they are to be created.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The account's name.
    pub account_name: ResourceName,
    /// The owner's email address.
    pub email: Email,
    /// The owner's first name.
    pub first_name: FreeText,
    /// The owner's last name.
    pub last_name: FreeText,
    /// The token's name.
    pub token_name: ResourceName,
    /// The token's secret; `None` generates one.
    pub secret: Option<Secret>,
}

/// What was created, with the token's secret, which can't be retrieved later.
#[derive(Debug)]
pub struct Bootstrapped {
    /// The account's id.
    pub account_id: AccountId,
    /// The id of its owner.
    pub user_id: UserId,
    /// The id of the owner's token.
    pub token_id: TokenId,
    /// The token's secret.
    pub secret: Secret,
}

impl Service {
    /// Creates the first account, its owner and a token. Returns `None` and changes nothing if there is an account. Of
    /// several concurrent calls, only one creates them.
    ///
    /// # Errors
    /// When the store or the source of randomness fails.
    pub async fn bootstrap(&self, bootstrap: Bootstrap) -> Result<Option<Bootstrapped>> {
        let mut writer = self.store.write().await?;
        writer.lock_instance().await?;
        if writer.has_account().await? {
            return Ok(None);
        }
        let entropy = self.entropy();
        let secret = bootstrap.secret.map_or_else(|| Secret::generate(entropy), Ok)?;
        let (account_id, user_id) = (AccountId::random(entropy)?, UserId::random(entropy)?);
        let metadata = Metadata::new(Labels::default(), self.clock.now(), user_id);
        let profile = Profile::named(bootstrap.first_name, bootstrap.last_name);
        let (now, new) = (metadata.created_at, NewToken::named(bootstrap.token_name));
        let user = User::local(user_id, account_id, bootstrap.email, profile, metadata);
        let token = Token::new(TokenId::random(entropy)?, user_id, new, now, user_id);
        let context = RequestContext::without_request(random_uuid(entropy)?.to_string());
        self.found(&mut writer, bootstrap.account_name, &user, RoleBindingId::random(entropy)?, &context).await?;
        // The secret may have been used before, in an account that is still being deleted.
        writer.forget_orphan(secret.digest()).await?;
        writer.insert_token(&token, secret.digest(), &BTreeSet::new()).await?;
        let event = Event::new(
            EventId::random(entropy)?,
            account_id,
            EventKind::Created,
            Subject::Token(token.id, user_id),
            user_id,
            &context,
        );
        writer.insert_events(account_id, &mut [event]).await?;
        writer.commit().await?;
        Ok(Some(Bootstrapped { account_id, user_id, token_id: token.id, secret }))
    }

    /// Inserts a new account, its owner and the owner's role binding, with an event for each.
    pub(super) async fn found(
        &self,
        writer: &mut Writer,
        name: ResourceName,
        owner: &User,
        binding: RoleBindingId,
        context: &RequestContext,
    ) -> Result<()> {
        let User { id: user, account_id, metadata, .. } = owner;
        writer.insert_account(&Account::new(*account_id, name, metadata.clone())).await?;
        writer.insert_user(owner).await?;
        writer.insert_role_binding(&RoleBinding::of_owner(binding, *account_id, *user, metadata.clone())).await?;
        let mut events = vec![];
        for subject in [Subject::Account(*account_id), Subject::User(*user), Subject::RoleBinding(binding, *user)] {
            events.push(Event::new(
                EventId::random(self.entropy())?,
                *account_id,
                EventKind::Created,
                subject,
                *user,
                context,
            ));
        }
        Ok(writer.insert_events(*account_id, &mut events).await?)
    }
}
