//! `8000`, `8000-8010/udp`: what EXPOSE takes.

/// Each port of a text with its protocol, as the config has them.
pub(super) fn ports(text: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = match text.split_once('/') {
        Some((range, protocol)) => (range, protocol.to_ascii_lowercase()),
        None => (text, "tcp".to_owned()),
    };
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("there is no protocol '{protocol}'"));
    }
    // `host:container` is docker run's; here only the container's part counts.
    let range = range.rsplit(':').next().unwrap_or(range);
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("'{text}' is no port"));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err("it begins after its end".to_owned());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}
