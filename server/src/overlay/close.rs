//! Why a connection ends: a code and a short text, told to the peer and kept.

use quinn::{Connection, ConnectionError, VarInt};
use std::fmt;

/// Longest text of a reason, in bytes: ours on the wire, the peer's as shown.
const REASON_BYTES_MAX: usize = 200;

/// The application error code of the close frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum CloseCode {
    /// The node stops.
    Shutdown = 0,
    /// The peer broke a rule of the protocol.
    Violation = 1,
    /// The peer is on another network.
    WrongNetwork = 2,
    /// No protocol version in common.
    Version = 3,
    /// The peer is not who it says, or takes us for somebody else.
    WrongNode = 4,
    /// There is a connection to this peer already, or a newer one takes its place.
    Duplicate = 5,
    /// No seat is free.
    NoSeat = 6,
    /// Something took longer than it may.
    Timeout = 7,
    /// The peer does not take what we send it.
    Straggler = 8,
    /// Another part of the node asked for it.
    Dropped = 9,
    /// The peer is banned.
    Banned = 10,
}

impl CloseCode {
    const ALL: [Self; 11] = [
        Self::Shutdown,
        Self::Violation,
        Self::WrongNetwork,
        Self::Version,
        Self::WrongNode,
        Self::Duplicate,
        Self::NoSeat,
        Self::Timeout,
        Self::Straggler,
        Self::Dropped,
        Self::Banned,
    ];

    fn of(code: VarInt) -> Option<Self> {
        Self::ALL.into_iter().find(|known| VarInt::from(*known as u8) == code)
    }
}

/// Why a connection ends. Its text is safe to show: escaped and short.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Close {
    /// The kind of reason, unless the connection broke by itself.
    pub(super) code: Option<CloseCode>,
    text: String,
    /// Does it prove that the peer breaks rules? Nothing the peer says can set this.
    offence: bool,
}

impl Close {
    pub(super) fn new(code: CloseCode, text: impl fmt::Display) -> Self {
        Self { code: Some(code), text: printable(text.to_string().as_bytes()), offence: false }
    }

    /// Against the rules, and possibly a mishap.
    pub(super) fn violation(text: impl fmt::Display) -> Self {
        Self::new(CloseCode::Violation, text)
    }

    /// What no correct node ever does: leads to a ban of the key that signed the connection.
    pub(super) fn offence(text: impl fmt::Display) -> Self {
        Self { offence: true, ..Self::violation(text) }
    }

    pub(super) fn is_offence(&self) -> bool {
        self.offence
    }

    pub(super) fn timeout(text: impl fmt::Display) -> Self {
        Self::new(CloseCode::Timeout, text)
    }

    /// Ends `connection` and tells the peer why. Only the first call has an effect.
    pub(super) fn apply(&self, connection: &Connection) {
        let code = self.code.unwrap_or(CloseCode::Shutdown);
        connection.close(VarInt::from(code as u8), self.text.as_bytes());
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ConnectionError> for Close {
    fn from(error: ConnectionError) -> Self {
        let (code, text) = match error {
            ConnectionError::ApplicationClosed(close) => {
                (CloseCode::of(close.error_code), format!("closed by the peer: {}", printable(&close.reason)))
            }
            ConnectionError::ConnectionClosed(close) => {
                (None, format!("refused by the peer's QUIC or TLS: {}", printable(close.to_string().as_bytes())))
            }
            ConnectionError::TimedOut => (Some(CloseCode::Timeout), "nothing heard from the peer: timed out".into()),
            ConnectionError::TransportError(error) => (None, printable(error.to_string().as_bytes())),
            ConnectionError::Reset => (None, "the peer does not know this connection: it has restarted".into()),
            ConnectionError::LocallyClosed => (Some(CloseCode::Shutdown), "closed by this node".into()),
            other @ (ConnectionError::VersionMismatch | ConnectionError::CidsExhausted) => (None, other.to_string()),
        };
        Self { code, text, offence: false }
    }
}

/// Bytes somebody else chose, as text that cannot disturb a terminal or a log: at most [`REASON_BYTES_MAX`] bytes.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for one in String::from_utf8_lossy(bytes).chars() {
        let escaped: String =
            if one.is_control() || is_reordering(one) { one.escape_default().collect() } else { one.to_string() };
        if text.len() + escaped.len() > REASON_BYTES_MAX - '…'.len_utf8() {
            text.push('…');
            break;
        }
        text.push_str(&escaped);
    }
    text
}

/// Invisible characters that change how the text around them is shown.
fn is_reordering(one: char) -> bool {
    matches!(one, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_is_escaped_and_cut() {
        assert_eq!(printable("é\u{1b}[2J\u{202e}".as_bytes()), "é\\u{1b}[2J\\u{202e}");
        let long = printable(&[b'x'; 5_000]);
        assert!(long.len() <= REASON_BYTES_MAX && long.ends_with('…'));
    }

    #[test]
    fn codes_read_back() {
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::of(VarInt::from(code as u8)), Some(code));
        }
        assert_eq!(CloseCode::of(VarInt::from_u32(77)), None);
    }
}
