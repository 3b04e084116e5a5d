//! What is measured when somebody asks: files, memory and the disk.

use super::{Register, whole};
use prometheus_client::metrics::gauge::Gauge;
use std::path::Path;

/// The database's file in a data folder.
const DATABASE: &str = "fba.sqlite";
/// Its write-ahead log.
const WAL: &str = "fba.sqlite-wal";

/// Gauges that are set on demand. What cannot be measured keeps its last value.
pub(super) struct Measured {
    database: Gauge,
    wal: Gauge,
    disk_free: Gauge,
    resident: Gauge,
    open_files: Gauge,
}

impl Measured {
    pub(super) fn register(register: &mut Register) -> Self {
        Self {
            database: register.bytes("database", "Size of the database file"),
            wal: register.bytes("database_wal", "Size of its write-ahead log"),
            disk_free: register.bytes("disk_free", "Space left for the node on the data folder's file system"),
            resident: register.bytes("process_resident_memory", "Memory of the process"),
            open_files: register.gauge("process_open_fds", "Open file descriptors"),
        }
    }

    pub(super) fn measure(&self, data_dir: Option<&Path>) {
        if let Some(folder) = data_dir {
            let size = |name: &str| std::fs::metadata(folder.join(name)).map(|found| found.len());
            // SQLite removes the log when the last connection closes.
            self.wal.set(whole(size(WAL).unwrap_or(0)));
            set(&self.database, size(DATABASE).ok());
            set(&self.disk_free, fs4::available_space(folder).ok());
        }
        set(&self.resident, resident());
        set(&self.open_files, std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64));
    }
}

fn set(gauge: &Gauge, value: Option<u64>) {
    if let Some(value) = value {
        gauge.set(whole(value));
    }
}

/// Resident memory in bytes, where the system has Linux' `/proc`.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_open_files() {
        assert!(resident().unwrap() > 1 << 20);
        let mut register = Register(prometheus_client::registry::Registry::default());
        let measured = Measured::register(&mut register);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(DATABASE), [0; 4096]).unwrap();
        measured.measure(Some(folder.path()));
        assert_eq!((measured.database.get(), measured.wal.get()), (4096, 0));
        assert!(measured.open_files.get() > 2 && measured.disk_free.get() > 0);
    }
}
