//! Benchmarks: criterion's in `benches/`, and `side-by-side`, which measures whole servers under one client. This library
//! is empty. `cargo xtask bench` runs the first, `cargo xtask bench side-by-side` the second.
