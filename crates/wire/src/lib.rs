//! Bytes to facts and back: protocols as pure functions, without I/O and without waiting.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod policy;
