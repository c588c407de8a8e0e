//! A proxy for tests: takes CONNECT, lets in whom it knows, and leads names that exist nowhere else to servers of the test.
//! So a registry can have a public name, TLS and all, and a test that needs one needs no network.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine as _;

/// A proxy that lives as long as the value.
pub struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// What it knows.
#[derive(Debug, Clone, Default)]
struct Rules {
    /// Host → `address:port`.
    routes: BTreeMap<String, String>,
    /// `Basic …`.
    login: Option<String>,
}

impl Proxy {
    /// On a free port of 127.0.0.1. `routes`: names (without port), and where they lead.
    pub fn start(routes: &[(&str, &str)], login: Option<(&str, &str)>) -> Self {
        let encode = |(user, password)| {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
        };
        let routes = routes.iter().map(|(name, place)| ((*name).to_owned(), (*place).to_owned())).collect();
        let rules = Rules { routes, login: login.map(encode) };
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (rules, log) = (rules.clone(), Arc::clone(&log));
                std::thread::spawn(move || drop(serve(stream, &rules, &log)));
            }
        });
        Self { address, asked, stop, acceptor: Some(acceptor) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://USER:PASSWORD@127.0.0.1:PORT`.
    pub fn url_with(&self, user: &str, password: &str) -> String {
        format!("http://{user}:{password}@{}", self.address)
    }

    /// Which `host:port` it was asked for by those whom it let in, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            drop(acceptor.join());
        }
    }
}

fn serve(mut client: TcpStream, rules: &Rules, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut reader = BufReader::new(client.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    // Python asks in 1.0.
    let versions = [" HTTP/1.1", " HTTP/1.0"];
    let target = head.first().and_then(|line| line.strip_prefix("CONNECT "));
    let target = target.and_then(|target| versions.iter().find_map(|version| target.strip_suffix(version)));
    let Some(target) = target else { return refuse(&mut client, "400 Bad Request") };
    let sent = head.iter().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    if rules.login.is_some() && rules.login.as_deref() != sent {
        return refuse(&mut client, "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"fake\"");
    }
    log.lock().unwrap().push(target.to_owned());
    let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
    let Some(place) = rules.routes.get(host) else { return refuse(&mut client, "502 Bad Gateway") };
    let server = TcpStream::connect(place.as_str())?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut up, down) = (server.try_clone()?, client.try_clone()?);
    let sender = std::thread::spawn(move || {
        drop(std::io::copy(&mut reader, &mut up));
        drop(up.shutdown(Shutdown::Write));
    });
    forward(server, down);
    drop(sender.join());
    Ok(())
}

/// Until the server ends. Then so does the client's side.
fn forward(mut server: TcpStream, mut client: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        if client.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    drop(client.shutdown(Shutdown::Both));
}

fn refuse(client: &mut TcpStream, status: &str) -> std::io::Result<()> {
    client.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").as_bytes())
}
