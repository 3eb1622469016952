//! Bytes for people.

/// Two or three digits and a unit of a thousand: `47 B`, `3.0 kB`, `183 kB`, `1.2 GB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let (mut whole, mut tenths, mut unit) = (count / 1000, count % 1000 / 100, 0);
    while whole >= 1000 {
        (whole, tenths, unit) = (whole / 1000, whole % 1000 / 100, unit + 1);
    }
    if whole < 10 { format!("{whole}.{tenths} {}", UNITS[unit]) } else { format!("{whole} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_like_sizes() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (3_099, "3.0 kB"),
            (183_204, "183 kB"),
            (1_000_000, "1.0 MB"),
            (1_073_741_824, "1.0 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
