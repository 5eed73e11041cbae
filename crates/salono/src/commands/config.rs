//! `salono config`: every setting, its value and where it is from.

use std::io::{self, Write};
use std::process::ExitCode;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::Value;

use crate::cli::{ConfigArgs, Flags as _};
use crate::config::{Config, KEYS, Loaded, environment_name};
use crate::failure::Failure;

/// Prints and ends.
pub(crate) fn run(args: &ConfigArgs) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    let written = if args.markdown {
        write_reference(&mut out)
    } else {
        let loaded = args.all.common.load(args.all.settings())?;
        write_values(&mut out, &loaded)
    };
    match written {
        // Whoever read it has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::System {
            what: "cannot print",
            error,
        }),
        Ok(()) => Ok(ExitCode::SUCCESS),
    }
}

/// The values, as a `salono.toml`.
fn write_values(out: &mut impl Write, loaded: &Loaded) -> io::Result<()> {
    match &loaded.file {
        Some(file) => writeln!(out, "# {} was read", file.display())?,
        None => writeln!(out, "# no salono.toml was found")?,
    }
    for name in &loaded.unknown_variables {
        writeln!(out, "# environment variable {name} names no setting")?;
    }
    for key in &loaded.imported {
        let (file, key, became) = (key.file.display(), &key.key, &key.became);
        writeln!(out, "# {file}: {key}: {became}")?;
    }
    let values = Figment::from(Serialized::defaults(&loaded.config));
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if of != section {
            section = of;
            writeln!(out, "\n[{section}]")?;
        }
        let source = loaded
            .sources
            .get(key.name)
            .map_or("default", String::as_str);
        match values.find_value(key.name) {
            Ok(value) if !is_unset(&value) => {
                writeln!(out, "{name} = {}  # {source}", as_toml(&value))?;
            }
            Ok(_) | Err(_) => writeln!(out, "# {name} is not set  # {source}")?,
        }
    }
    Ok(())
}

/// The reference of all keys, as `docs/config.md` holds it.
fn write_reference(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "# Configuration\n\n\
         A value comes from the first of these that names its key: a flag, an environment \
         variable, `salono.toml` (`--config FILE`, else `./salono.toml`, else \
         `/etc/salono/salono.toml`), imported files of Kurento (`--import FILE`), the default. \
         `salono config` prints every key with its value and where it is from; its output is a \
         `salono.toml`. A key that does not exist is an error that names the nearest one.\n\n\
         Lists in environment variables are separated by commas.\n\n\
         `--import` reads `kurento.conf.json` with the files below `modules/` beside it, \
         `kurento-room-demo.conf.json` and `kroombasic.conf.json`, comments included; files of \
         Kurento may be `.json`, `.ini`, `.info` or `.xml`. The `KMS_*` variables of Kurento's \
         container image count like entries of those files. `salono config --import FILE` says \
         of each of their keys what it became.\n\n\
         This page is what `salono config --markdown` prints."
    )?;
    let defaults = Figment::from(Serialized::defaults(Config::default()));
    let mut section = None;
    for key in KEYS {
        let of = key.name.split_once('.').map_or("", |(of, _)| of);
        if section != Some(of) {
            section = Some(of);
            let title = if of.is_empty() {
                "At the top".to_owned()
            } else {
                format!("`[{of}]`")
            };
            writeln!(
                out,
                "\n## {title}\n\n| key | variable | default | meaning |\n| --- | --- | --- | --- |"
            )?;
        }
        let default = match defaults.find_value(key.name) {
            // It differs between users.
            Ok(_) if key.name == "data_dir" => "see there".to_owned(),
            Ok(value) if !is_unset(&value) => format!("`{}`", as_toml(&value)),
            Ok(_) | Err(_) => "not set".to_owned(),
        };
        let variable = environment_name(key.name);
        writeln!(
            out,
            "| `{}` | `{variable}` | {default} | {} |",
            key.name, key.about
        )?;
    }
    Ok(())
}

/// JSON texts, numbers, truth values and lists of them are TOML.
fn as_toml(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn is_unset(value: &Value) -> bool {
    matches!(value, Value::Empty(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn the_reference_in_the_documentation_is_fresh() {
        let mut text = Vec::new();
        write_reference(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let kept = include_str!("../../../../docs/config.md");
        assert_eq!(
            text, kept,
            "run `salono config --markdown > docs/config.md`"
        );
    }

    #[test]
    fn the_printed_configuration_can_be_read_again() {
        let folder = std::env::temp_dir().join(format!("salono-config-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("salono.toml");
        let variable = |name: &str, value: &str| (name.into(), value.into());
        let environment = [
            variable("SALONO_ROOM_MAX_ROOMS", "7"),
            variable("SALONO_MEDIA_IPS", "127.0.0.1, ::1"),
            variable("SALONO_KURENTO_METADATA", "\"a\\b\""),
        ];
        let first = config::load(None, &[], environment, Vec::new()).unwrap();
        let mut text = Vec::new();
        write_values(&mut text, &first).unwrap();
        std::fs::write(&file, &text).unwrap();
        let second = config::load(Some(&file), &[], [], Vec::new());
        std::fs::remove_dir_all(&folder).unwrap();
        let second = second.unwrap();
        assert_eq!(first.config, second.config);
        assert_eq!(first.config.room.max_rooms, 7);
        assert_eq!(
            first.sources["room.max_rooms"],
            "environment variable SALONO_ROOM_MAX_ROOMS"
        );
    }
}
