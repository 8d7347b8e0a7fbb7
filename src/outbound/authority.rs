//! The certificate authorities that the operator adds to those of the system.

use std::path::PathBuf;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::OutboundError;

/// The certificates in all of these PEM files.
///
/// # Errors
/// [`OutboundError::Authority`] where a file cannot be read or holds no certificate.
pub fn read(ca: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, OutboundError> {
    let mut found = Vec::new();
    for path in ca {
        found.extend(read_file(path)?);
    }
    Ok(found)
}

fn read_file(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, OutboundError> {
    let refuse = |reason: String| OutboundError::Authority {
        path: path.clone(),
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| refuse(error.to_string()))?;
    if found.is_empty() {
        return Err(refuse("there is no certificate in it".to_owned()));
    }
    Ok(found)
}
