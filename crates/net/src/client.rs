//! A blocking client. Settings are passed in; the environment is never read here.
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ureq::http;

use crate::agents::{Agents, proxy_of};
use crate::error::{explain, may_pass};
use crate::logins::{Asker, Login, Logins};
use crate::pace::Body;
use crate::pauses::{Pauses, Teller};
use crate::watch::{Watch, Watcher};
use crate::{NetError, Url, probe};

/// How many redirects are followed.
const REDIRECTS: u32 = 5;
/// How much of the body of a refusal is read so that its connection can be used again.
const DRAINED: u64 = 64 * 1024;

/// How to reach the world.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Further certificate authorities (PEM) to trust beside the system's.
    pub certificate_authorities: Vec<u8>,
    /// Folders with what single hosts need, as Docker has them: `<host>[:<port>]/*.crt` are authorities to trust beside
    /// the others, `NAME.cert` with `NAME.key` (PEM) is the certificate to show. The first that has the host counts.
    pub host_certificates: Vec<PathBuf>,
    /// Further authorities (PEM) of single hosts, by `host`, or `host:port` where that is not the usual one.
    pub host_authorities: BTreeMap<String, Vec<u8>>,
    /// Never connect.
    pub offline: bool,
    /// How often a request is tried again after a failure that may pass.
    pub retries: u32,
    /// The pause before the first retry; each further one is twice as long.
    pub pause: Duration,
    /// No pause is longer than this, whatever `Retry-After` says.
    pub longest_pause: Duration,
    /// How long a server may stay silent, or send next to nothing.
    pub timeout: Duration,
    /// `http[s]://[user:password@]host:port` for all https requests but those to `no_proxy`.
    pub proxy: Option<String>,
    /// The same for http requests.
    pub plain_proxy: Option<String>,
    /// Reached directly: host names with all below them (`.example.com` too), `host:port`, addresses, networks
    /// (`10.0.0.0/8`), or `*`.
    pub no_proxy: Vec<String>,
    /// Users by host, for addresses without one.
    pub logins: Vec<Login>,
    /// Is asked for a user and password once a server wants some that are not known.
    pub asker: Option<Asker>,
    /// Is told what is waited for.
    pub teller: Option<Teller>,
    /// Sees each request.
    pub watcher: Option<Watcher>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            certificate_authorities: Vec::new(),
            host_certificates: Vec::new(),
            host_authorities: BTreeMap::new(),
            offline: false,
            retries: 3,
            pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(30),
            timeout: Duration::from_secs(30),
            proxy: None,
            plain_proxy: None,
            no_proxy: Vec::new(),
            logins: Vec::new(),
            asker: None,
            teller: None,
            watcher: None,
        }
    }
}

/// A GET or HEAD.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Where. A user and password in it become Basic authorization for that origin alone.
    pub url: &'a str,
    /// `Accept` and the like. `Authorization` is dropped when a redirect leads to another origin.
    pub headers: Vec<(&'a str, String)>,
    /// Only from this byte on (`Range: bytes=N-`).
    pub from: u64,
    /// Only the headers.
    pub head: bool,
}

impl<'a> Request<'a> {
    /// A plain GET.
    pub fn get(url: &'a str) -> Self {
        Self { url, headers: Vec::new(), from: 0, head: false }
    }

    /// Only the headers.
    pub fn head(url: &'a str) -> Self {
        Self { head: true, ..Self::get(url) }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What came back. Of [`Client::send`] status 200 or 206 always; everything else is a [`NetError`].
pub struct Response {
    /// 200, or 206 where a range was asked and granted; of [`Client::exchange`] any.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Where it came from in the end, redirects followed.
    pub url: Url,
    /// The body, still on its way.
    pub body: Body,
}

impl Response {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Does a 206 begin at this byte?
    pub fn starts_at(&self, from: u64) -> bool {
        range_start(self) == Some(from)
    }

    /// How long the server asks to wait (`Retry-After`).
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(self.header("retry-after")?, self.header("date"))
    }

    /// All headers of this (lower-case) name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `Content-Length`: bytes of the body (of a HEAD: of the body that a GET would have).
    pub fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }
}

