//! `salono modules`: what modules there are, and typed clients of them.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use salono_kurento_model::Registry;

use crate::cli::{AllArgs, Flags as _, ModulesArgs, ModulesCommand};
use crate::failure::Failure;
use crate::modules;

/// Lists, or generates.
pub(crate) fn run(args: &ModulesArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        ModulesCommand::List(args) => list(args),
        ModulesCommand::Client(args) => client(&args.directory, args.out.as_ref()),
    }
}

fn list(args: &AllArgs) -> Result<ExitCode, Failure> {
    let loaded = args.common.load(args.settings())?;
    let found = modules::load(&loaded.config.modules.path);
    let mut text = String::new();
    for module in found.registry.modules() {
        let Some(file) = &module.file else { continue };
        let _ = writeln!(text, "{} {}  {file}", module.name, module.version);
        for class in &module.factories {
            let _ = writeln!(text, "  {}.{class}", module.namespace);
        }
    }
    for fault in &found.faults {
        let _ = writeln!(text, "BAD {}: {}", fault.path.display(), fault.why);
    }
    if text.is_empty() {
        text.push_str("No modules. Name directories in modules.path (--modules DIR).\n");
    }
    print(&text)?;
    Ok(match found.faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The typed Rust client of every module in a directory, one after another.
fn client(directory: &PathBuf, out: Option<&PathBuf>) -> Result<ExitCode, Failure> {
    let found = modules::load(std::slice::from_ref(directory));
    if let Some(fault) = found.faults.first() {
        let why = format!("{}: {}", fault.path.display(), fault.why);
        return Err(Failure::system("cannot read the module")(io::Error::other(
            why,
        )));
    }
    let text = generate(&found.registry)?;
    match out {
        Some(file) => fs::write(file, text).map_err(Failure::system("cannot write the client"))?,
        None => print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn generate(registry: &Registry) -> Result<String, Failure> {
    let installed = registry.modules().iter().filter(|it| it.file.is_some());
    let names: Vec<&str> = installed.map(|module| module.name.as_str()).collect();
    if names.is_empty() {
        let why = io::Error::other("there is no *.kmd.json in the directory");
        return Err(Failure::system("cannot read the module")(why));
    }
    salono_kurento_codegen::client(registry, &names).map_err(Failure::system(
        "cannot generate the client (is rustfmt installed?)",
    ))
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::system("cannot print"))
}
