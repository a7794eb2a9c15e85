//! Scenarios against the real binary, over HTTP, as clients see it.
//!
//! Tests share one server and have a project each, so that they run side by
//! side; those about starting, stopping and files have a server of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers included

mod accounts;
mod audit;
mod bad_bodies;
mod bad_input;
mod binary;
mod binary_large;
mod bulk;
mod bulk_jobs;
mod bulk_killed;
mod codings;
mod conditional_writes;
mod conditions;
mod cors;
mod definitions;
mod everything;
mod examples;
mod explain;
mod fidelity;
mod history;
mod host;
mod http2;
mod idempotency;
mod import;
mod import_files;
mod import_killed;
mod matching;
mod methods;
mod oauth;
mod oauth_users;
mod observations;
mod operations;
mod paging;
mod patch;
mod phi;
mod projects;
mod purge;
mod rest;
mod routes;
mod search;
mod search_canonical;
mod search_contained;
mod search_custom;
mod search_custom_killed;
mod search_filter;
mod search_includes;
mod search_links;
mod search_list;
mod search_named;
mod search_near;
mod search_pages;
mod search_results;
mod search_several;
mod search_sort;
mod search_terms;
mod search_text;
mod search_units;
mod search_values;
mod serving;
mod smart;
mod transaction;
mod wire;
mod xml;
