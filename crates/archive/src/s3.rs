//! An archive in a bucket of S3, or of anything that speaks its protocol, through the crate
//! `object_store`. HTTP and TLS are given by whoever opens it.
//!
//! Each put names the SHA-256 of what it puts, so the other side refuses what the way has changed,
//! and is conditional (`If-None-Match: *`), so nothing is ever replaced.

/// What HTTP is given as: whoever opens a bucket implements these.
pub mod http {
    pub use async_trait::async_trait;
    pub use object_store::client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
        HttpResponse, HttpResponseBody, HttpService,
    };
    pub use object_store::{ClientOptions, Result};
}
mod place;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::client::HttpConnector;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, RetryConfig,
};
use parking_lot::Mutex;
use tokio::time::sleep;

pub use self::place::{Lock, Mode, Place};
use crate::destination::OBJECT_BYTES_MAX;
use crate::{Answer, Destination, Object, Put, Trouble};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// What asks again after this is the shipper, later and later.
const RETRIES: usize = 2;
const RETRIES_END: Duration = Duration::from_secs(20);
/// How often a put is tried again that met another of the same name, and the first wait.
const CONFLICTS_MAX: u32 = 5;
const CONFLICT_WAIT: Duration = Duration::from_millis(100);

/// Who asks. Without them the machine's own are asked for, as the services of a cloud offer it.
#[derive(Clone)]
pub struct Credentials {
    /// The id of the key.
    pub key_id: String,
    /// The key.
    pub secret: String,
    /// With keys that end: the token that comes with them.
    pub token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// A prefix in a bucket that holds an archive.
pub struct S3 {
    label: String,
    prefix: String,
    place: Place,
    credentials: Option<Credentials>,
    connector: Connector,
    now_ms: fn() -> i64,
    reading: AmazonS3,
    /// What puts objects, and the day for which its lock is.
    writing: Mutex<Option<(i64, Arc<AmazonS3>)>>,
}

/// A connector that is shared by the clients of a bucket.
#[derive(Clone, Debug)]
struct Connector(Arc<dyn HttpConnector>);

impl HttpConnector for Connector {
    fn connect(
        &self,
        options: &ClientOptions,
    ) -> object_store::Result<object_store::client::HttpClient> {
        self.0.connect(options)
    }
}

impl S3 {
    /// The archive at a place. Nothing is asked yet.
    ///
    /// # Errors
    /// When the place cannot be one.
    pub fn open(
        place: Place,
        credentials: Option<Credentials>,
        connector: Arc<dyn HttpConnector>,
        now_ms: fn() -> i64,
    ) -> Result<Self, Trouble> {
        let connector = Connector(connector);
        let label = place.to_string();
        let reading = builder(&place, credentials.as_ref(), &connector).build();
        Ok(Self {
            reading: reading.map_err(|error| trouble(&label, &error))?,
            prefix: place.prefix.clone(),
            label,
            place,
            credentials,
            connector,
            now_ms,
            writing: Mutex::new(None),
        })
    }

    /// What puts objects today.
    fn writing(&self) -> Result<Arc<AmazonS3>, Trouble> {
        let day = (self.now_ms)().div_euclid(DAY_MS);
        let mut writing = self.writing.lock();
        if let Some((of, client)) = &*writing
            && (*of == day || self.place.lock.is_none())
        {
            return Ok(Arc::clone(client));
        }
        let mut builder = builder(&self.place, self.credentials.as_ref(), &self.connector)
            .with_checksum_algorithm(Checksum::SHA256);
        if let Some(lock) = &self.place.lock {
            builder = builder.with_client_options(self.options(lock, day));
        }
        let client = builder
            .build()
            .map_err(|error| trouble(&self.label, &error))?;
        let client = Arc::new(client);
        *writing = Some((day, Arc::clone(&client)));
        Ok(client)
    }

