//! A blob goes up: not at all where it is there, by a mount where a neighbour has it, else in one PUT; what breaks off is
//! gone on with.
//!
//! ```text
//! HEAD ─ there ─► done
//!   └─► POST ?mount&from ─ 201 ─► done
//!         └─ 202 Location ─► PUT all ─ 201, 204 ─► done
//!                              └─ broken ─► GET Location: Range 0-N ─► PATCH from N+1 ─► PUT nothing more
//!                                             └─ 404 ─► POST again, from the start
//! ```
//!
//! Our own count decides where to go on only where a registry does not say; ECR's `Range` is known to be stale.

use std::io::{self, Read};
use std::time::Duration;

use corten_net::{Exchange, Payload, Response, Url};
use corten_oci::{Descriptor, Digest, Repository};

use crate::call::{Call, may_pass_soon};
use crate::error::{Doing, RegistryError};
use crate::remote::{Remote, mount_query};
use crate::token::Scope;

/// GHCR takes no larger pieces (oci-client#35).
const SMALL_PIECE: u64 = 4 << 20;
/// GHCR: 10 GB for a layer (docs.github.com, "Working with the Container registry").
const GHCR_LARGEST: u64 = 10_000_000_000;
/// GHCR ends an upload after ten minutes (the same page).
const GHCR_LONGEST: Duration = Duration::from_secs(600);
/// What takes longer than that at this many bytes a second is told: a fifth of what lines of offices and clouds do.
const SLOW_LINE: u64 = 2_000_000;
/// ECR: 52,000 MiB for a layer (AWS General Reference, "Amazon ECR endpoints and quotas").
const ECR_LARGEST: u64 = 52_000 << 20;

/// How a blob came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It was.
    There,
    /// Another repository of the registry had it.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// Opens a blob's bytes from one on.
pub(crate) type Open<'o> = &'o dyn Fn(u64) -> io::Result<Box<dyn Read + 'o>>;

/// An upload under way.
struct Session<'s> {
    blob: &'s Descriptor,
    open: Open<'s>,
    sent: &'s dyn Fn(u64),
    doing: Doing,
    scopes: Vec<Scope>,
    location: Url,
    /// Bytes that the registry has.
    offset: u64,
    /// The largest piece, once all at once was refused.
    piece: Option<u64>,
    /// The registry takes no smaller one but the last (`OCI-Chunk-Min-Length`).
    least: u64,
}

impl Session<'_> {
    /// From now on in pieces.
    fn cut(&mut self) {
        self.piece = Some(SMALL_PIECE.max(self.least));
    }
}

/// Where an upload is.
struct Begun {
    location: Url,
    least: u64,
}

/// The largest blob that a registry is known to take.
pub(crate) fn largest(host: &str) -> Option<u64> {
    let ecr = host.strip_suffix(".amazonaws.com").is_some_and(|rest| rest.contains(".dkr.ecr."));
    match host {
        "ghcr.io" => Some(GHCR_LARGEST),
        _ => ecr.then_some(ECR_LARGEST),
    }
}

/// The time that a registry gives an upload, if on a slow line this blob could take longer: then with the bytes a second that
/// it takes. How fast the line is shows only when it is too late to be told.
pub(crate) fn hurries(host: &str, size: u64) -> Option<(Duration, u64)> {
    let longest = (host == "ghcr.io").then_some(GHCR_LONGEST)?;
    let least = size.div_ceil(longest.as_secs());
    (least > SLOW_LINE).then_some((longest, least))
}

