//! Files that a process keeps, by Landlock.

use crate::{READ, SandboxError, WRITE};
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};
use std::path::{Path, PathBuf};

/// What libraries read: code, plugins, fonts, certificates, how names are looked up, what the machine is like. Of
/// `/etc` only what is named, as configurations with secrets are there as well.
const SYSTEM: [&str; 30] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/proc",
    "/sys/devices/system",
    "/run/systemd/resolve",
    "/run/nscd",
    "/var/cache/fontconfig",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/gnutls",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/xdg",
];

/// Devices without power.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// The newest rules that are made use of; older kernels know some of them.
const RULES: ABI = ABI::V5;

/// Files that a process keeps beside those that every program needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Files {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

impl Files {
    /// Those that the environment names ([`READ`], [`WRITE`]), beside where plugins and libraries are installed.
    pub fn from_environment() -> Self {
        let mut files = Self::default();
        let libraries = ["GST_PLUGIN_PATH", "GST_PLUGIN_PATH_1_0", "LD_LIBRARY_PATH"];
        for name in [READ].into_iter().chain(libraries) {
            files = paths(name).into_iter().fold(files, Self::read);
        }
        files = paths(WRITE).into_iter().fold(files, Self::write);
        if let Some(home) = std::env::var_os("HOME") {
            for below in [".local/share/gstreamer-1.0", ".cache/gstreamer-1.0"] {
                files = files.read(Path::new(&home).join(below));
            }
        }
        files
    }

    /// Keeps a file, or everything below a directory, for reading. One that is not there is left out.
    #[must_use]
    pub fn read(mut self, path: impl Into<PathBuf>) -> Self {
        self.read.extend(absolute(path.into()));
        self
    }

    /// Keeps everything below a directory for reading, writing, making and removing. One that is not there is left out.
    #[must_use]
    pub fn write(mut self, path: impl Into<PathBuf>) -> Self {
        self.write.extend(absolute(path.into()));
        self
    }

    /// Gives up all others. Returns whether the kernel can.
    pub(crate) fn confine(&self) -> Result<bool, SandboxError> {
        let all = AccessFs::from_all(RULES);
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = all & !(AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeChar);
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .create()?;
        let system = SYSTEM.iter().map(Path::new);
        let kept = self.read.iter().map(PathBuf::as_path);
        let devices = DEVICES.iter().map(Path::new);
        let rules = system.chain(kept).map(|path| (path, read));
        let rules = rules.chain(devices.map(|path| (path, read | AccessFs::WriteFile)));
        let rules = rules.chain(self.write.iter().map(|path| (path.as_path(), write)));
        for (path, access) in rules {
            ruleset = add(ruleset, path, access)?;
        }
        Ok(ruleset.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
    }
}

/// The list of paths in an environment variable.
fn paths(name: &str) -> Vec<PathBuf> {
    let value = std::env::var_os(name).unwrap_or_default();
    std::env::split_paths(&value).collect()
}

/// Relative ones would name something else after a change of directory; an empty one names none.
fn absolute(path: PathBuf) -> Option<PathBuf> {
    path.is_absolute().then_some(path)
}

fn add(
    ruleset: landlock::RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<landlock::RulesetCreated, SandboxError> {
    let Ok(opened) = PathFd::new(path) else {
        return Ok(ruleset);
    };
    // What only directories can grant is refused for files.
    let access = match path.is_dir() {
        true => access,
        false => access & AccessFs::from_file(RULES),
    };
    Ok(ruleset.add_rule(PathBeneath::new(opened, access))?)
}
