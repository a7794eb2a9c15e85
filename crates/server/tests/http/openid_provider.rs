//! A small provider of OpenID Connect on the loopback, which can be made to misbehave.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64ct::{Base64, Encoding};
use salus_auth::jwk::{Jwk, Jwks};
use salus_auth::jwt::{Jwt, sign};
use salus_crypto::signing::{Algorithm, SigningKey};
use salus_crypto::{base64url, sha256};
use serde_json::{Value, json};

use crate::wire::{Request, exchange};

pub(crate) const CLIENT: &str = "salus at the hospital";
pub(crate) const SECRET: &str = "a secret: with/signs";

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    /// Its description is of another issuer.
    OtherIssuer,
    /// Its description names an endpoint elsewhere.
    EndpointElsewhere,
    /// The answer brings another state.
    OtherState,
    /// The answer brings no state.
    NoState,
    /// The answer is of another provider.
    OtherIss,
    /// The answer does not say whose it is.
    NoIss,
    /// The answer is an error.
    Error,
    /// The answer has no code.
    NoCode,
    /// The token is not signed.
    AlgNone,
    /// The token is signed with what everyone knows.
    AlgHs256,
    /// The token is signed by a key of somebody else under the name of its own.
    OtherKey,
    /// The token is signed by a key that it shows nowhere.
    UnknownKey,
    /// The code is not taken.
    NoToken,
    /// The token endpoint leads elsewhere.
    Redirect,
}

/// The provider. It ends with the test.
pub(crate) struct Provider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    address: SocketAddr,
    key: SigningKey,
    key_name: String,
    /// What it says of who signs in, over the usual.
    claims: Value,
    twist: Option<Twist>,
    codes: HashMap<String, BTreeMap<String, String>>,
    /// Paths that were asked for.
    asked: Vec<String>,
}

impl Provider {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            address,
            key: key(),
            key_name: "first".to_owned(),
            claims: json!({"sub": "1"}),
            twist: None,
            codes: HashMap::new(),
            asked: Vec::new(),
        }));
        let known = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whoever goes away wants no answer.
                let _ = answer(&stream, &known);
            }
        });
        Self { address, state }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says this from now on of whoever signs in.
    pub(crate) fn says(&self, claims: Value) {
        self.state.lock().unwrap().claims = claims;
    }

    pub(crate) fn twist(&self, twist: Option<Twist>) {
        self.state.lock().unwrap().twist = twist;
    }

    /// Signs with another key, which it shows.
    pub(crate) fn rotate(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.key = key();
        state.key_name = name.to_owned();
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|asked| *asked == path).count()
    }

    /// The way of a browser over its page: where it is sent back to, as a path.
    #[track_caller]
    pub(crate) fn visit(&self, url: &str) -> String {
        let target = url.strip_prefix(&self.issuer()).unwrap();
        let request = Request::new("GET", target).header("Host", self.address.to_string());
        let stream = TcpStream::connect(self.address).unwrap();
        let answer = exchange(stream, &request.bytes()).unwrap().expect(302);
        let place = answer.header("location").unwrap();
        let path = place.splitn(4, '/').nth(3).unwrap();
        format!("/{path}")
    }
}

fn key() -> SigningKey {
    let pkcs8 = SigningKey::generate(Algorithm::Es256).unwrap();
    SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).unwrap()
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

fn answer(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length");
    let length = length.map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    let target = first.split(' ').nth(1).unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut state = state.lock().unwrap();
    state.asked.push(path.to_owned());
    let (status, more, body) = match path {
        "/.well-known/openid-configuration" => json_answer(&state.description()),
        "/jwks" => json_answer(&state.keys()),
        "/authorize" => state.authorize(query),
        "/token" => state.token(&headers, &body),
        _ => ("404 Not Found", String::new(), String::new()),
    };
    let length = body.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n{body}"
    )
}

