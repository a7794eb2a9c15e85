//! A request of a client to act for a user: read, and checked against the client.
//!
//! RFC 6749, 4.1.1; RFC 7636; OpenID Connect Core, 3.1.2.1; SMART App Launch,
//! 2.0.8. What is wrong with client or redirect URI is told to the user on a
//! page: nobody is sent anywhere that the client has not registered. All else
//! is told to the client there.

use salus_auth::record::{Client, Device, GrantType, Saved};
use salus_auth::{Level, PurposeOfUse, Scopes, Word, mfa};

use super::{Code, Fault};

const STATE_BYTES_MAX: usize = 1000;

/// The parameters of a request, as they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Which client.
    pub client_id: String,
    /// Where to send the user back.
    pub redirect_uri: String,
    response_type: String,
    response_mode: Option<String>,
    scope: String,
    state: Option<String>,
    challenge: Option<String>,
    method: Option<String>,
    nonce: Option<String>,
    prompt: Option<String>,
    max_age: Option<String>,
    acr: Option<String>,
    aud: Option<String>,
    launch: Option<String>,
    purpose: Option<String>,
    /// What a device shows, if a device asks.
    pub(super) user_code: Option<String>,
    unsupported: bool,
    twice: bool,
}
salus_phi::guard!(Asked);

impl Asked {
    /// Reads the pairs of a query. What is not known is left out, as RFC 6749, 3.1 asks.
    #[must_use]
    pub fn of<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let mut asked = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in pairs {
            if value.is_empty() {
                continue;
            }
            let some = || Some(value.to_owned());
            match name {
                "client_id" => asked.client_id = value.to_owned(),
                "redirect_uri" => asked.redirect_uri = value.to_owned(),
                "response_type" => asked.response_type = value.to_owned(),
                "response_mode" => asked.response_mode = some(),
                "scope" => asked.scope = value.to_owned(),
                "state" => asked.state = some(),
                "code_challenge" => asked.challenge = some(),
                "code_challenge_method" => asked.method = some(),
                "nonce" => asked.nonce = some(),
                "prompt" => asked.prompt = some(),
                "max_age" => asked.max_age = some(),
                "acr_values" => asked.acr = some(),
                "aud" => asked.aud = some(),
                "launch" => asked.launch = some(),
                "purpose_of_use" => asked.purpose = some(),
                "user_code" => asked.user_code = some(),
                "request" | "request_uri" => asked.unsupported = true,
                _ => continue,
            }
            if seen.contains(&name) {
                asked.twice = true;
            }
            seen.push(name);
        }
        if asked.user_code.is_some() {
            // The answer goes to the device: a place beside it was checked by nobody.
            asked.redirect_uri.clear();
        }
        asked
    }

    /// That the user may be sent back to where it asks, to be told of anything else.
    pub(super) fn check_place(&self, client: Option<&Saved<Client>>) -> Result<(), &'static str> {
        let Some(client) = client.filter(|client| client.value.is_active()) else {
            return Err("No app of this name is registered here.");
        };
        let known = client.value.leads_to(&self.redirect_uri);
        if self.twice || !known {
            return Err("The app wants you to be sent back to an address that is not registered.");
        }
        Ok(())
    }

    /// What is to be agreed to.
    pub(super) fn check(&self, client: &Saved<Client>, base: &str) -> Result<Wanted, Fault> {
        let refuse = |code, why| Err(Fault::new(code, why));
        let invalid = |why| refuse(Code::InvalidRequest, why);
        if !client.value.may(GrantType::AuthorizationCode) {
            return refuse(
                Code::UnauthorizedClient,
                "this client is not registered for authorization_code",
            );
        }
        if self.unsupported {
            return invalid("request and request_uri are not taken");
        }
        if self.response_type != "code" {
            return refuse(Code::UnsupportedResponseType, "response_type must be code");
        }
        if self
            .response_mode
            .as_deref()
            .is_some_and(|mode| mode != "query")
        {
            return invalid("response_mode must be query");
        }
        let too_long = |text: &Option<String>| {
            text.as_ref()
                .is_some_and(|text| text.len() > STATE_BYTES_MAX)
        };
        if too_long(&self.state) || too_long(&self.nonce) {
            return invalid("state and nonce have 1000 bytes at most");
        }
        let challenge = match (&self.challenge, self.method.as_deref()) {
            (Some(challenge), Some("S256")) if is_challenge(challenge) => challenge.clone(),
            _ => return invalid("send a code_challenge with code_challenge_method S256"),
        };
        let at = self.aud.as_deref().map(|aud| aud.trim_end_matches('/'));
        if at.is_some_and(|at| at != base) {
            return invalid("aud must be the FHIR endpoint of this project");
        }
        let max_age_s = match self.max_age.as_deref().map(str::parse::<u32>) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return invalid("max_age must be a number of seconds"),
        };
        let purpose = stated(client, self.purpose.as_deref())?;
        let scopes = self.scopes(client);
        if scopes.is_empty() {
            return refuse(
                Code::InvalidScope,
                "this client may have none of these scopes",
            );
        }
        let prompt = |word| {
            let mut prompts = self.prompt.iter().flat_map(|prompt| prompt.split(' '));
            prompts.any(|prompt| prompt == word)
        };
        if prompt("none") && (prompt("login") || prompt("consent")) {
            return invalid("prompt none stands alone");
        }
        Ok(Wanted {
            scopes,
            challenge,
            nonce: self.nonce.clone(),
            launch: self.launch.clone(),
            purpose,
            device: None,
            silent: prompt("none"),
            anew: prompt("login") || max_age_s == Some(0),
            max_age_s,
            strict: self.is_strict(),
        })
    }

    /// Whether the client takes nobody who has not brought a second factor: it
    /// asks for that class and would not have the other (RFC 9470, 4).
    #[must_use]
    pub fn is_strict(&self) -> bool {
        let asks = |class| {
            let mut classes = self.acr.iter().flat_map(|classes| classes.split(' '));
            classes.any(|one| one == class)
        };
        asks(mfa::ACR_MULTI) && !asks(mfa::ACR_SINGLE)
    }

    /// How old the proof of who the user is may be, in seconds, if the client says.
    #[must_use]
    pub fn proof_age_s(&self) -> Option<u32> {
        let mut prompts = self.prompt.iter().flat_map(|prompt| prompt.split(' '));
        let asked = self.max_age.as_deref().and_then(|text| text.parse().ok());
        match prompts.any(|prompt| prompt == "login") {
            true => Some(0),
            false => asked,
        }
    }

    /// What was asked for of what the client may have for users.
    fn scopes(&self, client: &Saved<Client>) -> Scopes {
        let scopes = Scopes::known_of(&self.scope).intersect(&client.value.scopes);
        let scopes = scopes.without_level(Level::System);
        let mut unknown = Vec::new();
        if !client.value.may(GrantType::RefreshToken) {
            unknown.extend([Word::OfflineAccess, Word::OnlineAccess]);
        }
        scopes.without(&unknown)
    }

    /// Where the user goes with an answer (RFC 6749, 4.1.2; `iss`: RFC 9207).
    #[must_use]
    pub fn back(&self, issuer: &str, answer: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(answer);
        if let Some(state) = self
            .state
            .as_ref()
            .filter(|text| text.len() <= STATE_BYTES_MAX)
        {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
        let with = if self.redirect_uri.contains('?') {
            '&'
        } else {
            '?'
        };
        format!("{}{with}{}", self.redirect_uri, query.finish())
    }
}

