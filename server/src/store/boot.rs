//! Has the machine been off since? What was written but not synced survives the end of a process, not of the system.

/// Where Linux names the current run of the system.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// Names this run of the system; empty where it has no name. An empty name counts as another run every time.
pub(super) fn current() -> String {
    std::fs::read_to_string(BOOT_ID_FILE).map(|text| text.trim().to_owned()).unwrap_or_default()
}
