//! Names of image spans: the executable's, and with target names what an interpreter runs.

use std::borrow::Cow;

use agentsight_ebpf::Exec;

use super::image::arguments;
use super::interpreter;
use crate::graph::executable_name;

/// Of a process whose exec was not seen.
const UNKNOWN: &str = "process";
/// File names have at most 255 bytes on Linux; captured bytes may be anything.
const LIMIT: usize = 255;

/// `python3`, or with target names `python3 agent.py`: base names only, so that names stay few.
pub(super) fn span_name(program: Option<&Exec>, target_names: bool) -> Cow<'static, str> {
    let Some((program, executable)) = program.and_then(|it| Some((it, executable_name(it)?))) else {
        return UNKNOWN.into();
    };
    let script = interpreter::script(&executable, arguments(&program.args.bytes)).filter(|_| target_names);
    let mut name = executable;
    name.truncate(name.floor_char_boundary(LIMIT));
    if let Some(script) = script {
        name.push(' ');
        name.push_str(&script[..script.floor_char_boundary(LIMIT)]);
    }
    name.into()
}
