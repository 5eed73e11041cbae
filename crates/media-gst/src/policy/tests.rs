use super::*;
use std::os::unix::fs::symlink;

fn network(uri: &str) -> Result<Target, Refused> {
    let rules = UriPolicy {
        read_schemes: ["http", "https", "rtsp", "rtmp", "srt"]
            .map(str::to_owned)
            .to_vec(),
        ..UriPolicy::default()
    };
    Policy::new(rules).read(uri)
}

#[test]
fn private_addresses_are_refused_however_they_are_written() {
    for uri in [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:8888/",
        "http://LOCALHOST./",
        "http://a.localhost/",
        "http://printer.local/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::10.0.0.1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://198.18.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://user@127.0.0.1/",
        "http://example.com@127.0.0.1/",
        "https://127.0.0.1/",
        "rtsp://127.0.0.1/live",
        "rtsp://2130706433/live",
        "rtsp://[::ffff:127.0.0.1]/live",
        "rtmp://192.168.0.7/live",
        "srt://0x7f.1:9000",
        "http://１２７.0.0.1/",
    ] {
        let refused = network(uri).expect_err(uri);
        let private = matches!(
            refused,
            Refused::Private(_) | Refused::Local(_) | Refused::Malformed(_)
        );
        assert!(private, "{uri}: {refused:?}");
    }
}

#[test]
fn public_addresses_are_allowed() {
    for uri in [
        "http://example.com/a.webm",
        "https://8.8.8.8/x",
        "rtsp://user:pw@cam.example.com:554/s1?x=y",
        "rtmp://[2606:4700::1]/live",
        "srt://198.51.99.1:9000",
    ] {
        network(uri).expect(uri);
    }
}

#[test]
fn other_schemes_are_refused() {
    for uri in [
        "gopher://example.com/",
        "appsrc://",
        "fd://0",
        "dict://example.com/",
        "filesrc location=/etc/passwd",
        "playbin:///",
        "javascript:1",
        "",
    ] {
        assert!(network(uri).is_err(), "{uri}");
    }
}

/// A root with `in.webm`, next to a directory with `secret`.
struct Sandbox {
    top: PathBuf,
    policy: Policy,
}

impl Sandbox {
    fn new(name: &str) -> Self {
        let top = std::env::temp_dir().join(format!("policy-{name}-{}", std::process::id()));
        let root = top.join("root");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir_all(top.join("outside")).unwrap();
        std::fs::write(root.join("in.webm"), "x").unwrap();
        std::fs::write(root.join("a b.webm"), "x").unwrap();
        std::fs::write(top.join("outside/secret"), "x").unwrap();
        symlink(top.join("outside"), root.join("link")).unwrap();
        symlink(top.join("outside/new"), root.join("dangling")).unwrap();
        symlink(top.join("outside/secret"), root.join("secret.webm")).unwrap();
        let list = vec![root.to_str().unwrap().to_owned()];
        let policy = Policy::new(UriPolicy {
            read_roots: list.clone(),
            write_roots: list,
            ..UriPolicy::default()
        });
        Self { top, policy }
    }

    fn uri(&self, path: &str) -> String {
        format!("file://{}/root/{path}", self.top.display())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.top);
    }
}

#[test]
fn files_are_read_in_the_roots_only() {
    let sandbox = Sandbox::new("read");
    for path in ["in.webm", "a%20b.webm", "./in.webm", "x/../in.webm"] {
        sandbox.policy.read(&sandbox.uri(path)).expect(path);
    }
    for path in [
        "../outside/secret",
        "%2e%2e/outside/secret",
        "%2E./outside/secret",
        "..%2foutside%2fsecret",
        "link/secret",
        "secret.webm",
        "in.webm%00.png",
        "",
        "../../../../etc/passwd",
        "missing.webm",
    ] {
        assert!(sandbox.policy.read(&sandbox.uri(path)).is_err(), "{path}");
    }
    for uri in [
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "file://host/share",
        "file:etc/passwd",
        "file:///proc/self/environ",
        "file:///dev/zero",
    ] {
        assert!(sandbox.policy.read(uri).is_err(), "{uri}");
    }
}

#[test]
fn files_are_written_in_the_roots_only_and_never_over_others() {
    let sandbox = Sandbox::new("write");
    for path in ["new.webm", "made/later/new.webm", "x/../new.webm"] {
        sandbox.policy.write(&sandbox.uri(path)).expect(path);
    }
    for path in [
        "../outside/new",
        "%2e%2e/outside/new",
        "..%2foutside%2fnew",
        "link/new",
        "link/made/new",
        "dangling",
        "dangling/new",
        "secret.webm",
        "in.webm",
        "new%00.webm",
        "",
        "made/%2e%2e/%2e%2e/outside/new",
    ] {
        assert!(sandbox.policy.write(&sandbox.uri(path)).is_err(), "{path}");
    }
    for uri in [
        "file:///etc/cron.d/x",
        "file://host/x",
        "ftp://example.com/x",
    ] {
        assert!(sandbox.policy.write(uri).is_err(), "{uri}");
    }
    let exists = sandbox.policy.write(&sandbox.uri("in.webm"));
    assert_eq!(exists, Err(Refused::Exists));
}

#[test]
fn a_root_that_is_a_link_is_where_it_leads() {
    let sandbox = Sandbox::new("linked");
    let root = sandbox.top.join("alias");
    symlink(sandbox.top.join("root"), &root).unwrap();
    let policy = Policy::new(UriPolicy {
        read_roots: vec![root.to_str().unwrap().to_owned()],
        ..UriPolicy::default()
    });
    let uri = format!("file://{}/in.webm", root.display());
    assert_eq!(
        policy.read(&uri),
        Ok(Target::File(
            sandbox.top.join("root/in.webm").canonicalize().unwrap()
        ))
    );
}
