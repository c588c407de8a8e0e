//! What ADD takes from elsewhere: files at addresses, and repositories.
//!
//! A Dockerfile of somebody else must not reach what only this machine can reach. So an address that leads to this machine or a
//! private network is refused, at the first request and at every redirect, unless that is allowed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use corten_diagnostic::{Failure, Report};
use corten_engine::stages::{self, Fetched};
use corten_net::{Exchange, NetError, Payload, Response, Url};
use corten_oci::{Digest, Digester};
use corten_store::ScratchFolder;

use super::git;
use crate::world::World;

/// Bytes of one file.
const LARGEST: u64 = 64 << 30;
/// Redirects.
const REDIRECTS: usize = 10;
/// Tries where it may pass.
const TRIES: usize = 3;

/// Fetches for one build; what was fetched stays as long as this.
pub struct Remote<'a> {
    /// The network.
    pub world: &'a World<'a>,
    /// `--allow-private-add`.
    pub private: bool,
    kept: Mutex<Vec<ScratchFolder>>,
    /// What was fetched, by its address.
    pins: Mutex<BTreeMap<String, String>>,
    number: AtomicU64,
}

impl<'a> Remote<'a> {
    /// With nothing fetched yet.
    pub fn new(private: bool, world: &'a World<'a>) -> Self {
        Self { world, private, kept: Mutex::default(), pins: Mutex::default(), number: AtomicU64::new(0) }
    }

    /// Addresses, and the digests or commits that they had.
    pub fn fetched(&self) -> Vec<(String, String)> {
        let pins = self.pins.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        pins.iter().map(|(address, pin)| (address.clone(), pin.clone())).collect()
    }

    fn pinned(&self, address: &str, pin: &str) {
        let mut pins = self.pins.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        pins.insert(address.to_owned(), pin.to_owned());
    }

    fn folder(&self) -> Result<PathBuf, Report> {
        let folder = self.world.store.scratch_folder()?;
        let path = folder.path().join(self.number.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&path).map_err(|error| Failure::world(format!("making {}: {error}", path.display())))?;
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(folder);
        Ok(path)
    }

    /// Follows redirects here, so that each is looked at.
    fn ask(&self, address: &str) -> Result<Response, Report> {
        let parse = |text: &str| {
            Url::parse(text).map_err(|error| Failure::input(format!("ADD {}: {}", error.shown(), error.why())))
        };
        let mut url = parse(address)?;
        for _ in 0..=REDIRECTS {
            self.may_reach(&url)?;
            let answer = self.try_some(&url)?;
            match answer.status {
                200 => return Ok(answer),
                301 | 302 | 303 | 307 | 308 => {
                    let to = answer.header("location").unwrap_or_default().to_owned();
                    let next = url.join(&to).map_err(|_| {
                        Failure::world(format!("ADD {url}: it leads to '{to}', which is no address of the web"))
                    })?;
                    if url.secure() && !next.secure() {
                        return Err(Failure::world(format!("ADD {url}: it leads to {next}, without TLS")).into());
                    }
                    url = next;
                }
                status => return Err(Failure::world(format!("ADD {url}: the server answers {status}")).into()),
            }
        }
        Err(Failure::world(format!("ADD {address}: more than {REDIRECTS} redirects")).into())
    }

