//! The command line of Kurento Media Server, for scripts that start it.
//!
//! `salono media` takes its options beside our own. A program of the name `kurento-media-server` (a
//! link to this one) is `salono media` that takes nothing amiss: options of GStreamer and those that
//! nobody knows are left out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};

use super::Cli;
use crate::config::{Setting, Source};

/// The name of Kurento's program.
const PROGRAM: &str = "kurento-media-server";

/// Where Kurento's package puts the configuration.
const CONF_FILE: &str = "/etc/kurento/kurento.conf.json";

/// Where Kurento listens as its package configures it.
const LISTEN: &str = "[::]:8888";

/// Options of Kurento Media Server.
#[derive(Debug, Args)]
#[command(next_help_heading = "As Kurento Media Server has them")]
pub(crate) struct KurentoArgs {
    /// Configuration, as kurento.conf.json; `modules` beside it is read too
    #[arg(short = 'f', long, value_name = "FILE", env = "KURENTO_CONF_FILE")]
    conf_file: Option<PathBuf>,
    /// Folders of module configurations instead, separated by colons
    #[arg(
        short = 'c',
        long,
        value_name = "DIRS",
        env = "KURENTO_MODULES_CONFIG_PATH"
    )]
    modules_config_path: Option<String>,
    /// Folders of modules, separated by colons
    #[arg(short = 'p', long, value_name = "DIRS", env = "KURENTO_MODULES_PATH")]
    modules_path: Option<String>,
    /// Folder of log files, instead of standard error
    #[arg(short = 'd', long, value_name = "DIR", env = "KURENTO_LOGS_PATH")]
    pub(crate) logs_path: Option<PathBuf>,
    /// Size at which a new log file begins, megabytes
    #[arg(
        short = 's',
        long,
        value_name = "MB",
        env = "KURENTO_LOG_FILE_SIZE",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..=1 << 20)
    )]
    pub(crate) log_file_size: u64,
    /// Log files that are kept
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        env = "KURENTO_NUMBER_LOG_FILES",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=10_000)
    )]
    pub(crate) number_log_files: u64,
    /// Print the classes that can be created
    #[arg(short = 'l', long)]
    pub(crate) list: bool,
    /// Print the version
    #[arg(short = 'v', long)]
    pub(crate) version: bool,
    /// The program was started under Kurento's name.
    #[arg(long, hide = true)]
    started_as_kurento: bool,
}

impl KurentoArgs {
    /// The configuration that they name.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let default = || {
            let file = Path::new(CONF_FILE);
            (self.started_as_kurento && file.is_file()).then(|| file.to_owned())
        };
        let file = self.conf_file.clone().or_else(default);
        let modules = self.modules_config_path.as_ref().map(|folders| {
            let folders = folders.split(':').filter(|folder| !folder.is_empty());
            folders.map(PathBuf::from).collect()
        });
        file.map(|file| Source { file, modules })
            .into_iter()
            .collect()
    }

    /// Folders of modules.
    pub(crate) fn modules(&self) -> Vec<PathBuf> {
        let folders = self.modules_path.iter().flat_map(|it| it.split(':'));
        folders
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .collect()
    }

    /// What is different from our own defaults.
    pub(crate) fn defaults(&self) -> Vec<Setting> {
        if self.started_as_kurento {
            vec![Setting::new("kurento.listen", LISTEN, PROGRAM)]
        } else {
            Vec::new()
        }
    }
}

/// The command line as it is to be read, and whether it is Kurento's.
pub(crate) fn arguments(given: impl Iterator<Item = OsString>) -> (Vec<OsString>, bool) {
    let mut given = given.peekable();
    let program = given.next().unwrap_or_default();
    let as_kurento = Path::new(&program)
        .file_name()
        .is_some_and(|name| name == PROGRAM);
    let mut arguments = vec![program];
    if as_kurento {
        arguments.extend(["media".into(), "--started-as-kurento".into()]);
        arguments.extend(known(given));
    } else if given.peek().is_some_and(|word| word == "media") {
        arguments.extend(given.filter(|word| !word.to_string_lossy().starts_with("--gst-")));
    } else {
        arguments.extend(given);
    }
    (arguments, as_kurento)
}

