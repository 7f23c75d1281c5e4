//! The real program against real peers.
