//! What a panic does to a running server.
//!
//! A panic is a mistake of ours. In consensus, the store or the overlay it ends the process: a half of a node that still
//! shows a green dashboard is worse than none. A request's handler holds nothing but its request, so there the request
//! is answered 500 and the node lives.

use crate::runtime::WEB_THREAD;
use std::panic;

/// From now on, a panic on any thread but those that answer HTTP ends the process, after it was reported.
pub(super) fn end_the_process() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        if !is_survived(std::thread::current().name()) {
            std::process::abort();
        }
    }));
}

fn is_survived(thread: Option<&str>) -> bool {
    thread == Some(WEB_THREAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_web_sides_workers_may_panic() {
        assert!(is_survived(Some("web")));
        for thread in [None, Some("main"), Some("consensus"), Some("web-main"), Some("async-std/runtime")] {
            assert!(!is_survived(thread), "{thread:?}");
        }
    }
}
