//! A mail as bytes: RFC 5322 headers and MIME (RFC 2045 to 2047). All bodies are Base64, so no
//! line is too long, none begins with a dot, and nothing in them can look like a header.

use base64ct::{Base64, Encoding};
use salus_service::Email;
use salus_service::mail::Outgoing;

/// A mail with everybody that it names.
pub(super) struct Message<'a> {
    mail: &'a Outgoing,
    /// Whom it comes from.
    pub(super) from: &'a Email,
}

impl<'a> Message<'a> {
    pub(super) fn of(mail: &'a Outgoing, from: &'a Email) -> Self {
        let from = mail.from.as_ref().unwrap_or(from);
        Self { mail, from }
    }

    /// All of it, with CRLF at the end of every line.
    pub(super) fn text(&self) -> String {
        let mail = self.mail;
        let domain = self.from.expose().rsplit('@').next().unwrap_or_default();
        let date = jiff::Timestamp::from_millisecond(mail.made_ms).unwrap_or_default();
        let date = date.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let mut text = format!(
            "From: <{}>\r\nTo: <{}>\r\nSubject: {}\r\nDate: {date}\r\n\
             Message-ID: <{}@{domain}>\r\nAuto-Submitted: auto-generated\r\n\
             MIME-Version: 1.0\r\n",
            self.from.expose(),
            mail.to.expose(),
            words(&mail.subject),
            mail.id,
        );
        match &mail.html {
            None => part(&mut text, "plain", &mail.text),
            Some(html) => {
                // No line of Base64 has a `-` in it.
                let boundary = format!("----{}", mail.id);
                text.push_str(&format!(
                    "Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n\r\n"
                ));
                for (ty, body) in [("plain", &mail.text), ("html", html)] {
                    text.push_str(&format!("--{boundary}\r\n"));
                    part(&mut text, ty, body);
                }
                text.push_str(&format!("--{boundary}--\r\n"));
            }
        }
        text
    }

    /// Whether names in it need a server that knows more than ASCII (RFC 6531).
    pub(super) fn is_international(&self) -> bool {
        !self.from.expose().is_ascii() || !self.mail.to.expose().is_ascii()
    }
}

fn part(text: &mut String, ty: &str, body: &str) {
    text.push_str(&format!(
        "Content-Type: text/{ty}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    ));
    let body = body.replace("\r\n", "\n").replace('\n', "\r\n");
    // 57 bytes are a line of 76 (RFC 2045, 6.8).
    for line in body.as_bytes().chunks(57) {
        text.push_str(&Base64::encode_string(line));
        text.push_str("\r\n");
    }
}

/// A text as encoded words of 75 at most, folded (RFC 2047, 2), or as it is where it may stand so.
fn words(text: &str) -> String {
    let plain = |b: u8| b == b' ' || b.is_ascii_graphic();
    if text.len() <= 60 && text.bytes().all(plain) && !text.contains("=?") {
        return text.to_owned();
    }
    let (mut words, mut rest) = (String::new(), text);
    while !rest.is_empty() {
        let mut end = rest.len().min(45);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (word, behind) = rest.split_at(end);
        if !words.is_empty() {
            words.push_str("\r\n ");
        }
        words.push_str(&format!(
            "=?utf-8?B?{}?=",
            Base64::encode_string(word.as_bytes())
        ));
        rest = behind;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(subject: &str, html: Option<&str>) -> Outgoing {
        Outgoing {
            id: "7".into(),
            from: None,
            to: Email::parse("ada@example.org").unwrap(),
            subject: subject.to_owned(),
            text: ".\nHello, you\n".to_owned(),
            html: html.map(str::to_owned),
            made_ms: 0,
        }
    }

    fn text(mail: &Outgoing) -> String {
        let from = Email::parse("salus@example.org").unwrap();
        Message::of(mail, &from).text()
    }

    #[test]
    fn a_mail_is_headers_and_a_body() {
        let expect = "From: <salus@example.org>\r\nTo: <ada@example.org>\r\nSubject: Hello\r\n\
            Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <7@example.org>\r\n\
            Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
            Lg0KSGVsbG8sIHlvdQ0K\r\n";
        assert_eq!(text(&mail("Hello", None)), expect);
    }

    #[test]
    fn no_subject_makes_a_header_or_a_long_line() {
        for subject in [
            "a\r\nBcc: <b@example.org>",
            "Gr\u{fc}\u{df}e",
            &"x".repeat(200),
            "=?x",
        ] {
            let text = text(&mail(subject, None));
            let (headers, _) = text.split_once("\r\n\r\n").unwrap();
            assert!(!headers.contains("\nBcc"), "{headers}");
            assert!(headers.is_ascii(), "{headers}");
            assert!(headers.lines().all(|line| line.len() <= 90), "{headers}");
        }
    }

    #[test]
    fn html_stands_beside_the_text() {
        let text = text(&mail("Hello", Some("<p>Hello</p>")));
        assert_eq!(text.matches("------7\r\n").count(), 2);
        assert!(text.ends_with("------7--\r\n"));
    }
}
