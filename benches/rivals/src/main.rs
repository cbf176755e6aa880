//! What the server is measured against, each as little as it can be: a loop around epoll that writes and echoes bytes,
//! and a WebSocket server as axum's manual shows it.
//!
//! `rivals bare|axum` prints `{"ready":{"http":"127.0.0.1:PORT"}}` and serves until its stdin ends.

#[cfg(target_os = "linux")]
mod bare;
mod minimal;

use std::io::Read as _;
use std::net::SocketAddr;

fn main() {
    let rival = std::env::args().nth(1).unwrap_or_default();
    std::thread::spawn(|| {
        // Whatever ends stdin ends us.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    match rival.as_str() {
        #[cfg(target_os = "linux")]
        "bare" => bare::serve(announce).expect("the system serves sockets"),
        "axum" => minimal::serve(announce),
        _ => {
            eprintln!("usage: rivals bare|axum");
            std::process::exit(2);
        }
    }
}

fn announce(address: SocketAddr) {
    println!("{{\"ready\":{{\"http\":\"{address}\"}}}}");
}
