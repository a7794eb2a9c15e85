//! `salus audit export`: the log from the server, and beside it every checkpoint that was kept.
#![allow(clippy::print_stdout, reason = "the summary goes to standard output")]

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use indicatif::ProgressBar;
use salus_service::audit::log::{CHECKPOINT, Head, checkpoint_line};

use super::{ExportArguments, Failure};
use crate::checkpoints;
use crate::config::Config;
use crate::control::Client;
use crate::open::{self, Server};

/// The longest head: it names every project.
const HEAD_BYTES_MAX: usize = 16 << 20;

pub(super) fn run(arguments: &ExportArguments) -> Result<(), Failure> {
    let (config, runtime) = open::existing(&arguments.place)?;
    let part = arguments.out.with_added_extension("part");
    let head = runtime.block_on(async {
        let server = Server::of_folder(&config).await?;
        let written = write(&config, arguments, &part).await;
        if let Some(server) = server {
            server.stop().await?;
        }
        written
    })?;
    std::fs::rename(&part, &arguments.out)?;
    let (entries, file) = (head.size - head.after, arguments.out.display());
    match arguments.json {
        true => println!(
            "{}",
            serde_json::json!({"file": file.to_string(), "origin": head.origin, "entries": entries,
                "size": head.size, "after": head.after, "projects": head.projects})
        ),
        false => println!("{entries} entries of {} are in {file}", head.origin),
    }
    Ok(())
}

async fn write(config: &Config, arguments: &ExportArguments, part: &Path) -> Result<Head, Failure> {
    let mut client = Client::connect(&config.data).await?;
    let projects = arguments.projects.iter();
    let query: String = projects.map(|slug| format!("&project={slug}")).collect();
    let path = format!("/audit/export?after={}{query}", arguments.after);
    let (status, body) = client.stream(&path).await?;
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err("there is no such project".into()),
        StatusCode::BAD_REQUEST => return Err("--after: the log is not so long".into()),
        status => return Err(format!("the server answered {status}").into()),
    }
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(part)?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let head = copy(body, &checkpoints::beside(&config.data), &mut file).await?;
    let file = file.into_inner().map_err(|error| error.into_error())?;
    file.sync_all()?;
    Ok(head)
}

/// Writes the head, the checkpoints that were kept, and all leaves.
async fn copy(
    mut body: Incoming,
    kept: &Path,
    file: &mut BufWriter<File>,
) -> Result<Head, Failure> {
    let mut first = BytesMut::new();
    let line = loop {
        if let Some(end) = first.iter().position(|byte| *byte == b'\n') {
            break first.split_to(end + 1);
        }
        match piece(&mut body).await? {
            Some(piece) if first.len() < HEAD_BYTES_MAX => first.extend_from_slice(&piece),
            Some(_) | None => return Err("the answer is no export".into()),
        }
    };
    let head = std::str::from_utf8(&line).ok().and_then(Head::read);
    let head = head.ok_or("the answer is no export")?;
    file.write_all(&line)?;
    write_kept(kept, &head, file)?;
    let bar = ProgressBar::new(head.size - head.after);
    let (mut leaves, mut next) = (0, Some(first.freeze()));
    while let Some(piece) = next {
        file.write_all(&piece)?;
        leaves += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        if piece.starts_with(CHECKPOINT.as_bytes()) {
            leaves -= 1;
        }
        bar.set_position(leaves);
        next = self::piece(&mut body).await?;
    }
    bar.finish_and_clear();
    match leaves == head.size - head.after {
        true => Ok(head),
        false => Err("the export broke off: the server's log says why".into()),
    }
}

fn write_kept(kept: &Path, head: &Head, file: &mut BufWriter<File>) -> Result<(), Failure> {
    if !kept.exists() {
        return Ok(());
    }
    let (all, unreadable) = checkpoints::read_all(kept)?;
    if unreadable > 0 {
        tracing::warn!(unreadable, "some checkpoints that were kept cannot be read");
    }
    let mut last = None;
    for (_, note) in all {
        let size = note
            .checkpoint()
            .map_or(u64::MAX, |checkpoint| checkpoint.size);
        // One that came meanwhile covers more than this export.
        if size <= head.size && last.as_ref() != Some(&note) {
            file.write_all(checkpoint_line(&note).as_bytes())?;
            last = Some(note);
        }
    }
    Ok(())
}

async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
