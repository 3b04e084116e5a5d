//! `fba peers`: who is connected, and what it costs; who left, and who is kept away.

use crate::cli::client::{Client, NodeArgs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::text;
use crate::http::{admin, dto};

/// Show a node's peers: direction, since when, round-trip time, traffic; who left, and who is banned, and why
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    node: NodeArgs,
}

/// Asks the node and prints what it says.
///
/// # Errors
/// [`Exit::Unavailable`] when the node does not answer.
pub fn run(args: &Args) -> Result<Exit, CliError> {
    let peers: dto::Peers = Client::new(&args.node)?.get("/v1/peers")?;
    if args.node.json {
        text::say_json(&peers)?;
    } else {
        text::say(&shown(&peers))?;
    }
    Ok(Exit::Good)
}

const HEADINGS: [&str; 7] = ["PEER", "ADDRESS", "DIRECTION", "SINCE", "RTT", "RECEIVED", "SENT"];

fn shown(peers: &dto::Peers) -> String {
    let parts = [Some(links(&peers.peers)), departures(&peers.departures), bans(&peers.bans)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn links(peers: &[dto::Peer]) -> String {
    if peers.is_empty() {
        return "no peers: nothing is sent or heard".to_owned();
    }
    let mut table = text::table(&HEADINGS);
    for peer in peers {
        table.add_row([
            called(&peer.node, peer.name.as_deref()),
            peer.address.clone(),
            direction(peer.inbound).to_owned(),
            text::time(peer.since_ms),
            peer.rtt_us.map_or_else(|| "-".to_owned(), rtt),
            text::bytes(peer.bytes_in),
            text::bytes(peer.bytes_out),
        ]);
    }
    table.to_string()
}

fn departures(departures: &[dto::Departure]) -> Option<String> {
    let mut table = text::table(&["GONE", "ADDRESS", "LAST", "TIMES", "WHY"]);
    for departure in departures {
        table.add_row([
            departure.node.as_ref().map_or_else(|| "?".to_owned(), |key| called(key, departure.name.as_deref())),
            departure.address.clone(),
            text::time(departure.at_ms),
            departure.times.to_string(),
            departure.reason.clone(),
        ]);
    }
    (!departures.is_empty()).then(|| table.to_string())
}

fn bans(bans: &[dto::Ban]) -> Option<String> {
    let mut table = text::table(&["BANNED", "SINCE", "UNTIL", "BY", "WHY"]);
    for ban in bans {
        table.add_row([
            called(&ban.node, ban.name.as_deref()),
            text::time(ban.since_ms),
            ban.until_ms.map_or_else(|| "lifted by hand".to_owned(), text::time),
            if ban.offences == 0 { "the operator" } else { "broken rules" }.to_owned(),
            ban.reason.clone(),
        ]);
    }
    (!bans.is_empty()).then(|| table.to_string())
}

/// What the admin side tells: queues besides.
pub(super) fn admin_view(peers: &admin::dto::Peers) -> String {
    let headings = [&HEADINGS[..], &["WAITING", "NOT SENT"]].concat();
    let mut links = text::table(&headings);
    for peer in &peers.peers {
        links.add_row([
            called(&peer.node, peer.name.as_deref()),
            peer.address.clone(),
            direction(peer.inbound).to_owned(),
            text::time(peer.since_ms),
            rtt(peer.rtt_us),
            text::bytes(peer.bytes_in),
            text::bytes(peer.bytes_out),
            text::bytes(peer.waiting_bytes),
            peer.shed.to_string(),
        ]);
    }
    match departures(&peers.departures) {
        Some(gone) => format!("{links}\n\n{gone}"),
        None => links.to_string(),
    }
}

/// Who is kept away.
pub(super) fn bans_view(kept_away: &admin::dto::Bans) -> String {
    bans(&kept_away.bans).unwrap_or_else(|| "nobody is kept away".to_owned())
}

fn called(key: &str, name: Option<&str>) -> String {
    name.map_or_else(|| text::short(key).to_owned(), str::to_owned)
}

fn direction(inbound: bool) -> &'static str {
    if inbound { "in" } else { "out" }
}

fn rtt(us: u64) -> String {
    format!("{}.{} ms", us / 1000, us % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_called_by_its_name_and_shown_with_its_traffic() {
        let peer = dto::Peer {
            node: "GABCDEFGHIJKLMNOP".into(),
            name: Some("beta".into()),
            address: "192.0.2.7:7001".into(),
            inbound: true,
            since_ms: 0,
            rtt_us: Some(1_540),
            bytes_in: 2048,
            bytes_out: 10,
        };
        let text = shown(&dto::Peers { peers: vec![peer], ..dto::Peers::default() });
        for part in ["beta", "192.0.2.7:7001", "in", "1970-01-01", "1.5 ms", "2.0 KiB", "10 B"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("GONE") && !text.contains("BANNED"), "{text}");
        assert!(shown(&dto::Peers::default()).starts_with("no peers"));
    }

    #[test]
    fn who_left_and_who_is_banned_is_shown_with_the_reason() {
        let gone = dto::Departure {
            node: None,
            name: None,
            address: "192.0.2.8:7001".into(),
            at_ms: 0,
            reason: "wrong network".into(),
            times: 12,
        };
        let banned = |name: &str, until_ms, offences| dto::Ban {
            node: "GABCDEFGHIJKLMNOP".into(),
            name: Some(name.into()),
            since_ms: 0,
            until_ms,
            reason: "a forged signature".into(),
            offences,
        };
        let bans = vec![banned("beta", Some(60_000), 1), banned("gamma", None, 0)];
        let text = shown(&dto::Peers { peers: Vec::new(), bans, departures: vec![gone] });
        for part in ["no peers", "?", "192.0.2.8:7001", "wrong network", "12", "beta", "a forged signature"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        for part in ["broken rules", "gamma", "the operator", "lifted by hand"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
