//! Does a server speak TLS? Asked of servers on this machine alone, where both are usual: the first bytes of a handshake are
//! sent, and the kind of the answer decides. An empty line behind them lets a server of plain HTTP see a request that is
//! wrong, and answer at once.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::Url;

/// How long a server of this machine may think about it.
const LONGEST: Duration = Duration::from_secs(2);
/// Kinds of a TLS record (RFC 8446, section 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// None where nobody listens.
pub(crate) fn speaks_tls(url: &Url, timeout: Duration) -> Option<bool> {
    let timeout = timeout.min(LONGEST);
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    let addresses = (host, url.port()).to_socket_addrs().ok()?;
    let mut stream = addresses.into_iter().find_map(|one| TcpStream::connect_timeout(&one, timeout).ok())?;
    stream.set_read_timeout(Some(timeout)).and_then(|()| stream.set_write_timeout(Some(timeout))).ok()?;
    let mut kind = [0];
    let answered = stream.write_all(&hello(host)?).and_then(|()| stream.read_exact(&mut kind));
    Some(answered.is_ok() && matches!(kind, [ALERT | HANDSHAKE]))
}

/// The first record of a handshake. Nobody is trusted: it goes no further.
fn hello(host: &str) -> Option<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut bytes = Vec::new();
    ClientConnection::new(Arc::new(config), name).ok()?.write_tls(&mut bytes).ok()?;
    bytes.extend_from_slice(b"\r\n\r\n");
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn of(answer: &'static [u8]) -> Option<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 5];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(head[..2], [HANDSHAKE, 3]);
            stream.write_all(answer).unwrap();
        });
        let found = speaks_tls(&Url::parse(&url).unwrap(), Duration::from_secs(30));
        server.join().unwrap();
        found
    }

    #[test]
    fn the_first_byte_of_the_answer_decides() {
        assert_eq!(of(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Some(false));
        assert_eq!(of(b""), Some(false));
        assert_eq!(of(&[HANDSHAKE, 3, 3, 0, 1]), Some(true));
        assert_eq!(of(&[ALERT, 3, 3, 0, 2, 2, 40]), Some(true));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(speaks_tls(&Url::parse(&format!("https://{free}/")).unwrap(), LONGEST), None);
    }
}
