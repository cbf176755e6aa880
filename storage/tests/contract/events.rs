//! What every store of events promises.

use touchstone_storage::{Arrived, Event, EventState, Events, Keep, NewEvent, Timestamp};

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn new(id: &str, user: &str, scheduled_at: u64, claimed_until: u64) -> NewEvent {
    NewEvent {
        id: id.to_owned(),
        user: user.to_owned(),
        kind: "kind".to_owned(),
        data: format!(r#"{{"of":"{id}"}}"#).into(),
        scheduled_at: at(scheduled_at),
        claimed_until: at(claimed_until),
    }
}

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| &*event.id).collect()
}

/// The whole contract of events.
pub(crate) async fn keeps(store: impl Events) {
    pending_events_come_oldest_first_and_only_when_due(&store).await;
    the_first_note_of_an_arrival_counts(&store).await;
    a_claim_is_one_callers_until_it_runs_out(&store).await;
    what_is_pending_is_never_trimmed(&store).await;
}

async fn pending_events_come_oldest_first_and_only_when_due(store: &impl Events) {
    let ann = [
        new("late", "ann", 300, 0),
        new("early", "ann", 100, 0),
        new("early too", "ann", 100, 0),
        new("tomorrow", "ann", 900, 0),
    ];
    let numbers = store.store_events("here", ann.to_vec()).await.unwrap();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let others = vec![new("bob's", "bob", 100, 0)];
    assert!(store.store_events("here", others.clone()).await.unwrap() > numbers);
    store
        .store_events("there", vec![new("elsewhere", "ann", 100, 0)])
        .await
        .unwrap();
    for (now, limit, expected) in [
        (99, 9, &[][..]),
        (100, 9, &["early", "early too"]),
        (300, 9, &["early", "early too", "late"]),
        (300, 2, &["early", "early too"]),
    ] {
        let pending = store.pending_events("here", "ann", at(now), limit).await.unwrap();
        assert_eq!(ids(&pending), expected, "at {now}, at most {limit}");
    }
    let all = store.events("here", "ann", 0, 9).await.unwrap();
    assert_eq!(ids(&all), ["late", "early", "early too", "tomorrow"]);
    let expected = Event {
        number: numbers[0],
        id: "late".to_owned(),
        user: "ann".to_owned(),
        kind: "kind".to_owned(),
        data: r#"{"of":"late"}"#.to_owned(),
        scheduled_at: at(300),
        state: EventState::Pending,
    };
    assert_eq!(all[0], expected);
    let page = store.events("here", "ann", numbers[0], 2).await.unwrap();
    assert_eq!(ids(&page), ["early", "early too"]);

    store.remove_events("here", "ann").await.unwrap();
    assert_eq!(store.events("here", "ann", 0, 9).await.unwrap(), []);
    assert_eq!(ids(&store.events("here", "bob", 0, 9).await.unwrap()), ["bob's"]);
    assert_eq!(
        ids(&store.events("there", "ann", 0, 9).await.unwrap()),
        ["elsewhere"]
    );
    let again = store.store_events("here", others).await.unwrap();
    assert!(again > numbers, "a number is never given twice");
}

async fn the_first_note_of_an_arrival_counts(store: &impl Events) {
    let events = vec![new("one", "cid", 100, 0), new("two", "cid", 100, 0)];
    let numbers = store.store_events("here", events).await.unwrap();
    let arrived = |number, millis| Arrived {
        number,
        at: at(millis),
    };
    let note = |arrived| store.note_arrived("here", arrived);
    note(vec![arrived(numbers[0], 150), arrived(u64::from(u32::MAX), 150)])
        .await
        .unwrap();
    note(vec![arrived(numbers[0], 160)]).await.unwrap();
    store
        .note_arrived("there", vec![arrived(numbers[1], 160)])
        .await
        .unwrap();
    let all = store.events("here", "cid", 0, 9).await.unwrap();
    assert_eq!(all[0].state, EventState::Sent { at: at(150) });
    assert_eq!(all[1].state, EventState::Pending, "a realm's own events only");
    let pending = store.pending_events("here", "cid", at(200), 9).await.unwrap();
    assert_eq!(ids(&pending), ["two"]);
    store.remove_events("here", "cid").await.unwrap();
    assert_eq!(store.events("here", "cid", 0, 9).await.unwrap(), []);
}

async fn a_claim_is_one_callers_until_it_runs_out(store: &impl Events) {
    let events = vec![
        new("dora's second", "dora", 200, 0),
        new("handed on", "dora", 100, 150),
        new("emil's", "emil", 100, 0),
        new("dora's first", "dora", 100, 0),
        new("later", "dora", 500, 0),
        new("another's", "fay", 100, 0),
    ];
    let numbers = store.store_events("here", events).await.unwrap();
    let claim = |now, until, limit| {
        let users = vec!["dora".to_owned(), "emil".to_owned(), "nobody".to_owned()];
        store.claim_events("here", users, at(now), at(until), limit)
    };
    let (one, other) = tokio::join!(claim(120, 180, 1), claim(120, 180, 9));
    let (one, other) = (one.unwrap(), other.unwrap());
    let mut claimed = [ids(&one), ids(&other)].concat();
    claimed.sort_unstable();
    assert_eq!(claimed, ["dora's first", "emil's"], "each once, and what is due");
    assert_eq!(claim(149, 200, 9).await.unwrap(), []);
    assert_eq!(ids(&claim(150, 160, 9).await.unwrap()), ["handed on"]);
    let arrived = Arrived {
        number: numbers[1],
        at: at(170),
    };
    store.note_arrived("here", vec![arrived]).await.unwrap();
    let again = claim(200, 300, 9).await.unwrap();
    assert_eq!(
        ids(&again),
        ["emil's", "dora's first", "dora's second"],
        "not what has arrived"
    );
    let pending = store.pending_events("here", "dora", at(200), 9).await.unwrap();
    assert_eq!(ids(&pending), ["dora's first", "dora's second"], "claimed or not");
}

async fn what_is_pending_is_never_trimmed(store: &impl Events) {
    let events = (1..=5)
        .flat_map(|number| ["gil", "hal"].map(|user| new(&format!("{user}{number}"), user, 100 * number, 0)));
    let numbers = store.store_events("trimmed", events.collect()).await.unwrap();
    let arrived = |number: &u64| Arrived {
        number: *number,
        at: at(900),
    };
    // Of the first one of each nobody knows whether it has arrived.
    store
        .note_arrived("trimmed", numbers[2..].iter().map(arrived).collect())
        .await
        .unwrap();
    let trim = |keep, limit| store.trim_events("trimmed", keep, limit);
    assert_eq!(trim(Keep::default(), 9).await.unwrap(), 0);
    let keep = Keep {
        since: Some(at(300)),
        count_max: None,
    };
    assert_eq!(trim(keep, 1).await.unwrap(), 1);
    assert_eq!(trim(keep, 9).await.unwrap(), 1);
    assert_eq!(trim(keep, 9).await.unwrap(), 0);
    let keep = Keep {
        since: None,
        count_max: Some(2),
    };
    assert_eq!(trim(keep, 9).await.unwrap(), 2);
    for (user, left) in [
        ("gil", ["gil1", "gil4", "gil5"]),
        ("hal", ["hal1", "hal4", "hal5"]),
    ] {
        let events = store.events("trimmed", user, 0, 9).await.unwrap();
        assert_eq!(ids(&events), left);
    }
}
