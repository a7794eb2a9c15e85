//! TLS from given certificate files.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Files that TLS cannot be served with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read the certificate chain in {0}: {1}")]
    Certificate(PathBuf, rustls::pki_types::pem::Error),
    #[error("{0} holds no certificate")]
    NoCertificate(PathBuf),
    #[error("cannot read the private key in {0}: {1}")]
    Key(PathBuf, rustls::pki_types::pem::Error),
    #[error("the certificate and key do not work together: {0}")]
    Mismatch(rustls::Error),
}

/// An acceptor for TLS 1.2 and 1.3 that offers HTTP/2 and HTTP/1.1.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, Error> {
    let path = &files.certificate;
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Error::Certificate(path.clone(), error))?;
    if chain.is_empty() {
        return Err(Error::NoCertificate(path.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| Error::Key(files.key.clone(), error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::Mismatch)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(Error::Mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
