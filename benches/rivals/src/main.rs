//! What the server and the load generator are measured against, each as little as it can be.
//!
//! Servers: a loop around epoll that writes and echoes bytes, and a WebSocket server as axum's manual shows it. `rivals bare|axum`
//! prints `{"ready":{"http":"127.0.0.1:PORT"}}` and serves until its stdin ends.
//!
//! Clients: `rivals bare-client|tungstenite-client ADDRESS SESSIONS` opens sessions of `echo` there and talks until its stdin ends.

#[cfg(target_os = "linux")]
mod bare;
mod clients;
#[cfg(target_os = "linux")]
mod epoll;
mod minimal;

use std::io::Read as _;
use std::net::SocketAddr;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rival = words.first().map_or("", String::as_str);
    let crowd = || clients::Crowd::read(&words[1..]).unwrap_or_else(|| usage());
    std::thread::spawn(|| {
        // Whatever ends stdin ends us.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    match rival {
        #[cfg(target_os = "linux")]
        "bare" => bare::serve(announce).expect("the system serves sockets"),
        "axum" => minimal::serve(announce),
        #[cfg(target_os = "linux")]
        "bare-client" => clients::bare::run(&crowd()).expect("the server lets it talk"),
        "tungstenite-client" => clients::tungstenite::run(crowd()),
        _ => usage(),
    }
}

fn usage() -> ! {
    eprintln!("usage: rivals bare|axum, or rivals bare-client|tungstenite-client ADDRESS SESSIONS");
    std::process::exit(2);
}

fn announce(address: SocketAddr) {
    println!("{{\"ready\":{{\"http\":\"{address}\"}}}}");
}
