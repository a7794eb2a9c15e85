//! What tests against the real binary share: a server of their own, and a client that hides nothing.
#![allow(dead_code)] // each test program uses its part

pub(crate) mod draw;
pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod mount;
pub(crate) mod s3;
pub(crate) mod server;
