//! Frames on QUIC streams: a big-endian `u32` length, then so many bytes.

use super::close::{Close, CloseCode};
use crate::runtime;
use crate::wire::Lane;
use quinn::{ReadError, ReadExactError, RecvStream, SendStream, WriteError};
use std::time::Duration;

/// How long a peer may take for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// For each half of the handshake: QUIC's with TLS, and the hello.
    pub(super) handshake: Duration,
    /// To complete a frame it has begun.
    pub(super) frame: Duration,
    /// To take a vote; then it is a straggler.
    pub(super) take_vote: Duration,
    /// To take a payload frame. Longer: while it catches up it may be busy.
    pub(super) take_payload: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            frame: Duration::from_secs(10),
            take_vote: Duration::from_secs(10),
            take_payload: Duration::from_secs(60),
        }
    }
}

/// The next frame, at most `bytes_max` long. Waits for its first byte for as long as it takes, and then for the rest
/// until the deadline.
pub(super) async fn read(stream: &mut RecvStream, bytes_max: usize, deadlines: Deadlines) -> Result<Vec<u8>, Close> {
    let mut first = [0; 1];
    read_exact(stream, &mut first).await?;
    let finish = async {
        let ([a], mut rest) = (first, [0; 3]);
        read_exact(stream, &mut rest).await?;
        let [b, c, d] = rest;
        let declared = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if declared > bytes_max {
            return Err(Close::offence(format!("a frame of {declared} bytes: at most {bytes_max} are allowed here")));
        }
        read_body(stream, declared).await
    };
    let within = deadlines.frame;
    runtime::timeout(within, finish)
        .await
        .unwrap_or_else(|_| Err(Close::timeout(format!("a frame was not complete within {within:?}"))))
}

/// Allocates as the bytes come, never because a length was declared.
async fn read_body(stream: &mut RecvStream, declared: usize) -> Result<Vec<u8>, Close> {
    let mut bytes = Vec::new();
    while bytes.len() < declared {
        let chunk = stream.read_chunk(declared - bytes.len(), true).await.map_err(read_error)?;
        bytes.extend_from_slice(&chunk.ok_or_else(ended)?.bytes);
    }
    Ok(bytes)
}

/// One byte, which says what a stream is for.
pub(super) async fn read_tag(stream: &mut RecvStream) -> Result<u8, Close> {
    let mut tag = [0; 1];
    read_exact(stream, &mut tag).await.map(|()| u8::from_be_bytes(tag))
}

async fn read_exact(stream: &mut RecvStream, into: &mut [u8]) -> Result<(), Close> {
    stream.read_exact(into).await.map_err(|error| match error {
        ReadExactError::FinishedEarly(_) => ended(),
        ReadExactError::ReadError(error) => read_error(error),
    })
}

/// Writes `frames`; a peer that does not take them in time is a straggler.
pub(super) async fn write(
    stream: &mut SendStream,
    lane: Lane,
    frames: &mut [bytes::Bytes],
    deadlines: Deadlines,
) -> Result<(), Close> {
    let stall = match lane {
        Lane::Votes => deadlines.take_vote,
        Lane::Fetch | Lane::Transactions => deadlines.take_payload,
    };
    match runtime::timeout(stall, stream.write_all_chunks(frames)).await {
        Ok(written) => written.map_err(write_error),
        Err(_) => Err(Close::new(CloseCode::Straggler, format!("took nothing on the {lane:?} stream for {stall:?}"))),
    }
}

fn ended() -> Close {
    Close::violation("a stream ended: every stream lives as long as its connection")
}

fn read_error(error: ReadError) -> Close {
    match error {
        ReadError::ConnectionLost(error) => error.into(),
        ReadError::Reset(_) | ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            Close::violation(error)
        }
    }
}

fn write_error(error: WriteError) -> Close {
    match error {
        WriteError::ConnectionLost(error) => error.into(),
        WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => Close::violation(error),
    }
}
