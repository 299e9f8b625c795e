//! TLS under a certificate authority of the test's own.

use std::fmt;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::serve_tcp;
use crate::Host;
use crate::fail::OrFail;

/// A certificate authority that nobody trusts until told to.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes an authority with a fresh key.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().or_fail("make a key");
        let issuer = CertifiedIssuer::self_signed(params, key).or_fail("sign an authority");
        Self { issuer }
    }

    /// Its certificate, for a client to trust: in PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its certificate in DER.
    pub fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A TLS server's configuration with a certificate for `names` (host names or addresses).
    pub fn server_config(&self, names: &[&str]) -> ServerConfig {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).or_fail("names for a certificate");
        let key = KeyPair::generate().or_fail("make a key");
        let cert = params.signed_by(&key, &self.issuer).or_fail("sign a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .or_fail("choose the versions of TLS")
            .with_no_client_auth()
            .with_single_cert(
                vec![cert.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .or_fail("use a certificate")
    }
}

/// Sends back every byte inside TLS, with a certificate for `names` by `authority`.
pub fn tls_echo(host: &Host, port: u16, authority: &Authority, names: &[&str]) -> JoinHandle<()> {
    let acceptor = TlsAcceptor::from(Arc::new(authority.server_config(names)));
    serve_tcp(host, port, move |stream| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not trust the authority leaves here.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let (mut read, mut write) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        }
    })
}