/// What an exchange sends.
pub enum Payload<'a> {
    /// Nothing.
    Empty,
    /// A small document.
    Bytes(&'a [u8]),
    /// Exactly `size` bytes; fewer are an error.
    Reader {
        /// Where they come from.
        reader: &'a mut dyn Read,
        /// `Content-Length`.
        size: u64,
    },
}

/// One request of any method. Whoever sends it looks after redirects, retries and credentials.
pub struct Exchange<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// Where. A user and password in it are not sent.
    pub url: &'a Url,
    /// As they are sent.
    pub headers: Vec<(&'a str, String)>,
    /// What is sent.
    pub payload: Payload<'a>,
}

/// Shares connections; cheap to borrow from many threads.
pub struct Client {
    settings: Settings,
    logins: Logins,
    pauses: Pauses,
    agents: Agents,
    /// Servers of this machine that were asked whether they speak TLS.
    probed: Mutex<BTreeMap<String, bool>>,
}

/// One try: an answer, or why not and whether to try again (after how long, if the server says so).
enum Refused {
    Final(NetError),
    MayPass(NetError, Option<Duration>),
}

impl Client {
    /// Is everything but what is there already forbidden? For those who start programs that would connect themselves.
    pub fn is_offline(&self) -> bool {
        self.settings.offline
    }

