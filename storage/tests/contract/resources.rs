//! What every store of resources promises.

use touchstone_storage::{Fields, Keep, Resource, Resources, Shelf, StoreError, Timestamp};

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_123);
const LATER: Timestamp = Timestamp::from_millis(1_700_000_009_000);

const ALBUMS: Shelf<'_> = Shelf {
    name: "albums",
    inside: None,
};

fn fields(json: &str) -> Fields {
    serde_json::from_str(json).unwrap()
}

const fn photos_of(album: u64) -> Shelf<'static> {
    Shelf {
        name: "photos",
        inside: Some(album),
    }
}

/// The whole contract of a store of resources.
pub(crate) async fn keeps(store: impl Resources) {
    what_is_made_is_found_on_its_shelf_and_on_no_other(&store).await;
    pages_are_cut_in_the_order_of_making(&store).await;
    a_revision_sets_some_fields(&store).await;
    what_is_inside_goes_with_what_is_around_it(&store).await;
    an_owner_takes_along_what_is_his(&store).await;
    the_oldest_are_trimmed(&store).await;
}

async fn make(store: &impl Resources, shelf: Shelf<'_>, json: &str) -> Resource {
    let made = store
        .create_resource(shelf, "ann", AT, fields(json))
        .await
        .unwrap();
    made.expect("what is around it is there")
}

