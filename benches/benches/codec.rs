//! What a frame costs: reading, writing, masking and checking it, small and large, with tungstenite's reading beside.
//!
//! `parse` decodes what lies in memory, in place. `stream` reads the same bytes 16 KiB at a time, as from a socket, which
//! is the only way tungstenite reads; the copy out of the "socket" is in both figures.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::io::{Cursor, Read};
use std::time::Duration;
use tokio_tungstenite::tungstenite::protocol::{self, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, WebSocket};
use touchstone_wire::{
    Binary, OpCode, Receiver, Role, Rules, encode_masked, encode_unmasked, mask, server_text,
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const READ_BYTES: usize = 16 * 1024;
const RULES: Rules = Rules {
    message_bytes_max: 16 << 20,
    binary: Binary::Accepted,
};

/// Payload bytes of a frame, and how many of them make one measured stream.
const SIZES: [(usize, usize); 3] = [(125, 64), (64 << 10, 1), (1 << 20, 1)];

/// Text of exactly so many bytes: JSON-like ASCII, or Greek, of which each character takes two bytes.
fn ascii(bytes: usize) -> String {
    r#"{"type":"chat_message","message":"hello"}"#.chars().cycle().take(bytes).collect()
}

fn greek(bytes: usize) -> String {
    let mut text: String = "Καλημέρα".chars().cycle().take(bytes / 2).collect();
    text.push_str(&"x".repeat(bytes % 2));
    text
}

/// A stream of `count` frames as the peer of `role` writes them.
fn stream(role: Role, opcode: OpCode, payload: &[u8], count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..count {
        match role {
            Role::Server => encode_masked(&mut bytes, opcode, payload, KEY),
            Role::Client => encode_unmasked(&mut bytes, opcode, payload),
        }
    }
    bytes
}

/// The streams that are read: what they are called, by whom they are read, and one frame's opcode and payload.
fn streams(payload_bytes: usize) -> [(&'static str, Role, OpCode, Vec<u8>); 4] {
    let ascii = ascii(payload_bytes).into_bytes();
    let greek = greek(payload_bytes).into_bytes();
    [
        ("masked binary", Role::Server, OpCode::Binary, ascii.clone()),
        ("masked text", Role::Server, OpCode::Text, ascii.clone()),
        ("masked greek", Role::Server, OpCode::Text, greek),
        ("plain text", Role::Client, OpCode::Text, ascii),
    ]
}

/// Reads all of `input`; returns how many messages that were.
fn receive(receiver: &mut Receiver, input: &mut [u8]) -> usize {
    let mut at = 0;
    let mut messages = 0;
    loop {
        let step = receiver.next(&mut input[at..]).expect("the stream is valid");
        at += step.consumed;
        if black_box(step.event).is_none() {
            return messages;
        }
        messages += 1;
    }
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (payload_bytes, count) in SIZES {
        group.throughput(Throughput::Bytes((payload_bytes * count) as u64));
        for (name, role, opcode, payload) in streams(payload_bytes) {
            let bytes = stream(role, opcode, &payload, count);
            let mut receiver = Receiver::new(role, RULES);
            group.bench_function(BenchmarkId::new(name, payload_bytes), |bencher| {
                bencher.iter_batched_ref(
                    || bytes.clone(),
                    |input| assert_eq!(receive(&mut receiver, input), count),
                    BatchSize::LargeInput,
                );
            });
        }
    }
}

/// `wire` and tungstenite on the same bytes, in reads of the same size.
fn stream_in_pieces(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream");
    for (payload_bytes, count) in SIZES {
        group.throughput(Throughput::Bytes((payload_bytes * count) as u64));
        for (name, role, opcode, payload) in streams(payload_bytes) {
            let bytes = stream(role, opcode, &payload, count);
            let mut buffer = vec![0; READ_BYTES];
            let mut receiver = Receiver::new(role, RULES);
            group.bench_function(
                BenchmarkId::new(format!("{name}, wire"), payload_bytes),
                |bencher| {
                    bencher.iter(|| {
                        let mut socket = &bytes[..];
                        let mut messages = 0;
                        loop {
                            let read = socket.read(&mut buffer).expect("memory can be read");
                            if read == 0 {
                                break;
                            }
                            messages += receive(&mut receiver, &mut buffer[..read]);
                        }
                        assert_eq!(messages, count);
                    });
                },
            );
            // One socket over and over: what it costs to make one is not what is compared.
            let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
            let role = match role {
                Role::Server => protocol::Role::Server,
                Role::Client => protocol::Role::Client,
            };
            let mut socket = WebSocket::from_raw_socket(Cursor::new(bytes), role, Some(config));
            group.bench_function(
                BenchmarkId::new(format!("{name}, tungstenite"), payload_bytes),
                |bencher| {
                    bencher.iter(|| {
                        socket.get_mut().set_position(0);
                        for _ in 0..count {
                            match socket.read() {
                                Ok(message) => drop(black_box(message)),
                                Err(Error::Io(error)) => panic!("memory can be read: {error}"),
                                Err(error) => panic!("the stream is valid: {error}"),
                            }
                        }
                    });
                },
            );
        }
    }
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    for (payload_bytes, _) in SIZES {
        let text = ascii(payload_bytes);
        group.throughput(Throughput::Bytes(payload_bytes as u64));
        group.bench_function(BenchmarkId::new("server text", payload_bytes), |bencher| {
            bencher.iter(|| server_text(black_box(&text)));
        });
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new("client text", payload_bytes), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_masked(&mut out, OpCode::Text, black_box(text.as_bytes()), KEY);
            });
        });
    }
}

fn masking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for (payload_bytes, _) in SIZES {
        // Off by one byte: where a payload lies after its header is never aligned.
        let mut payload = vec![7; payload_bytes + 1];
        group.throughput(Throughput::Bytes(payload_bytes as u64));
        group.bench_function(BenchmarkId::from_parameter(payload_bytes), |bencher| {
            bencher.iter(|| mask::apply(black_box(&mut payload[1..]), KEY));
        });
    }
}

/// Text that arrives a piece at a time inside one frame, and so is checked and joined as it comes.
fn utf8(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("utf8");
    let payload_bytes = 1 << 20;
    for (name, text) in [("ascii", ascii(payload_bytes)), ("greek", greek(payload_bytes))] {
        let mut bytes = stream(Role::Client, OpCode::Text, text.as_bytes(), 1);
        let mut receiver = Receiver::new(Role::Client, RULES);
        group.throughput(Throughput::Bytes(payload_bytes as u64));
        for piece_bytes in [101, 1_400, 65_536] {
            group.bench_function(BenchmarkId::new(name, piece_bytes), |bencher| {
                bencher.iter(|| {
                    // Without a mask nothing is changed in place, so the same bytes are read again and again.
                    let messages: usize = bytes
                        .chunks_mut(piece_bytes)
                        .map(|piece| receive(&mut receiver, piece))
                        .sum();
                    assert_eq!(messages, 1);
                });
            });
        }
    }
}

/// Short enough to be run before every change of the codec.
fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30)
}

criterion_group! {
    name = codec;
    config = short();
    targets = parse, stream_in_pieces, write, masking, utf8
}
criterion_main!(codec);
