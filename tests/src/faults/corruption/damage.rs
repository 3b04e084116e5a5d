//! What may happen to the files of a data folder.

use crate::faults::chance::Chance;
use crate::faults::stored::{copy_folder, database_files};
use fba_server::store::DATABASE_FILE;
use fba_server::store::side_file::SIDE_FILE;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// SQLite's pages here.
const PAGE: usize = 4096;

/// SQLite's log: a header, and a header before each page; both headers hold the same salts if the page is of this
/// turn of the log.
const LOG_HEADER: usize = 32;
const LOG_HEADER_SALTS: Range<usize> = 16..24;
const FRAME: usize = 24 + PAGE;
const FRAME_SALTS: Range<usize> = 8..16;

/// How far from its end the log is damaged, at most: a few commits.
const END_FRAMES: usize = 24;

/// Bits flipped at once.
const MANY_BITS: usize = 16;

/// Bytes of rubbish behind the end of a file, at most.
const RUBBISH_MAX: usize = 10_000;

/// One kind of damage.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Damage {
    /// A bit of some file is flipped.
    Bit,
    /// Several bits of some file are flipped.
    Bits,
    /// Some file is cut off.
    Truncated,
    /// A page of some file is all zeros.
    ZeroPage,
    /// A page of some file is rubbish.
    RandomPage,
    /// Two pages of some file have changed places.
    SwappedPages,
    /// There is rubbish behind the end of some file.
    Appended,
    /// The database is replaced by an older copy.
    OlderDatabase,
    /// The database is replaced by an older copy, and the log beside it is the present one.
    OlderUnderLog,
    /// The database is another server's.
    OthersDatabase,
    /// The database is gone, and its log is not.
    NoDatabase,
    /// A bit is flipped in the newest commits of the log, which SQLite then takes for its end.
    LogEnd,
    /// The log is gone: commits that were not moved into the database yet are.
    NoLog,
    /// The file that says how far the key has voted is gone.
    NoSideFile,
    /// That file is an older copy of itself.
    StaleSideFile,
    /// That file is another server's.
    OthersSideFile,
    /// The database is empty.
    EmptyDatabase,
}

/// All kinds; those by chance more often, because there is more of it in them.
pub const DAMAGES: [Damage; 28] = [
    Damage::Bit,
    Damage::Bits,
    Damage::Truncated,
    Damage::ZeroPage,
    Damage::RandomPage,
    Damage::SwappedPages,
    Damage::Appended,
    Damage::OlderDatabase,
    Damage::Bit,
    Damage::Bits,
    Damage::OlderUnderLog,
    Damage::OthersDatabase,
    Damage::Bit,
    Damage::LogEnd,
    Damage::Truncated,
    Damage::NoDatabase,
    Damage::ZeroPage,
    Damage::NoLog,
    Damage::LogEnd,
    Damage::Bit,
    Damage::NoSideFile,
    Damage::RandomPage,
    Damage::StaleSideFile,
    Damage::LogEnd,
    Damage::Bit,
    Damage::OthersSideFile,
    Damage::SwappedPages,
    Damage::EmptyDatabase,
];

/// Copies that files are replaced by.
#[derive(Clone, Copy, Debug)]
pub struct Spares<'a> {
    /// The same server's, older: its database without a log, and its side file.
    pub older: &'a Path,
    /// Another server's.
    pub others: &'a Path,
}

impl Damage {
    /// Does this to the data folder `data`. What was done, for people.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn strike(self, data: &Path, spares: Spares<'_>, chance: &mut Chance) -> io::Result<String> {
        let (database, side_file) = (data.join(DATABASE_FILE), data.join(SIDE_FILE));
        match self {
            Self::Bit => change(data, chance, |bytes, chance| flip(bytes, 1, chance)),
            Self::Bits => change(data, chance, |bytes, chance| flip(bytes, MANY_BITS, chance)),
            Self::Truncated => change(data, chance, |bytes, chance| {
                bytes.truncate(chance.below(bytes.len()));
                format!("cut off at {}", bytes.len())
            }),
            Self::ZeroPage => change(data, chance, |bytes, chance| page(bytes, chance, |page, _| page.fill(0))),
            Self::RandomPage => {
                change(data, chance, |bytes, chance| page(bytes, chance, |page, chance| chance.fill(page)))
            }
            Self::SwappedPages => change(data, chance, swap_pages),
            Self::Appended => change(data, chance, |bytes, chance| {
                let mut rubbish = vec![0; chance.between(1, RUBBISH_MAX)];
                chance.fill(&mut rubbish);
                bytes.append(&mut rubbish);
                format!("rubbish up to {}", bytes.len())
            }),
            Self::OlderDatabase => replace_database(data, spares.older),
            Self::OthersDatabase => replace_database(data, spares.others),
            Self::OlderUnderLog => {
                done("older, under the log", std::fs::copy(spares.older.join(DATABASE_FILE), database))
            }
            Self::NoDatabase => done("no database", std::fs::remove_file(database)),
            Self::LogEnd => damage_the_end_of_the_log(data, chance),
            Self::NoLog => remove_log(data),
            Self::NoSideFile => done("no side file", std::fs::remove_file(side_file)),
            Self::StaleSideFile => done("older side file", std::fs::copy(spares.older.join(SIDE_FILE), side_file)),
            Self::OthersSideFile => {
                done("another's side file", std::fs::copy(spares.others.join(SIDE_FILE), side_file))
            }
            Self::EmptyDatabase => done("empty database", std::fs::write(database, [])),
        }
    }
}

