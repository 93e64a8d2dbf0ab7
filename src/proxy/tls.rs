//! TLS towards clients.

use super::serve::StartError;
use super::settings::Certificate;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What takes clients in, where TLS is wanted.
pub fn acceptor(certificate: Option<&Certificate>, wanted: bool) -> Result<Option<TlsAcceptor>, StartError> {
    if !wanted {
        return Ok(None);
    }
    let missing = || StartError::Certificate("none was given, and TLS needs one".into());
    let certificate = certificate.ok_or_else(missing)?;
    let bad = |error: &dyn std::fmt::Display| StartError::Certificate(error.to_string());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate.chain)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&certificate.key.0).map_err(|error| bad(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad(&error))?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
