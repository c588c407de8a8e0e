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
    /// `GET` or `HEAD`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
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
}

impl Answer {
    /// 200 with a body; ranges are granted.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), cut: None, ranges: true }
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

    /// Does not know ranges.
    #[must_use]
    pub fn without_ranges(mut self) -> Self {
        self.ranges = false;
        self
    }
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A server that lives as long as the value.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    log: Arc<Mutex<Vec<Asked>>>,
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

    fn start_at(
        host: &str,
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let log = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let handler: Arc<Handler> = Arc::new(handler);
        let (own_log, own_stop) = (Arc::clone(&log), Arc::clone(&stop));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own_stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (log, handler, tls) = (Arc::clone(&own_log), Arc::clone(&handler), tls.clone());
                std::thread::spawn(move || {
                    let _ = converse(stream, tls, &log, handler.as_ref());
                });
            }
        });
        Self { address, scheme, log, stop, acceptor: Some(acceptor) }
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

    /// What has been asked so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
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

fn converse(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    log: &Mutex<Vec<Asked>>,
    handler: &Handler,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream: Box<dyn Stream> = match tls {
        Some(config) => {
            let connection = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(rustls::StreamOwned::new(connection, stream))
        }
        None => Box::new(stream),
    };
    let Some(asked) = read_request(&mut stream)? else {
        return write_answer(
            &mut stream,
            &Asked { method: String::new(), path: String::new(), headers: Vec::new() },
            &Answer::status(400),
        );
    };
    log.lock().unwrap().push(asked.clone());
    write_answer(&mut stream, &asked, &handler(&asked))
}

/// None where the request is not what RFC 9112 allows.
fn read_request(stream: &mut dyn Stream) -> io::Result<Option<Asked>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let parts: Vec<&str> = line.trim_end().split(' ').collect();
    let [method @ ("GET" | "HEAD"), path, "HTTP/1.1"] = parts[..] else { return Ok(None) };
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
    let asked = Asked { method, path, headers };
    let fine = asked.path.starts_with('/') && asked.header("host").is_some_and(|host| !host.contains('@'));
    Ok(fine.then_some(asked))
}

fn write_answer(stream: &mut dyn Stream, asked: &Asked, answer: &Answer) -> io::Result<()> {
    let (status, skipped) = match asked.range().filter(|_| answer.ranges && answer.status == 200) {
        Some(from) if from < answer.body.len() => (206, from),
        Some(_) => (416, answer.body.len()),
        None => (answer.status, 0),
    };
    let body = answer.body.get(skipped..).unwrap_or_default();
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
    if asked.method != "HEAD" {
        stream.write_all(&body[..answer.cut.unwrap_or(body.len()).min(body.len())])?;
    }
    stream.flush()
}