type Answered = (&'static str, String, String);

fn json_answer(value: &Value) -> Answered {
    let ty = "Content-Type: application/json\r\n".to_owned();
    ("200 OK", ty, value.to_string())
}

impl State {
    fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    fn description(&self) -> Value {
        let issuer = self.issuer();
        let mut description = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        match self.twist {
            Some(Twist::OtherIssuer) => description["issuer"] = json!(format!("{issuer}/")),
            Some(Twist::EndpointElsewhere) => {
                description["token_endpoint"] = json!("http://127.0.0.1:9/token");
            }
            _ => {}
        }
        description
    }

    fn keys(&self) -> Value {
        let keys = Jwks::new(vec![Jwk {
            id: Some(self.key_name.clone().into()),
            algorithm: Some(Algorithm::Es256),
            key: self.key.public(),
        }]);
        serde_json::to_value(&keys).unwrap()
    }

    /// Signs everyone in who comes, and sends them back.
    fn authorize(&mut self, query: &str) -> Answered {
        let asked = pairs(query);
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let code = format!("code-{}", self.codes.len());
        let mut back = BTreeMap::from([
            ("code", code.clone()),
            ("state", asked["state"].clone()),
            ("iss", self.issuer()),
        ]);
        match self.twist {
            Some(Twist::OtherState) => {
                back.insert("state", base64url(&[7; 32]));
            }
            Some(Twist::NoState) => {
                back.remove("state");
            }
            Some(Twist::OtherIss) => {
                back.insert("iss", "https://other.example.org".to_owned());
            }
            Some(Twist::NoIss) => {
                back.remove("iss");
            }
            Some(Twist::NoCode) => {
                back.remove("code");
            }
            Some(Twist::Error) => {
                back.remove("code");
                back.insert("error", "access_denied".to_owned());
                back.insert("error_description", "<b>no</b>".to_owned());
            }
            _ => {}
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(back);
        let place = format!("{}?{}", asked["redirect_uri"], query.finish());
        self.codes.insert(code, asked);
        ("302 Found", format!("Location: {place}\r\n"), String::new())
    }

    /// Trades a code once, for its client, with its verifier.
    fn token(&mut self, headers: &BTreeMap<String, String>, body: &str) -> Answered {
        let refused = ("400 Bad Request", String::new(), "{}".to_owned());
        let form = pairs(body);
        let coded =
            |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
        let basic = format!("{}:{}", coded(CLIENT), coded(SECRET));
        let basic = format!("Basic {}", Base64::encode_string(basic.as_bytes()));
        let known = match form.get("client_assertion") {
            Some(assertion) => {
                let claims: Value = Jwt::parse(assertion).unwrap().unproved().unwrap();
                claims["aud"] == format!("{}/token", self.issuer()) && claims["sub"] == CLIENT
            }
            None => headers.get("authorization") == Some(&basic),
        };
        let asked = form.get("code").and_then(|code| self.codes.remove(code));
        let Some(asked) = asked.filter(|_| known) else {
            return refused;
        };
        let challenge = base64url(&sha256(form["code_verifier"].as_bytes()));
        let fits = asked["code_challenge"] == challenge
            && asked["redirect_uri"] == form["redirect_uri"]
            && form["grant_type"] == "authorization_code";
        match self.twist {
            _ if !fits => refused,
            Some(Twist::NoToken) => refused,
            Some(Twist::Redirect) => {
                let place = format!("Location: {}/jwks\r\n", self.issuer());
                ("302 Found", place, String::new())
            }
            _ => json_answer(&json!({
                "access_token": "x", "token_type": "Bearer", "id_token": self.id_token(&asked),
            })),
        }
    }

    fn id_token(&self, asked: &BTreeMap<String, String>) -> String {
        let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        let mut claims = json!({
            "iss": self.issuer(), "aud": CLIENT, "exp": now_s + 300, "iat": now_s,
            "nonce": asked["nonce"],
        });
        if asked.contains_key("max_age") {
            claims["auth_time"] = json!(now_s);
        }
        for (name, value) in self.claims.as_object().unwrap() {
            claims[name] = match value.as_str().and_then(|text| text.strip_prefix("now")) {
                Some(seconds) => json!(now_s + seconds.parse::<i64>().unwrap()),
                None => value.clone(),
            };
        }
        let unsigned = |header: &str| {
            let claims = base64url(claims.to_string().as_bytes());
            format!("{}.{claims}", base64url(header.as_bytes()))
        };
        match self.twist {
            Some(Twist::AlgNone) => format!("{}.", unsigned(r#"{"alg":"none"}"#)),
            Some(Twist::AlgHs256) => {
                format!("{}.AAAA", unsigned(r#"{"alg":"HS256","kid":"first"}"#))
            }
            Some(Twist::OtherKey) => sign(&key(), &self.key_name, &claims).unwrap(),
            Some(Twist::UnknownKey) => sign(&key(), "hidden", &claims).unwrap(),
            _ => sign(&self.key, &self.key_name, &claims).unwrap(),
        }
    }
}
