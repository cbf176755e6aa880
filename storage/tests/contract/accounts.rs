//! What every store of users and tenants promises.

use touchstone_storage::{Account, Accounts, CreateError, IdForm, Tenant, Timestamp};

fn account(id: &str, username: &str, email: Option<&str>) -> Account {
    Account {
        id: id.to_owned(),
        username: username.to_owned(),
        email: email.map(str::to_owned),
        ..Account::default()
    }
}

/// The whole contract of accounts, in the realms of dialects and in those of tenants.
pub(crate) async fn keeps(store: impl Accounts) {
    keeps_in(&store, "here", "there").await;
    keeps_in(&store, "rooms:here", "rooms:there").await;
    tenants(&store).await;
}

async fn keeps_in(store: &impl Accounts, here: &str, there: &str) {
    let ann = account("1", "ann", Some("ann@example.test"));
    let bob = Account {
        id_form: IdForm::Integer,
        ..account("2", "bob", None)
    };
    let eve = account("3", "eve", None);
    store
        .create_accounts(here, vec![ann.clone(), bob.clone()])
        .await
        .unwrap();
    for (entry, field) in [
        (account("1", "other", None), "id"),
        (account("9", "ann", None), "username"),
        (account("9", "other", Some("ann@example.test")), "email"),
        (account("3", "other", None), "id"),
    ] {
        let made = store.create_accounts(here, vec![eve.clone(), entry]).await;
        assert_eq!(made, Err(CreateError::Taken { index: 1, field }));
    }
    assert_eq!(store.account(here, "3").await.unwrap(), None, "all or nothing");
    store.create_accounts(there, vec![ann.clone()]).await.unwrap();

    assert_eq!(store.account(here, "1").await.unwrap(), Some(ann.clone()));
    assert_eq!(store.account(there, "2").await.unwrap(), None);
    for (login, expected) in [
        ("ann@example.test", Some(ann.clone())),
        ("bob", Some(bob.clone())),
        ("nobody", None),
    ] {
        assert_eq!(store.account_by_login(here, login).await.unwrap(), expected);
    }
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let mut found = store.accounts_by_id(here, ids(&["2", "7", "1"])).await.unwrap();
    found.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(found, [ann.clone(), bob.clone()]);
    assert_eq!(
        store.accounts(here, None, 1).await.unwrap(),
        std::slice::from_ref(&ann)
    );
    assert_eq!(store.accounts(here, Some("1"), 9).await.unwrap(), [bob]);

    let at = Timestamp::from_millis(1_700_000_000_123);
    store.note_last_seen(here, "1", at).await.unwrap();
    store.note_last_seen(here, "nobody", at).await.unwrap();
    store.note_logout(here, "1", 1_700_000_000).await.unwrap();
    let noted = Account {
        last_seen: Some(at),
        logged_out_second: Some(1_700_000_000),
        ..ann.clone()
    };
    assert_eq!(store.account(here, "1").await.unwrap(), Some(noted));
    assert_eq!(store.account(there, "1").await.unwrap(), Some(ann));

    assert!(store.remove_account(here, "1").await.unwrap());
    assert!(!store.remove_account(here, "1").await.unwrap());
    assert_eq!(store.account(here, "1").await.unwrap(), None);
}

async fn tenants(store: &impl Accounts) {
    let tenant = |id: &str, schema_name: &str| Tenant {
        id: id.to_owned(),
        id_form: IdForm::Integer,
        name: schema_name.to_uppercase(),
        schema_name: schema_name.to_owned(),
    };
    let acme = tenant("1", "acme");
    store.create_tenants("here", vec![acme.clone()]).await.unwrap();
    for (entry, field) in [(tenant("1", "b"), "id"), (tenant("2", "acme"), "schema_name")] {
        let made = store.create_tenants("here", vec![tenant("7", "c"), entry]).await;
        assert_eq!(made, Err(CreateError::Taken { index: 1, field }));
    }
    assert_eq!(store.tenant("here", "acme").await.unwrap(), Some(acme));
    assert_eq!(store.tenant("here", "c").await.unwrap(), None);
    assert_eq!(store.tenant("there", "acme").await.unwrap(), None);
}
