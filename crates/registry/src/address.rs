//! Where a registry's API is, and which other places it may send us to.

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use corten_net::Url;

/// Where Docker Hub's API is.
const DOCKER_HUB: &str = "registry-1.docker.io";
/// Second-level names under which anybody has a name: `example.co.uk`.
const SHARED: [&str; 8] = ["ac", "co", "com", "edu", "gov", "net", "org", "or"];

/// The API's address for a registry as references name it. Loopback is reached without TLS, as everybody does.
pub(crate) fn of_host(host: &str, plain: bool) -> Option<Url> {
    let place = if host == "docker.io" { DOCKER_HUB } else { host };
    let scheme = if plain || is_loopback_name(place) { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{place}/v2/")).ok()
}

/// May credentials for `registry` go to `realm`, the place that gives its tokens? Only to the same host, or to one under
/// the same domain; over TLS, unless the registry itself has none.
pub(crate) fn may_know_credentials(registry: &Url, realm: &Url) -> bool {
    if registry.secure() && !realm.secure() {
        return false;
    }
    if realm.host() == registry.host() {
        return true;
    }
    let (Some(own), true) = (domain(registry.host()), is_name(realm.host())) else {
        return false;
    };
    realm.host() == own || realm.host().ends_with(&format!(".{own}"))
}

/// The domain that a host stands in: `docker.io` of `registry-1.docker.io`; none where others may stand there, too.
fn domain(host: &str) -> Option<&str> {
    if !is_name(host) {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let parent = match labels.as_slice() {
        [] | [_] => return None,
        [_, _] => host,
        _ => host.split_once('.')?.1,
    };
    let shared = matches!(parent.split('.').collect::<Vec<_>>()[..], [second, country]
        if country.len() == 2 && SHARED.contains(&second));
    Some(if shared { host } else { parent })
}

fn is_name(host: &str) -> bool {
    !host.starts_with('[') && host.parse::<IpAddr>().is_err()
}

fn is_loopback_name(place: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{place}/")) else { return false };
    url.host() == "localhost" || literal(url.host()).is_some_and(|address| address.is_loopback())
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Does the host have an address that only this machine or its network knows? Asks for the host's addresses.
pub(crate) fn is_private(url: &Url) -> bool {
    if let Some(address) = literal(url.host()) {
        return is_private_address(address);
    }
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    // One that cannot be found leads nowhere, and is told when it is connected to.
    (host, url.port()).to_socket_addrs().is_ok_and(|mut found| found.any(|one| is_private_address(one.ip())))
}

fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_broadcast()
                || address.is_multicast()
                || (first == 100 && (64..128).contains(&second)) // shared by carriers, RFC 6598
                || first == 0
        }
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_private_address(IpAddr::V4(mapped)),
            None => {
                let [first, ..] = address.segments();
                let translated = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
                    && is_private_address(IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() as u32)));
                address.is_loopback()
                    || address.is_unspecified()
                    || address.is_multicast()
                    || first & 0xfe00 == 0xfc00
                    || first & 0xffc0 == 0xfe80
                    || translated
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn hosts_have_their_api_where_docker_expects_it() {
        let of = |host: &str| of_host(host, false).unwrap().to_string();
        assert_eq!(of("docker.io"), "https://registry-1.docker.io/v2/");
        assert_eq!(of("ghcr.io"), "https://ghcr.io/v2/");
        assert_eq!(of("localhost:5000"), "http://localhost:5000/v2/");
        assert_eq!(of("127.0.0.1:5000"), "http://127.0.0.1:5000/v2/");
        assert_eq!(of("[::1]:5000"), "http://[::1]:5000/v2/");
        assert_eq!(of("localhost.example:5000"), "https://localhost.example:5000/v2/");
        assert_eq!(of_host("registry.local:5000", true).unwrap().to_string(), "http://registry.local:5000/v2/");
    }

    #[test]
    fn credentials_go_to_neighbours_alone() {
        let may = |registry: &str, realm: &str| may_know_credentials(&url(registry), &url(realm));
        assert!(may("https://registry-1.docker.io/v2/", "https://auth.docker.io/token"));
        assert!(may("https://ghcr.io/v2/", "https://ghcr.io/token"));
        assert!(may("https://registry.gitlab.com/v2/", "https://gitlab.com/jwt/auth"));
        assert!(may("https://ghcr.io/v2/", "https://auth.ghcr.io/token"));
        for realm in [
            "http://auth.docker.io/token",
            "https://docker.io.attacker.example/token",
            "https://evildocker.io/token",
            "https://169.254.169.254/",
            "https://[::1]/",
            "https://io/",
        ] {
            assert!(!may("https://registry-1.docker.io/v2/", realm), "{realm}");
        }
        assert!(!may("https://ghcr.io/v2/", "https://azurecr.io/token"));
        assert!(!may("https://shop.co.uk/v2/", "https://bank.co.uk/token"), "co.uk is nobody's");
        assert!(may("https://hub.shop.co.uk/v2/", "https://auth.shop.co.uk/token"));
        assert!(!may("https://10.1.2.3/v2/", "https://10.1.2.4/token"));
        assert!(may("http://localhost:5000/v2/", "http://localhost:5001/token"));
    }

    #[test]
    fn private_addresses_in_every_dress() {
        for host in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "[::1]",
            "[::]",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "localhost",
        ] {
            assert!(is_private(&url(&format!("https://{host}/"))), "{host}");
        }
        for host in ["8.8.8.8", "100.128.0.1", "[2606:4700::1111]", "[64:ff9b::808:808]"] {
            assert!(!is_private(&url(&format!("https://{host}/"))), "{host}");
        }
    }
}