impl Remote<'_> {
    /// Brings a blob there. `neighbours`: repositories of the same registry that may have it. `sent` is told of bytes on
    /// their way.
    pub(crate) fn upload<'o>(
        &self,
        blob: &'o Descriptor,
        open: Open<'o>,
        neighbours: &[Repository],
        sent: &'o dyn Fn(u64),
    ) -> Result<Sent, RegistryError> {
        if self.has_blob(blob)? {
            return Ok(Sent::There);
        }
        let doing = self.doing("pushing a blob to ", &"");
        let scopes = self.push_scope();
        let mut location = None;
        for from in neighbours {
            match self.mount(&doing, &blob.digest, from)? {
                Mount::Done => return Ok(Sent::Mounted),
                Mount::Opened(at) => location = Some(at),
                Mount::Refused => {}
            }
            if location.is_some() {
                break;
            }
        }
        let Begun { location, least } = match location {
            Some(begun) => begun,
            None => self.begin(&doing, &scopes)?,
        };
        let mut session = Session { blob, open, sent, doing, scopes, location, offset: 0, piece: None, least };
        self.send_all(&mut session)?;
        Ok(Sent::Uploaded)
    }

    /// Registries refuse mounts in many ways; all mean: send it.
    fn mount(&self, doing: &Doing, digest: &Digest, from: &Repository) -> Result<Mount, RegistryError> {
        let url = self.url(doing, &format!("blobs/uploads/?{}", mount_query(digest, from)))?;
        let mut scopes = self.push_scope();
        scopes.push(format!("repository:{}:pull", from.normalised().path));
        let Ok(answer) = self.line.call(doing, &Call::new("POST", url, &scopes)) else { return Ok(Mount::Refused) };
        match answer.status {
            201 => Ok(Mount::Done),
            202 => self.begun(doing, &answer).map(Mount::Opened),
            _ => Ok(Mount::Refused),
        }
    }

    fn begin(&self, doing: &Doing, scopes: &[Scope]) -> Result<Begun, RegistryError> {
        let url = self.url(doing, "blobs/uploads/")?;
        let answer = self.line.call(doing, &Call::new("POST", url, scopes))?;
        match answer.status {
            202 => self.begun(doing, &answer),
            _ => Err(self.line.refusal(doing, answer)),
        }
    }

    fn begun(&self, doing: &Doing, answer: &Response) -> Result<Begun, RegistryError> {
        let least = answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Ok(Begun { location: self.location(doing, answer)?, least })
    }

    /// Where the upload goes on: never at another host.
    fn location(&self, doing: &Doing, answer: &Response) -> Result<Url, RegistryError> {
        let Some(location) = answer.header("location") else {
            return Err(self.line.wrong(doing, "the registry does not say where to".to_owned()));
        };
        let to = answer.url.join(location);
        let to = to.map_err(|error| self.line.wrong(doing, format!("the registry wants it at {error}")))?;
        if to.same_origin(&self.line.base) {
            return Ok(to.without_login());
        }
        let own = self.line.base.host();
        let why = match to.host() == own {
            true => format!("{own} wants it sent to {}://{own}:{}, which is not where it is", to.scheme(), to.port()),
            false => format!("{own} wants it sent to another host, {}", to.host()),
        };
        let hint = "the registry does not know its own address: let what stands before it pass on Host and \
                    X-Forwarded-Proto, or let it answer with relative addresses";
        Err(RegistryError::Unsafe { doing: doing.clone(), why, hint: hint.to_owned() })
    }

    /// Goes on as often as the client retries, counted anew whenever something has arrived.
    fn send_all(&self, session: &mut Session<'_>) -> Result<(), RegistryError> {
        let settings = self.line.client.settings();
        let (mut left, mut pause, mut let_in) = (settings.retries, settings.pause, false);
        loop {
            let before = session.offset;
            let (error, asked) = match self.step(session)? {
                Step::Done => return Ok(()),
                Step::Further => continue,
                Step::LetIn if !let_in => {
                    // Of what was refused, nothing was taken in.
                    let_in = true;
                    continue;
                }
                Step::LetIn => return Err(self.denied(session)),
                Step::Broken(error, asked) => (error, asked),
            };
            if left == 0 {
                return Err(error);
            }
            left -= 1;
            self.line.client.wait(&self.line.base, asked, pause);
            pause = pause.saturating_mul(2);
            self.recover(session)?;
            if session.offset > before {
                (left, pause, let_in) = (settings.retries, settings.pause, false);
            }
        }
    }

    /// Sends as much as one request may.
    fn step(&self, session: &mut Session<'_>) -> Result<Step, RegistryError> {
        let rest = session.blob.size - session.offset;
        if session.offset == 0 && session.piece.is_none() {
            return self.put(session, rest);
        }
        if rest == 0 {
            return self.put(session, 0);
        }
        self.patch(session, rest.min(session.piece.unwrap_or(rest)))
    }

    /// The last request: with all of it, or with nothing more.
    fn put(&self, session: &mut Session<'_>, size: u64) -> Result<Step, RegistryError> {
        let joiner = if session.location.path().contains('?') { '&' } else { '?' };
        let target = format!("{}{joiner}digest={}", session.location, session.blob.digest);
        let url = Url::parse(&target).map_err(|error| self.line.wrong(&session.doing, error.to_string()))?;
        let answer = match self.transfer("PUT", &url, session, size, None)? {
            Ok(answer) => answer,
            Err(error) => return Ok(Step::Broken(error, None)),
        };
        match answer.status {
            201 | 204 => {
                let said = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
                match said.filter(|said| *said != session.blob.digest) {
                    Some(other) => Err(self.line.wrong(&session.doing, format!("what arrived has the digest {other}"))),
                    None => Ok(Step::Done),
                }
            }
            413 if session.piece.is_none() && size > SMALL_PIECE => {
                session.cut();
                Ok(Step::Further)
            }
            _ => self.otherwise(session, answer),
        }
    }

    fn patch(&self, session: &mut Session<'_>, size: u64) -> Result<Step, RegistryError> {
        let range = (session.offset, session.offset + size - 1);
        let url = session.location.clone();
        let answer = match self.transfer("PATCH", &url, session, size, Some(range))? {
            Ok(answer) => answer,
            Err(error) => return Ok(Step::Broken(error, None)),
        };
        match answer.status {
            // ECR answers 201, and its `Range` is stale: our own count is right (mise#11376, containers-roadmap#2831).
            201 | 202 | 204 => {
                session.offset += size;
                session.location = self.location(&session.doing, &answer)?;
                Ok(Step::Further)
            }
            413 | 416 if size > SMALL_PIECE.max(session.least) => {
                session.cut();
                Ok(Step::Broken(self.line.refusal(&session.doing, answer), None))
            }
            _ => self.otherwise(session, answer),
        }
    }

    fn otherwise(&self, session: &Session<'_>, answer: Response) -> Result<Step, RegistryError> {
        let asked = answer.retry_after();
        match answer.status {
            401 if self.line.refused(&session.doing, &answer, &session.scopes)? => Ok(Step::LetIn),
            404 | 416 => Ok(Step::Broken(self.line.refusal(&session.doing, answer), asked)),
            _ if may_pass_soon(&answer) => Ok(Step::Broken(self.line.refusal(&session.doing, answer), asked)),
            _ => Err(self.line.refusal(&session.doing, answer)),
        }
    }

    /// One request with bytes of the blob. The inner error is the network's: it may pass.
    fn transfer(
        &self,
        method: &str,
        url: &Url,
        session: &Session<'_>,
        size: u64,
        range: Option<(u64, u64)>,
    ) -> Result<Result<Response, RegistryError>, RegistryError> {
        let mut headers = vec![("content-type", "application/octet-stream".to_owned())];
        // A PUT of everything has none: some registries refuse it (tart#179).
        headers.extend(range.map(|(first, last)| ("content-range", format!("{first}-{last}"))));
        headers.extend(self.line.authorization(&session.doing, &session.scopes)?.map(|value| ("authorization", value)));
        let mut told = Told { inner: Box::new(io::empty()), sent: session.sent, failed: None };
        if size > 0 {
            let own = |source| RegistryError::Own { doing: session.doing.clone(), source };
            told.inner = Box::new((session.open)(session.offset).map_err(own)?.take(size));
        }
        let payload = if size == 0 { Payload::Bytes(&[]) } else { Payload::Reader { reader: &mut told, size } };
        let answer = self.line.client.exchange(Exchange { method, url, headers, payload });
        if let Some(source) = told.failed {
            return Err(RegistryError::Own { doing: session.doing.clone(), source });
        }
        match answer {
            Ok(answer) => Ok(Ok(answer)),
            Err((source, true)) => Ok(Err(RegistryError::Net { doing: session.doing.clone(), source })),
            Err((source, false)) => Err(RegistryError::Net { doing: session.doing.clone(), source }),
        }
    }

    /// Asks how far the registry has got; where it has forgotten the upload, begins another one.
    fn recover(&self, session: &mut Session<'_>) -> Result<(), RegistryError> {
        let call = Call::new("GET", session.location.clone(), &session.scopes);
        let answer = self.line.call(&session.doing, &call)?;
        let range = answer.header("range").and_then(received);
        match (answer.status, range) {
            (200..=204, Some(received)) if received <= session.blob.size => {
                session.offset = received;
                if answer.header("location").is_some() {
                    session.location = self.location(&session.doing, &answer)?;
                }
            }
            _ => {
                session.offset = 0;
                let Begun { location, least } = self.begin(&session.doing, &session.scopes)?;
                (session.location, session.least) = (location, least);
            }
        }
        Ok(())
    }

    fn denied(&self, session: &Session<'_>) -> RegistryError {
        RegistryError::Denied {
            doing: session.doing.clone(),
            host: self.line.base.host().to_owned(),
            registry: self.line.name.clone(),
            why: "it gives a token and does not take it",
            words: Default::default(),
        }
    }
}

