use super::*;
use crate::api::operations::Operation;

#[tokio::test]
async fn places_are_bounded_for_each_kind_and_given_up_while_a_client_is_waited_for() {
    let admission = Admission::default();
    let ask = async |kind| {
        let mut request = Request::default();
        admission.admit(&mut request, kind).await.map(|()| request)
    };
    let revoke = async || ask(Class::Revoke).await;
    let mut held = vec![];
    for _ in 0..Class::Revoke.most() {
        held.push(revoke().await.unwrap());
    }
    assert!(matches!(revoke().await, Err(Problem::Busy)));
    assert!(ask(Class::Read).await.is_ok() && ask(Class::Write).await.is_ok());
    let sent = async {
        let another = revoke().await.unwrap();
        assert!(revoke().await.is_err());
        another
    };
    drop(Place::of(&held[0]).leave_for(sent).await);
    assert!(revoke().await.is_err());
    // Also when the client is given up while it is waited for.
    let given_up = held.pop().unwrap();
    let never = Place::of(&given_up).leave_for(std::future::pending::<()>());
    assert!(tokio::time::timeout(Duration::from_millis(10), never).await.is_err());
    drop(given_up);
    held.push(revoke().await.unwrap());
    assert!(revoke().await.is_err());
}

#[tokio::test]
async fn who_asks_again_too_soon_is_answered_when_it_may() {
    let (admission, told) = (Admission::default(), Told::default());
    let ask = async |told: Option<&Told>| {
        let mut request = Request::default();
        if let Some(told) = told {
            request.set_data(told.clone());
        }
        let begun = Instant::now();
        (admission.admit(&mut request, Class::Revoke).await.map(|()| request), begun.elapsed())
    };
    let mut held = vec![];
    for _ in 0..Class::Revoke.most() {
        held.push(ask(None).await.0.unwrap());
    }
    let soon = RETRY_AFTER / 2;
    assert!(matches!(ask(Some(&told)).await, (Err(_), took) if took < soon), "the first time");
    assert!(matches!(ask(None).await, (Err(_), took) if took < soon), "on another connection");
    assert!(matches!(ask(Some(&told)).await, (Err(_), took) if took > soon), "too soon");
    // Once there is a place, nobody waits for it.
    held.pop();
    assert!(matches!(ask(Some(&told)).await, (Ok(_), took) if took < soon), "there is a place");
}

#[tokio::test]
async fn a_user_has_half_of_the_places_for_what_takes_long() {
    let admission = Admission::default();
    let ask = async |user: u32| {
        let mut request = Request::default();
        admission.admit(&mut request, Class::List).await?;
        let user = format!("00000000-0000-4000-8000-{user:012}").parse().unwrap();
        admission.admit_page(user, &mut request).await.map(|()| request)
    };
    let mut held = vec![];
    for user in [1, 2] {
        for _ in 0..Class::List.most() / 2 {
            held.push(ask(user).await.unwrap());
        }
        assert!(matches!(ask(user).await, Err(Problem::Busy)));
    }
    assert!(ask(3).await.is_err(), "all are taken");
    held.pop();
    assert!(ask(3).await.is_ok() && ask(1).await.is_err());
    drop(held);
    assert!(admission.present.iter().all(|present| present.load(Ordering::Relaxed) == 0));
}
#[test]
fn kinds_follow_from_shapes() {
    let of = |area, id: &str| Class::of(area, Some(Operation::named(id).unwrap().shape), &Method::GET);
    for (area, id, kind) in [
        (Area::Accounts, "retrieve_token", Class::Read),
        (Area::Accounts, "list_tokens", Class::List),
        (Area::Accounts, "create_token", Class::Write),
        (Area::Accounts, "modify_user", Class::Write),
        (Area::Accounts, "delete_account", Class::Revoke),
        (Area::Tokens, "who_am_i", Class::Read),
        (Area::Tokens, "revoke_presented_token", Class::Revoke),
        (Area::Tokens, "report_leaks", Class::Revoke),
        (Area::OAuth, "introspect_token", Class::Read),
        (Area::OAuth, "revoke_token", Class::Revoke),
        (Area::Verify, "verify_token", Class::Read),
    ] {
        assert_eq!(of(area, id), Some(kind), "{id}");
    }
    assert_eq!(of(Area::Open, "check_readiness"), None);
    for (method, class) in [(Method::GET, Class::Read), (Method::PUT, Class::Write), (Method::DELETE, Class::Revoke)] {
        assert_eq!(Class::of(Area::Accounts, None, &method), Some(class), "{method}");
    }
    assert_eq!(Class::of(Area::Verify, None, &Method::DELETE), Some(Class::Read));
}
