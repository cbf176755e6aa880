//! Criterion benchmarks; the library itself is empty. See `codec.rs` beside it.
