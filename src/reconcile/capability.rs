//! May this process change the kernel at all?

use super::Error;

/// `CAP_NET_ADMIN` (linux/capability.h).
const NET_ADMIN: u64 = 1 << 12;

/// # Errors
/// When the process certainly may not. Where that cannot be read, the kernel answers for each change.
pub fn may_change() -> Result<(), Error> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match effective(&status) {
        Some(capabilities) if capabilities & NET_ADMIN == 0 => Err(Error::Capability),
        Some(_) | None => Ok(()),
    }
}

/// The effective set, of the text of proc_pid_status(5).
fn effective(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_read() {
        let status = "Name:\tgreyhound\nCapPrm:\t0000000000000000\nCapEff:\t0000000000001000\nCapBnd:\t0\n";
        assert_eq!(effective(status), Some(NET_ADMIN));
        assert_eq!(effective("Name:\tgreyhound\n"), None);
        assert_eq!(effective("CapEff:\tmany\n"), None);
    }
}
