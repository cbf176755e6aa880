use super::*;
use serde_json::json;

/// A folder of its own with these files, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("touchstone-feed-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            std::fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the system's folder for such things.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

fn crowd(sessions: u32, first_session: u32) -> Crowd {
    Crowd {
        sessions,
        first_session,
        turns_max: 3,
        seed: 7,
    }
}

fn read(folder: &Folder, feed: &serde_json::Value, crowd: Crowd) -> Result<Feeds, FeedError> {
    let workload = serde_json::from_value(json!({"title": "t", "phases": [], "feed": feed})).unwrap();
    Feeds::read(&workload, crowd, &folder.0, (&["id"], &[(0, "n")]))
}

/// The rows of five turns of each session.
fn rows(feeds: &Feeds, sessions: u32, turns: u32) -> Vec<Vec<String>> {
    let cell = |session, turn| feeds.value(0, (session, turn), "n").unwrap().text().to_owned();
    (0..sessions)
        .map(|session| (0..turns).map(|turn| cell(session, turn)).collect())
        .collect()
}

#[test]
fn each_order_gives_its_rows() {
    let folder = Folder::with("orders", &[("n.csv", "n\n0\n1\n2\n3\n4\n5\n")]);
    let of = |order: &str, crowd| {
        read(
            &folder,
            &json!({"numbers": {"file": "n.csv", "rows": order}}),
            crowd,
        )
    };
    let session = of("session", crowd(2, 0)).unwrap();
    assert_eq!(rows(&session, 2, 3), [["0", "0", "0"], ["1", "1", "1"]]);
    let cyclic = of("cyclic", crowd(2, 0)).unwrap();
    assert_eq!(rows(&cyclic, 2, 4), [["0", "2", "4", "0"], ["1", "3", "5", "1"]]);
    let unique = of("unique", crowd(2, 0)).unwrap();
    assert_eq!(rows(&unique, 2, 3), [["0", "2", "4"], ["1", "3", "5"]]);
    let random = of("random", crowd(2, 0)).unwrap();
    let drawn = rows(&random, 2, 300);
    assert_eq!(drawn, rows(&random, 2, 300), "by the seed alone");
    for number in ["0", "1", "2", "3", "4", "5"] {
        let times = drawn.iter().flatten().filter(|row| *row == number).count();
        assert!((60..140).contains(&times), "{number}: {times} of 600");
    }
    // Whoever shares the file has the rows after those.
    assert_eq!(rows(&of("session", crowd(2, 4)).unwrap(), 2, 1), [["4"], ["5"]]);
}

#[test]
fn users_are_the_sessions_whatever_their_turn() {
    let folder = Folder::with(
        "users",
        &[(
            "users.json",
            r#"[{"id": 7, "name": "Ann"}, {"id": 8, "name": "Bob"}]"#,
        )],
    );
    let users = |feeder: &serde_json::Value, count| read(&folder, &json!({"users": feeder}), crowd(count, 0));
    let two = users(&"users.json".into(), 2).unwrap();
    assert_eq!(
        two.user_object(1),
        *json!({"id": 8, "name": "Bob"}).as_object().unwrap()
    );
    assert!(two.has_users() && two.users_have("name") && !two.users_have("token"));
    let cyclic = users(&json!({"file": "users.json", "rows": "cyclic"}), 5).unwrap();
    let names: Vec<_> = (0..5)
        .map(|session| cyclic.user(session, "name").unwrap().text())
        .collect();
    assert_eq!(names, ["Ann", "Bob", "Ann", "Bob", "Ann"]);
    assert!(cyclic.user(0, "id").unwrap().is_json());
    assert!(!cyclic.user(0, "name").unwrap().is_json());
}

#[test]
fn too_few_rows_are_counted_and_a_missing_column_is_named() {
    let folder = Folder::with(
        "few",
        &[
            ("u.csv", "id,name\n1,a\n2,b\n"),
            ("n.csv", "m\n1\n"),
            ("none.csv", "n\n"),
        ],
    );
    let wrong = |feed: &serde_json::Value, crowd| {
        let wrong = read(&folder, feed, crowd).unwrap_err().to_string();
        wrong.replace(&format!("{}/", folder.0.display()), "")
    };
    assert_eq!(
        wrong(&json!({"users": "u.csv"}), crowd(3, 0)),
        "u.csv has 2 rows, but 3 are needed: each session has one of its own"
    );
    assert_eq!(
        wrong(&json!({"users": "u.csv"}), crowd(1, 2)),
        "u.csv has 2 rows, but 3 are needed: each session has one of its own"
    );
    assert_eq!(
        wrong(
            &json!({"numbers": {"file": "u.csv", "rows": "unique"}}),
            crowd(2, 0)
        ),
        "u.csv has 2 rows, but 6 are needed: each turn of each session has one of its own"
    );
    assert_eq!(
        wrong(
            &json!({"numbers": {"file": "none.csv", "rows": "cyclic"}}),
            crowd(2, 0)
        ),
        "none.csv has 0 rows, but 1 are needed: every session has one"
    );
    assert_eq!(
        wrong(
            &json!({"numbers": {"file": "n.csv", "rows": "random"}}),
            crowd(2, 0)
        ),
        "n.csv has no column `n`; there is: m"
    );
    let missing = wrong(&json!({"users": "nobody.csv"}), crowd(1, 0));
    assert!(missing.starts_with("nobody.csv cannot be read: "), "{missing}");
}
