//! Who connects: directly or by a proxy, trusting whom and showing which certificate. Made when first needed, then kept
//! with its connections.
//!
//! | kept by | why |
//! |---|---|
//! | scheme and proxy | a proxy is for some hosts only; without TLS nobody has to be trusted |
//! | internet alone | who must not reach private networks keeps no connection to one |
//! | host with port | it has certificates of its own (`certs.d` of Docker and podman) |

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ureq::tls::TlsConfig;
use ureq::unversioned::transport::DefaultConnector;

use crate::place::Public;
use crate::{Settings, Url, tls};

/// Connections to one host that are kept.
const KEPT: usize = 8;
/// Bytes of one read from, and one write to, a connection.
const BUFFER: usize = 128 << 10;

#[derive(Default)]
pub(crate) struct Agents {
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    agents: BTreeMap<Kept, ureq::Agent>,
    /// What hosts have of their own, once it was looked for.
    own: BTreeMap<String, bool>,
    /// Whom all trust: reading that takes some milliseconds.
    trusted: Option<TlsConfig>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    is_secure: bool,
    /// Host with port, where it has certificates of its own.
    own: Option<String>,
    proxy: Option<String>,
    /// It connects to the internet alone.
    public: bool,
}

impl Agents {
    /// The one for an address.
    pub(crate) fn of(&self, url: &Url, public: bool, settings: &Settings) -> Result<ureq::Agent, String> {
        // Held while it is made, also where many threads send their first request at the same time.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let proxy = proxy_of(url, settings).cloned();
        let place = url.place();
        let has_own = match made.own.get(&place) {
            Some(known) => *known,
            None => {
                let named = settings.host_authorities.contains_key(&place);
                let found = url.secure() && (named || tls::folder_of(&place, &settings.host_certificates).is_some());
                made.own.insert(place.clone(), found);
                found
            }
        };
        let is_secure = url.secure() || proxy.as_ref().is_some_and(|proxy| proxy.starts_with("https:"));
        // Where a proxy connects, it looks names up.
        let public = public && proxy.is_none();
        let key = Kept { is_secure, own: has_own.then_some(place), proxy, public };
        if let Some(agent) = made.agents.get(&key) {
            return Ok(agent.clone());
        }
        let trusted = match &made.trusted {
            _ if !is_secure => tls::nobody(),
            Some(trusted) => trusted.clone(),
            None => made.trusted.insert(tls::config(&settings.certificate_authorities)?).clone(),
        };
        let tls = match &key.own {
            Some(place) => tls::with_own(&trusted, place, settings)?,
            None => trusted,
        };
        let agent = make(tls, key.proxy.as_deref(), public, settings)?;
        made.agents.insert(key, agent.clone());
        Ok(agent)
    }
}

fn make(tls: TlsConfig, proxy: Option<&str>, public: bool, settings: &Settings) -> Result<ureq::Agent, String> {
    let proxy = proxy.map(ureq::Proxy::new).transpose();
    let proxy = proxy.map_err(|_| "the proxy's address in the settings is not valid")?;
    let timeout = Some(settings.timeout);
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("corten/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_connect(timeout)
        .timeout_recv_response(timeout)
        .timeout_per_read(timeout)
        .timeout_per_write(timeout)
        .max_idle_connections_per_host(KEPT)
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .build();
    Ok(match public {
        true => ureq::Agent::with_parts(config, DefaultConnector::default(), Public),
        false => ureq::Agent::new_with_config(config),
    })
}

/// Who connects to an address.
pub(crate) fn proxy_of<'a>(url: &Url, settings: &'a Settings) -> Option<&'a String> {
    let proxy = if url.secure() { &settings.proxy } else { &settings.plain_proxy };
    proxy.as_ref().filter(|_| !is_direct(&settings.no_proxy, url))
}

/// Is the address one that the proxy is not for?
fn is_direct(no_proxy: &[String], url: &Url) -> bool {
    no_proxy.iter().any(|pattern| direct_by(pattern.trim(), url))
}

fn direct_by(pattern: &str, url: &Url) -> bool {
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    if pattern == "*" {
        return true;
    }
    if let (Some((network, bits)), Ok(address)) = (pattern.split_once('/'), host.parse::<IpAddr>()) {
        return in_network(address, network, bits);
    }
    let (name, port) = match pattern.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
        _ => (pattern, None),
    };
    let name = name.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    let below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.is_empty() && below && port.is_none_or(|port| port == url.port())
}

fn in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    bits <= width && (address ^ network).checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_takes_names_ports_and_networks() {
        let direct = |pattern: &str, url: &str| direct_by(pattern, &Url::parse(url).unwrap());
        assert!(direct("example.com", "http://a.example.com/"));
        assert!(direct(".example.com", "http://example.com/"));
        assert!(!direct("example.com", "http://badexample.com/"));
        assert!(direct("example.com:8080", "http://example.com:8080/"));
        assert!(!direct("example.com:8080", "http://example.com/"));
        assert!(direct("10.0.0.0/8", "http://10.1.2.3/"));
        assert!(!direct("10.0.0.0/8", "http://11.1.2.3/"));
        assert!(direct("0.0.0.0/0", "http://11.1.2.3/"));
        assert!(direct("::1/128", "http://[::1]/"));
        assert!(direct("*", "http://anything/") && !direct("", "http://anything/"));
    }
}
