//! How far catching up has come, in the API's shape and in words; and what holds up a node that cannot begin.

use crate::herder::{self, CatchUpView, Unproven};
use crate::http::dto;
use crate::http::explain::name;
use crate::http::view::Identity;

/// The API's shape.
pub(super) fn catch_up(view: &CatchUpView) -> dto::CatchUp {
    let CatchUpView { from, to, applied, headers_down_to, ledgers_per_second, seconds_left, sources, .. } = *view;
    dto::CatchUp { from, to, applied, headers_down_to, ledgers_per_second, seconds_left, sources: sources as u64 }
}

/// The reason of the sync state, made more exact where ledgers are fetched or should be.
pub(super) fn reason(view: &herder::View, reason: Option<String>, identity: &Identity) -> Option<String> {
    match (&view.catch_up, &view.unproven) {
        (Some(progress), _) => Some(catch_up(progress).to_string()),
        (None, Some(unproven)) if reason.is_some() => {
            let waits = unproven_text(unproven, identity);
            Some([reason, Some(waits)].into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
        (None, _) => reason,
    }
}

fn unproven_text(Unproven { slot, heard, missing }: &Unproven, identity: &Identity) -> String {
    let names = |nodes: &[fba_core::NodeId]| match nodes {
        [] => "nobody".to_owned(),
        nodes => nodes.iter().map(|node| name(*node, identity)).collect::<Vec<_>>().join(", "),
    };
    format!(
        "others are at slot {slot}, but no quorum of this node's slices has been heard deciding a later slot: {} of {} \
         say so ({}), not {}; nothing is fetched or voted for before that is proven",
        heard.len(),
        heard.len() + missing.len(),
        names(heard),
        names(missing),
    )
}

impl std::fmt::Display for dto::CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, applied, .. } = self;
        if let Some(down_to) = self.headers_down_to {
            return write!(f, "checking headers from {to} down to {from}: at {down_to}");
        }
        let lacking = to.saturating_sub(*from).saturating_add(1);
        let percent = applied.saturating_mul(100).checked_div(lacking).unwrap_or(100);
        write!(f, "applied {applied} of {lacking} ledgers from {from} to {to} ({percent} %)")?;
        if let Some(rate) = self.ledgers_per_second {
            write!(f, ", {rate} a second")?;
        }
        if let Some(seconds) = self.seconds_left {
            match seconds {
                0..120 => write!(f, ", about {seconds} s left")?,
                120..7_200 => write!(f, ", about {} min left", seconds / 60)?,
                _ => write!(f, ", about {} h left", seconds / 3_600)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_well() {
        let headers = dto::CatchUp {
            from: 11,
            to: 1_010,
            applied: 0,
            headers_down_to: Some(600),
            ledgers_per_second: None,
            seconds_left: None,
            sources: 2,
        };
        assert_eq!(headers.to_string(), "checking headers from 1010 down to 11: at 600");
        let bodies = dto::CatchUp { headers_down_to: None, applied: 250, ledgers_per_second: Some(10), ..headers };
        let bodies = dto::CatchUp { seconds_left: Some(75), ..bodies };
        assert_eq!(
            bodies.to_string(),
            "applied 250 of 1000 ledgers from 11 to 1010 (25 %), 10 a second, about 75 s left"
        );
    }
}
