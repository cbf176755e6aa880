//! Every construct can fail: small scenarios against servers that do one thing wrong.

mod behind_tls;
mod corpus;
mod crooked;
mod ends;
mod expectations;
mod frames;
mod handshakes;
mod judge;
mod lateness;
mod outside;
mod reports;
mod runs;
mod users;
mod village;