async fn what_is_made_is_found_on_its_shelf_and_on_no_other(store: &impl Resources) {
    let album = make(store, ALBUMS, r#"{"title":"Rome \ud83e\udd80","big":true}"#).await;
    let expected = Resource {
        id: album.id,
        owner: "ann".to_owned(),
        created_at: AT,
        fields: fields(r#"{"title":"Rome \ud83e\udd80","big":true}"#),
    };
    assert_eq!(album, expected);
    assert!((1..1 << 53).contains(&album.id));
    assert_eq!(store.resource(ALBUMS, album.id).await.unwrap(), Some(expected));
    let others = Shelf {
        name: "others",
        inside: None,
    };
    for shelf in [others, photos_of(album.id)] {
        assert_eq!(store.resource(shelf, album.id).await.unwrap(), None);
        assert_eq!(
            store
                .revise_resource(shelf, album.id, Fields::new())
                .await
                .unwrap(),
            None
        );
        assert!(!store.remove_resource(shelf, album.id).await.unwrap());
        assert_eq!(store.resources(shelf, 0, 9).await.unwrap().total, 0);
    }
    assert!(store.remove_resource(ALBUMS, album.id).await.unwrap());
    assert!(!store.remove_resource(ALBUMS, album.id).await.unwrap());
    assert_eq!(store.resource(ALBUMS, album.id).await.unwrap(), None);
    let next = make(store, ALBUMS, "{}").await;
    assert!(next.id > album.id, "an id is never used again");
    assert!(store.remove_resource(ALBUMS, next.id).await.unwrap());
}

async fn pages_are_cut_in_the_order_of_making(store: &impl Resources) {
    let shelf = Shelf {
        name: "pages",
        inside: None,
    };
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(make(store, shelf, "{}").await.id);
    }
    for (skip, limit, expected) in [
        (0, 9, &ids[..]),
        (0, 2, &ids[..2]),
        (3, 2, &ids[3..]),
        (4, 2, &ids[4..]),
        (5, 2, &[]),
        (u64::MAX, 2, &[]),
    ] {
        let page = store.resources(shelf, skip, limit).await.unwrap();
        let found: Vec<_> = page.resources.iter().map(|resource| resource.id).collect();
        assert_eq!((&found[..], page.total), (expected, 5), "{skip} {limit}");
    }
}

async fn a_revision_sets_some_fields(store: &impl Resources) {
    let album = make(store, ALBUMS, r#"{"title":"Rome","note":"n"}"#).await;
    let revise = async |json: &str| -> Result<Option<Resource>, StoreError> {
        store.revise_resource(ALBUMS, album.id, fields(json)).await
    };
    let expected = Resource {
        fields: fields(r#"{"title":"Pisa","note":"n","more":null}"#),
        ..album.clone()
    };
    let revised = revise(r#"{"title":"Pisa","more":null}"#).await.unwrap();
    assert_eq!(revised.as_ref(), Some(&expected));
    assert_eq!(revise("{}").await.unwrap().as_ref(), Some(&expected));
    assert_eq!(store.resource(ALBUMS, album.id).await.unwrap(), Some(expected));
    assert!(store.remove_resource(ALBUMS, album.id).await.unwrap());
    assert_eq!(revise("{}").await.unwrap(), None);
}

async fn what_is_inside_goes_with_what_is_around_it(store: &impl Resources) {
    let (one, other) = (make(store, ALBUMS, "{}").await, make(store, ALBUMS, "{}").await);
    let photo = make(store, photos_of(one.id), "{}").await;
    let kept = make(store, photos_of(other.id), "{}").await;
    assert_eq!(store.resource(photos_of(other.id), photo.id).await.unwrap(), None);
    assert!(store.remove_resource(ALBUMS, one.id).await.unwrap());
    assert_eq!(store.resource(photos_of(one.id), photo.id).await.unwrap(), None);
    assert_eq!(store.resources(photos_of(one.id), 0, 9).await.unwrap().total, 0);
    let made = store
        .create_resource(photos_of(one.id), "ann", AT, Fields::new())
        .await;
    assert_eq!(made.unwrap(), None, "nothing is made inside of nothing");
    assert_eq!(
        store.resource(photos_of(other.id), kept.id).await.unwrap(),
        Some(kept)
    );
    assert!(store.remove_resource(ALBUMS, other.id).await.unwrap());
}

async fn an_owner_takes_along_what_is_his(store: &impl Resources) {
    let album = make(store, ALBUMS, "{}").await;
    let others = store
        .create_resource(photos_of(album.id), "bob", AT, Fields::new())
        .await;
    let bobs = store
        .create_resource(ALBUMS, "bob", AT, Fields::new())
        .await
        .unwrap();
    let note = Shelf {
        name: "notes",
        inside: None,
    };
    let note_id = make(store, note, "{}").await.id;
    store
        .remove_resources_of(&["albums", "photos"], "ann")
        .await
        .unwrap();
    let photo = others.unwrap().expect("the album was there").id;
    assert_eq!(store.resource(ALBUMS, album.id).await.unwrap(), None);
    assert_eq!(store.resource(photos_of(album.id), photo).await.unwrap(), None);
    let bobs = bobs.expect("nothing is around it");
    assert_eq!(store.resource(ALBUMS, bobs.id).await.unwrap(), Some(bobs));
    assert!(
        store.resource(note, note_id).await.unwrap().is_some(),
        "not a shelf that was named"
    );
}

async fn the_oldest_are_trimmed(store: &impl Resources) {
    let shelf = Shelf {
        name: "trimmed",
        inside: None,
    };
    let mut ids = Vec::new();
    for at in [AT, AT, AT, LATER, LATER, LATER] {
        let made = store
            .create_resource(shelf, "ann", at, Fields::new())
            .await
            .unwrap();
        ids.push(made.expect("nothing is around it").id);
    }
    for (since, count_max, limit, removed, left) in [
        (None, None, 9, 0, &ids[..]),
        (Some(AT), Some(6), 9, 0, &ids[..]),
        (Some(LATER), None, 1, 1, &ids[1..]),
        (Some(LATER), Some(9), 9, 2, &ids[3..]),
        (None, Some(2), 9, 1, &ids[4..]),
        (None, Some(0), 1, 1, &ids[5..]),
        (None, Some(0), 9, 1, &[]),
        (None, Some(0), 9, 0, &[]),
    ] {
        assert_eq!(
            store
                .trim_resources(shelf, Keep { since, count_max }, limit)
                .await
                .unwrap(),
            removed
        );
        let page = store.resources(shelf, 0, 9).await.unwrap();
        let found: Vec<_> = page.resources.iter().map(|resource| resource.id).collect();
        assert_eq!(found, left, "{since:?} {count_max:?} {limit}");
    }
}
