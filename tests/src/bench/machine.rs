//! Is the machine quiet enough for a figure to be quoted?

use ed25519_dalek::{Signer, SigningKey};
use std::time::{Duration, Instant};

/// Signatures verified to find out.
const VERIFIED: u32 = 400;

/// Above this ratio of wall time to CPU time, others use the processors too.
const BUSY_ABOVE: f64 = 1.3;

/// What the machine is doing besides us.
pub(super) struct Machine {
    load: String,
    wall_to_cpu: f64,
    /// What one strict verification takes, in CPU time.
    pub(super) verify: Duration,
}

impl Machine {
    pub(super) fn look() -> Self {
        let key = SigningKey::from_bytes(&[7; 32]);
        let (public, signature) = (key.verifying_key(), key.sign(b"a message"));
        let (wall, cpu) = (Instant::now(), cpu_time());
        for _ in 0..VERIFIED {
            public.verify_strict(b"a message", &signature).expect("it was signed above");
        }
        let (wall, cpu) = (wall.elapsed(), cpu_time().saturating_sub(cpu));
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            load: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            wall_to_cpu: wall.as_secs_f64() / cpu.as_secs_f64().max(1e-9),
            verify: cpu / VERIFIED,
        }
    }

    /// One line, with a warning where it belongs.
    pub(super) fn line(&self) -> String {
        let busy = if self.wall_to_cpu > BUSY_ABOVE { "; BUSY: not to be quoted" } else { "" };
        format!(
            "load average {}; one ed25519 verify_strict {:.1} us (wall/CPU {:.2}){busy}",
            self.load,
            self.verify.as_secs_f64() * 1e6,
            self.wall_to_cpu
        )
    }
}

/// What this thread has used of a processor.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}
