//! What this machine says of itself: `host.*` and `os.*`, and the boot that process identities belong to.

use std::collections::BTreeMap;
use std::fs;

use agentsight_semconv as semconv;

/// Resource attributes of this host; what cannot be read is left out.
pub(super) fn describe() -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut set = |name: semconv::Name, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            attributes.insert(name.as_str().to_owned(), value);
        }
    };
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    set(semconv::HOST_NAME, nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned()));
    set(semconv::HOST_ID, read_line("/etc/machine-id"));
    set(semconv::HOST_ARCH, Some(architecture().to_owned()));
    set(semconv::OS_TYPE, Some("linux".to_owned()));
    set(semconv::OS_DESCRIPTION, os_release(&release, "PRETTY_NAME"));
    set(semconv::OS_VERSION, os_release(&release, "VERSION_ID"));
    attributes
}

/// The id of this boot, or empty where the kernel does not give one.
pub(crate) fn boot_id() -> String {
    read_line("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// The registry's words for the architectures.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn read_line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn os_release(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_value_of_os_release_is_read_without_its_quotes() {
        let text = "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        assert_eq!(os_release(text, "PRETTY_NAME").as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(os_release(text, "VERSION"), None);
    }
}
