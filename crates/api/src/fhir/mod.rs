//! FHIR REST: <https://hl7.org/fhir/R4/http.html>.
//!
//! Each handler turns headers and parameters into a use case's arguments; the
//! reply's headers are made in [`reply`].

mod binary;
mod capabilities;
mod content;
mod jobs;
mod operations;
mod preferences;
mod reply;

use axum::response::Response;
use bytes::Bytes;
use http::header;
use salus_service::fhir::binary::BINARY;
use salus_service::fhir::reply::{Reply, Status};
use salus_service::fhir::{
    CreateOptions, PatchFormat, ReadConditions, Versions, Which, WriteOptions,
};

pub(crate) use capabilities::{capabilities, versions};
pub(crate) use jobs::Deferred;
pub(crate) use jobs::{cancel_job, defer, export, export_post, import, job, job_file};
pub(crate) use operations::{operation, operation_post};

use crate::call::{Call, pairs};
use crate::failure::Failure;
use crate::media;
use binary::SentBody;
use preferences::Preferences;

/// Whether the client does not want to wait for the answer.
pub(crate) fn is_asynchronous(headers: &http::HeaderMap) -> bool {
    Preferences::is_asynchronous(headers)
}

/// `POST [base]/[type]`
pub(crate) async fn create(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let sent = binary::take(call).await?;
    let options = CreateOptions {
        if_none_exist: none_exists(call)?,
        idempotency_key: reply::idempotency_key(call)?,
    };
    let body = match sent {
        SentBody::Resource(body) => body,
        SentBody::Content(upload) => return binary::create(call, &wanted, upload, &options).await,
    };
    let reply = call
        .service()
        .create(&call.cx, call.param("type"), body, &options)
        .await?;
    finish(call, &wanted, reply)
}

/// The condition of a create: `If-None-Exist`, or as some clients write it, the query.
fn none_exists(call: &Call) -> Result<Option<String>, Failure> {
    if let Some(condition) = call.header("if-none-exist") {
        return Ok(Some(condition.to_owned()));
    }
    let about_the_answer = |(name, _): &(String, String)| matches!(&**name, "_format" | "_pretty");
    let has_criteria = !call.query_pairs()?.iter().all(about_the_answer);
    Ok(call.uri.query().filter(|_| has_criteria).map(str::to_owned))
}

/// `GET [base]/[type]/[id]`
pub(crate) async fn read(call: &mut Call) -> Result<Response, Failure> {
    let wanted = of_read(call)?;
    let conditions = ReadConditions {
        if_none_match: call.header(header::IF_NONE_MATCH).map(Versions::parse),
        if_modified_since_ms: call
            .header(header::IF_MODIFIED_SINCE)
            .and_then(reply::http_date_ms),
        parameters: call.query_pairs()?,
    };
    let reply = call
        .service()
        .read(&call.cx, call.param("type"), call.param("id"), &conditions)
        .await?;
    match wanted {
        Some(wanted) => finish(call, &wanted, reply),
        None => binary::answer(call, reply),
    }
}

/// What is wanted of a read; of a Binary that is known when its type is.
fn of_read(call: &Call) -> Result<Option<Preferences>, Failure> {
    match call.param("type") {
        BINARY => Ok(None),
        _ => Preferences::of(call).map(Some),
    }
}

/// `GET [base]/[type]/[id]/_history/[vid]`
pub(crate) async fn vread(call: &mut Call) -> Result<Response, Failure> {
    let wanted = of_read(call)?;
    let parameters = call.query_pairs()?;
    let version = (call.param("type"), call.param("id"), call.param("vid"));
    let reply = call.service().vread(&call.cx, version, &parameters).await?;
    match wanted {
        Some(wanted) => finish(call, &wanted, reply),
        None => binary::answer(call, reply),
    }
}

/// `PUT [base]/[type]/[id]`
pub(crate) async fn update(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let options = reply::write_options(call)?;
    let body = match binary::take(call).await? {
        SentBody::Resource(body) => body,
        SentBody::Content(upload) => return binary::update(call, &wanted, upload, &options).await,
    };
    let mut reply = call
        .service()
        .update(
            &call.cx,
            call.param("type"),
            Which::Id(call.param("id")),
            body,
            &options,
        )
        .await?;
    if reply.status == Status::Ok {
        // Location is for what was made; the client knows where this is.
        reply.place = None;
    }
    finish(call, &wanted, reply)
}

/// `PUT [base]/[type]?…`
pub(crate) async fn conditional_update(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    media::check_sent(&call.headers)?;
    let options = reply::write_options(call)?;
    let body = call.take_body().await?;
    let which = Which::Matching(call.uri.query().unwrap_or_default());
    let ty = call.param("type");
    let updated = call.service().update(&call.cx, ty, which, body, &options);
    let reply = updated.await?;
    finish(call, &wanted, reply)
}

/// `PATCH [base]/[type]/[id]`
pub(crate) async fn patch(call: &mut Call) -> Result<Response, Failure> {
    let (wanted, patch, options) = patch_sent(call).await?;
    let which = Which::Id(call.param("id"));
    let patched = call
        .service()
        .patch(&call.cx, call.param("type"), which, patch, &options);
    let reply = patched.await?;
    // Location is for what the client has to find.
    finish(
        call,
        &wanted,
        Reply {
            place: None,
            ..reply
        },
    )
}

/// `PATCH [base]/[type]?…`
pub(crate) async fn conditional_patch(call: &mut Call) -> Result<Response, Failure> {
    let (wanted, patch, options) = patch_sent(call).await?;
    let which = Which::Matching(call.uri.query().unwrap_or_default());
    let patched = call
        .service()
        .patch(&call.cx, call.param("type"), which, patch, &options);
    let reply = patched.await?;
    finish(call, &wanted, reply)
}

