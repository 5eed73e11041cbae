//! `salono doctor`: what keeps a server from working well here, and how to mend it.

mod checks;
mod modules;
mod processor;

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use crate::cli::{AllArgs, Flags as _};
use crate::failure::Failure;

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// As it should be.
    Good,
    /// Works, but could be better, or is worth knowing.
    Note,
    /// Must be mended.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    verdict: Verdict,
    /// What was looked at.
    what: &'static str,
    /// What was found.
    found: String,
    /// What to do about it.
    mend: Option<String>,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Good,
            what,
            found: found.into(),
            mend: None,
        }
    }

    fn note(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Note,
            what,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    fn bad(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Bad,
            ..Self::note(what, found, mend)
        }
    }
}

/// Checks everything and prints what was found. Ends with 1 if something must be mended.
pub(crate) fn run(args: &AllArgs) -> Result<ExitCode, Failure> {
    let loaded = args.common.load(args.settings())?;
    let findings = checks::all(&loaded.config);
    let mut out = io::stdout();
    let colours = out.is_terminal();
    for finding in &findings {
        print(&mut out, finding, colours).map_err(Failure::system("cannot print"))?;
    }
    let bad = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Bad)
        .count();
    let summary = match bad {
        0 => "\nNothing must be mended.".to_owned(),
        1 => "\nOne thing must be mended.".to_owned(),
        _ => format!("\n{bad} things must be mended."),
    };
    writeln!(out, "{summary}").map_err(Failure::system("cannot print"))?;
    Ok(if bad == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(out: &mut impl Write, finding: &Finding, colours: bool) -> io::Result<()> {
    let (mark, colour) = match finding.verdict {
        Verdict::Good => ("ok  ", "\x1b[32m"),
        Verdict::Note => ("note", "\x1b[33m"),
        Verdict::Bad => ("BAD ", "\x1b[31m"),
    };
    let (colour, plain) = if colours {
        (colour, "\x1b[0m")
    } else {
        ("", "")
    };
    let Finding { what, found, .. } = finding;
    writeln!(out, "{colour}{mark}{plain}  {what}: {found}")?;
    if let Some(mend) = &finding.mend {
        writeln!(out, "      {mend}")?;
    }
    Ok(())
}
