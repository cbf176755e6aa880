//! Criterion benchmarks, run by `cargo xtask bench`. This library is empty; see `benches/codec.rs` beside it.
