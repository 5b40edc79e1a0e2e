//! The first account, its owner and that one's token.

use super::{Result, Service};
use crate::domain::{
    account::Account,
    event::{Deed, Event, Occasion, Subject},
    id::{AccountId, EventId, RoleBindingId, TokenId, UserId, random_uuid},
    label::Labels,
    metadata::Metadata,
    name::{Email, FreeText, ResourceName},
    role::Role,
    role_binding::{RoleBinding, RoleConstraints},
    secret::Secret,
    token::Token,
    user::{AuthProvider, Profile, User, UserState},
};

/// How the first things shall be called.
#[derive(Debug, Clone)]
pub struct Founding {
    /// The account's name.
    pub account_name: ResourceName,
    /// The owner's email.
    pub email: Email,
    /// The owner's first name.
    pub first_name: FreeText,
    /// The owner's last name.
    pub last_name: FreeText,
    /// The token's name.
    pub token_name: ResourceName,
    /// The token's secret, if the operator brings one; else one is made.
    pub secret: Option<Secret>,
}

/// What was founded, and the secret, which nobody can ask for again.
#[derive(Debug)]
pub struct Founded {
    /// The account.
    pub account_id: AccountId,
    /// Its owner.
    pub user_id: UserId,
    /// The owner's token.
    pub token_id: TokenId,
    /// The token's secret.
    pub secret: Secret,
}

impl Service {
    /// Founds the first account, or returns `None` and changes nothing where there is one. Of several at once, one founds.
    ///
    /// # Errors
    /// When the store or the source of randomness fails.
    pub async fn bootstrap(&self, founding: Founding) -> Result<Option<Founded>> {
        let mut writer = self.store.write().await?;
        writer.lock_instance().await?;
        if writer.has_account().await? {
            return Ok(None);
        }
        let entropy = self.entropy();
        let secret = founding.secret.map_or_else(|| Secret::generate(entropy), Ok)?;
        let (account_id, user_id) = (AccountId::random(entropy)?, UserId::random(entropy)?);
        let now = self.clock.now();
        let metadata = Metadata::new(Labels::default(), now, user_id);
        let account = Account {
            id: account_id,
            name: founding.account_name,
            is_enabled: true,
            enabled_at: Some(now),
            contact: None,
            metadata: metadata.clone(),
        };
        let user = User {
            id: user_id,
            account_id,
            auth_id: FreeText::stored(founding.email.to_string()),
            email: founding.email,
            profile: Profile {
                first_name: founding.first_name,
                last_name: founding.last_name,
                company_name: None,
                phone: None,
                postal_address: None,
            },
            auth_provider: AuthProvider::Local,
            state: UserState::Active,
            is_enabled: true,
            enabled_at: Some(now),
            last_act_at: None,
            metadata: metadata.clone(),
        };
        let binding = RoleBinding {
            id: RoleBindingId::random(entropy)?,
            account_id,
            user_id,
            role: Role::Owner,
            role_constraints: RoleConstraints::default(),
            metadata: metadata.clone(),
        };
        let token = Token { id: TokenId::random(entropy)?, user_id, name: founding.token_name, metadata };
        writer.insert_account(&account).await?;
        writer.insert_user(&user).await?;
        writer.insert_role_binding(&binding).await?;
        writer.insert_token(&token, secret.digest()).await?;
        let occasion = Occasion { correlation_id: random_uuid(entropy)?.to_string(), uri: None, method: None };
        let subjects = [
            Subject::Account(account_id),
            Subject::User(user_id),
            Subject::RoleBinding(binding.id, user_id),
            Subject::Token(token.id, user_id),
        ];
        for subject in subjects {
            let event = Event::new(EventId::random(entropy)?, account_id, Deed::Created, subject, user_id, &occasion);
            writer.insert_event(&event).await?;
        }
        writer.commit().await?;
        Ok(Some(Founded { account_id, user_id, token_id: token.id, secret }))
    }
}
