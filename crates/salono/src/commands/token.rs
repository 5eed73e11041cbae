//! `salono token`: keys, and tokens that are signed with them.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use salono_room_token::{Claims, Key, KeySet, sign};

use crate::cli::{Grant, TokenArgs};
use crate::failure::Failure;
use crate::token_keys;

/// Prints what was asked for to standard output.
pub(crate) fn run(args: &TokenArgs) -> Result<ExitCode, Failure> {
    let path = &args.key_file;
    let text = if let Some(algorithm) = args.new_key {
        let id = args.kid.clone().unwrap_or_else(fresh_name);
        let key =
            Key::generate(algorithm.into(), id).map_err(|error| Failure::keys(path, &error))?;
        write_new(path, &KeySet::from_iter([key]).to_json())?;
        return Ok(ExitCode::SUCCESS);
    } else if args.public {
        public_half(path)?
    } else {
        mint(args, SystemTime::now())?
    };
    let mut out = std::io::stdout();
    writeln!(out, "{text}").map_err(Failure::system("cannot write"))?;
    Ok(ExitCode::SUCCESS)
}

fn mint(args: &TokenArgs, now: SystemTime) -> Result<String, Failure> {
    let path = &args.key_file;
    let keys = token_keys::read(path)?;
    let key = keys
        .signer(args.kid.as_deref())
        .ok_or_else(|| Failure::keys(path, &"there is no key of that name in it that can sign"))?;
    // The command line asks for a room wherever a token is made.
    let room = args.room.clone().unwrap_or_default();
    let mut claims = Claims::new(room, args.role, now + args.ttl).issued_at(now);
    claims.user.clone_from(&args.identity);
    for (grants, is_granted) in [(&args.grant, true), (&args.deny, false)] {
        for grant in grants {
            let member = match grant {
                Grant::Publish => &mut claims.grants.publish,
                Grant::Subscribe => &mut claims.grants.subscribe,
                Grant::Moderate => &mut claims.grants.moderate,
                Grant::Record => &mut claims.grants.record,
            };
            *member = Some(is_granted);
        }
    }
    sign(&claims, key).map_err(|error| Failure::keys(path, &error))
}

fn public_half(path: &Path) -> Result<String, Failure> {
    let keys = token_keys::read(path)?;
    let public: KeySet = keys.iter().filter_map(Key::to_public).collect();
    if public.is_empty() {
        return Err(Failure::keys(
            path,
            &"a secret has no public half: give the server the file itself",
        ));
    }
    Ok(public.to_json())
}

/// Keys are for their owner's eyes, and none is written over another.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::keys(path, &error))?;
    writeln!(file, "{text}").map_err(|error| Failure::keys(path, &error))
}

/// Two keys of one second have the same name only if somebody hurries; a token is then tried with both.
fn fresh_name() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("key-{}", since.map_or(0, |since| since.as_secs()))
}

/// A duration such as `90s`, `30m`, `12h` or `7d`.
///
/// # Errors
/// A sentence.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let unit = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _other => return Err("give a number and s, m, h or d, as in 30m".to_owned()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds))
        // Some hundred million years; clocks count no further.
        .filter(|seconds| (1..1 << 50).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "that is no time to live".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser as _;
    use salono_room_token::{Algorithm, Role};

    use super::*;
    use crate::cli::{Cli, Command};

    /// A folder that is gone afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("salono-token-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn args(&self, line: &str) -> TokenArgs {
            let key = self.0.join("key.json");
            let words = ["salono", "token", "--key-file", key.to_str().unwrap()];
            let words = words.into_iter().chain(line.split_whitespace());
            let Command::Token(args) = Cli::parse_from(words).command else {
                panic!("not token");
            };
            args
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_new_key_makes_tokens_that_its_public_half_recognises() {
        let folder = Folder::new("mint");
        run(&folder.args("--new-key eddsa --kid first")).unwrap();
        let mode = std::fs::metadata(folder.0.join("key.json")).unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert!(
            run(&folder.args("--new-key es256")).is_err(),
            "written over"
        );

        let now = SystemTime::now();
        let line = "--room daily --identity ann --role subscriber --grant record,publish --deny subscribe --ttl 90s";
        let token = mint(&folder.args(line), now).unwrap();
        let public = public_half(&folder.args("--public").key_file).unwrap();
        let public = KeySet::parse(&public, "public").unwrap();
        assert!(public.signer(None).is_none());
        let claims = public
            .verify(&token, now + Duration::from_secs(89))
            .unwrap();
        assert_eq!(claims.check("daily", "ann"), Ok(()));
        assert_eq!(claims.role, Role::Subscriber);
        let grants = claims.grants();
        assert!(grants.record && grants.publish && !grants.subscribe && !grants.moderate);
        assert!(
            public
                .verify(&token, now + Duration::from_secs(121))
                .is_err()
        );
    }

    #[test]
    fn another_key_of_the_file_signs_when_it_is_named() {
        let folder = Folder::new("kid");
        let keys = ["old", "new"].map(|id| Key::generate(Algorithm::Hs256, id).unwrap());
        let [old, new] = keys.clone();
        let path = folder.0.join("key.json");
        std::fs::write(path, KeySet::from_iter(keys).to_json()).unwrap();
        let now = SystemTime::now();
        for (line, key) in [("", old), ("--kid new", new)] {
            let token = mint(&folder.args(&format!("--room r {line}")), now).unwrap();
            assert!(KeySet::from_iter([key]).verify(&token, now).is_ok());
        }
        assert!(mint(&folder.args("--room r --kid third"), now).is_err());
    }

    #[test]
    fn times_to_live_are_numbers_with_a_unit() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("2h"), Ok(7200));
        assert_eq!(seconds("7d"), Ok(604_800));
        for wrong in [
            "",
            "5",
            "h",
            "0m",
            "-1s",
            "1.5h",
            "99999999999999999999d",
            "9999999999999999d",
            "1 h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
