//! Against a real Postfix.

mod alone;
mod conformance;
mod parity;
mod util;
mod wired;
