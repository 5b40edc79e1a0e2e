//! The demonstration: inserts the resources of the OpenAPI document's examples into an empty database.

use std::collections::BTreeSet;

use super::{Error, Result, Service, bootstrap::Bootstrapped};
use crate::domain::{
    Refused,
    event::{Event, EventKind, RequestContext, Subject},
    id::{AccountId, EventId, TokenId, UserId},
    label::{Label, Labels},
    metadata::Metadata,
    name::{Email, FreeText, ResourceName},
    sample,
    secret::Secret,
    token::{NewToken, Token},
    user::{Profile, User},
};

impl Service {
    /// Inserts the examples' account, users, role binding, token and events into an empty database, and a second token
    /// to try the API with. No example names the second token, so that trying an example never revokes it. Its secret
    /// is newly generated: with a published secret, anyone would have access.
    ///
    /// # Errors
    /// When the database isn't empty, or fails.
    pub async fn seed_demo(&self) -> Result<Bootstrapped> {
        let account_id: AccountId = known(sample::ACCOUNT.parse())?;
        let (owner_id, token_id): (UserId, TokenId) = (known(sample::USER.parse())?, known(sample::TOKEN.parse())?);
        let (name, value) = sample::LABEL;
        let labels = known(Labels::parse(vec![Label { name: name.to_owned(), value: value.to_owned() }]))?;
        let metadata = Metadata::new(labels, sample::CREATED, owner_id);
        let person = |id: UserId, [email, first, last]: [&str; 3]| {
            let profile = Profile::named(known(FreeText::parse(first))?, known(FreeText::parse(last))?);
            Ok::<_, Error>(User::local(id, account_id, known(Email::parse(email))?, profile, metadata.clone()))
        };
        let owner = person(owner_id, sample::OWNER)?;
        let colleague = person(known(sample::COLLEAGUE.parse())?, sample::OTHER)?;
        let token = |id: TokenId, name: &str| {
            let name = known(ResourceName::parse(name))?;
            let new = NewToken { labels: metadata.labels.clone(), ..NewToken::named(name) };
            Ok::<_, Error>(Token::new(id, owner_id, new, sample::CREATED, owner_id))
        };
        let (token, key) =
            (token(token_id, sample::TOKEN_NAME)?, token(TokenId::random(self.entropy())?, "demonstration")?);
        let secret = Secret::generate(self.entropy())?;

        let mut context = RequestContext::without_request(sample::CORRELATION.to_owned());
        let mut writer = self.store.write().await?;
        let binding = known(sample::ROLE_BINDING.parse())?;
        self.found(&mut writer, known(ResourceName::parse(sample::ACCOUNT_NAME))?, &owner, binding, &context).await?;
        writer.insert_user(&colleague).await?;
        writer.insert_token(&token, Secret::generate(self.entropy())?.digest(), &BTreeSet::new()).await?;
        let event = |id, subject, context: &RequestContext| {
            Event::new(id, account_id, EventKind::Created, subject, owner_id, context)
        };
        let told = event(EventId::random(self.entropy())?, Subject::User(colleague.id), &context);
        writer.insert_events(account_id, &mut [told]).await?;
        // This event looks as if a request to the API had caused it, because it is an example, too.
        context.uri = Some(format!("/accounts/{account_id}/core/v1/users/{owner_id}/tokens"));
        context.method = Some("post".to_owned());
        context.status = Some("201".to_owned());
        let told = event(known(sample::EVENT.parse())?, Subject::Token(token_id, owner_id), &context);
        writer.insert_events(account_id, &mut [told]).await?;
        writer.insert_token(&key, secret.digest(), &BTreeSet::new()).await?;
        let context = RequestContext::without_request(context.correlation_id);
        let id = EventId::random(self.entropy())?;
        writer.insert_events(account_id, &mut [event(id, Subject::Token(key.id, owner_id), &context)]).await?;
        writer.commit().await?;
        Ok(Bootstrapped { account_id, user_id: owner_id, token_id, secret })
    }
}

/// The parsed sample. Samples are always well-formed, which a test checks.
fn known<T>(sample: std::result::Result<T, Refused>) -> Result<T> {
    sample.map_err(Error::internal)
}