    /// Nothing is read or connected before the first request.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            logins: Logins::default(),
            pauses: Pauses::default(),
            agents: Agents::default(),
            probed: Mutex::default(),
        }
    }

    /// How this client reaches the world.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Does the server of an address speak TLS? Connects to it, once; for servers of this machine. One that does not answer,
    /// or may not be asked, does not.
    pub fn speaks_tls(&self, url: &Url) -> bool {
        if self.settings.offline {
            return false;
        }
        let mut probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        let place = url.place();
        if let Some(known) = probed.get(&place) {
            return *known;
        }
        let found = probe::speaks_tls(url, self.settings.timeout);
        probed.extend(found.map(|found| (place, found)));
        found.unwrap_or(false)
    }

    /// Makes an address known: its user and password are for its origin from now on. Gives the address without them, as
    /// it may be shown and kept; a text that is no address comes back as it is.
    pub fn know(&self, url: &str) -> String {
        match Url::parse(url) {
            Ok(known) => {
                self.logins.know(&known);
                known.without_login().to_string()
            }
            Err(_) => url.to_owned(),
        }
    }

    /// The pause before something is tried again: as long as the server asks (then nobody asks it anything meanwhile), else
    /// about as long as `pause`; never longer than the settings allow.
    pub fn wait(&self, url: &Url, asked: Option<Duration>, pause: Duration) {
        self.pauses.wait(url, asked, pause, &self.settings);
    }

    /// Sends a request; retries what may pass (408, 429, 502, 503, 504, broken connections), with `Retry-After`.
    pub fn send(&self, request: &Request<'_>) -> Result<Response, NetError> {
        let mut pause = self.settings.pause;
        let mut left = self.settings.retries;
        loop {
            let (error, asked) = match self.follow(request) {
                Ok(response) => return Ok(response),
                Err(Refused::Final(error)) => return Err(error),
                Err(Refused::MayPass(error, asked)) => (error, asked),
            };
            if left == 0 {
                return Err(error);
            }
            left -= 1;
            if let Ok(url) = Url::parse(request.url) {
                self.wait(&url, asked, pause);
            }
            pause = pause.saturating_mul(2);
        }
    }

    /// Sends once, whatever the answer's status; neither redirects nor retries. `Err(_, true)`: it may pass.
    pub fn exchange(&self, exchange: Exchange<'_>) -> Result<Response, (NetError, bool)> {
        self.exchange_by(exchange, false)
    }

    /// As [`Client::exchange`], with an address of the internet alone, whatever its name says; a proxy finds addresses by itself.
    pub fn exchange_public(&self, exchange: Exchange<'_>) -> Result<Response, (NetError, bool)> {
        self.exchange_by(exchange, true)
    }

    /// Does a proxy connect to an address, and so look its name up?
    pub fn is_proxied(&self, url: &Url) -> bool {
        proxy_of(url, &self.settings).is_some()
    }

    fn exchange_by(&self, exchange: Exchange<'_>, public: bool) -> Result<Response, (NetError, bool)> {
        let url = exchange.url;
        let transport = |why: String| NetError::Transport { url: url.to_string(), why };
        if self.settings.offline {
            return Err((NetError::Offline { url: url.to_string() }, false));
        }
        let mut builder = http::Request::builder().method(exchange.method).uri(url.to_string());
        for (name, value) in &exchange.headers {
            builder = builder.header(*name, value);
        }
        let agent = self.agents.of(url, public, &self.settings).map_err(|why| (transport(why), false))?;
        self.pauses.hold(url);
        let watch = Watch::start(self.settings.watcher.as_ref(), exchange.method, url);
        let answer = match exchange.payload {
            Payload::Empty => builder.body(()).map(|ready| agent.run(ready)),
            Payload::Bytes(bytes) => builder.body(bytes).map(|ready| agent.run(ready)),
            Payload::Reader { mut reader, size } => builder
                .header("content-length", size)
                .body(ureq::SendBody::from_reader(&mut reader))
                .map(|ready| agent.run(ready)),
        };
        let answer = answer.map_err(|error| (transport(error.to_string()), false))?;
        watch.end(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
        let answer =
            answer.map_err(|error| (transport(explain(&error, url, self.settings.timeout)), may_pass(&error)))?;
        Ok(response(url.clone(), answer, self.settings.timeout))
    }

    /// A line for people who watch.
    pub fn tell(&self, line: &str) {
        if let Some(teller) = &self.settings.teller {
            teller.0(line);
        }
    }

    /// A whole small document, at most `limit` bytes. A body that breaks off is asked for again.
    pub fn bytes(&self, request: &Request<'_>, limit: u64) -> Result<Vec<u8>, NetError> {
        let mut left = self.settings.retries;
        loop {
            let response = self.send(request)?;
            let url = response.url.to_string();
            if response.length().is_some_and(|length| length > limit) && !request.head {
                return Err(NetError::TooLong { url, limit });
            }
            let mut bytes = Vec::new();
            match response.body.take(limit.saturating_add(1)).read_to_end(&mut bytes) {
                Ok(_) if bytes.len() as u64 > limit => return Err(NetError::TooLong { url, limit }),
                Ok(_) => return Ok(bytes),
                Err(error) if left == 0 => return Err(NetError::Transport { url, why: error.to_string() }),
                Err(_) => left -= 1,
            }
        }
    }

    /// Follows redirects here and not in the library: to watch over credentials and downgrades.
    fn follow(&self, request: &Request<'_>) -> Result<Response, Refused> {
        let first = Url::parse(request.url).map_err(|error| {
            let (url, why) = (error.shown().to_owned(), format!("no address: {}", error.why()));
            Refused::Final(NetError::Transport { url, why })
        })?;
        if self.settings.offline {
            return Err(Refused::Final(NetError::Offline { url: first.to_string() }));
        }
        let (mut url, mut asked) = (first.clone(), false);
        for _ in 0..=REDIRECTS {
            let answer = self.once(request, &url, url.same_origin(&first).then_some(&first))?;
            let status = answer.status().as_u16();
            match status {
                200 | 206 => return self.accept(request, url, answer),
                301 | 302 | 303 | 307 | 308 => url = redirected(&url, &answer).map_err(Refused::Final)?,
                401 if !asked && url.same_origin(&first) && self.asks(&first) => asked = true,
                _ => return Err(refuse(&url, answer)),
            }
        }
        let why = format!("more than {REDIRECTS} redirects");
        Err(Refused::Final(NetError::Transport { url: first.to_string(), why }))
    }

    /// Is there a user for the origin now that there was none?
    fn asks(&self, url: &Url) -> bool {
        self.settings.asker.as_ref().is_some_and(|asker| self.logins.ask(url, asker))
    }

    /// One exchange. `origin`: the address whose credentials may be sent.
    fn once(
        &self,
        request: &Request<'_>,
        url: &Url,
        origin: Option<&Url>,
    ) -> Result<http::Response<ureq::Body>, Refused> {
        let method = if request.head { http::Method::HEAD } else { http::Method::GET };
        let mut builder = http::Request::builder().method(method).uri(url.to_string());
        for (name, value) in &request.headers {
            if origin.is_some() || !name.eq_ignore_ascii_case("authorization") {
                builder = builder.header(*name, value);
            }
        }
        let own = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if let Some(basic) = origin.filter(|_| !own).and_then(|origin| self.authorization(origin)) {
            builder = builder.header("authorization", basic);
        }
        if request.from > 0 {
            builder = builder.header("range", format!("bytes={}-", request.from));
        }
        let transport = |why| NetError::Transport { url: url.to_string(), why };
        let ready = builder.body(()).map_err(|error| Refused::Final(transport(error.to_string())))?;
        let agent = self.agents.of(url, false, &self.settings).map_err(|why| Refused::Final(transport(why)))?;
        self.pauses.hold(url);
        let watch = Watch::start(self.settings.watcher.as_ref(), if request.head { "HEAD" } else { "GET" }, url);
        let answer = agent.run(ready);
        watch.end(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
        answer.map_err(|error| {
            let failed = transport(explain(&error, url, self.settings.timeout));
            if may_pass(&error) { Refused::MayPass(failed, None) } else { Refused::Final(failed) }
        })
    }

    /// The address's own user, else what is known of its origin.
    fn authorization(&self, url: &Url) -> Option<String> {
        let known = || self.logins.authorization(url, &self.settings.logins);
        url.authorization().or_else(known)
    }

    /// A 206 must begin where it was asked to: else bytes would be glued together that do not belong together.
    fn accept(&self, request: &Request<'_>, url: Url, answer: http::Response<ureq::Body>) -> Result<Response, Refused> {
        let (status, response) = (answer.status().as_u16(), response(url, answer, self.settings.timeout));
        if status == 206 && !response.starts_at(request.from) {
            let why = format!("asked for bytes from {} on, the server sent others", request.from);
            return Err(Refused::Final(NetError::Transport { url: response.url.to_string(), why }));
        }
        Ok(response)
    }
}

fn response(url: Url, answer: http::Response<ureq::Body>, timeout: Duration) -> Response {
    let headers: Vec<(String, String)> = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let status = answer.status().as_u16();
    let body = Body::new(answer.into_body(), format!("{}:{}", url.host(), url.port()), timeout);
    Response { status, headers, url, body }
}

/// Where a redirect leads. Credentials in it are not used.
fn redirected(from: &Url, answer: &http::Response<ureq::Body>) -> Result<Url, NetError> {
    let transport = |why: String| NetError::Transport { url: from.to_string(), why };
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| transport("a redirect that does not say where to".to_owned()))?;
    let to = from.join(location).map_err(|error| transport(format!("a redirect to {error}")))?;
    if from.secure() && !to.secure() {
        return Err(transport(format!("a redirect from https to http ({to}) is refused")));
    }
    Ok(to)
}

fn refuse(url: &Url, answer: http::Response<ureq::Body>) -> Refused {
    let status = answer.status().as_u16();
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let asked = header("retry-after").and_then(|value| retry_after(value, header("date")));
    // Read to the end, so that the connection can be used again.
    let mut rest = answer.into_body().into_reader().take(DRAINED);
    let _ = io::copy(&mut rest, &mut io::sink());
    let error = NetError::Status { url: url.to_string(), status };
    match status {
        408 | 429 | 502 | 503 | 504 => Refused::MayPass(error, asked),
        _ => Refused::Final(error),
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3), counted from the server's own `Date`: this machine's clock may be wrong.
fn retry_after(value: &str, now: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(now?).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The first byte of `Content-Range: bytes 100-199/200`.
fn range_start(response: &Response) -> Option<u64> {
    let range = response.header("content-range")?.strip_prefix("bytes ")?;
    range.split('-').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Some("Sun, 06 Nov 1994 08:49:07 GMT");
        assert_eq!(retry_after("7", None), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", None), None);
        assert_eq!(retry_after("soon", now), None);
    }
}
