//! Where users may be sent back to.

const REDIRECT_BYTES_MAX: usize = 2000;

/// Whether users may be sent there (OAuth 2.1, 2.3; RFC 8252, 7).
pub(super) fn is_redirect(uri: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&b);
    if uri.len() > REDIRECT_BYTES_MAX || !uri.bytes().all(plain) {
        return false;
    }
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let authority = rest.strip_prefix("//").map(|rest| {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        &rest[..end]
    });
    let host = authority.map(|authority| match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    });
    match (scheme, host) {
        ("https", Some(host)) => {
            let in_host = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
            !host.is_empty() && host.bytes().all(in_host)
        }
        ("http", Some(host)) => matches!(host, "127.0.0.1" | "[::1]" | "localhost"),
        ("http" | "https", None) => false,
        (own, _) => {
            let in_scheme =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
            own.starts_with(|c: char| c.is_ascii_lowercase())
                && own.contains('.')
                && own.bytes().all(in_scheme)
        }
    }
}

/// A redirect to a literal address of this machine, without its port: what stands before
/// and behind it. `localhost` is a name, which need not lead to this machine (RFC 8252, 8.3).
pub(super) fn loopback(uri: &str) -> Option<(&'static str, &str)> {
    let hosts = ["http://127.0.0.1", "http://[::1]"];
    let (host, rest) = hosts
        .iter()
        .find_map(|host| uri.strip_prefix(host).map(|rest| (*host, rest)))?;
    let Some(ported) = rest.strip_prefix(':') else {
        let ends = rest.is_empty() || rest.starts_with(['/', '?']);
        return ends.then_some((host, rest));
    };
    let end = ported.find(['/', '?']).unwrap_or(ported.len());
    let (port, rest) = ported.split_at(end);
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    (digits && port.parse::<u16>().is_ok_and(|port| port > 0)).then_some((host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_redirect(uri: &str, good: bool) {
        assert_eq!(is_redirect(uri), good, "{uri}");
    }

    #[test]
    fn users_are_sent_to_places_that_can_be_trusted() {
        check_redirect("https://app.example.org/back", true);
        check_redirect("https://app.example.org:8443/back?a=b", true);
        check_redirect("http://127.0.0.1:3000/back", true);
        check_redirect("http://[::1]/back", true);
        check_redirect("http://localhost:9/", true);
        check_redirect("org.example.app:/back", true);
        check_redirect("http://app.example.org/back", false);
        check_redirect("http://localhost.example.org/", false);
        check_redirect("http://localhost@example.org/", false);
        check_redirect("https://localhost@example.org/", false);
        check_redirect("https:///back", false);
        check_redirect("https://a;b/back", false);
        check_redirect("https://app.example.org/back#part", false);
        check_redirect("https://app.example.org/a b", false);
        check_redirect("https://app.example.org/\r\nSet-Cookie: a", false);
        check_redirect("javascript:alert(1)", false);
        check_redirect("data:text/html,x", false);
        check_redirect("/back", false);
        check_redirect("", false);
    }
}
