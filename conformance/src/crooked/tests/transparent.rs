//! Without a mutant, and where its rules are about nothing that passes, nobody may notice that the proxy is there.

use rustls::pki_types::PrivateKeyDer;
use rustls::server::ServerConfig;
use tokio_rustls::TlsAcceptor;
use touchstone_sut::Trust;

use super::*;

/// Long enough for a proxy that reads on to have read everything; a test passes only if nothing happens meanwhile.
const QUIET: Duration = Duration::from_millis(300);

#[tokio::test]
async fn any_bytes_pass_both_ways_however_they_are_cut() {
    for mutant in [None, Some(mutant("on: {pong: up}\ndo: drop"))] {
        any_bytes_pass(&Stage::new(mutant).await).await;
    }
}

async fn any_bytes_pass(stage: &Stage) {
    let (mut client, mut server) = stage.connect().await;
    let handshake = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n";
    let garbage: Vec<u8> = (0..=255).rev().collect();
    // A text frame whose length, 65 MiB, never comes.
    let unfinished = [0x81, 0xFF, 0, 0, 0, 0, 4, 16, 0, 0, 1, 2, 3, 4, b'x'];
    for bytes in [handshake.as_slice(), &garbage, &unfinished] {
        for byte in bytes {
            client.write_all(&[*byte]).await.unwrap();
        }
        expect(&mut server, bytes).await;
        server.write_all(bytes).await.unwrap();
        expect(&mut client, bytes).await;
    }
}

#[tokio::test]
async fn much_passes_both_ways_at_once() {
    let stage = Stage::new(None).await;
    let (client, server) = stage.connect().await;
    let bytes: Vec<u8> = (0_u32..1 << 20).flat_map(u32::to_be_bytes).collect();
    let both = |mut peer: TcpStream| {
        let bytes = bytes.clone();
        async move {
            let (mut reader, mut writer) = peer.split();
            let mut got = Vec::new();
            let write = async {
                writer.write_all(&bytes).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            tokio::join!(write, async { reader.read_to_end(&mut got).await.unwrap() });
            assert!(got == bytes);
        }
    };
    in_time(async { tokio::join!(both(client), both(server)) }).await;
}

#[tokio::test]
async fn each_half_ends_by_itself() {
    for mutant in [None, Some(mutant("on: {pong: up}\ndo: drop"))] {
        each_half_ends(&Stage::new(mutant).await).await;
    }
}

async fn each_half_ends(stage: &Stage) {
    let (mut client, mut server) = stage.connect().await;
    client.write_all(b"last").await.unwrap();
    client.shutdown().await.unwrap();
    expect(&mut server, b"last").await;
    expect_end(&mut server).await;
    server.write_all(b"still here").await.unwrap();
    expect(&mut client, b"still here").await;
    server.shutdown().await.unwrap();
    expect_end(&mut client).await;

    let (mut client, mut server) = stage.connect().await;
    server.shutdown().await.unwrap();
    expect_end(&mut client).await;
    client.write_all(b"still here").await.unwrap();
    expect(&mut server, b"still here").await;
}

#[tokio::test]
async fn a_reset_passes_as_a_reset_after_what_was_said() {
    let stage = Stage::new(None).await;
    let (mut client, mut server) = stage.connect().await;
    client.write_all(b"and now").await.unwrap();
    expect(&mut server, b"and now").await;
    reset(client);
    expect_reset(&mut server).await;

    let (mut client, mut server) = stage.connect().await;
    server.write_all(b"and now").await.unwrap();
    expect(&mut client, b"and now").await;
    reset(server);
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn a_reset_after_fin_passes_too() {
    let stage = Stage::new(None).await;
    let (mut client, mut server) = stage.connect().await;
    server.shutdown().await.unwrap();
    expect_end(&mut client).await;
    reset(server);
    in_time(client.ready(tokio::io::Interest::ERROR)).await.unwrap();
    assert!(client.take_error().unwrap().is_some());
}

#[tokio::test]
async fn behind_tls_only_an_end_with_a_goodbye_is_a_good_one() {
    let issued = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}", listener.local_addr().unwrap());
    let target = Target::from_url(&url, &[])
        .unwrap()
        .trusting(Trust::Anyone)
        .unwrap();
    let accept = async || {
        let (socket, _) = in_time(listener.accept()).await.unwrap();
        acceptor.accept(socket).await
    };
    let (sut, _tried) = tokio::join!(Sut::start(target), accept());
    let proxy = Proxy::start(Arc::new(sut.unwrap()), None).await.unwrap();
    for polite in [true, false] {
        let mut client = TcpStream::connect(&proxy.addresses()[0]).await.unwrap();
        let mut server = in_time(accept()).await.unwrap();
        server.write_all(b"said").await.unwrap();
        expect(&mut client, b"said").await;
        if polite {
            server.shutdown().await.unwrap();
            expect_end(&mut client).await;
        } else {
            server.get_mut().0.shutdown().await.unwrap();
            expect_reset(&mut client).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_is_gone_ends_the_client_at_once() {
    let Stage { proxy, server } = Stage::new(None).await;
    drop(server);
    let mut client = TcpStream::connect(&proxy.addresses()[0]).await.unwrap();
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn who_takes_nothing_is_felt_by_the_other() {
    let stage = Stage::new(None).await;
    let (mut client, mut server) = stage.connect().await;
    // Without an end to what waits, this would be taken at once.
    let much = vec![7; 32 << 20];
    let writing = async {
        server.write_all(&much).await.unwrap();
        server.shutdown().await.unwrap();
    };
    tokio::pin!(writing);
    assert!(timeout(QUIET, &mut writing).await.is_err(), "32 MiB were taken");
    let mut got = Vec::new();
    in_time(async { tokio::join!(writing, async { client.read_to_end(&mut got).await.unwrap() }) }).await;
    assert!(got == much);
}

#[tokio::test]
async fn shutting_down_ends_what_is_open() {
    let stage = Stage::new(None).await;
    let address = stage.proxy.addresses()[0].clone();
    let (mut client, mut server) = stage.connect().await;
    in_time(stage.proxy.shut_down()).await;
    expect_end(&mut client).await;
    expect_end(&mut server).await;
    assert!(TcpStream::connect(address).await.is_err());
}
