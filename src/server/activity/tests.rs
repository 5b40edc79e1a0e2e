use super::*;

const HEAD: Duration = Duration::from_secs(10);

/// In how many seconds the connection is quiet, as far as can be said.
fn left(activity: &Activity) -> Option<u64> {
    let (until, is_sure) = activity.until(HEAD);
    is_sure.then(|| (until.saturating_duration_since(Instant::now()) + Duration::from_millis(500)).as_secs())
}

#[test]
fn a_connection_idles_from_the_end_of_its_last_request() {
    let activity = Arc::new(Activity::default());
    assert_eq!(left(&activity), Some(10), "without a request it ends sooner");
    let request = activity.begin();
    activity.age(15);
    assert_eq!(left(&activity), None);
    drop(request);
    assert_eq!(left(&activity), Some(30));
    activity.age(15);
    assert_eq!(left(&activity), Some(15));
}

#[test]
fn a_head_has_its_time_in_total() {
    let activity = Arc::new(Activity::default());
    drop(activity.begin());
    for seconds in [10, 7, 4, 1] {
        activity.received(None);
        assert_eq!(left(&activity), Some(seconds));
        activity.age(3);
    }
    drop(activity.begin());
    assert_eq!(left(&activity), Some(30));
    // In HTTP/2, whatever else is under way.
    activity.speaks_http2();
    let first = activity.begin();
    activity.received(Some(true));
    let _second = activity.begin();
    activity.age(3);
    assert_eq!(left(&activity), Some(7));
    activity.received(Some(false));
    assert_eq!(left(&activity), None);
    drop(first);
}

#[test]
fn requests_that_wait_for_their_client_are_noticed_and_those_that_wait_for_us_are_not() {
    let activity = Arc::new(Activity::default());
    let (request, other) = (activity.begin(), activity.begin());
    request.waits(true);
    assert_eq!(left(&activity), None);
    other.waits(true);
    assert_eq!(left(&activity), Some(30));
    activity.age(15);
    request.moves();
    assert_eq!(left(&activity), Some(30));
    other.waits(false);
    assert_eq!(left(&activity), None);
}

#[tokio::test]
async fn quiet_comes_in_time_also_when_a_deadline_moves_forward() {
    let activity = Arc::new(Activity::default());
    drop(activity.begin());
    activity.age(15);
    let dribbles = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        activity.received(None);
    };
    let begun = Instant::now();
    // Whatever comes wakes the task that watches.
    let quiet = async { tokio::join!(activity.quiet(Duration::from_millis(200)), dribbles) };
    tokio::time::timeout(Duration::from_secs(10), quiet).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(250));
}

#[test]
fn who_closes_its_side_has_a_second_and_who_goes_has_none() {
    let activity = Arc::new(Activity::default());
    let _request = activity.begin();
    activity.age(5);
    activity.closed(false);
    assert_eq!(left(&activity), Some(1));
    assert!(!activity.may_finish(false) && activity.may_finish(true));
    activity.closed(true);
    assert_eq!(left(&activity), Some(0));
}

#[test]
fn idle_connections_make_room_first() {
    let connections: Vec<Arc<Activity>> = std::iter::repeat_with(Arc::default).take(3).collect();
    let working = connections[0].begin();
    let waiting = connections[1].begin();
    waiting.waits(true);
    let rank = |n: usize| connections[n].rank(Instant::now());
    assert!(rank(0).is_none() && rank(1).is_none() && rank(2).is_some());
    for connection in &connections {
        connection.age(3);
    }
    assert!(rank(0).is_none() && rank(1).is_some() && rank(2) < rank(1));
    drop((working, waiting));
    assert!(rank(2) < rank(0));
}

#[tokio::test]
async fn a_further_answer_waits_until_others_are_read() {
    let activity = Activity::default();
    activity.hold(MOST_UNREAD);
    assert!(tokio::time::timeout(Duration::from_millis(50), activity.room()).await.is_err());
    let reads = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(activity.release(MOST_UNREAD));
    };
    tokio::join!(activity.room(), reads);
    activity.hold(7);
    assert_eq!(activity.evict(), 7);
    assert!(!activity.release(7));
}
