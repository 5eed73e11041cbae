//! What is promised of the kept certificate.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::Config;

/// A data folder that goes away.
struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("salono-tls-{name}-{}", std::process::id())))
    }

    fn certificate(&self, ips: &[&str]) -> Vec<u8> {
        let ips = ips.iter().map(|ip| ip.parse().unwrap());
        let made = certificate(&Config::default().web, &self.0, ips).unwrap();
        assert!(made.self_signed);
        fs::read(made.path).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join("tls").join(name)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_certificate_is_kept_until_an_address_is_missing() {
    let data = Data::new("kept");
    let first = data.certificate(&["192.0.2.1"]);
    assert_eq!(data.certificate(&["192.0.2.1"]), first);
    assert_eq!(data.certificate(&[]), first);
    assert_ne!(data.certificate(&["192.0.2.2"]), first);
}

#[test]
fn the_key_is_for_its_owner_only() {
    let data = Data::new("key");
    data.certificate(&[]);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(data.file("key.pem")), 0o600);
    assert_eq!(mode(data.file("")), 0o700);
}

#[test]
fn an_ending_certificate_is_made_anew() {
    let data = Data::new("ending");
    let first = data.certificate(&[]);
    let soon = since_1970() + RENEWAL - Duration::from_secs(60);
    for ends in [0, soon.as_secs(), u64::MAX] {
        let made = MadeFor {
            names: names([]),
            ends,
        };
        let text = serde_json::to_string(&made).unwrap();
        fs::write(data.file("certificate.json"), text).unwrap();
        assert_ne!(data.certificate(&[]), first, "{ends}");
    }
}

#[test]
fn damaged_files_are_made_anew() {
    let data = Data::new("damaged");
    for name in ["key.pem", "certificate.pem", "certificate.json"] {
        data.certificate(&[]);
        fs::write(data.file(name), "damaged").unwrap();
        data.certificate(&[]);
        fs::remove_file(data.file(name)).unwrap();
        data.certificate(&[]);
    }
    // A key of another certificate.
    let other = Data::new("other");
    other.certificate(&[]);
    fs::copy(other.file("key.pem"), data.file("key.pem")).unwrap();
    let mixed = fs::read(data.file("certificate.pem")).unwrap();
    assert_ne!(data.certificate(&[]), mixed);
}

#[test]
fn files_of_ones_own_are_never_replaced() {
    let data = Data::new("own");
    data.certificate(&[]);
    let mut web = Config::default().web;
    web.tls_cert = Some(data.file("certificate.pem"));
    web.tls_key = Some(data.file("key.pem"));
    let own = certificate(&web, Path::new("/nonexistent"), []).unwrap();
    assert!(!own.self_signed);
    fs::write(data.file("key.pem"), "damaged").unwrap();
    let Err(error) = certificate(&web, Path::new("/nonexistent"), []) else {
        panic!("a damaged key was taken");
    };
    assert!(error.to_string().contains("key.pem"), "{error}");
    assert_eq!(fs::read(data.file("key.pem")).unwrap(), b"damaged");
}
