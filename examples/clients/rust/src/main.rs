//! A token's whole life, through the client that progenitor makes of spec/openapi-3.0.json.

use std::{env, error::Error};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tokenward_client::{
    Client, ResponseValue,
    types::{Label, MetadataChange, NewToken, Problem, TokenChange, TokenListItem, TokenType, TokenVersion, builder},
};

fn connect(secret: &str) -> Result<Client, Box<dyn Error>> {
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {secret}"))?)]);
    Ok(Client::new_with_client(&env::var("URL")?, reqwest::Client::builder().default_headers(headers).build()?))
}

fn draft() -> builder::NewToken {
    let label = Label { name: "team".to_owned(), value: "storage".to_owned() };
    let labels = MetadataChange { labels: Some(vec![label]), ..MetadataChange::default() };
    NewToken::builder().type_(TokenType::ApplicationAstraToken).version(TokenVersion::X10).metadata(labels)
}

fn change() -> builder::TokenChange {
    TokenChange::builder().type_(TokenType::ApplicationAstraToken).version(TokenVersion::X10)
}

/// What the server has against a call, as the type that the document gives it.
fn problem<T>(answer: Result<ResponseValue<T>, tokenward_client::Error<Problem>>) -> Problem {
    match answer {
        Err(tokenward_client::Error::ErrorResponse(problem)) => problem.into_inner(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("no problem"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = connect(&env::var("SECRET")?)?;
    let (account, user) = (env::var("ACCOUNT_ID")?, env::var("USER_ID")?);
    let (account, user) = (account.as_str(), user.as_str());

    // Issue two tokens. Their secrets are in these answers, and nowhere else.
    let issue = |name| client.create_token().account_id(account).user_id(user).body(draft().name(name)).send();
    let (first, second) = (issue("build").await?, issue("deploy").await?);
    assert_eq!(first.token.len(), 56);

    // Retrieve one, with the entity tag that names this version of it.
    let retrieve = || client.retrieve_token().account_id(account).user_id(user).token_id(first.id.as_str()).send();
    let token = retrieve().await?;
    let etag = token.headers()["ETag"].to_str()?;
    assert_eq!((token.name.as_str(), token.type_), ("build", TokenType::ApplicationAstraToken));

    // List them, a page at a time; then just some fields of them.
    let list = || client.list_tokens().account_id(account).user_id(user);
    let mine = "metadata.labels[*].value eq 'storage'";
    let page = list().filter(mine).order_by("name desc").limit("1").count("true").send().await?;
    assert!(matches!(page.items.as_slice(), [TokenListItem::Token(token)] if token.id == second.id));
    assert_eq!(page.metadata.count, Some(2));
    let rest = list().limit("1").continue_(page.metadata.continue_.as_ref().unwrap().as_str()).send().await?;
    assert!(matches!(rest.items.as_slice(), [TokenListItem::Token(token)] if token.id == first.id));
    let rows = list().filter(mine).skip("1").include("id,name").send().await?;
    assert!(
        matches!(rows.items.as_slice(), [TokenListItem::Row(row)] if row[0].as_str() == Some(&second.id) && row[1].as_str() == Some("deploy"))
    );

    // Rename it, unless somebody else has changed it since it was retrieved. Now somebody has.
    let modify = || client.modify_token().account_id(account).user_id(user).token_id(first.id.as_str());
    let rename = || modify().if_match(etag).body(change().name(Some("build (main)".parse().unwrap()))).send();
    rename().await?;
    let stale = problem(rename().await);
    assert_eq!((stale.status.as_str(), stale.title.as_str()), ("412", "Precondition not met"));

    // A token can't change hands.
    let handed = problem(modify().body(change().user_id(Some(account.parse()?))).send().await);
    assert_eq!((handed.status.as_str(), handed.invalid_fields[0].name.as_str()), ("409", "userID"));

    // Revoke it. It is gone, and its secret with it.
    let revoke = |id: &str| client.delete_token().account_id(account).user_id(user).token_id(id).send();
    revoke(&first.id).await?;
    let gone = problem(retrieve().await);
    assert_eq!((gone.status.as_str(), gone.title.as_str()), ("404", "Collection not found"));
    let refused = connect(&first.token)?.list_tokens().account_id(account).user_id(user).send().await;
    assert_eq!(problem(refused).status, "401");
    revoke(&second.id).await?;
    Ok(())
}
