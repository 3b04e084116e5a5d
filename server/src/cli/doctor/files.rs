//! Files: genesis, the key, the data folder and what it lies on.

use super::finding::Finding;
use crate::config::Config;
use crate::ledger::Genesis;
use crate::store::{KeyMark, key_file};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// With less free space than this the node may not last the day.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Less than so many days left is worth a word: time to order a disk.
const DAYS_MIN: f64 = 30.0;
/// File systems over a network, where locks and syncs may not hold what SQLite and the votes rely on.
const NETWORK_FILE_SYSTEMS: [&str; 13] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "davfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
];

pub(super) fn genesis(config: &Config, findings: &mut Vec<Finding>) -> Option<Genesis> {
    let check = "genesis";
    match config.load_genesis() {
        Ok(genesis) => {
            let says = format!("{} is of the network {:?}", config.genesis.display(), genesis.passphrase);
            findings.push(Finding::ok(check, says));
            Some(genesis)
        }
        Err(errors) => {
            let fix =
                "copy genesis.toml of the network from another of its operators; it must be the same file everywhere";
            findings.push(Finding::fail(check, errors, fix));
            None
        }
    }
}

pub(super) fn key(config: &Config, findings: &mut Vec<Finding>) {
    let (check, path) = ("key", &config.node_seed_file);
    match key_file::read(path) {
        Ok(key) if key.node_id() == config.node => {
            let says = match KeyMark::beside(path).is_present() {
                Ok(true) => "only its owner can read it; it has never voted".to_owned(),
                Ok(false) => "only its owner can read it; it has voted".to_owned(),
                Err(error) => format!("only its owner can read it; whether it has voted cannot be told: {error}"),
            };
            findings.push(Finding::ok(check, says));
        }
        Ok(key) => {
            let (found, wanted) = (crate::key::node_strkey(key.node_id()), crate::key::node_strkey(config.node));
            let says = format!("{} holds the key of {found}, the configuration is for {wanted}", path.display());
            findings.push(Finding::fail(check, says, "put this node's seed file there, or mend node_public_key"));
        }
        Err(error) => {
            let fix =
                "the node cannot start without its seed: `fba keygen` makes a new one, which is a new node to others";
            findings.push(Finding::fail(check, error, fix));
        }
    }
}

pub(super) fn data_folder(config: &Config, bytes_per_day: Option<f64>, findings: &mut Vec<Finding>) {
    let check = "data folder";
    let folder = &config.data_dir;
    let existing = nearest_existing(folder);
    match tempfile::tempfile_in(&existing) {
        Ok(_) if existing == *folder => findings.push(Finding::ok(check, format!("{} is writable", folder.display()))),
        Ok(_) => {
            findings.push(Finding::ok(check, format!("{} is made at the first start", folder.display())));
        }
        Err(error) => {
            let fix = format!("give {} to the user who runs the node: `chown -R USER {0}`", folder.display());
            findings.push(Finding::fail(check, format!("{} cannot be written: {error}", existing.display()), fix));
        }
    }
    owner(config, findings);
    space(&existing, bytes_per_day, findings);
    file_system(&existing, findings);
}