fn done<T>(what: &str, outcome: io::Result<T>) -> io::Result<String> {
    outcome.map(|_| what.to_owned())
}

/// Changes the bytes of a file by chance: of the database, its log, its index or the side file.
fn change(
    data: &Path,
    chance: &mut Chance,
    alter: impl FnOnce(&mut Vec<u8>, &mut Chance) -> String,
) -> io::Result<String> {
    let mut files = database_files(data)?;
    files.push(data.join(SIDE_FILE));
    let indexes: Vec<usize> = (0..files.len()).collect();
    let path: &PathBuf = files.get(chance.one_of(&indexes)).expect("an index of this list");
    let mut bytes = std::fs::read(path)?;
    let what = alter(&mut bytes, chance);
    std::fs::write(path, bytes)?;
    Ok(format!("{}: {what}", path.file_name().unwrap_or_default().to_string_lossy()))
}

fn flip(bytes: &mut [u8], count: usize, chance: &mut Chance) -> String {
    let mut flipped = Vec::new();
    for _ in 0..count {
        let (at, bit) = (chance.below(bytes.len()), chance.below(8));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
            flipped.push(at.to_string());
        }
    }
    format!("bits flipped at {}", flipped.join(", "))
}

fn page(bytes: &mut [u8], chance: &mut Chance, alter: impl FnOnce(&mut [u8], &mut Chance)) -> String {
    let number = chance.below(bytes.len().div_ceil(PAGE));
    if let Some(page) = bytes.chunks_mut(PAGE).nth(number) {
        alter(page, chance);
    }
    format!("page {number} overwritten")
}

fn swap_pages(bytes: &mut Vec<u8>, chance: &mut Chance) -> String {
    let mut pages: Vec<Vec<u8>> = bytes.chunks(PAGE).map(<[u8]>::to_vec).collect();
    let (one, other) = (chance.below(pages.len()), chance.below(pages.len()));
    if !pages.is_empty() {
        pages.swap(one, other);
    }
    *bytes = pages.concat();
    format!("pages {one} and {other} swapped")
}

fn replace_database(data: &Path, by: &Path) -> io::Result<String> {
    for file in database_files(data)? {
        std::fs::remove_file(file)?;
    }
    let side_file = data.join(SIDE_FILE);
    let own = std::fs::read(&side_file)?;
    copy_folder(by, data)?;
    std::fs::write(side_file, own)?;
    Ok("database replaced".to_owned())
}

/// Without a log (after a clean stop) there is nothing to damage.
fn damage_the_end_of_the_log(data: &Path, chance: &mut Chance) -> io::Result<String> {
    let path = data.join(format!("{DATABASE_FILE}-wal"));
    let mut log = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok("no log to damage".to_owned()),
        read => read?,
    };
    let salts = log.get(LOG_HEADER_SALTS).map(<[u8]>::to_vec);
    let frames = log.get(LOG_HEADER..).unwrap_or_default().chunks_exact(FRAME);
    let valid = frames.take_while(|frame| frame.get(FRAME_SALTS) == salts.as_deref()).count();
    let from_end = chance.between(1, END_FRAMES.min(valid));
    let at = LOG_HEADER + (valid - from_end) * FRAME + chance.below(FRAME);
    if let Some(byte) = log.get_mut(at) {
        *byte ^= 1;
    }
    std::fs::write(&path, log)?;
    Ok(format!("a bit flipped in page {from_end} before the end of the log"))
}

/// The log and its index; without a log (after a clean stop) there is nothing to remove.
fn remove_log(data: &Path) -> io::Result<String> {
    for file in database_files(data)?.into_iter().filter(|file| !file.ends_with(DATABASE_FILE)) {
        std::fs::remove_file(file)?;
    }
    Ok("no log".to_owned())
}