enum Mount {
    Done,
    Opened(Begun),
    Refused,
}

enum Step {
    Done,
    Further,
    /// The token has run out; there is a way to another one.
    LetIn,
    /// It may pass.
    Broken(RegistryError, Option<std::time::Duration>),
}

/// `0-N`: so many bytes are there. `0-0` says nothing: it is none for some registries and one byte for others.
fn received(range: &str) -> Option<u64> {
    let (first, last) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    match (first.trim().parse::<u64>().ok()?, last) {
        (0, 1..) => last.checked_add(1),
        _ => None,
    }
}

/// Tells of bytes as they go, and keeps an error of ours, which must not be taken for the network's.
struct Told<'a> {
    inner: Box<dyn Read + 'a>,
    sent: &'a dyn Fn(u64),
    failed: Option<io::Error>,
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(read) => {
                (self.sent)(read as u64);
                Ok(read)
            }
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_uploads() {
        assert_eq!(received("0-99"), Some(100));
        assert_eq!(received("bytes=0-99"), Some(100));
        for range in ["0-0", "", "5-9", "0-", "-9", "0-18446744073709551615", "0--1", "x"] {
            assert_eq!(received(range), None, "{range}");
        }
    }

    #[test]
    fn limits_are_of_whole_hosts() {
        assert_eq!(largest("ghcr.io"), Some(GHCR_LARGEST));
        assert_eq!(largest("123.dkr.ecr.eu-central-1.amazonaws.com"), Some(ECR_LARGEST));
        for host in [
            "x.ghcr.io",
            "ghcr.io.example",
            "123.dkr.ecr.x.amazonaws.com.example",
            "s3.amazonaws.com",
            "localhost:5000",
        ] {
            assert_eq!(largest(host), None, "{host}");
        }
    }
}
