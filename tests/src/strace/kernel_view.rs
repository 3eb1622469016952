//! What the kernel makes of an exec: the file behind a link, and the interpreter behind `#!`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The kernel follows at most this many interpreters (`binfmt_script`, since 3.x: BINPRM depth 5).
const DEEPEST: usize = 5;

/// The base name of the file that runs, and the arguments that it sees, for `execve(path, arguments)` in `directory`.
pub(super) fn kernel_view(path: &str, arguments: &[String], directory: &Path) -> (String, Vec<String>) {
    let mut path = path.to_owned();
    let mut arguments = arguments.to_vec();
    for _ in 0..DEEPEST {
        let Some((interpreter, option)) = interpreter(&directory.join(&path)) else { break };
        let shown = std::iter::once(interpreter.clone()).chain(option).chain(std::iter::once(path));
        arguments = shown.chain(arguments.into_iter().skip(1)).collect();
        path = interpreter;
    }
    let file = directory.join(&path);
    let file = file.canonicalize().unwrap_or(file);
    (base_name(&file), arguments)
}

fn base_name(path: &Path) -> String {
    path.file_name().map_or_else(|| format!("{}", path.display()), |name| name.to_string_lossy().into_owned())
}

/// The program of a `#!` line and its one optional argument.
fn interpreter(path: &Path) -> Option<(String, Option<String>)> {
    let mut start = [0; 256];
    let length = File::open(path).ok()?.read(&mut start).ok()?;
    let line = start[..length].strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    match line.split_once([' ', '\t']) {
        Some((program, option)) => Some((program.to_owned(), Some(option.trim().to_owned()))),
        None => Some((line.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Directory;

    #[test]
    fn a_script_runs_as_its_interpreter() {
        let directory = Directory::new();
        std::fs::write(directory.join("script"), "#!/bin/sh -e\ntrue\n").unwrap();
        let shell = Path::new("/bin/sh").canonicalize().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let (executable, arguments) = kernel_view("./script", &["script".into(), "x".into()], directory.path());
        assert_eq!((executable, arguments), (shell, ["/bin/sh", "-e", "./script", "x"].map(str::to_owned).to_vec()));
    }
}
