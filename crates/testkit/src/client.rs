//! The plainest HTTP client: one request a connection, so that a test sees every byte that it sends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer that hangs for longer is a failed test.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug, Clone)]
pub struct Got {
    /// 0 where the connection was closed without an answer.
    pub status: u16,
    /// In their order.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Got {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// `errors[0].code` of a registry.
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends a request with a body of its length, and reads the answer to the end.
pub fn ask(place: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
    try_ask(place, method, target, headers, body).unwrap()
}

/// As [`ask`], of a server that may be gone.
///
/// # Errors
/// Nobody answers there.
pub fn try_ask(place: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Got> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    try_send(place, &[head.as_bytes(), body].concat())
}

/// Sends bytes as they are, and reads until the other side closes.
pub fn send(place: &str, bytes: &[u8]) -> Got {
    try_send(place, bytes).unwrap()
}

fn try_send(place: &str, bytes: &[u8]) -> std::io::Result<Got> {
    let mut stream = TcpStream::connect(place)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Who is refused early may find the connection closed while he still sends; the answer is there all the same.
    drop(stream.write_all(bytes));
    Ok(read(&mut stream))
}

/// Reads an answer until the other side closes.
pub fn read(stream: &mut TcpStream) -> Got {
    let mut all = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(got @ 1..) => all.extend_from_slice(&buffer[..got]),
            // Who is stopped while he waits, and goes on, has waited for nothing: what comes still comes.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
        }
    }
    parse(&all)
}

fn parse(mut all: &[u8]) -> Got {
    loop {
        let end = all.windows(4).position(|part| part == b"\r\n\r\n");
        let Some(end) = end else { return Got { status: 0, headers: Vec::new(), body: all.to_vec() } };
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        all = &all[end + 4..];
        // 100 Continue
        if status == 100 {
            continue;
        }
        let headers =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned()));
        return Got { status, headers: headers.collect(), body: all.to_vec() };
    }
}
