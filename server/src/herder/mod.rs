//! Interface sketch.
