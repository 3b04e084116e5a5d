//! How a command ends: the exit codes of every command, and the error that carries one.

use std::fmt;
use std::process::ExitCode;

/// The exit code of a command: 0 to 3 are verdicts, the others follow BSD's `sysexits.h`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Exit {
    /// 0: done, and the answer is good.
    Good = 0,
    /// 1: done, and the answer is no (the network splits, the transaction failed).
    No = 1,
    /// 2: no quorum.
    NoQuorum = 2,
    /// 3: not known within the limits given.
    Unknown = 3,
    /// 64: the command was called wrongly.
    Usage = 64,
    /// 65: what was read is not what it should be.
    Data = 65,
    /// 69: something needed cannot be reached or is not ready.
    Unavailable = 69,
    /// 74: reading or writing failed.
    Io = 74,
    /// 77: permissions are missing, or too wide for a secret.
    Permission = 77,
    /// 78: the configuration is wrong.
    Config = 78,
}

impl Exit {
    /// The number the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command failed: the exit code, and what to tell the person who called it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// The exit code; never [`Exit::Good`].
    pub exit: Exit,
    /// What, where, the rule and a way out. May have several lines; has no trailing newline. Empty when there is nothing
    /// to tell.
    pub message: String,
}

impl CliError {
    /// A failure with this code and message.
    ///
    /// # Panics
    /// When `exit` is [`Exit::Good`]: that is not a failure.
    #[must_use]
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        assert!(exit != Exit::Good, "an error does not end with exit code 0");
        Self { exit, message: message.to_string() }
    }

    /// A file could not be read or written: 77 when it is a matter of permissions, else 74.
    #[must_use]
    pub fn io(doing: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Exit::of_io(error), format_args!("{doing}: {error}"))
    }

    /// The reader of our output went away (`fba … | head`): the end, but nothing to complain of.
    #[must_use]
    pub fn nobody_reads() -> Self {
        Self::new(Exit::Io, "")
    }
}

impl Exit {
    /// The code for an I/O error: 77 when it is a matter of permissions, else 74.
    #[must_use]
    pub fn of_io(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::PermissionDenied { Self::Permission } else { Self::Io }
    }
}

/// Writes to standard output. A reader that went away (`fba … | head`) is no failure.
///
/// # Errors
/// When standard output cannot be written.
pub fn print(text: &str) -> Result<(), CliError> {
    use std::io::Write;
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::io("writing to standard output", &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        let all = [Exit::Good, Exit::No, Exit::NoQuorum, Exit::Unknown, Exit::Usage, Exit::Data];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 64, 65]);
        let rest = [Exit::Unavailable, Exit::Io, Exit::Permission, Exit::Config];
        assert_eq!(rest.map(Exit::code), [69, 74, 77, 78]);
    }

    #[test]
    fn a_permission_problem_is_told_apart_from_other_io() {
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(CliError::io("reading x", &denied).exit, Exit::Permission);
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(CliError::io("reading x", &missing).exit, Exit::Io);
    }
}
