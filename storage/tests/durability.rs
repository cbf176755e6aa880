//! What `embedded:PATH` promises beyond the contract: what was confirmed is there afterwards, and a file that cannot be
//! trusted is refused as it is.

use std::fs;
use std::path::{Path, PathBuf};

use touchstone_storage::{Account, Accounts, IdForm, OpenError, Sqlite, backup};

fn account(number: usize) -> Account {
    Account {
        id: number.to_string(),
        id_form: IdForm::Text,
        username: format!("user {number}"),
        email: None,
        name: Some("x".repeat(200)),
        avatar: None,
        password_hash: None,
        last_seen: None,
        logged_out_second: None,
    }
}

async fn fill(store: &Sqlite, numbers: std::ops::Range<usize>) {
    let accounts = numbers.map(account).collect();
    store.create_accounts("realm", accounts).await.unwrap();
}

async fn count(store: &Sqlite) -> usize {
    store
        .accounts("realm", None, usize::MAX >> 1)
        .await
        .unwrap()
        .len()
}

/// A folder that goes with the test, and the place of a store in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

#[tokio::test]
async fn what_was_confirmed_is_there_when_the_store_is_opened_again() {
    let (_folder, path) = place();
    for round in 0..3 {
        let store = Sqlite::open(&path).unwrap();
        assert_eq!(count(&store).await, round * 10);
        fill(&store, round * 10..(round + 1) * 10).await;
    }
}

#[tokio::test]
async fn one_server_at_a_time() {
    let (_folder, path) = place();
    let first = Sqlite::open(&path).unwrap();
    assert!(matches!(Sqlite::open(&path), Err(OpenError::InUse { .. })));
    drop(first);
    Sqlite::open(&path).unwrap();
}

/// Opening refuses the file, and leaves every byte of it.
fn refused(path: &Path) -> OpenError {
    let before = fs::read(path).unwrap();
    let error = Sqlite::open(path).expect_err("it is no store");
    assert!(fs::read(path).unwrap() == before, "it was changed");
    error
}

#[tokio::test]
async fn what_is_somebody_elses_is_refused_as_it_is() {
    let (_folder, path) = place();
    fs::write(
        &path,
        "a letter to my aunt, long enough to be taken for something else".repeat(100),
    )
    .unwrap();
    assert!(matches!(refused(&path), OpenError::Foreign { .. }));

    fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    drop(other);
    assert!(matches!(refused(&path), OpenError::Foreign { .. }));

    fs::write(&path, "").unwrap();
    Sqlite::open(&path).expect("an empty file is as good as none");
}

#[tokio::test]
async fn what_a_newer_version_has_written_is_refused_as_it_is() {
    let (_folder, path) = place();
    drop(Sqlite::open(&path).unwrap());
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 1_000).unwrap();
    drop(newer);
    assert!(matches!(refused(&path), OpenError::Newer { found: 1_000, .. }));
}

#[tokio::test]
async fn a_damaged_store_is_refused_as_it_is() {
    let (_folder, path) = place();
    let store = Sqlite::open(&path).unwrap();
    fill(&store, 0..2_000).await;
    drop(store);
    let whole = fs::read(&path).unwrap();
    let middle = whole.len() / 2;

    let mut overwritten = whole.clone();
    overwritten[middle..middle + 8_192].fill(0x5a);
    fs::write(&path, overwritten).unwrap();
    assert!(matches!(refused(&path), OpenError::Damaged { .. }));

    fs::write(&path, &whole[..middle]).unwrap();
    assert!(matches!(refused(&path), OpenError::Damaged { .. }));

    let mut beheaded = whole.clone();
    beheaded[..16].fill(0);
    fs::write(&path, beheaded).unwrap();
    assert!(matches!(refused(&path), OpenError::Foreign { .. }));

    fs::write(&path, whole).unwrap();
    assert_eq!(count(&Sqlite::open(&path).unwrap()).await, 2_000);
}

#[tokio::test]
async fn a_backup_of_a_store_in_use_has_all_that_was_confirmed_before() {
    let (folder, path) = place();
    let store = Sqlite::open(&path).unwrap();
    fill(&store, 0..500).await;
    let copy = folder.path().join("copy.db");
    let (from, to) = (path.clone(), copy.clone());
    let copying = tokio::task::spawn_blocking(move || backup(&from, &to));
    for number in 500..600 {
        fill(&store, number..number + 1).await;
    }
    copying.await.unwrap().unwrap();
    assert_eq!(count(&store).await, 600, "the store went on");
    let kept = count(&Sqlite::open(&copy).unwrap()).await;
    assert!((500..=600).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_nothing_half_done() {
    let (folder, path) = place();
    let copy = folder.path().join("copy.db");
    assert!(backup(&path, &copy).is_err(), "there is no store");
    drop(Sqlite::open(&path).unwrap());
    fs::write(&copy, "precious").unwrap();
    assert!(backup(&path, &copy).is_err());
    assert_eq!(fs::read_to_string(&copy).unwrap(), "precious");
    assert!(backup(&path, &folder.path().join("no such folder/copy.db")).is_err());
    backup(&path, &folder.path().join("other.db")).unwrap();
    let left = fs::read_dir(folder.path()).unwrap();
    let unfinished = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("unfinished")
    });
    assert_eq!(unfinished.count(), 0);
}
