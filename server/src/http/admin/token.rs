//! The token that opens the admin side: 32 random bytes in a file only the node's owner can read.
//!
//! The file is read for every request, so that a new token counts as soon as it is written. What is presented and what
//! is wanted are compared by their hashes, in constant time: neither content nor length leaks.

use crate::http::error::ApiError;
use crate::secret_file::{self, Untrusted};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use warp::http::{HeaderMap, StatusCode, header};
use zeroize::Zeroizing;

/// Bytes of a token; the file has twice as many hexadecimal digits.
pub const TOKEN_BYTES: usize = 32;
/// Digits of a token.
const TOKEN_DIGITS: usize = 2 * TOKEN_BYTES;
/// The most that is read of a token file: a token and a line end.
const FILE_BYTES_MAX: u64 = 256;
/// So many wrong tokens in [`WRONG_WINDOW`] are answered 401; more are answered 429, and not logged any more.
///
/// The right token is taken even then: guessing 32 bytes is hopeless at any rate, and on the loopback interface everybody
/// has the same address, so that any local program could lock out the operator.
const WRONG_MAX: usize = 10;
/// See [`WRONG_MAX`].
const WRONG_WINDOW: Duration = Duration::from_secs(60);

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It cannot be made.
    #[error("cannot write the admin token {path}: {source}; make its folder, or name another file as admin.token_file")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("cannot read the admin token {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A link, folder, pipe or device.
    #[error("admin token {path} is not a regular file: links and devices are refused, so that nobody can swap it")]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// Others may read or write it.
    #[error(
        "admin token {path} has mode {mode:04o}, but only its owner may read it: others may know it, so remove the file \
         and restart the node, which makes a new one"
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Something else is in it.
    #[error(
        "admin token {path} does not hold {TOKEN_DIGITS} hexadecimal digits: remove the file and restart the node, which \
         makes a new one, or write a new token into it (`openssl rand -hex {TOKEN_BYTES}`)"
    )]
    NotAToken {
        /// The file.
        path: PathBuf,
    },
    /// No randomness.
    #[error("the operating system gave no randomness for an admin token: {0}")]
    NoRandomness(String),
}

/// A token as it goes over the wire. Never shown.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Reads the token in `path`.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let path = path.to_owned();
        let file = match secret_file::open(&path) {
            Ok(file) => file,
            Err(Untrusted::Io(source)) => return Err(TokenError::Read { path, source }),
            Err(Untrusted::NotRegular) => return Err(TokenError::NotRegular { path }),
            Err(Untrusted::Permissions(mode)) => return Err(TokenError::Permissions { path, mode }),
        };
        let mut text = Zeroizing::new(String::new());
        match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
            Err(source) if source.kind() != io::ErrorKind::InvalidData => {
                return Err(TokenError::Read { path, source });
            }
            // What is no text is no token either.
            Err(_) => return Err(TokenError::NotAToken { path }),
            Ok(_) => {}
        }
        let token = text.trim_end();
        if token.len() != TOKEN_DIGITS || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(TokenError::NotAToken { path });
        }
        Ok(Self(Zeroizing::new(token.to_ascii_lowercase())))
    }

    /// The digits, for an `Authorization` header.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }

    fn is(&self, presented: &str) -> bool {
        // Equality of blake3's hashes takes constant time.
        let presented = Zeroizing::new(presented.to_ascii_lowercase());
        blake3::hash(self.0.as_bytes()) == blake3::hash(presented.as_bytes())
    }
}

