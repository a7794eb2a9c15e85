//! Scenarios against the real binary, over HTTP, as clients see it.
//!
//! Tests share one server and have a project each, so that they run side by
//! side; those about starting, stopping and files have a server of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, helpers included

mod accounts;
mod accounts_by_mail;
mod alerts;
mod archive;
mod archive_s3;
mod audit;
mod audit_archived;
mod audit_exact;
mod audit_log;
mod audit_seen;
mod bad_bodies;
mod bad_input;
mod balp;
mod bases;
mod binary;
mod binary_large;
mod bulk;
mod bulk_jobs;
mod bulk_killed;
mod clients;
mod codings;
mod cold;
mod conditional_writes;
mod conditions;
mod cors;
mod definitions;
mod disclosures;
mod drill;
mod ended;
mod everything;
mod examples;
mod explain;
mod federation;
mod federation_accounts;
mod fidelity;
mod history;
mod host;
mod http2;
mod idempotency;
mod import;
mod import_files;
mod import_killed;
mod keys;
mod keys_elsewhere;
mod killed;
mod logout;
mod matching;
mod methods;
mod mfa;
#[path = "../support/mount.rs"]
#[allow(dead_code)] // tests of disks use the rest
mod mount;
mod notices;
mod oauth;
mod oauth_flows;
mod oauth_steps;
mod oauth_users;
mod observations;
mod openid_provider;
mod operations;
mod operations_named;
mod pages;
mod paging;
mod patch;
mod phi;
mod policies;
mod policies_alike;
mod postbox;
mod projects;
mod proxies;
mod purge;
mod purposes;
mod registration;
mod relations;
mod rest;
mod restore;
mod restored;
mod retention;
mod routes;
mod routes_people;
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
#[path = "../faults/shim.rs"]
#[allow(dead_code)] // rounds of faults draw theirs
mod shim;
mod shredding;
mod smart;
#[path = "../support/staged.rs"]
mod staged;
#[path = "."]
mod support {
    //! What the shim needs.
    #[allow(dead_code)]
    #[path = "../support/draw.rs"]
    pub(crate) mod draw;
}
mod step_up;
mod transaction;
mod wire;
mod xml;
