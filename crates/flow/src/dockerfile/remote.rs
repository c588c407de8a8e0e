//! What ADD takes from elsewhere: files at addresses, and repositories.
//!
//! A Dockerfile of somebody else must not reach what only this machine can reach. So an address that leads to this machine or a
//! private network is refused, at the first request and at every redirect, unless that is allowed; what was looked at is what is
//! connected to. The same holds for repositories, their redirects and their submodules; git is told the address, and to follow nothing.
//!
//! Users and passwords of addresses are in no message.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use corten_diagnostic::{Failure, Report};
use corten_engine::stages::{self, Fetched};
use corten_net::{Exchange, NetError, Payload, Response, Url, is_private};
use corten_oci::{Digest, Digester};
use corten_store::{ScratchFolder, StoreError};

use super::git;
use crate::world::World;

/// Bytes of one file.
const LARGEST: u64 = 64 << 30;
/// Redirects.
const REDIRECTS: usize = 10;
/// Where git's own protocol is spoken.
const GIT_PORT: u16 = 9418;
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
        let (url, _, answer) = self.follow(address)?;
        match answer.status {
            200 => Ok(answer),
            status => Err(Failure::world(format!("ADD {url}: the server answers {status}")).into()),
        }
    }

    /// The address that one leads to, what its name means, and what is answered there.
    fn follow(&self, address: &str) -> Result<(Url, Option<IpAddr>, Response), Report> {
        let mut url = parse(address)?;
        for _ in 0..=REDIRECTS {
            let found = self.may_reach(&url.to_string(), url.host(), url.port())?;
            let answer = self.try_some(&url)?;
            match answer.status {
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
                _ => return Ok((url, found, answer)),
            }
        }
        Err(Failure::world(format!("ADD {}: more than {REDIRECTS} redirects", git::shown(address))).into())
    }

    /// Past redirects, which git is not to follow itself.
    fn of_the_web(&self, text: &str) -> Result<git::Reached, Report> {
        const REFERENCES: &str = "/info/refs?service=git-upload-pack";
        let first = parse(text)?;
        let (url, found, _) = self.follow(&format!("{}{REFERENCES}", first.to_string().trim_end_matches('/')))?;
        let last = url.to_string();
        let remote = match last.strip_suffix(REFERENCES) {
            Some(last) if last != first.to_string().trim_end_matches('/') => last.to_owned(),
            // With user and password, as it was given.
            _ => text.to_owned(),
        };
        if found.is_none() && !self.world.client.is_proxied(&url) {
            return Err(not_found(&url.to_string(), url.host()).into());
        }
        let host = without_brackets(url.host());
        let resolve = found.map(|address| format!("{host}:{}:{address}", url.port()));
        Ok(git::Reached { remote, resolve })
    }

    /// `git://`, which is told the address in place of the name.
    fn of_git(&self, text: &str) -> Result<git::Reached, Report> {
        let place = git::place(text).filter(|place| place.user.is_none()).ok_or_else(|| git::unclear(text))?;
        let port = place.port.unwrap_or(GIT_PORT);
        let address = self.may_reach(text, place.host, port)?.ok_or_else(|| not_found(text, place.host))?;
        let path = text.strip_prefix("git://").and_then(|rest| rest.split_once('/')).map_or("", |(_, path)| path);
        Ok(git::Reached { remote: format!("git://{}/{path}", SocketAddr::new(address, port)), resolve: None })
    }

    fn try_some(&self, url: &Url) -> Result<Response, NetError> {
        let mut tries = 1;
        loop {
            let exchange = Exchange { method: "GET", url, headers: Vec::new(), payload: Payload::Empty };
            let answer = match self.private {
                true => self.world.client.exchange(exchange),
                false => self.world.client.exchange_public(exchange),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err((_, true)) if tries < TRIES => tries += 1,
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// What a host's name means, once: who connects later is told. None where it cannot be found here.
    fn may_reach(&self, address: &str, host: &str, port: u16) -> Result<Option<IpAddr>, Failure> {
        if self.private {
            return Ok(None);
        }
        let host = without_brackets(host);
        let found: Vec<IpAddr> = (host, port).to_socket_addrs().into_iter().flatten().map(|found| found.ip()).collect();
        match found.iter().find(|address| is_private(**address)) {
            None => Ok(found.first().copied()),
            Some(private) => {
                let address = git::shown(address);
                Err(Failure::input(format!("ADD {address}: {host} is {private}, which is not on the internet"))
                    .hint("--allow-private-add lets ADD reach this machine and private networks"))
            }
        }
    }
}

impl git::Reach for Remote<'_> {
    fn repository(&self, address: &str) -> Result<git::Reached, Report> {
        if address.starts_with("git://") { self.of_git(address) } else { self.of_the_web(address) }
    }

    fn server(&self, address: &str, host: &str, port: u16) -> Result<Option<IpAddr>, Report> {
        Ok(self.may_reach(address, host, port)?)
    }
}

fn not_found(address: &str, host: &str) -> Failure {
    Failure::world(format!("ADD {}: {host} cannot be found", git::shown(address)))
        .hint("check the name, and the network's name servers")
}

fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn parse(text: &str) -> Result<Url, Failure> {
    Url::parse(text).map_err(|error| Failure::input(format!("ADD {}: {}", error.shown(), error.why())))
}

impl stages::Remote for Remote<'_> {
    fn http(&self, url: &str, checksum: Option<&str>) -> Result<Fetched, Report> {
        let wanted = checksum
            .map(|text| text.parse::<Digest>().map_err(|error| Failure::input(format!("--checksum={text}: {error}"))));
        let wanted = wanted.transpose()?;
        if self.world.client.is_offline() {
            let message = format!("ADD {}: no connection is made while offline", git::shown(url));
            return Err(Failure::world(message).hint("leave out --offline").into());
        }
        let mut answer = self.ask(url)?;
        let url = git::shown(url);
        let too_large = || Failure::world(format!("ADD {url}: it has more than {} GiB", LARGEST >> 30));
        if answer.length().is_some_and(|length| length > LARGEST) {
            return Err(too_large().into());
        }
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
                return Err(too_large().into());
            }
            hash.update(piece);
            let missing = answer.length().unwrap_or(total).saturating_sub(total - got as u64);
            file.write_all(piece).map_err(|error| StoreError::disk("writing", &path, missing, error))?;
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
        self.pinned(&url, &found.to_string());
        Ok(Fetched { path, pin: found.to_string(), name, mtime })
    }

    fn git(&self, url: &str, keep: bool, checksum: Option<&str>) -> Result<Fetched, Report> {
        let reach: Option<&dyn git::Reach> = if self.private { None } else { Some(self) };
        let cloned = git::clone(url, keep, checksum, &self.folder()?, reach, self.world)?;
        self.pinned(&git::shown(url), &cloned.commit);
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
