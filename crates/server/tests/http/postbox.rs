//! A small SMTP server (RFC 5321) on the loopback, which keeps what it is sent.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64ct::{Base64, Encoding};

/// No mail takes this long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A mail as it came.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) headers: String,
    /// Its parts in order, decoded.
    pub(crate) parts: Vec<String>,
}

impl Mail {
    /// The path and query of the link in it.
    #[track_caller]
    pub(crate) fn link(&self) -> String {
        let text = &self.parts[0];
        let start = text.find("http://").unwrap_or_else(|| panic!("{text}"));
        let url = text[start..].split_whitespace().next().unwrap();
        let path = url.splitn(4, '/').nth(3).unwrap();
        format!("/{path}")
    }

    /// The secret in the link.
    #[track_caller]
    pub(crate) fn secret(&self) -> String {
        let link = self.link();
        link.split_once("?link=").unwrap().1.to_owned()
    }
}

/// The server. It ends with the test.
pub(crate) struct Postbox {
    address: SocketAddr,
    mails: Mutex<Receiver<Mail>>,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
}

impl Postbox {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mails) = channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let known = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away has not sent its mail.
                let _ = converse(&stream, &sender, &known);
            }
        });
        Self {
            address,
            mails: Mutex::new(mails),
            answers,
        }
    }

    /// What `--mail` takes.
    pub(crate) fn place(&self) -> String {
        format!("smtp-plain://{}", self.address)
    }

    /// Answers the next recipient in another way.
    pub(crate) fn answer(&self, line: &'static str) {
        self.answers.lock().unwrap().push_back(line);
    }

    /// The next mail to come.
    #[track_caller]
    pub(crate) fn next(&self) -> Mail {
        let mails = self.mails.lock().unwrap();
        mails.recv_timeout(TIMEOUT).expect("no mail has come")
    }
}

fn converse(
    stream: &TcpStream,
    to: &Sender<Mail>,
    answers: &Mutex<VecDeque<&'static str>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let say = |line: &str| {
        let mut stream = stream;
        write!(stream, "{line}\r\n")
    };
    say("220-mail.example.org\r\n220 ready")?;
    let (mut sender, mut recipient) = (String::new(), String::new());
    while let Some(line) = lines.next().transpose()? {
        let address = || {
            let inside = line
                .split_once('<')
                .and_then(|(_, rest)| rest.split_once('>'));
            inside.map_or(String::new(), |(address, _)| address.to_owned())
        };
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => say("250-mail.example.org\r\n250 8BITMIME")?,
            "MAIL" => {
                sender = address();
                say("250 fine")?;
            }
            "RCPT" => {
                recipient = address();
                let answer = answers.lock().unwrap().pop_front();
                say(answer.unwrap_or("250 fine"))?;
            }
            "DATA" => {
                say("354 go on")?;
                let mut text = Vec::new();
                for line in lines.by_ref() {
                    match line? {
                        dot if dot == "." => break,
                        line => text.push(line),
                    }
                }
                // Taken over before it is said: who is told has what came.
                let _ = to.send(read(&sender, &recipient, &text));
                say("250 taken")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("500 what?")?,
        }
    }
    Ok(())
}

fn read(from: &str, to: &str, lines: &[String]) -> Mail {
    let blank = lines.iter().position(String::is_empty).unwrap();
    let mut parts = Vec::new();
    let mut coded = String::new();
    // All that is neither a header nor a boundary is Base64.
    for line in lines[blank..].iter().map(String::as_str).chain([""]) {
        match line {
            line if line.contains(':') || line.starts_with("--") || line.is_empty() => {
                if !coded.is_empty() {
                    let bytes = Base64::decode_vec(&coded).unwrap();
                    parts.push(String::from_utf8(bytes).unwrap());
                    coded.clear();
                }
            }
            line => coded.push_str(line),
        }
    }
    Mail {
        from: from.to_owned(),
        to: to.to_owned(),
        headers: lines[..blank].join("\n"),
        parts,
    }
}
