//! Canonical CBOR: one value, one byte string.
//!
//! "Canonical" means *what this encoder writes*: struct fields in declaration order, shortest heads, definite lengths.
//! [`decode`] accepts nothing else, because what is hashed and signed must have exactly one form. The guards stand in
//! front of ciborium, whose decoder is lax (it skips tags, takes any key order and leaves trailing bytes unread).

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Deepest nesting of arrays and maps in anything we decode (a quorum set costs two levels per depth).
pub const DEPTH_MAX: usize = 16;

/// Why bytes are not a canonical encoding of what was asked for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CborError {
    /// A head that no canonical encoder writes: a tag, a float, an indefinite or not the shortest length.
    #[error("not canonical CBOR: forbidden or over-long head at byte {at}")]
    Head {
        /// Offset of the head.
        at: usize,
    },
    /// The input ends inside an item, or declares more items than its bytes can hold.
    #[error("not canonical CBOR: input ends too early (byte {at})")]
    Truncated {
        /// Offset of the item.
        at: usize,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("not canonical CBOR: nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More items than the caller allows.
    #[error("CBOR holds more than the {allowed} items allowed here")]
    TooManyItems {
        /// The caller's limit.
        allowed: usize,
    },
    /// Bytes after the end of the item.
    #[error("not canonical CBOR: {extra} bytes after the end")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// Well-formed, but not of the type asked for.
    #[error("CBOR does not have the expected shape: {0}")]
    Shape(String),
    /// Decodes, but would be written differently.
    #[error("not canonical CBOR: re-encoding gives other bytes")]
    NotCanonical,
}

/// The canonical bytes of `value`.
///
/// # Panics
/// Never for the types of this crate: they hold no map with non-serialisable keys and writing to a `Vec` cannot fail.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    ciborium::into_writer(value, &mut bytes).expect("writing to a Vec cannot fail");
    bytes
}

/// The value whose canonical encoding is exactly `bytes`, with at most `items_max` CBOR items in it.
///
/// # Errors
/// See [`CborError`]; nothing is allocated beyond a small multiple of `bytes.len()`.
pub fn decode<T: DeserializeOwned + Serialize>(bytes: &[u8], items_max: usize) -> Result<T, CborError> {
    scan(bytes, items_max)?;
    let mut rest = bytes;
    let value: T = ciborium::de::from_reader_with_recursion_limit(&mut rest, 2 * DEPTH_MAX)
        .map_err(|error| CborError::Shape(error.to_string()))?;
    if !rest.is_empty() {
        return Err(CborError::Trailing { extra: rest.len() });
    }
    if encode(&value) != bytes {
        return Err(CborError::NotCanonical);
    }
    Ok(value)
}

/// Walks the heads of one item without allocating on the heap.
fn scan(bytes: &[u8], items_max: usize) -> Result<(), CborError> {
    // How many items are still to come at each open level.
    let mut open = [0u64; DEPTH_MAX];
    let mut depth = 0;
    let mut at = 0;
    let mut items = 0;
    loop {
        items += 1;
        if items > items_max {
            return Err(CborError::TooManyItems { allowed: items_max });
        }
        let (major, argument, next) = head(bytes, at)?;
        let remaining = u64::try_from(bytes.len() - next).unwrap_or(u64::MAX);
        let children = match major {
            2 | 3 if argument > remaining => return Err(CborError::Truncated { at }),
            2 | 3 => {
                at = next + usize::try_from(argument).map_err(|_| CborError::Truncated { at })?;
                0
            }
            4 | 5 => {
                let children = argument.saturating_mul(u64::from(major) - 3);
                if children > remaining {
                    return Err(CborError::Truncated { at });
                }
                at = next;
                children
            }
            _ => {
                at = next;
                0
            }
        };
        if children > 0 {
            *open.get_mut(depth).ok_or(CborError::TooDeep)? = children;
            depth += 1;
            continue;
        }
        // Close every level this item was the last of.
        loop {
            let Some(level) = depth.checked_sub(1) else {
                let extra = bytes.len() - at;
                return if extra == 0 { Ok(()) } else { Err(CborError::Trailing { extra }) };
            };
            let left = open.get_mut(level).ok_or(CborError::TooDeep)?;
            *left -= 1;
            if *left > 0 {
                break;
            }
            depth = level;
        }
    }
}

/// Major type, argument and the offset behind the head at `at`; only heads a canonical encoder writes.
fn head(bytes: &[u8], at: usize) -> Result<(u8, u64, usize), CborError> {
    let first = *bytes.get(at).ok_or(CborError::Truncated { at })?;
    let (major, short) = (first >> 5, first & 0x1f);
    let forbidden = CborError::Head { at };
    if major == 6 || (major == 7 && !(20..=22).contains(&short)) {
        return Err(forbidden);
    }
    let length = match short {
        0..=23 => return Ok((major, u64::from(short), at + 1)),
        24..=27 => 1usize << (short - 24),
        _ => return Err(forbidden),
    };
    let end = at + 1 + length;
    let tail = bytes.get(at + 1..end).ok_or(CborError::Truncated { at })?;
    let argument = tail.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let shortest = match length {
        1 => argument >= 24,
        2 => argument > u64::from(u8::MAX),
        4 => argument > u64::from(u16::MAX),
        _ => argument > u64::from(u32::MAX),
    };
    if shortest { Ok((major, argument, end)) } else { Err(forbidden) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Small {
        a: u64,
        b: Option<Vec<u8>>,
    }

    #[test]
    fn only_the_encoders_own_bytes_are_accepted() {
        let small = Small { a: 1, b: None };
        let bytes = encode(&small);
        assert_eq!(bytes, b"\xa2\x61a\x01\x61b\xf6");
        assert_eq!(decode::<Small>(&bytes, 100).unwrap(), small);
        let refused: [&[u8]; 10] = [
            b"\xa2\x61b\xf6\x61a\x01",                 // other key order
            b"\xa2\x61a\x18\x01\x61b\xf6",             // not the shortest number
            b"\xa1\x61a\x01",                          // a field left out
            b"\xbf\x61a\x01\x61b\xf6\xff",             // indefinite map
            b"\xa2\x61a\x01\x61b\xf6\x00",             // trailing byte
            b"\xc1\xa2\x61a\x01\x61b\xf6",             // tag
            b"\xa2\x61a\x01\x61b\xf7",                 // undefined for null
            b"\xa2\x61a\x01\x61b\x9a\xff\xff\xff\xff", // a length the input cannot hold
            b"\xa3\x61a\x01\x61b\xf6\x61c\x00",        // unknown field
            b"",
        ];
        for bytes in refused {
            assert!(decode::<Small>(bytes, 100).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn nesting_and_item_count_are_bounded() {
        let deep = [[0x81u8; 20].as_slice(), &[0]].concat();
        assert_eq!(decode::<Vec<u8>>(&deep, 100), Err(CborError::TooDeep));
        let many = encode(&vec![0u8; 50]);
        assert_eq!(decode::<Vec<u8>>(&many, 20), Err(CborError::TooManyItems { allowed: 20 }));
    }
}
