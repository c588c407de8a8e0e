//! A web server for tests: threads on a loopback address, one exchange per connection, everything logged.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a client asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As much as came, or as was read; see [`Server::hang_up`].
    pub body: Vec<u8>,
    /// Did less come than `Content-Length` says? Then nothing is answered.
    pub broken: bool,
}

impl Asked {
    /// The header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first byte of `Range: bytes=N-`.
    fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What the server answers.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Beside `Content-Length`, `Connection` and those of ranges.
    pub headers: Vec<(String, String)>,
    /// The whole body; ranges are cut from it.
    pub body: Vec<u8>,
    /// Breaks the connection after this many bytes of the body.
    pub cut: Option<usize>,
    /// Are ranges granted?
    pub ranges: bool,
    /// How it goes wrong on its way.
    pub trouble: Option<Trouble>,
}

/// How an answer goes wrong on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The connection is closed instead.
    Gone,
    /// After the head nothing more comes, and the connection stays.
    Silence,
    /// The body comes byte by byte, with this pause between them.
    Trickle(Duration),
}

impl Answer {
    /// 200 with a body; ranges are granted.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), cut: None, ranges: true, trouble: None }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::ok("") }
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Breaks off after `bytes` of the body.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Goes wrong on its way.
    #[must_use]
    pub fn trouble(mut self, trouble: Trouble) -> Self {
        self.trouble = Some(trouble);
        self
    }

    /// Does not know ranges.
    #[must_use]
    pub fn without_ranges(mut self) -> Self {
        self.ranges = false;
        self
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;
/// After how many bytes of a request's body the connection is broken.
type HangUp = dyn Fn(&Asked) -> Option<u64> + Send + Sync;

/// What conversations of one server share.
struct Host {
    log: Mutex<Vec<Asked>>,
    handler: Box<Handler>,
    hang_up: Mutex<Option<Box<HangUp>>>,
}

/// A server that lives as long as the value.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Host>,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// On a free port of 127.0.0.1.
    pub fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1", None, handler)
    }

    /// With TLS, on a free port of localhost.
    pub fn start_tls(config: rustls::ServerConfig, handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1", Some(Arc::new(config)), handler)
    }

    /// On a free port of an address.
    pub fn start_at(
        host: &str,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Host { log: Mutex::default(), handler: Box::new(handler), hang_up: Mutex::new(None) });
        let stop = Arc::new(AtomicBool::new(false));
        let (own, own_stop) = (Arc::clone(&shared), Arc::clone(&stop));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own_stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (shared, tls) = (Arc::clone(&own), tls.clone());
                std::thread::spawn(move || {
                    let _ = converse(stream, tls, &shared);
                });
            }
        });
        Self { address, scheme, shared, stop, acceptor: Some(acceptor) }
    }

    /// The address of a path: `http://127.0.0.1:PORT/path`.
    pub fn url(&self, path: &str) -> String {
        let host = if self.scheme == "https" { "localhost".to_owned() } else { self.address.ip().to_string() };
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    /// `host:port`.
    pub fn place(&self) -> String {
        self.address.to_string()
    }

    /// Asks of each request after how many bytes of its body to break the connection; the handler is told what came.
    pub fn hang_up(&self, after: impl Fn(&Asked) -> Option<u64> + Send + Sync + 'static) {
        *self.shared.hang_up.lock().unwrap() = Some(Box::new(after));
    }

    /// What has been asked so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.log.lock().unwrap().clone()
    }

    /// How often `path` has been asked for.
    pub fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path == path).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn converse(stream: TcpStream, tls: Option<Arc<rustls::ServerConfig>>, shared: &Host) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream: Box<dyn Stream> = match tls {
        Some(config) => {
            let connection = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(rustls::StreamOwned::new(connection, stream))
        }
        None => Box::new(stream),
    };
    let Some(asked) = read_request(&mut stream, shared)? else {
        let nothing =
            Asked { method: String::new(), path: String::new(), headers: Vec::new(), body: Vec::new(), broken: false };
        return write_answer(&mut stream, &nothing, &Answer::status(400));
    };
    shared.log.lock().unwrap().push(Asked { body: Vec::new(), ..asked.clone() });
    let answer = (shared.handler)(&asked);
    if asked.broken { Ok(()) } else { write_answer(&mut stream, &asked, &answer) }
}

/// None where the request is not what RFC 9112 allows.
fn read_request(stream: &mut dyn Stream, shared: &Host) -> io::Result<Option<Asked>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let parts: Vec<&str> = line.trim_end().split(' ').collect();
    let [method @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE"), path, "HTTP/1.1"] = parts[..] else {
        return Ok(None);
    };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { return Ok(None) };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut asked = Asked { method, path, headers, body: Vec::new(), broken: false };
    let fine = asked.path.starts_with('/') && asked.header("host").is_some_and(|host| !host.contains('@'));
    // Chunked bodies are not known here: registries want to be told the length.
    let length = match asked.header("content-length") {
        None if asked.header("transfer-encoding").is_some() => return Ok(None),
        None => 0,
        Some(length) => length.parse::<u64>().unwrap(),
    };
    let after = shared.hang_up.lock().unwrap().as_ref().and_then(|after| after(&asked));
    reader.take(length.min(after.unwrap_or(length))).read_to_end(&mut asked.body)?;
    asked.broken = (asked.body.len() as u64) < length || after.is_some_and(|after| after >= length);
    Ok(fine.then_some(asked))
}

fn write_answer(stream: &mut dyn Stream, asked: &Asked, answer: &Answer) -> io::Result<()> {
    let (status, skipped) = match asked.range().filter(|_| answer.ranges && answer.status == 200) {
        Some(from) if from < answer.body.len() => (206, from),
        Some(_) => (416, answer.body.len()),
        None => (answer.status, 0),
    };
    let body = answer.body.get(skipped..).unwrap_or_default();
    if answer.trouble == Some(Trouble::Gone) {
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {status} Fake\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if status == 206 {
        let (last, whole) = (answer.body.len() - 1, answer.body.len());
        head.push_str(&format!("Content-Range: bytes {skipped}-{last}/{whole}\r\n"));
    }
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    let body = if asked.method == "HEAD" { &[] } else { &body[..answer.cut.unwrap_or(body.len()).min(body.len())] };
    match answer.trouble {
        Some(Trouble::Silence) => {
            stream.flush()?;
            // Until the client goes, or has had enough.
            stream.read(&mut [0]).map(drop)
        }
        Some(Trouble::Trickle(pause)) => {
            for byte in body {
                stream.write_all(&[*byte])?;
                stream.flush()?;
                std::thread::sleep(pause);
            }
            Ok(())
        }
        _ => stream.write_all(body).and_then(|()| stream.flush()),
    }
}