/// Leaves out whatever `salono media` does not know.
fn known(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut cli = Cli::command();
    // The help option is there only then.
    cli.build();
    let Some(media) = cli.find_subcommand("media") else {
        return given.collect();
    };
    let mut kept = Vec::new();
    let mut value_follows = false;
    for word in given {
        if std::mem::take(&mut value_follows) {
            kept.push(word);
            continue;
        }
        let Some((is_known, wants_value)) = look_up(media, &word.to_string_lossy()) else {
            continue;
        };
        if is_known {
            kept.push(word);
            value_follows = wants_value;
        }
    }
    kept
}

/// Whether an option exists, and whether its value is the next word. `None` for what is no option.
fn look_up(command: &Command, word: &str) -> Option<(bool, bool)> {
    let (found, has_value) = if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long
            .split_once('=')
            .map_or((long, None), |(n, v)| (n, Some(v)));
        let mut all = command.get_arguments();
        let found = all.find(|option| option.get_long() == Some(name));
        (found, value.is_some())
    } else {
        let mut letters = word.strip_prefix('-')?.chars();
        let letter = letters.next()?;
        let mut all = command.get_arguments();
        let found = all.find(|option| option.get_short() == Some(letter));
        (found, letters.next().is_some())
    };
    let wants_value = found.is_some_and(|option| option.get_action().takes_values() && !has_value);
    Some((found.is_some(), wants_value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, MediaOnlyArgs};
    use clap::Parser as _;

    fn read(line: &str) -> MediaOnlyArgs {
        let (arguments, _) = arguments(line.split_whitespace().map(OsString::from));
        let Command::Media(args) = Cli::try_parse_from(arguments).unwrap().command else {
            panic!("not media");
        };
        args
    }

    #[test]
    fn started_as_kurento_it_takes_its_options_and_leaves_out_the_others() {
        let args = read(
            "/usr/bin/kurento-media-server --gst-debug-level=3 -f /a/kurento.conf.json stray \
             --unknown value -c /b:/c -d/logs --log-file-size=7 -n 3 -q --gst-plugin-path /d \
             --modules-path=/e",
        );
        let kurento = &args.kurento;
        assert_eq!(
            kurento.sources(),
            [Source {
                file: "/a/kurento.conf.json".into(),
                modules: Some(vec!["/b".into(), "/c".into()]),
            }]
        );
        assert_eq!(kurento.logs_path, Some("/logs".into()));
        assert_eq!((kurento.log_file_size, kurento.number_log_files), (7, 3));
        assert_eq!(kurento.modules(), [PathBuf::from("/e")]);
        assert_eq!(kurento.defaults()[0].value.as_str(), Some(LISTEN));
    }

    #[test]
    fn the_subcommand_takes_the_same_options_and_none_that_nobody_knows() {
        let args = read("salono media -f x.conf.json --gst-debug-level=3 --kurento 127.0.0.1:1");
        assert_eq!(args.kurento.sources().len(), 1);
        assert!(args.kurento.defaults().is_empty());
        let (line, _) = arguments("salono media --unknown".split(' ').map(OsString::from));
        assert!(Cli::try_parse_from(line).is_err());
    }

    #[test]
    fn help_version_and_list_are_known_by_both_spellings() {
        for option in ["-l", "--list"] {
            assert!(read(&format!("kurento-media-server {option}")).kurento.list);
        }
        for option in ["-v", "--version"] {
            assert!(
                read(&format!("kurento-media-server {option}"))
                    .kurento
                    .version
            );
        }
        for option in ["-h", "--help"] {
            let line = format!("kurento-media-server {option}");
            let (line, as_kurento) = arguments(line.split(' ').map(OsString::from));
            let error = Cli::try_parse_from(line).unwrap_err();
            assert!(as_kurento && !error.use_stderr(), "{error}");
        }
    }
}
