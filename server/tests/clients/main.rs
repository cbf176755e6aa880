//! Clients that were not written with this server in mind talk all five dialects to it: npm `ws`, Python `websockets` and
//! `aiohttp`, and a page in Chromium. They do as they are told and tell what they saw; the verdict is given here.

mod conversations;
mod driver;
mod page;
#[path = "../support/mod.rs"]
mod support;
mod talk;

use driver::{Driver, Library};
use talk::{Compressed, Talk};

/// All conversations at the same time, with a server that compresses and with one that doesn't.
async fn converse(library: Library) {
    let driver = Driver::start(library).await;
    let converse_with = async |compressed| {
        let talk = Talk::start(&driver, compressed);
        tokio::join!(
            conversations::echo(&talk),
            conversations::rooms(&talk),
            conversations::outbox(&talk),
            conversations::feed(&talk),
            conversations::direct(&talk),
        );
        conversations::stop(talk).await;
    };
    tokio::join!(converse_with(Compressed::No), converse_with(Compressed::Yes));
    driver.end().await;
}

#[tokio::test]
async fn npm_ws() {
    converse(Library::Ws).await;
}

#[tokio::test]
async fn python_websockets() {
    converse(Library::Websockets).await;
}

#[tokio::test]
async fn python_aiohttp() {
    converse(Library::Aiohttp).await;
}

#[tokio::test]
async fn the_websocket_of_a_browser() {
    converse(Library::Browser).await;
}

#[tokio::test]
async fn python_clients_that_read_late() {
    for library in [Library::Aiohttp, Library::Websockets] {
        let driver = Driver::start(library).await;
        conversations::late_reader(&Talk::start(&driver, Compressed::No)).await;
        driver.end().await;
    }
}
