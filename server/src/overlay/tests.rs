//! Overlay tests with real sockets.
