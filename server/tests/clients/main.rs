//! Clients that were not written with this server in mind talk all five dialects to it: npm `ws`, Python `websockets` and
//! `aiohttp`, and a page in Chromium. They do as they are told and tell what they saw; the verdict is given here.

mod conversations;
mod driver;
mod page;
#[path = "../support/mod.rs"]
mod support;
mod talk;

use driver::{Driver, Library};
use support::house::House;
use talk::{Talk, Way};

/// All conversations at the same time, with a server for each way.
async fn converse(library: Library) {
    let house = House::new();
    let driver = Driver::start(library, &house).await;
    let converse_by = async |way| {
        let talk = Talk::start(&driver, &house, way);
        tokio::join!(
            Box::pin(conversations::echo(&talk)),
            Box::pin(conversations::rooms(&talk)),
            Box::pin(conversations::outbox(&talk)),
            Box::pin(conversations::feed(&talk)),
            Box::pin(conversations::direct(&talk)),
        );
        Box::pin(conversations::stop(talk)).await;
    };
    tokio::join!(
        converse_by(Way::Plain),
        converse_by(Way::Compressed),
        converse_by(Way::Tls)
    );
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
        let house = House::new();
        let driver = Driver::start(library, &house).await;
        for way in [Way::Plain, Way::Tls] {
            conversations::late_reader(&Talk::start(&driver, &house, way)).await;
        }
        driver.end().await;
    }
}
