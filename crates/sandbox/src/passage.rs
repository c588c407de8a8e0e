//! What a process inside needs to reach the internet as this machine does: proxies, and the certificate authorities of one that
//! looks into TLS.
//!
//! Both come at start, as variables and as files below `/dev/corten`, a folder in memory: no layer, key or config ever has them.
//! Whatever an image or a user says of the same variables goes before.

use crate::sandbox::{Content, Mount};

/// The folder of what is passed.
const AUTHORITIES: &str = "/dev/corten/authorities.pem";
const APT: &str = "/dev/corten/apt.conf";

/// Variables that name a file of certificates: OpenSSL and Python, curl, git, requests, pip, Node, cargo, uv.
const NAMES: [&str; 7] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "CARGO_HTTP_CAINFO",
];

/// The way to the internet.
#[derive(Debug, Clone, Default)]
pub struct Passage {
    /// `HTTP_PROXY` and its kin, as they are called where they were found.
    pub proxies: Vec<(String, String)>,
    /// Every authority that is trusted (PEM); none: those of the image.
    pub authorities: Vec<u8>,
}

impl Passage {
    /// None: what the image has.
    pub fn none() -> &'static Self {
        static NONE: Passage = Passage { proxies: Vec::new(), authorities: Vec::new() };
        &NONE
    }

    /// What the process finds in its environment.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut all = self.proxies.clone();
        if !self.authorities.is_empty() {
            all.extend(NAMES.map(|name| (name.to_owned(), AUTHORITIES.to_owned())));
            // apt reads no variable for it.
            all.push(("APT_CONFIG".to_owned(), APT.to_owned()));
        }
        all
    }

    /// The files that the variables name, of this owner inside; to be mounted after [`Mount::Dev`]. Everyone may read them.
    pub fn mounts(&self, (user, group): (u32, u32)) -> Vec<Mount> {
        if self.authorities.is_empty() {
            return Vec::new();
        }
        let file = |target: &str, content: Vec<u8>| Mount::Secret {
            target: target.into(),
            mode: 0o444,
            user,
            group,
            content: Content(content),
        };
        let apt = format!("Acquire::https::CaInfo \"{AUTHORITIES}\";\n");
        vec![file(AUTHORITIES, self.authorities.clone()), file(APT, apt.into_bytes())]
    }
}
