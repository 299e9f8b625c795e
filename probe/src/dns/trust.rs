//! Which certificates encrypted DNS servers may show.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::error::ProbeError;

/// The certificate authorities that DoT and DoH servers are checked against.
///
/// # Examples
///
/// ```
/// # use sojourner_probe::dns::TrustRoots;
/// let error = TrustRoots::with_ca_pem(b"not a certificate").unwrap_err();
/// assert!(error.to_string().contains("PEM"), "{error}");
/// ```
#[derive(Clone)]
pub struct TrustRoots {
    dot: Arc<ClientConfig>,
    doh: Arc<ClientConfig>,
    roots: usize,
}

impl TrustRoots {
    /// Mozilla's roots, compiled in: the same on every machine, whatever was installed on it.
    pub fn web() -> Self {
        Self::new(web_roots())
    }

    /// Mozilla's roots and those of a PEM file.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Invalid`] when there is no certificate in `pem`, or a broken one.
    pub fn with_ca_pem(pem: &[u8]) -> Result<Self, ProbeError> {
        let mut roots = web_roots();
        let invalid = |value: String| ProbeError::Invalid {
            field: "CA file",
            value,
            mend: "give a PEM file with at least one -----BEGIN CERTIFICATE----- block".into(),
        };
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
            roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
            found = true;
        }
        if found { Ok(Self::new(roots)) } else { Err(invalid("no certificate".into())) }
    }

    fn new(roots: RootCertStore) -> Self {
        let count = roots.len();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let dot = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has the suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut doh = dot.clone();
        doh.alpn_protocols = vec![b"h2".to_vec()];
        Self { dot: Arc::new(dot), doh: Arc::new(doh), roots: count }
    }

    pub(super) fn dot(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.dot)
    }

    pub(super) fn doh(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.doh)
    }
}

impl Default for TrustRoots {
    fn default() -> Self {
        Self::web()
    }
}

impl fmt::Debug for TrustRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustRoots").field("roots", &self.roots).finish_non_exhaustive()
    }
}

fn web_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}
