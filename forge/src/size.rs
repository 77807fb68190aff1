//! Sizes as people read them.

/// Bytes in powers of ten, like disks: "4.5 MB".
pub(crate) fn bytes(size: u64) -> String {
    if size < 1000 {
        return format!("{size} bytes");
    }
    let mut value = size as f64 / 1e3;
    let mut units = ["kB", "MB", "GB"].into_iter();
    // From here on one digit after the point would show 1000.0.
    while value >= 999.95 {
        let Some(_) = units.next() else { break };
        value /= 1e3;
    }
    format!("{value:.1} {}", units.next().unwrap_or("TB"))
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_one_digit_after_the_point() {
        let expected = [
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (22_800_000_000, "22.8 GB"),
            (1_500_000_000_000_000, "1500.0 TB"),
        ];
        for (size, words) in expected {
            assert_eq!(bytes(size), words);
        }
    }
}