    fn try_some(&self, url: &Url) -> Result<Response, NetError> {
        let mut tries = 1;
        loop {
            let exchange = Exchange { method: "GET", url, headers: Vec::new(), payload: Payload::Empty };
            match self.world.client.exchange(exchange) {
                Ok(answer) => return Ok(answer),
                Err((_, true)) if tries < TRIES => tries += 1,
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn may_reach(&self, url: &Url) -> Result<(), Failure> {
        if self.private {
            return Ok(());
        }
        let host = url.host().trim_start_matches('[').trim_end_matches(']');
        // A host that cannot be found here is told when it is connected to.
        let found = (host, url.port()).to_socket_addrs().into_iter().flatten();
        match found.map(|found| found.ip()).find(|address| is_private(*address)) {
            None => Ok(()),
            Some(address) => {
                Err(Failure::input(format!("ADD {url}: {host} is {address}, which is not on the internet"))
                    .hint("--allow-private-add lets ADD reach this machine and private networks"))
            }
        }
    }
}

/// Addresses that mean another thing on every machine or network.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => {
            let first = address.segments()[0];
            let embedded = address.to_ipv4_mapped().or_else(|| {
                (first == 0x64).then(|| {
                    let [.., a, b, c, d] = address.octets();
                    Ipv4Addr::new(a, b, c, d)
                })
            });
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
                || embedded.is_some_and(is_private_v4)
        }
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
        || first >= 240
        || (first == 100 && (64..128).contains(&second))
        || (first, second, third) == (192, 0, 0)
        || address == Ipv4Addr::new(168, 63, 129, 16)
}

impl stages::Remote for Remote<'_> {
    fn http(&self, url: &str, checksum: Option<&str>) -> Result<Fetched, Report> {
        let wanted = checksum
            .map(|text| text.parse::<Digest>().map_err(|error| Failure::input(format!("--checksum={text}: {error}"))));
        let wanted = wanted.transpose()?;
        if self.world.client.is_offline() {
            let message = format!("ADD {url}: no connection is made while offline");
            return Err(Failure::world(message).hint("leave out --offline").into());
        }
        let mut answer = self.ask(url)?;
        let path = self.folder()?.join("file");
        let failed = |error: std::io::Error| Failure::world(format!("ADD {url}: {error}"));
        let mut file = File::create(&path).map_err(failed)?;
        let mut hash = Digester::new();
        let (mut buffer, mut total) = (vec![0; 1 << 18], 0_u64);
        loop {
            let got = answer.body.read(&mut buffer).map_err(failed)?;
            let Some(piece) = buffer.get(..got).filter(|piece| !piece.is_empty()) else { break };
            total = total.saturating_add(got as u64);
            if total > LARGEST {
                return Err(Failure::world(format!("ADD {url}: it has more than {LARGEST} bytes")).into());
            }
            hash.update(piece);
            file.write_all(piece).map_err(failed)?;
        }
        if let Some(length) = answer.length().filter(|length| *length != total) {
            return Err(Failure::world(format!("ADD {url}: {total} of {length} bytes came")).into());
        }
        let found = hash.finish();
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            return Err(Failure::input(format!("ADD {url}: it is {found}, --checksum says {wanted}"))
                .hint("either the file is another one now, or the checksum is of another one")
                .into());
        }
        let mtime = answer.header("last-modified").and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
        let mtime = mtime.map(|time| time.timestamp().as_second());
        let name = answer.header("content-disposition").and_then(named);
        self.pinned(url, &found.to_string());
        Ok(Fetched { path, pin: found.to_string(), name, mtime })
    }

    fn git(&self, url: &str, keep: bool, checksum: Option<&str>) -> Result<Fetched, Report> {
        if let (false, Some(host)) = (self.private, git::host(url)) {
            let address = Url::parse(&format!("https://{host}/"));
            let address = address.map_err(|error| Failure::input(format!("ADD {}: {}", error.shown(), error.why())))?;
            self.may_reach(&address)?;
        }
        let cloned = git::clone(url, keep, checksum, &self.folder()?, self.world)?;
        self.pinned(url, &cloned.commit);
        Ok(Fetched { path: cloned.path, pin: cloned.commit, name: None, mtime: None })
    }
}

/// The file name of a Content-Disposition, where it is one and leads nowhere.
fn named(header: &str) -> Option<String> {
    let value = header.split(';').find_map(|field| field.trim().strip_prefix("filename="))?;
    let name = value.trim().trim_matches('"');
    let is_safe = !name.is_empty()
        && ![".", ".."].contains(&name)
        && name.len() < 256
        && !name.chars().any(|letter| letter.is_control() || letter == '/' || letter == '\\');
    is_safe.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IANA's registries of special addresses, and clouds' places of metadata.
    #[test]
    fn d10_private_addresses_are_known() {
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.192",
            "168.63.129.16",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "151.101.0.223", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn d10_names_of_answers_lead_nowhere() {
        assert_eq!(named("attachment; filename=\"a b.tar\""), Some("a b.tar".to_owned()));
        for wrong in [
            "attachment",
            "attachment; filename=..",
            "x; filename=\"../../etc/x\"",
            "x; filename=\"a\u{1b}b\"",
            "x; filename=\"\"",
        ] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }
}