/// Makes the file with a new token if there is none, and checks the one there is.
///
/// # Errors
/// See [`TokenError`].
pub(super) fn ensure(path: &Path) -> Result<(), TokenError> {
    // A link whose target is missing counts as being there: it is refused, not followed.
    match std::fs::symlink_metadata(path) {
        Ok(_) => Token::read(path).map(|_| ()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(source) => Err(TokenError::Read { path: path.to_owned(), source }),
    }
}

/// Whole or not at all: a token cut short would open nothing.
fn make(path: &Path) -> Result<(), TokenError> {
    let failed = |source| TokenError::Write { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| TokenError::NoRandomness(error.to_string()))?;
    let line = Zeroizing::new(format!("{}\n", hex::encode(bytes.as_slice())));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.as_file().set_permissions(PermissionsExt::from_mode(0o600)).map_err(failed)?;
    file.write_all(line.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Lets in who has the token.
#[derive(Debug)]
pub(super) struct Guard {
    file: PathBuf,
    /// When wrong tokens came, of the last [`WRONG_WINDOW`]; at most [`WRONG_MAX`].
    wrong: Mutex<VecDeque<Instant>>,
}

impl Guard {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, wrong: Mutex::default() }
    }

    /// May who sent these headers at `now` go on?
    pub(super) fn check(&self, headers: &HeaderMap, now: Instant) -> Result<(), ApiError> {
        let token = Token::read(&self.file).map_err(|error| {
            tracing::error!(%error, "nobody is let in to the admin side");
            ApiError::unavailable("no_token", "the node cannot read its admin token; its log says why")
        })?;
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let presented = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(bearer),
            _ => None,
        };
        match presented {
            Some(presented) if token.is(presented) => Ok(()),
            Some(_) => Err(self.wrong(now, "this is not the token")),
            None => Err(self.wrong(now, "send the token of the node's token file as `Authorization: Bearer …`")),
        }
    }

    fn wrong(&self, now: Instant, why: &str) -> ApiError {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        while wrong.front().is_some_and(|at| now.saturating_duration_since(*at) >= WRONG_WINDOW) {
            wrong.pop_front();
        }
        if wrong.len() >= WRONG_MAX {
            let oldest = wrong.front().map_or(Duration::ZERO, |at| now.saturating_duration_since(*at));
            let wait = WRONG_WINDOW.saturating_sub(oldest).as_secs().saturating_add(1);
            let message = format!("more than {WRONG_MAX} wrong tokens within {} s", WRONG_WINDOW.as_secs());
            return ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_wrong_tokens", message).retry_after(wait);
        }
        wrong.push_back(now);
        tracing::warn!("a request to the admin side without the right token was refused");
        ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", why)
    }
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 7235).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use warp::http::HeaderValue;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_new_token_is_random_private_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        ensure(&one).unwrap();
        ensure(&two).unwrap();
        assert_eq!(std::fs::metadata(&one).unwrap().permissions().mode() & 0o7777, 0o600);
        let token = Token::read(&one).unwrap();
        assert_ne!(token.digits(), Token::read(&two).unwrap().digits());
        ensure(&one).unwrap();
        assert_eq!(Token::read(&one).unwrap().digits(), token.digits(), "a second start keeps it");
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn files_that_others_could_know_or_swap_are_refused_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        ensure(&path).unwrap();
        for mode in [0o644, 0o640, 0o660, 0o604] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let error = ensure(&path).unwrap_err();
            assert!(error.to_string().contains("remove the file"), "{error}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        for rubbish in ["", "12", &"g".repeat(64), &"a".repeat(65), &"a".repeat(500)] {
            std::fs::write(&path, rubbish).unwrap();
            assert!(matches!(ensure(&path), Err(TokenError::NotAToken { .. })), "{rubbish}");
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        assert!(matches!(ensure(&link), Err(TokenError::NotRegular { .. })));
        assert!(matches!(ensure(folder.path()), Err(TokenError::NotRegular { .. })));
        assert!(matches!(ensure(&folder.path().join("no/such/folder")), Err(TokenError::Write { .. })));
    }

    #[test]
    fn only_the_right_token_is_let_in_and_a_new_one_counts_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let (old, new) = ("ab".repeat(32), "cd".repeat(32));
        let write = |token: &str| {
            std::fs::write(&path, token).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        };
        write(&old);
        let (guard, now) = (Guard::new(path.clone()), Instant::now());
        for good in [format!("Bearer {old}"), format!("bearer {}", old.to_uppercase())] {
            guard.check(&with(&good), now).unwrap();
        }
        let mut twice = with(&format!("Bearer {old}"));
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
        assert_eq!(guard.check(&twice, now).unwrap_err().code, "unauthorized");
        write(&format!("{new}\n"));
        guard.check(&with(&format!("Bearer {new}")), now).unwrap();
        assert_eq!(guard.check(&with(&format!("Bearer {old}")), now).unwrap_err().code, "unauthorized");
    }

    #[test]
    fn a_thousand_wrong_tokens_are_throttled_and_do_not_lock_out_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        ensure(&path).unwrap();
        let right = with(&format!("Bearer {}", Token::read(&path).unwrap().digits()));
        let (guard, begun) = (Guard::new(path), Instant::now());
        let mut codes = std::collections::BTreeMap::<String, usize>::new();
        for n in 0..1_000_u32 {
            let error = guard.check(&with(&format!("Bearer {n:064x}")), begun).unwrap_err();
            *codes.entry(error.code).or_default() += 1;
        }
        assert_eq!(codes["unauthorized"], WRONG_MAX);
        assert_eq!(codes["too_many_wrong_tokens"], 1_000 - WRONG_MAX);
        assert_eq!(guard.wrong.lock().unwrap().len(), WRONG_MAX, "what a guesser can make grow is bounded");
        guard.check(&right, begun).unwrap();
        let later = guard.check(&HeaderMap::new(), begun + WRONG_WINDOW).unwrap_err();
        assert_eq!(later.code, "unauthorized", "a minute later it counts anew");
    }
}