/// The folder, or the nearest one above it that is there.
fn nearest_existing(folder: &Path) -> PathBuf {
    folder.ancestors().find(|path| path.is_dir()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Key and data folder belong together: a root that once started the node leaves files that its user cannot use.
fn owner(config: &Config, findings: &mut Vec<Finding>) {
    let owner = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.uid());
    let Some((key, folder)) = owner(&config.node_seed_file).zip(owner(&config.data_dir)) else { return };
    let inside = std::fs::read_dir(&config.data_dir).into_iter().flatten().flatten();
    let foreign =
        inside.filter(|entry| owner(&entry.path()).is_some_and(|uid| uid != folder)).map(|entry| entry.path());
    let foreign = foreign.min();
    if key == folder && foreign.is_none() {
        return;
    }
    let says = match foreign {
        Some(file) => format!("{} belongs to another user than its folder", file.display()),
        None => format!("{} and the key belong to different users ({folder} and {key})", config.data_dir.display()),
    };
    let fix = format!(
        "`chown -R {key} {}`: key and data belong to the one user who runs the node",
        config.data_dir.display()
    );
    findings.push(Finding::warn("owner", says, fix));
}

fn space(folder: &Path, bytes_per_day: Option<f64>, findings: &mut Vec<Finding>) {
    let check = "disk space";
    let free = match fs4::available_space(folder) {
        Ok(free) => free,
        Err(error) => {
            let fix = "look with `df` yourself";
            return findings.push(Finding::warn(check, format!("free space cannot be told: {error}"), fix));
        }
    };
    let days = bytes_per_day.map(|rate| free as f64 / rate);
    let left = days.map_or(String::new(), |days| format!(", {days:.0} days at the present growth"));
    let says = format!("{} free{left}", bytes(free));
    let fix =
        "make room or move data_dir to a larger disk (docs/operators.md): a node that cannot store its votes stops";
    findings.push(match days {
        _ if free < FREE_BYTES_MIN => Finding::fail(check, says, fix),
        Some(days) if days < DAYS_MIN => Finding::warn(check, says, fix),
        Some(_) | None => Finding::ok(check, says),
    });
}

/// `1.5 GiB`
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = UNITS.iter().find(|(_, shift)| bytes >> shift > 0);
    unit.map_or(format!("{bytes} bytes"), |(unit, shift)| {
        format!("{:.1} {unit}", bytes as f64 / (1u64 << shift) as f64)
    })
}

fn file_system(folder: &Path, findings: &mut Vec<Finding>) {
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return };
    let Ok(folder) = folder.canonicalize() else { return };
    let Some(kind) = file_system_of(&folder, &mounts) else { return };
    let check = "file system";
    if NETWORK_FILE_SYSTEMS.contains(&kind) {
        let says = format!("the data folder is on {kind}, a file system over a network");
        let fix = "put data_dir on a local disk: over a network, locks and syncs may not hold, and votes could be lost";
        findings.push(Finding::fail(check, says, fix));
    } else if matches!(kind, "tmpfs" | "ramfs") {
        let says = format!("the data folder is on {kind}, in memory");
        let fix =
            "put data_dir on a disk: after a restart of the machine the votes are lost, and the node keeps silent";
        findings.push(Finding::warn(check, says, fix));
    } else {
        findings.push(Finding::ok(check, format!("{kind}, local")));
    }
}

/// The type of the file system that `folder` is on, from Linux's `/proc/self/mountinfo`: the longest mount point above
/// it; of several on one point the last.
fn file_system_of<'a>(folder: &Path, mounts: &'a str) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let (left, right) = line.split_once(" - ")?;
        // Spaces and the like are written as \040.
        let point = left.split(' ').nth(4)?.replace("\\040", " ");
        Some((point, right.split(' ').next()?))
    };
    let above = mounts.lines().filter_map(mount).filter(|(point, _)| folder.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_that_of_the_nearest_mount_point() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                      30 22 0:44 / /srv/my\\040data rw shared:9 - nfs4 host:/x rw\n\
                      31 22 0:45 / /srv rw - xfs /dev/sdb rw\n";
        let of = |path: &str| file_system_of(Path::new(path), mounts);
        assert_eq!(of("/home/fba"), Some("ext4"));
        assert_eq!(of("/srv/fba"), Some("xfs"));
        assert_eq!(of("/srv/my data/fba"), Some("nfs4"));
        assert_eq!(of("/srv-other"), Some("ext4"));
    }

    #[test]
    fn bytes_have_the_unit_one_would_say() {
        assert_eq!([0, 1023, 1536, 5 << 30].map(bytes), ["0 bytes", "1023 bytes", "1.5 KiB", "5.0 GiB"]);
    }
}
