//! Against a real Postfix.

mod alone;
mod both;
mod conformance;
mod lost;
mod milter;
mod parity;
mod shadow;
mod util;
mod wired;
