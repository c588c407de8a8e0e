use std::path::Path;
use std::process::Command;

use super::*;

/// The certificates of the machine, if it has Debian's package.
fn host_certificates() -> Vec<Certificate> {
    let folder = Path::new("/usr/share/ca-certificates/mozilla");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let read = files.filter_map(|file| {
        let name = format!("mozilla/{}", file.file_name().into_string().ok()?);
        Some(Certificate { name, content: std::fs::read(file.path()).ok()? })
    });
    let mut found: Vec<_> = read.collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

fn openssl_hash(pem: &[u8]) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let output =
        Command::new("openssl").args(["x509", "-noout", "-subject_hash", "-in"]).arg(file.path()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn hashes_are_openssl_s() {
    let all = host_certificates();
    if all.is_empty() || openssl_hash(&all[0].content).is_none() {
        assert!(std::env::var_os("CI").is_none(), "ca-certificates or openssl is missing");
        println!("skipped: no ca-certificates or openssl on this machine");
        return;
    }
    for certificate in &all {
        let ours = first_certificate(&certificate.content).and_then(|der| subject_hash(&der));
        assert_eq!(ours, openssl_hash(&certificate.content), "{}", certificate.name);
    }
    let links = links(&all).unwrap();
    assert_eq!(links.len(), all.len() * 2);
}

/// A certificate whose subject has these values: (string type, bytes) of commonName.
fn with_subject(values: &[(u8, &[u8])]) -> Vec<u8> {
    let name = |values: &[(u8, &[u8])]| {
        let rdn = |(tag, text): &(u8, &[u8])| {
            let kind = [0x06, 3, 0x55, 4, 3];
            der(SET, &der(SEQUENCE, &[kind.to_vec(), der(*tag, text)].concat()))
        };
        der(SEQUENCE, &values.iter().flat_map(rdn).collect::<Vec<u8>>())
    };
    let empty = der(SEQUENCE, &[]);
    let fields = [der(VERSION, &[]), der(INTEGER, &[1]), empty.clone(), name(&[]), empty, name(values)].concat();
    der(SEQUENCE, &der(SEQUENCE, &fields))
}

#[test]
fn spelling_does_not_change_a_hash() {
    let plain = subject_hash(&with_subject(&[(UTF8, "grün weiß".as_bytes())]));
    assert!(plain.is_some());
    assert_eq!(plain, subject_hash(&with_subject(&[(UTF8, "  GRüN \t weiß ".as_bytes())])));
    let utf16: Vec<u8> = "Grün weiß".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(plain, subject_hash(&with_subject(&[(0x1e, &utf16)])));
    let latin1: Vec<u8> = "Grün weiß".chars().map(|letter| u32::from(letter) as u8).collect();
    assert_eq!(plain, subject_hash(&with_subject(&[(0x14, &latin1)])));
    assert_ne!(plain, subject_hash(&with_subject(&[(UTF8, b"other")])));
}

#[test]
fn broken_certificates_are_no_certificates() {
    let good = with_subject(&[(UTF8, b"a")]);
    for end in 0..good.len() {
        assert_eq!(subject_hash(&good[..end]), None, "cut at {end}");
    }
    let bad = Certificate { name: "x.crt".into(), content: b"no certificate".to_vec() };
    assert_eq!(links(&[bad]), Err("x.crt".to_owned()));
}

#[test]
fn same_subjects_are_numbered() {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(with_subject(&[(UTF8, b"a")]));
    let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----").into_bytes();
    let all: Vec<_> =
        ["m/b (x), y.crt", "m/a.crt"].map(|name| Certificate { name: name.into(), content: pem.clone() }).into();
    let links = links(&all).unwrap();
    assert_eq!(
        links.iter().map(|link| link.name.rsplit('.').next().unwrap()).collect::<Vec<_>>(),
        ["pem", "0", "pem", "1"]
    );
    assert_eq!(links[2].name, "b_=x=__y.pem");
    assert_eq!(bundle(&all).iter().filter(|byte| **byte == b'\n').count(), 6, "each ends in a line feed");
}