    /// Headers that lock what is put until a day is over.
    fn options(&self, lock: &Lock, day: i64) -> ClientOptions {
        let until = (day + 1 + i64::from(lock.days)) * DAY_MS;
        let until = jiff::Timestamp::from_millisecond(until).map(|time| time.to_string());
        let mut headers = HeaderMap::new();
        if let Ok(until) = HeaderValue::try_from(until.unwrap_or_default()) {
            let mode = HeaderValue::from_static(lock.mode.word());
            headers.insert("x-amz-object-lock-mode", mode);
            headers.insert("x-amz-object-lock-retain-until-date", until);
        }
        options(&self.place).with_default_headers(headers)
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    fn trouble(&self, error: &object_store::Error) -> Trouble {
        trouble(&self.label, error)
    }

    async fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Bytes>, Trouble> {
        let options = GetOptions {
            range: range.map(Into::into),
            ..GetOptions::default()
        };
        let got = match self.reading.get_opts(&self.path(name), options).await {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.trouble(&error)),
        };
        if got.range.end - got.range.start > OBJECT_BYTES_MAX {
            return Err(Trouble {
                label: self.label.clone(),
                reason: "an object is longer than any of an archive's".into(),
                lasting: true,
            });
        }
        let bytes = got.bytes().await;
        bytes.map(Some).map_err(|error| self.trouble(&error))
    }
}

impl Destination for S3 {
    fn label(&self) -> &str {
        &self.label
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, Put> {
        Box::pin(async move {
            let writing = self.writing()?;
            let mut wait = CONFLICT_WAIT;
            for _ in 0..CONFLICTS_MAX {
                let options = PutOptions::from(PutMode::Create);
                let payload = PutPayload::from_bytes(bytes.clone());
                match writing.put_opts(&self.path(name), payload, options).await {
                    Ok(_) => return Ok(Put::Made),
                    Err(error) if is_there(&error) => return Ok(Put::Taken),
                    // Two are at it, and S3 has told this one to try again (409): neither may have
                    // made it.
                    Err(object_store::Error::AlreadyExists { .. }) => {}
                    Err(error) => return Err(self.trouble(&error)),
                }
                sleep(wait).await;
                wait *= 2;
            }
            Err(Trouble {
                label: self.label.clone(),
                reason: format!("others put {name} all the time"),
                lasting: false,
            })
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>> {
        Box::pin(self.read(name, None))
    }

    fn head<'a>(&'a self, name: &'a str, bytes: u64) -> Answer<'a, Option<Bytes>> {
        Box::pin(self.read(name, Some(0..bytes)))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>> {
        Box::pin(async move {
            let listed = self.reading.list(Some(&self.path(prefix)));
            let listed: Vec<_> = listed
                .try_collect()
                .await
                .map_err(|error| self.trouble(&error))?;
            let ours = listed.into_iter().filter_map(|object| {
                let name = object.location.as_ref().strip_prefix(&self.prefix)?;
                Some(Object {
                    name: name.to_owned(),
                    bytes: object.size,
                    made_ms: object.last_modified.timestamp_millis(),
                })
            });
            let mut objects: Vec<_> = ours.collect();
            objects.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(objects)
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            match self.reading.delete(&self.path(name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.trouble(&error)),
            }
        })
    }
}

fn builder(
    place: &Place,
    credentials: Option<&Credentials>,
    connector: &Connector,
) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&place.bucket)
        .with_region(&place.region)
        .with_virtual_hosted_style_request(place.endpoint.is_none())
        .with_client_options(options(place))
        .with_allow_http(place.is_plain())
        .with_disable_bulk_delete(true)
        .with_http_connector(connector.clone())
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            retry_timeout: RETRIES_END,
        });
    if let Some(endpoint) = &place.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(credentials) = credentials {
        builder = builder
            .with_access_key_id(&credentials.key_id)
            .with_secret_access_key(&credentials.secret);
        if let Some(token) = &credentials.token {
            builder = builder.with_token(token);
        }
    }
    builder
}

/// Whether a put was refused since there is an object of its name: the crate says the same of a
/// condition that does not hold (412), whose error it passes on, and of a conflict (409).
fn is_there(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::AlreadyExists { source, .. }
        if source.is::<object_store::Error>())
}

fn options(place: &Place) -> ClientOptions {
    ClientOptions::new().with_allow_http(place.is_plain())
}

/// What went wrong, without what was sent or answered.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the crate's errors are open to more, and all others are tried again"
)]
fn trouble(label: &str, error: &object_store::Error) -> Trouble {
    let (reason, lasting) = match error {
        object_store::Error::Unauthenticated { .. } => ("the credentials are not accepted", true),
        object_store::Error::PermissionDenied { .. } => (
            "the credentials do not allow this: they have to allow GetObject, PutObject and \
             ListBucket, and DeleteObject for pruning",
            true,
        ),
        object_store::Error::NotFound { .. } => ("there is no such bucket", true),
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
            ("it does not do what an archive needs", true)
        }
        _ => ("it cannot be reached, or did not do as asked", false),
    };
    tracing::debug!(%error, "an object store failed");
    Trouble {
        label: label.to_owned(),
        reason: reason.to_owned(),
        lasting,
    }
}
