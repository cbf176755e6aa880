//! What is opened, and what is refused in words that say what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use touchstone_storage::postgres::migrate;
use touchstone_storage::{Account, Accounts, Migrated, Postgres, PostgresError, PostgresOptions};

use crate::server::{self, Fsync, Server};
use crate::{node, own, parsed};

async fn refusal(url: &str) -> PostgresError {
    Postgres::open(&parsed(url), PostgresOptions::default())
        .await
        .expect_err("it must not be opened")
}

#[tokio::test]
async fn tables_of_this_version_are_made_once_and_needed() {
    let server = Server::start(Fsync::Off);
    let url = parsed(&server.url());
    let error = refusal(&server.url()).await;
    assert!(matches!(error, PostgresError::NotMigrated { .. }), "{error}");
    assert!(
        error.to_string().contains("touchstone migrate --store URL"),
        "{error}"
    );

    let (one, other) = tokio::join!(migrate(&url), migrate(&url));
    let (one, other) = (one.unwrap(), other.unwrap());
    let made = Migrated {
        from: None,
        to: 1,
        tenants: 0,
    };
    let found = Migrated {
        from: Some(1),
        ..made
    };
    assert!(
        [one, other] == [made, found] || [one, other] == [found, made],
        "{one:?} {other:?}"
    );
    let store = Postgres::open(&url, PostgresOptions::default()).await.unwrap();
    assert!(store.caution().expect("fsync is off").contains("fsync = off"));

    let own = own(&server).await;
    own.batch_execute("UPDATE touchstone.migrations SET version = 7")
        .await
        .unwrap();
    let error = refusal(&server.url()).await;
    assert!(
        matches!(
            error,
            PostgresError::Newer {
                found: 7,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    let error = migrate(&url).await.expect_err("it is newer");
    assert!(matches!(error, PostgresError::Newer { .. }), "{error}");
    own.batch_execute("UPDATE touchstone.migrations SET version = 0")
        .await
        .unwrap();
    let error = refusal(&server.url()).await;
    assert!(
        matches!(
            error,
            PostgresError::Older {
                found: 0,
                needed: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn every_refusal_says_what_to_change_and_no_password() {
    let server = Server::start(Fsync::Off);
    let own = own(&server).await;
    own.batch_execute("CREATE ROLE guarded LOGIN PASSWORD 'correct'; CREATE ROLE poor LOGIN")
        .await
        .unwrap();
    let port = server.port();
    let nobody = server::free_port();
    for (url, part) in [
        (
            format!("postgres://guarded:hunter2@127.0.0.1:{port}/postgres"),
            "check user, password",
        ),
        (
            format!("postgres://touchstone:hunter2@127.0.0.1:{port}/nowhere"),
            "\"nowhere\" does not exist",
        ),
        (
            format!("postgres://touchstone:hunter2@127.0.0.1:{nobody}/postgres"),
            "no PostgreSQL server answers",
        ),
        (
            format!("postgres://touchstone:hunter2@127.0.0.1:{port}/postgres?sslmode=require"),
            "check sslmode",
        ),
    ] {
        let refusal = refusal(&url).await.to_string();
        assert!(refusal.contains(part), "{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    let poor = format!("postgres://poor@127.0.0.1:{port}/postgres");
    let error = migrate(&parsed(&poor)).await.expect_err("he may not");
    assert!(matches!(error, PostgresError::Forbidden { .. }), "{error}");
    let correct = format!("postgres://guarded:correct@127.0.0.1:{port}/postgres");
    let error = refusal(&correct).await;
    assert!(matches!(error, PostgresError::NotMigrated { .. }), "{error}");
}

#[tokio::test]
async fn a_tenant_has_a_schema_that_grows_with_the_tables() {
    let server = Server::start(Fsync::Off);
    let store = node(&server).await;
    let own = own(&server).await;
    let ann = Account {
        id: "1".to_owned(),
        username: "ann".to_owned(),
        ..Account::default()
    };
    assert_eq!(store.account("rooms:Acme-1", "1").await.unwrap(), None);
    store
        .create_accounts("rooms:Acme-1", vec![ann.clone()])
        .await
        .unwrap();
    store.create_accounts("direct", vec![ann.clone()]).await.unwrap();
    for schema in ["\"rooms_Acme-1\"", "touchstone"] {
        let count = format!("SELECT count(*) FROM {schema}.accounts");
        let row = own.query_one(&count, &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 1, "{schema}");
    }
    assert_eq!(store.account("rooms:Acme-1", "1").await.unwrap(), Some(ann));
    let migrated = migrate(&parsed(&server.url())).await.unwrap();
    assert_eq!(migrated.tenants, 1);
    // What a newer version has migrated is not mixed with schemas of this one.
    own.batch_execute("UPDATE touchstone.migrations SET version = 7")
        .await
        .unwrap();
    let late = store
        .create_accounts("rooms:late", vec![Account::default()])
        .await;
    assert!(
        late.expect_err("another version")
            .to_string()
            .contains("restart this server")
    );
}

#[tokio::test]
async fn a_certificate_is_held_against_its_authority_and_its_host() {
    let authority = {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap()
    };
    let server = Server::start_with(Fsync::Off, |data| {
        let key = rcgen::KeyPair::generate().unwrap();
        let issued = rcgen::CertificateParams::new(["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        fs::write(data.join("server.crt"), issued.pem()).unwrap();
        let key_path = data.join("server.key");
        fs::write(&key_path, key.serialize_pem()).unwrap();
        fs::set_permissions(&key_path, fs::Permissions::from_mode(0o600)).unwrap();
        vec!["ssl=on".to_owned()]
    });
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("ca.pem");
    fs::write(&known, authority.pem()).unwrap();
    let (port, known) = (server.port(), known.display());
    let at = |host: &str, query: &str| format!("postgres://touchstone@{host}:{port}/postgres?{query}");
    for taken in [
        at("127.0.0.1", "sslmode=require"),
        at("127.0.0.1", "sslmode=prefer"),
        at("localhost", &format!("sslmode=verify-full&sslrootcert={known}")),
    ] {
        let error = refusal(&taken).await;
        assert!(
            matches!(error, PostgresError::NotMigrated { .. }),
            "{taken}: {error}"
        );
    }
    for refused in [
        at("localhost", "sslmode=verify-full"),
        at("127.0.0.1", &format!("sslmode=verify-full&sslrootcert={known}")),
        at("127.0.0.1", &format!("sslmode=require&sslrootcert={known}")),
    ] {
        let error = refusal(&refused).await;
        assert!(matches!(error, PostgresError::Tls { .. }), "{refused}: {error}");
    }
    let nothing = folder.path().join("nothing.pem");
    fs::write(&nothing, "no certificate").unwrap();
    let empty = at(
        "localhost",
        &format!("sslmode=verify-full&sslrootcert={}", nothing.display()),
    );
    let error = refusal(&empty).await;
    assert!(matches!(error, PostgresError::Authorities { .. }), "{error}");

    // The connection is encrypted, and not merely allowed to be.
    migrate(&parsed(&at("127.0.0.1", "sslmode=require")))
        .await
        .unwrap();
    let url = parsed(&at("127.0.0.1", "sslmode=require"));
    let _store = Postgres::open(&url, PostgresOptions::default()).await.unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE ssl AND application_name = 'touchstone'";
    let row = own(&server).await.query_one(encrypted, &[]).await.unwrap();
    assert!(row.get::<_, i64>(0) > 0);
}