/// The purpose that a client says its token is for, if it may state it.
pub(super) fn stated(
    client: &Saved<Client>,
    text: Option<&str>,
) -> Result<Option<PurposeOfUse>, Fault> {
    let Some(text) = text else { return Ok(None) };
    let refuse = |why| Err(Fault::new(Code::InvalidRequest, why));
    match PurposeOfUse::parse(text) {
        None => refuse("purpose_of_use must be one code of v3-PurposeOfUse, as TREAT"),
        Some(purpose) if !client.value.purposes().allow(purpose) => {
            refuse("purpose_of_use is not one of the purposes that this client is registered for")
        }
        some => Ok(some),
    }
}

/// A request that may be put before the user.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) scopes: Scopes,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    /// What the client was opened with.
    pub(super) launch: Option<String>,
    /// What it says that it acts for.
    pub(super) purpose: Option<PurposeOfUse>,
    /// The device that it is for, if it is not for who is at the browser.
    pub(super) device: Option<Saved<Device>>,
    /// Nothing may be shown.
    pub(super) silent: bool,
    /// The user has to sign in, even if they have.
    pub(super) anew: bool,
    pub(super) max_age_s: Option<u32>,
    /// The user has to bring a second factor.
    pub(super) strict: bool,
}
salus_phi::guard!(Wanted);

impl Wanted {
    /// What a device asks for.
    pub(super) fn by_device(device: Saved<Device>) -> Self {
        Self {
            scopes: device.value.scopes.clone(),
            challenge: String::new(),
            nonce: None,
            launch: None,
            purpose: device.value.purpose,
            device: Some(device),
            silent: false,
            anew: false,
            max_age_s: None,
            strict: false,
        }
    }

    /// Whether it is about one patient.
    pub(super) fn is_about_one(&self) -> bool {
        let scopes = &self.scopes;
        !scopes.of(Level::Patient).is_empty() || scopes.has(Word::LaunchPatient)
    }
}

