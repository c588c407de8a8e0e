//! Whose signature counts: the real thing, every way to tamper with it, and gpgv's opinion beside ours.

use corten_install::debian::Keyring;
use corten_install::debian::keyring::Purpose;
use corten_install::debian::release::{Expected, Release, ReleaseError};
use corten_install::debian::signature::{SignatureError, SignedText, verify};

use crate::gpg::{Gpg, MADE, gpgv};

/// bookworm-security's InRelease of 2026-11-20, as the archive served it.
const REAL: &[u8] = include_bytes!("data/bookworm-security.InRelease");
const REAL_DATE: u64 = 1_795_133_561;
const DAY: u64 = 86_400;
const TEXT: &str = "Origin: Test\n- dash\n-----BEGIN\n\nblank end \t\nlast\n";

fn real(message: &[u8], release: &str, purpose: Purpose, now: u64) -> Result<SignedText, SignatureError> {
    verify(message, &Keyring::debian(), release, purpose, now)
}

#[test]
fn the_real_archive_is_trusted_for_what_it_may_sign() {
    let signed = real(REAL, "bookworm", Purpose::Security, REAL_DATE + DAY).unwrap();
    let release = Release::parse(&signed.text).unwrap();
    assert_eq!(release.date, REAL_DATE);
    let expected = |now| Expected { codename: "bookworm-security", label: Some("Debian-Security"), now, seen: None };
    assert_eq!(release.check(&expected(REAL_DATE + DAY)), Ok(()));
    assert_eq!(release.check(&expected(REAL_DATE + 8 * DAY)), Err(ReleaseError::Expired { since: DAY }));
    assert!(release.index("main/binary-amd64/Packages.xz").is_ok());
    // Security's keys must not sign the release itself; trixie trusts only the younger of the two.
    assert!(matches!(real(REAL, "bookworm", Purpose::Archive, REAL_DATE + DAY), Err(SignatureError::Untrusted(_))));
    assert!(real(REAL, "trixie", Purpose::Security, REAL_DATE + DAY).is_ok());
    assert!(real(REAL, "sid", Purpose::Security, REAL_DATE + DAY).is_err());
}

