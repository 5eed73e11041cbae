//! Whether there is a media processor, and what it lacks.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use salono_media_engine::processors::{NAME, PACKAGES, find};
use serde::Deserialize;

use super::Finding;
use crate::config::Config;

const WHAT: &str = "media processor";

/// What `salono-processor --check` prints.
#[derive(Debug, Deserialize)]
struct Report {
    /// Of the program.
    version: String,
    /// Of GStreamer.
    gstreamer: String,
    /// Elements that are not installed.
    missing: Vec<Missing>,
}

#[derive(Debug, Deserialize)]
struct Missing {
    /// Debian package that has it.
    package: String,
    /// What cannot be done without it.
    purpose: String,
}

/// Players, recorders and so on can be had, or what is to be installed for them.
pub(super) fn check(config: &Config) -> Finding {
    match find(config.processor.path.as_deref()) {
        Ok(program) => ask(&program),
        Err(error) => Finding::note(
            WHAT,
            error,
            "only needed to play, record, mix, filter and transcode; forwarding goes without",
        ),
    }
}

fn ask(program: &Path) -> Finding {
    let shown = program.display();
    let output = match Command::new(program).arg("--check").output() {
        Ok(output) => output,
        Err(error) => {
            let mend = format!("install it again, or correct processor.path ({NAME})");
            return Finding::bad(WHAT, format!("{shown}: {error}"), mend);
        }
    };
    let report = match output.status.success() {
        true => serde_json::from_slice(&output.stdout).map_err(|error| error.to_string()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    };
    match report {
        Ok(report) => judge(&report),
        Err(error) => Finding::bad(
            WHAT,
            format!("{shown} does not start: {error}"),
            format!("apt-get install {PACKAGES}"),
        ),
    }
}

fn judge(report: &Report) -> Finding {
    let Report {
        version,
        gstreamer,
        missing,
    } = report;
    let found = format!("{NAME} {version}, {gstreamer}");
    if version != env!("CARGO_PKG_VERSION") {
        let mend = format!(
            "install {NAME} {}, as this program",
            env!("CARGO_PKG_VERSION")
        );
        return Finding::bad(WHAT, found, mend);
    }
    if missing.is_empty() {
        return Finding::good(WHAT, found);
    }
    let purposes = unique(missing.iter().map(|it| it.purpose.as_str()));
    let packages = unique(missing.iter().map(|it| it.package.as_str()));
    let found = format!("{found}; not for: {}", purposes.join(", "));
    Finding::note(
        WHAT,
        found,
        format!("apt-get install {}", packages.join(" ")),
    )
}

/// Each text once, in order.
fn unique<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    texts.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Verdict;

    fn report(version: &str, missing: &[(&str, &str)]) -> Report {
        let missing = missing.iter().map(|(package, purpose)| Missing {
            package: (*package).to_owned(),
            purpose: (*purpose).to_owned(),
        });
        Report {
            version: version.to_owned(),
            gstreamer: "GStreamer 1.22.0".to_owned(),
            missing: missing.collect(),
        }
    }

    #[test]
    fn what_is_missing_is_named_once_with_the_packages_that_have_it() {
        let ours = env!("CARGO_PKG_VERSION");
        assert_eq!(judge(&report(ours, &[])).verdict, Verdict::Good);
        assert_eq!(judge(&report("0.0.0", &[])).verdict, Verdict::Bad);
        let missing = [("b", "H264"), ("a", "AMR"), ("b", "H264")];
        let finding = judge(&report(ours, &missing));
        assert_eq!(finding.verdict, Verdict::Note);
        assert!(
            finding.found.ends_with("not for: AMR, H264"),
            "{}",
            finding.found
        );
        assert_eq!(finding.mend.unwrap(), "apt-get install a b");
    }

    #[test]
    fn without_the_program_there_is_a_note_and_with_another_one_something_to_mend() {
        let mut config = Config::default();
        config.processor.path = Some("/nonexistent/processor".into());
        assert_eq!(check(&config).verdict, Verdict::Note);
        config.processor.path = Some("/bin/false".into());
        let finding = check(&config);
        assert_eq!(finding.verdict, Verdict::Bad);
        assert!(finding.mend.unwrap().contains("gstreamer1.0-plugins-base"));
    }
}
