//! Where a registry's API is, and which other places it may send us to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

use corten_net::Url;

/// Where Docker Hub's API is.
const DOCKER_HUB: &str = "registry-1.docker.io";
/// Second-level names under which anybody has a name: `example.co.uk`.
const SHARED: [&str; 8] = ["ac", "co", "com", "edu", "gov", "net", "org", "or"];

/// The API's address for a registry as references name it. One on this machine is reached over TLS if it speaks that, else
/// without, as Docker does; `speaks_tls` asks it.
pub(crate) fn of_host(host: &str, plain: bool, speaks_tls: impl FnOnce(&Url) -> bool) -> Option<Url> {
    let place = if host == "docker.io" { DOCKER_HUB } else { host };
    let at = |scheme: &str| Url::parse(&format!("{scheme}://{place}/v2/")).ok();
    let secure = at("https")?;
    match plain || is_loopback_name(place) && !speaks_tls(&secure) {
        true => at("http"),
        false => Some(secure),
    }
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

/// Who may be reached at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// Everybody's.
    World,
    /// An organisation's own.
    Network,
    /// This machine.
    Machine,
    /// Nobody whom a registry may name: metadata of clouds, all at once, none.
    Never,
}

/// May a registry send us there? To itself, to the world, and to what it is itself: from a network to that network, from
/// this machine to this machine or its network; never to addresses that belong to the link. Asks for both hosts' addresses.
pub(crate) fn may_lead_to(registry: &Url, to: &Url) -> bool {
    if registry.host() == to.host() {
        return true;
    }
    match reach_of(to) {
        Reach::World => true,
        Reach::Never => false,
        there => there <= reach_of(registry),
    }
}

/// Of several addresses the one that is least everybody's.
fn reach_of(url: &Url) -> Reach {
    if let Some(address) = literal(url.host()) {
        return reach(address);
    }
    let host = url.host().trim_start_matches('[').trim_end_matches(']');
    // One that cannot be found leads nowhere, and is told when it is connected to; but where a proxy finds hosts, they are
    // the proxy's world: it alone knows what lies behind them, and no credentials go there.
    let found = (host, url.port()).to_socket_addrs().ok();
    found.and_then(|found| found.map(|one| reach(one.ip())).max()).unwrap_or(Reach::World)
}

fn reach(address: IpAddr) -> Reach {
    let address = match address {
        IpAddr::V6(address) => match embedded(address) {
            Some(embedded) => IpAddr::V4(embedded),
            None => IpAddr::V6(address),
        },
        address => address,
    };
    let (network, never) = match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let carriers = first == 100 && (64..128).contains(&second); // RFC 6598
            // Metadata of Oracle's cloud, and Azure's platform.
            let platform = [192, 0, 0] == address.octets()[..3] || address.octets() == [168, 63, 129, 16];
            let never =
                platform || address.is_link_local() || address.is_broadcast() || address.is_multicast() || first == 0;
            (address.is_private() || carriers, never)
        }
        IpAddr::V6(address) => {
            let [first, ..] = address.segments();
            // AWS has its metadata among the addresses of networks.
            let metadata = address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            let never = address.is_unspecified() || address.is_multicast() || first & 0xffc0 == 0xfe80 || metadata;
            (first & 0xfe00 == 0xfc00, never)
        }
    };
    match (address.is_loopback(), network, never) {
        (_, _, true) => Reach::Never,
        (true, ..) => Reach::Machine,
        (_, true, _) => Reach::Network,
        _ => Reach::World,
    }
}

/// The IPv4 address inside one of IPv6: mapped, or translated (RFC 6052).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let translated = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let own = || translated.then(|| Ipv4Addr::from_bits(address.to_bits() as u32));
    address.to_ipv4_mapped().or_else(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn hosts_have_their_api_where_docker_expects_it() {
        let of = |host: &str| of_host(host, false, |_| false).unwrap().to_string();
        assert_eq!(of("docker.io"), "https://registry-1.docker.io/v2/");
        assert_eq!(of("ghcr.io"), "https://ghcr.io/v2/");
        assert_eq!(of("localhost:5000"), "http://localhost:5000/v2/");
        assert_eq!(of("127.0.0.1:5000"), "http://127.0.0.1:5000/v2/");
        assert_eq!(of("[::1]:5000"), "http://[::1]:5000/v2/");
        assert_eq!(of("localhost.example:5000"), "https://localhost.example:5000/v2/");
        let plain = of_host("registry.local:5000", true, |_| true);
        assert_eq!(plain.unwrap().to_string(), "http://registry.local:5000/v2/");
        let secure = of_host("localhost:5000", false, |url| url.to_string() == "https://localhost:5000/v2/");
        assert_eq!(secure.unwrap().to_string(), "https://localhost:5000/v2/");
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
    fn c2_registries_lead_to_the_world_and_to_their_like() {
        let of = |host: &str| reach_of(&url(&format!("https://{host}/")));
        for host in ["127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "localhost"] {
            assert_eq!(of(host), Reach::Machine, "{host}");
        }
        for host in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fd00::1]", "[64:ff9b::a00:1]"] {
            assert_eq!(of(host), Reach::Network, "{host}");
        }
        for host in [
            "169.254.169.254",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[ff02::1]",
            "[::]",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert_eq!(of(host), Reach::Never, "{host}");
        }
        for host in ["8.8.8.8", "100.128.0.1", "[2606:4700::1111]", "[64:ff9b::808:808]"] {
            assert_eq!(of(host), Reach::World, "{host}");
        }
        let may =
            |from: &str, to: &str| may_lead_to(&url(&format!("https://{from}/")), &url(&format!("https://{to}/")));
        assert!(may("127.0.0.1", "127.0.0.2") && may("127.0.0.1", "10.0.0.1") && may("127.0.0.1", "8.8.8.8"));
        assert!(may("10.0.0.1", "10.0.0.2") && !may("10.0.0.1", "127.0.0.1") && may("10.0.0.1", "8.8.8.8"));
        assert!(!may("8.8.8.8", "10.0.0.1") && !may("8.8.8.8", "127.0.0.1") && may("8.8.8.8", "9.9.9.9"));
        for from in ["8.8.8.8", "10.0.0.1", "127.0.0.1"] {
            assert!(!may(from, "169.254.169.254"), "{from}");
        }
        assert!(may("169.254.1.1", "169.254.1.1"), "one's own is no surprise");
    }
}
