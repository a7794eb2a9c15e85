//! Credentials for S3, where its tools look for them: variables, or the shared credentials file.

/// A key, its secret, and the token of one that ends.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Those of a profile in the text of a shared credentials file.
    pub(crate) fn of_file(text: &str, profile: &str) -> Option<Self> {
        let mut inside = false;
        let (mut key_id, mut secret, mut token) = (None, None, None);
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[') {
                inside = name.strip_suffix(']').map(str::trim) == Some(profile);
                continue;
            }
            let Some((name, value)) = line.split_once('=').filter(|_| inside) else {
                continue;
            };
            let value = Some(value.trim().to_owned());
            match name.trim() {
                "aws_access_key_id" => key_id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
        Some(Self {
            key_id: key_id?,
            secret: secret?,
            token,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_in_the_file() {
        let text = "[default]\naws_access_key_id = A\naws_secret_access_key=B\n# more\n\
            [ other ]\naws_access_key_id=C\naws_secret_access_key = D=\naws_session_token = E\n";
        let found = Credentials::of_file(text, "default").unwrap();
        assert_eq!(
            (&*found.key_id, &*found.secret, found.token),
            ("A", "B", None)
        );
        let found = Credentials::of_file(text, "other").unwrap();
        assert_eq!((&*found.secret, found.token.as_deref()), ("D=", Some("E")));
        assert_eq!(Credentials::of_file(text, "none"), None);
        assert_eq!(
            format!("{found:?}", found = Credentials::of_file(text, "other")),
            "Some(Credentials)"
        );
    }
}
