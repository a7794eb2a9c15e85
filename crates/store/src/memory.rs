//! The memory twin: the contract at its plainest, for tests and as an oracle.