/// A SHA-256 in base64url.
fn is_challenge(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    text.len() == 43 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use salus_auth::record::{AuthMethod, Registration};

    use super::*;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const BACK: &str = "https://app.example.org/back";
    const BASE: &str = "https://fhir.example.org/fhir";

    fn client() -> Saved<Client> {
        let scopes = Scopes::parse("openid user/Patient.rs offline_access system/*.rs").unwrap();
        let registration = Registration {
            auth: AuthMethod::None,
            grants: vec![GrantType::AuthorizationCode],
            redirects: vec![BACK.to_owned()],
            purposes: vec![PurposeOfUse::TREAT],
            ..Registration::named("App", scopes)
        };
        Client::registered("app", registration, None, 0).unwrap()
    }

    fn asked<'p>(change: (&'p str, &'p str)) -> Asked {
        let mut pairs = vec![
            ("client_id", "app"),
            ("redirect_uri", BACK),
            ("response_type", "code"),
            ("scope", "openid user/*.rs email offline_access system/*.rs"),
            ("state", "s"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("aud", BASE),
        ];
        pairs.retain(|(name, _)| *name != change.0);
        pairs.push(change);
        Asked::of(pairs)
    }

    #[track_caller]
    fn check(name: &str, value: &str, expect: Result<&str, Code>) {
        let checked = asked((name, value)).check(&client(), BASE);
        let got = checked.map(|wanted| wanted.scopes.text());
        assert_eq!(
            got.map_err(|fault| fault.code),
            expect.map(str::to_owned),
            "{name}={value}"
        );
    }

    #[test]
    fn what_a_client_may_ask() {
        let given = "openid user/Patient.rs";
        check("more", "x", Ok(given));
        check("aud", "https://fhir.example.org/fhir/", Ok(given));
        check(
            "aud",
            "https://other.example.org/fhir",
            Err(Code::InvalidRequest),
        );
        check("scope", "system/*.rs", Err(Code::InvalidScope));
        check("scope", "", Err(Code::InvalidScope));
        check("response_type", "token", Err(Code::UnsupportedResponseType));
        check("response_mode", "fragment", Err(Code::InvalidRequest));
        check("code_challenge_method", "plain", Err(Code::InvalidRequest));
        check("code_challenge_method", "", Err(Code::InvalidRequest));
        check("code_challenge", "short", Err(Code::InvalidRequest));
        check("max_age", "-1", Err(Code::InvalidRequest));
        check("prompt", "none login", Err(Code::InvalidRequest));
        check("request", "a.b.c", Err(Code::InvalidRequest));
        check("purpose_of_use", "TREAT", Ok(given));
        check("purpose_of_use", "HRESCH", Err(Code::InvalidRequest));
        check("purpose_of_use", "nothing", Err(Code::InvalidRequest));
        check("state", &"s".repeat(1001), Err(Code::InvalidRequest));
    }

    #[test]
    fn a_client_says_how_old_a_proof_may_be() {
        let age = |name, value| asked((name, value)).proof_age_s();
        assert_eq!(age("more", "x"), None);
        assert_eq!(age("max_age", "60"), Some(60));
        assert_eq!(age("prompt", "consent login"), Some(0));
    }

    #[test]
    fn nobody_is_sent_where_the_client_is_not_at_home() {
        let place = |name, value| asked((name, value)).check_place(Some(&client())).is_ok();
        assert!(place("more", "x"));
        assert!(!place("redirect_uri", "https://app.example.org/back?x"));
        assert!(!place("redirect_uri", "https://app.example.org/Back"));
        assert!(!place("redirect_uri", ""));
        assert!(asked(("more", "x")).check_place(None).is_err());
        let twice = Asked::of([
            ("client_id", "app"),
            ("redirect_uri", BACK),
            ("redirect_uri", BACK),
        ]);
        assert!(twice.check_place(Some(&client())).is_err());
    }

    #[test]
    fn what_a_device_asks_leads_nowhere() {
        let evil = ("redirect_uri", "https://trusted.example/");
        let code = ("user_code", "BCDF-GHJK");
        for pairs in [[evil, code], [code, evil]] {
            assert_eq!(Asked::of(pairs).redirect_uri, "");
        }
    }

    #[test]
    fn answers_go_back_with_state_and_issuer() {
        let back = asked(("state", "a b")).back("https://i", &[("code", "c")]);
        assert_eq!(back, format!("{BACK}?code=c&state=a+b&iss=https%3A%2F%2Fi"));
        let with = Asked::of([("redirect_uri", "https://a/?b=c")]);
        assert_eq!(with.back("i", &[]), "https://a/?b=c&iss=i");
    }
}
