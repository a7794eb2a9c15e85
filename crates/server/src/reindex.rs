//! `salus reindex`: how far the search indexes of a project are, over the
//! data folder's own socket. Without a server it opens the folder itself.
#![allow(clippy::print_stdout, reason = "the state goes to standard output")]

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::cli::ReindexArguments;
use crate::control::Client;
use crate::open::{self, Server};

type Failure = Box<dyn std::error::Error>;

/// How often it asks while it waits.
const LOOK: Duration = Duration::from_millis(200);

/// Shows the state, and waits if asked to.
pub(crate) fn run(arguments: &ReindexArguments) -> Result<(), Failure> {
    let (config, runtime) = open::existing(&arguments.place)?;
    runtime.block_on(async {
        let server = Server::of_folder(&config).await?;
        let mut client = Client::connect(&config.data).await?;
        let state = ask(&mut client, arguments).await;
        if let Some(server) = server {
            server.stop().await?;
        }
        let state = state?;
        match arguments.json {
            true => println!("{state}"),
            false => print!("{}", text(&state)),
        }
        Ok(())
    })
}

async fn ask(client: &mut Client, arguments: &ReindexArguments) -> Result<Value, Failure> {
    let path = format!("/p/{}/admin/reindex", arguments.project);
    if arguments.pause || arguments.resume {
        let body = json!({"paused": arguments.pause}).to_string();
        send(client, Method::POST, &path, body.into()).await?;
    }
    let bar = ProgressBar::new(0);
    loop {
        let state = send(client, Method::GET, &path, Bytes::new()).await?;
        let waits = arguments.wait && state["building"] == true;
        if !waits {
            bar.finish_and_clear();
            if arguments.wait && state["complete"] != true {
                return Err("some records cannot be indexed; without --wait it says which".into());
            }
            return Ok(state);
        }
        if state["paused"] == true {
            bar.finish_and_clear();
            return Err("the building of indexes is paused; --resume goes on".into());
        }
        let pending = state["pending"].as_u64().unwrap_or(0);
        let most = bar.length().unwrap_or(0).max(pending);
        bar.set_length(most);
        bar.set_position(most - pending);
        tokio::time::sleep(LOOK).await;
    }
}

async fn send(
    client: &mut Client,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Value, Failure> {
    let (status, body) = client.send(method, path, None, body).await?;
    match status {
        StatusCode::OK => Ok(serde_json::from_slice(&body)?),
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Err("there is no such project".into()),
        status => Err(format!("the server answered {status}").into()),
    }
}

/// The state for people: a line for each parameter.
fn text(state: &Value) -> String {
    let mut text = String::new();
    for parameter in state["parameters"].as_array().into_iter().flatten() {
        let word = |member: &str| parameter[member].as_str().unwrap_or_default();
        let code = match (word("code"), word("source")) {
            ("", "") => "(parameters of R4)",
            ("", _) => "(removed)",
            (code, _) => code,
        };
        let ready = match parameter["ready"].as_bool() {
            Some(true) => "ready".to_owned(),
            _ => format!(
                "building: {} of about {}",
                parameter["done"], parameter["total"]
            ),
        };
        let failed = match parameter["failed"].as_u64() {
            Some(failed @ 1..) => format!(", {failed} records hold more than can be indexed"),
            Some(0) | None => String::new(),
        };
        text.push_str(&format!("{}  {code}  {ready}{failed}\n", word("type")));
    }
    text.push_str(
        match (state["complete"].as_bool(), state["paused"].as_bool()) {
            (Some(true), _) => "everything is indexed\n",
            (_, Some(true)) => "paused\n",
            _ if state["building"] == false => {
                "some records cannot be indexed; --resume tries again when they are changed\n"
            }
            _ => "being built\n",
        },
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_has_a_line() {
        let state = json!({"complete": false, "paused": false, "parameters": [
            {"source": "a", "type": "Patient", "code": "eye", "ready": true, "done": 0, "total": 0},
            {"source": "", "type": "Group", "code": "", "ready": false, "done": 3, "total": 9,
             "failed": 2},
        ]});
        let lines = "Patient  eye  ready\nGroup  (parameters of R4)  building: 3 of about 9, \
             2 records hold more than can be indexed\nbeing built\n";
        assert_eq!(text(&state), lines);
    }
}