type Sent = (Preferences, (PatchFormat, Bytes), WriteOptions);

async fn patch_sent(call: &mut Call) -> Result<Sent, Failure> {
    let wanted = Preferences::of(call)?;
    let format = media::patch_format(&call.headers)?;
    let options = reply::write_options(call)?;
    let body = call.take_body().await?;
    Ok((wanted, (format, body), options))
}

/// `DELETE [base]/[type]/[id]`
pub(crate) async fn delete(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let options = reply::write_options(call)?;
    let which = Which::Id(call.param("id"));
    let deleted = call
        .service()
        .delete(&call.cx, call.param("type"), which, &options);
    let reply = deleted.await?;
    finish(call, &wanted, reply)
}

/// `DELETE [base]/[type]?…`
pub(crate) async fn conditional_delete(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let options = reply::write_options(call)?;
    let which = Which::Matching(call.uri.query().unwrap_or_default());
    let deleted = call
        .service()
        .delete(&call.cx, call.param("type"), which, &options);
    let reply = deleted.await?;
    finish(call, &wanted, reply)
}

/// `POST [base]`: a batch or a transaction.
pub(crate) async fn bundle(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    media::check_sent(&call.headers)?;
    let key = reply::idempotency_key(call)?;
    let body = call.take_body().await?;
    let reply = call
        .service()
        .bundle(&call.cx, body, wanted.bundle_options(key))
        .await?;
    finish(call, &wanted, reply)
}

/// `GET [base]/[type]?…`
pub(crate) async fn search(call: &mut Call) -> Result<Response, Failure> {
    let parameters = call.query_pairs()?;
    search_type(call, parameters).await
}

/// `POST [base]/[type]/_search`
pub(crate) async fn search_post(call: &mut Call) -> Result<Response, Failure> {
    let parameters = posted_pairs(call).await?;
    search_type(call, parameters).await
}

async fn search_type(call: &mut Call, parameters: Pairs) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let ty = call.param("type");
    let found = call
        .service()
        .search(&call.cx, ty, parameters, wanted.handling);
    let reply = found.await?;
    finish(call, &wanted, reply)
}

/// `GET [base]?…`
pub(crate) async fn search_system(call: &mut Call) -> Result<Response, Failure> {
    let parameters = call.query_pairs()?;
    search_all(call, parameters).await
}

/// `POST [base]/_search`
pub(crate) async fn search_system_post(call: &mut Call) -> Result<Response, Failure> {
    let parameters = posted_pairs(call).await?;
    search_all(call, parameters).await
}

async fn search_all(call: &mut Call, parameters: Pairs) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let found = call
        .service()
        .search_system(&call.cx, parameters, wanted.handling);
    let reply = found.await?;
    finish(call, &wanted, reply)
}

/// `GET [base]/[compartment]/[id]/[type]?…`
pub(crate) async fn search_compartment(call: &mut Call) -> Result<Response, Failure> {
    let parameters = call.query_pairs()?;
    search_members(call, parameters).await
}

/// `POST [base]/[compartment]/[id]/[type]/_search`
pub(crate) async fn search_compartment_post(call: &mut Call) -> Result<Response, Failure> {
    let parameters = posted_pairs(call).await?;
    search_members(call, parameters).await
}

async fn search_members(call: &mut Call, parameters: Pairs) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let compartment = (call.param("type"), call.param("id"));
    let found = call.service().search_compartment(
        &call.cx,
        compartment,
        call.param("member"),
        parameters,
        wanted.handling,
    );
    let reply = found.await?;
    finish(call, &wanted, reply)
}

type Pairs = Vec<(String, String)>;

/// The parameters of a search by POST: in the body, and behind the `?` too.
async fn posted_pairs(call: &mut Call) -> Result<Pairs, Failure> {
    let form = call
        .header(header::CONTENT_TYPE)
        .is_some_and(|ty| ty.starts_with("application/x-www-form-urlencoded"));
    if !form {
        return Err(Failure::Http(
            http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send search parameters as application/x-www-form-urlencoded",
        ));
    }
    let mut parameters = call.query_pairs()?;
    let body = call.take_body().await?;
    let text = std::str::from_utf8(&body).map_err(|_| {
        Failure::Http(
            http::StatusCode::BAD_REQUEST,
            "the parameters are not UTF-8",
        )
    })?;
    for (name, value) in pairs(text)? {
        call.wanted.parameter(&name, &value);
        parameters.push((name, value));
    }
    call.cx.format = call.wanted.format;
    Ok(parameters)
}

/// `GET [base]/[type]/[id]/_history`
pub(crate) async fn history_instance(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let parameters = call.query_pairs()?;
    let reply = call
        .service()
        .history_instance(&call.cx, call.param("type"), call.param("id"), parameters)
        .await?;
    finish(call, &wanted, reply)
}

/// `GET [base]/[type]/_history`
pub(crate) async fn history_type(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let parameters = call.query_pairs()?;
    let reply = call
        .service()
        .history_type(&call.cx, call.param("type"), parameters)
        .await?;
    finish(call, &wanted, reply)
}

/// `GET [base]/_history`
pub(crate) async fn history_system(call: &mut Call) -> Result<Response, Failure> {
    let wanted = Preferences::of(call)?;
    let parameters = call.query_pairs()?;
    let reply = call.service().history_system(&call.cx, parameters).await?;
    finish(call, &wanted, reply)
}

fn finish(call: &Call, wanted: &Preferences, reply: Reply) -> Result<Response, Failure> {
    reply::response(&call.cx, wanted, reply)
}