#[test]
fn keys_expire_and_signatures_do_not_come_from_the_future() {
    let after_2031 = 1_950_000_000;
    for (now, why) in [(after_2031, "the key has expired"), (REAL_DATE - DAY, "from the future")] {
        let error = real(REAL, "bookworm", Purpose::Security, now).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn nothing_can_be_put_before_behind_or_into_the_signed_text() {
    let original = String::from_utf8(REAL.to_vec()).unwrap();
    let begin = "-----BEGIN PGP SIGNED MESSAGE-----";
    let sign = "-----BEGIN PGP SIGNATURE-----";
    let tampered = [
        format!("Codename: evil\n{original}"),
        format!("\n{original}"),
        format!("{original}Codename: evil\n"),
        format!("{original}\n"),
        format!("{original}{original}"),
        original.replacen("Codename: bookworm", "Codename: bookwurm", 1),
        original.replacen("\nOrigin", "\nEvil: yes\nOrigin", 1),
        original.replacen("Hash: SHA256\n", "Hash: SHA256\nEvil: yes\n", 1),
        original.replacen("Hash: SHA256\n\n", "Hash: SHA256\n", 1),
        original.replacen("\nDate: ", "\nDate:\0 ", 1),
        original.replacen("\nDate: ", "\rDate: ", 1),
        original.replacen("\nDate: ", "\n- Date: x\nDate: ", 1),
        original.replacen("\nDate: ", "\n-Date: x\nDate: ", 1),
        original.replacen(begin, "-----BEGIN PGP MESSAGE-----", 1),
        original.replacen(sign, &format!("-----BEGIN PGP SIGNED MESSAGE-----\n\nx\n{sign}"), 1),
        original.split(sign).next().unwrap().to_owned(),
        original.split("-----END PGP SIGNATURE").next().unwrap().to_owned(),
        format!("{}{sign}\n\n-----END PGP SIGNATURE-----\n", original.split(sign).next().unwrap()),
        String::new(),
    ];
    for message in tampered {
        let verdict = real(message.as_bytes(), "bookworm", Purpose::Security, REAL_DATE + DAY);
        assert!(verdict.is_err(), "{}", message.chars().take(200).collect::<String>());
    }
}

#[test]
fn a_message_with_any_byte_changed_is_refused_or_says_the_same() {
    let Some(gpg) = Gpg::new() else { return };
    let key = gpg.key("archive", "ed25519", "sign", "never");
    let keys = gpg.export(&[&key]);
    let keyring = Keyring::from_bytes(&keys).unwrap();
    let message = gpg.sign(&key, TEXT, MADE + DAY);
    let good = verify(&message, &keyring, "any", Purpose::Archive, MADE + 2 * DAY).unwrap();
    assert_eq!(good.text, TEXT.replace("blank end \t", "blank end"));
    for at in 0..message.len() {
        for change in [b'A', b' ', b'\n', 0x80] {
            let mut changed = message.clone();
            changed[at] = if changed[at] == change { change ^ 1 } else { change };
            if let Ok(signed) = verify(&changed, &keyring, "any", Purpose::Archive, MADE + 2 * DAY) {
                assert_eq!(signed.text, good.text, "byte {at}");
                // Behind it are bytes that are not signed, such as a second name of the key.
                let armor =
                    at >= message.len() - 20 || !message[at..].windows(20).any(|part| part == b"-----BEGIN PGP SIGNA");
                assert!(armor || gpgv(&keys, &changed), "byte {at} as {change:#x}: gpgv refuses it");
            }
        }
    }
}

/// A message, the keys to judge it by, our opinion and gpgv's: only where we are stricter they may differ.
struct Case {
    what: &'static str,
    message: Vec<u8>,
    keys: Vec<u8>,
    ours: bool,
    theirs: bool,
}

#[test]
fn agrees_with_gpgv_or_is_stricter() {
    let Some(gpg) = Gpg::new() else { return };
    for case in cases(&gpg) {
        let keyring = Keyring::from_bytes(&case.keys).unwrap();
        let ours = verify(&case.message, &keyring, "any", Purpose::Archive, MADE + 10 * DAY);
        assert_eq!(ours.is_ok(), case.ours, "{}: {ours:?}", case.what);
        assert_eq!(gpgv(&case.keys, &case.message), case.theirs, "{} by gpgv", case.what);
    }
}

fn cases(gpg: &Gpg) -> Vec<Case> {
    let good = gpg.key("good", "rsa2048", "sign", "never");
    let other = gpg.key("other", "ed25519", "sign", "never");
    let short = gpg.key("short", "rsa1024", "sign", "never");
    let expired = gpg.key("expired", "ed25519", "sign", "3d");
    let revoked = gpg.key("revoked", "ed25519", "sign", "never");
    let with_subkey = gpg.key("certifier", "ed25519", "cert", "never");
    gpg.subkey(&with_subkey, "rsa2048", "never");
    let old_subkey = gpg.key("old", "ed25519", "cert", "never");
    gpg.subkey(&old_subkey, "ed25519", "3d");
    let time = MADE + DAY;
    let case = |what, how: &[&str], key: &str, keys: &[&str], ours, theirs| Case {
        what,
        message: gpg.sign_with(how, key, TEXT, time),
        keys: gpg.export(keys),
        ours,
        theirs,
    };
    let plain = ["--clearsign"];
    let mut cases = vec![
        case("RSA", &plain, &good, &[&good], true, true),
        case("Ed25519", &plain, &other, &[&good, &other], true, true),
        case("a subkey", &plain, &with_subkey, &[&with_subkey], true, true),
        case("two keys, one known", &["--local-user", &other, "--clearsign"], &good, &[&other], true, true),
        case("an unknown key", &plain, &good, &[&other], false, false),
        case("an expired key", &plain, &expired, &[&expired], false, false),
        case("an expired subkey", &plain, &old_subkey, &[&old_subkey], false, false),
        case("a short key", &plain, &short, &[&short], false, true),
        case("SHA-512", &["--digest-algo", "SHA512", "--clearsign"], &good, &[&good], true, true),
        case("SHA-1", &["--digest-algo", "SHA1", "--clearsign"], &good, &[&good], false, true),
        case("an expired signature", &["--default-sig-expire", "2d", "--clearsign"], &good, &[&good], false, false),
    ];
    let before = gpg.sign(&revoked, TEXT, time);
    gpg.revoke(&revoked);
    cases.push(Case {
        what: "a revoked key",
        message: before,
        keys: gpg.export(&[&revoked]),
        ours: false,
        theirs: false,
    });
    cases.push(Case {
        what: "a signature over bytes, in the frame of one over text",
        message: binary_in_frame(gpg, &good),
        keys: gpg.export(&[&good]),
        ours: false,
        theirs: false,
    });
    cases
}

fn binary_in_frame(gpg: &Gpg, key: &str) -> Vec<u8> {
    let text = "Origin: Test\r\nlast";
    let signature = gpg.sign_with(&["--armor", "--detach-sign"], key, text, MADE + DAY);
    let frame = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}\n");
    [frame.into_bytes(), signature].concat()
}
