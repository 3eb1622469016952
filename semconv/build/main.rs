//! Reads the registry in `model/` and writes what is generated from it: constants, table, and the test data for the standard names.

mod constants;
mod registry;
mod standard;
mod table;
mod yaml;

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=model");
    println!("cargo::rerun-if-changed=build");
    match generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error={problem}");
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<(), String> {
    let out = env::var("OUT_DIR").map_err(|_| "OUT_DIR is not set; cargo sets it for build scripts".to_owned())?;
    let model = yaml::read_model(Path::new("model"))?;
    let names = registry::check(&model)?;
    let write = |file: &str, text: String| {
        let path = Path::new(&out).join(file);
        fs::write(&path, text).map_err(|error| format!("writing {}: {error}", path.display()))
    };
    write("names.rs", constants::generate(&model.standard_schema_url, &names))?;
    write("standard.rs", standard::generate(&names))?;
    write("ATTRIBUTES.md", table::generate(&model, &names))
}
