//! How much memory the process has, as the system tells it.

/// A line of the process's status in MiB; 0 where the system does not tell.
pub(crate) fn resident(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|text| text.strip_prefix(line)?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
