//! The real program against real peers.

#![allow(clippy::unwrap_used)]

mod bad_configs;
mod control;
mod disk;
mod explain;
mod greylist;
mod journal;
mod kill;
mod milter_clients;
mod policy_service;
mod postfix;
mod sendmail;
mod serve;
mod shadow;
mod support;
mod tidy;
mod valkey;
mod waves;
