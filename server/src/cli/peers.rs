//! `fba peers`: who is connected, and what it costs.

use crate::cli::client::{Client, NodeArgs};
use crate::cli::exit::{CliError, Exit};
use crate::cli::text;
use crate::http::{admin, dto};

/// Show a node's peers: direction, since when, round-trip time, traffic
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
    if peers.peers.is_empty() {
        return "no peers: nothing is sent or heard".to_owned();
    }
    let mut table = text::table(&HEADINGS);
    for peer in &peers.peers {
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

/// What only the admin side tells: queues, and why links ended.
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
    if peers.departures.is_empty() {
        return links.to_string();
    }
    let mut gone = text::table(&["GONE", "ADDRESS", "LAST", "TIMES", "WHY"]);
    for departure in &peers.departures {
        gone.add_row([
            departure.node.as_ref().map_or_else(|| "?".to_owned(), |key| called(key, departure.name.as_deref())),
            departure.address.clone(),
            text::time(departure.at_ms),
            departure.times.to_string(),
            departure.reason.clone(),
        ]);
    }
    format!("{links}\n\n{gone}")
}

/// Who is kept away.
pub(super) fn bans_view(bans: &admin::dto::Bans) -> String {
    if bans.bans.is_empty() {
        return "nobody is kept away".to_owned();
    }
    let mut table = text::table(&["NODE", "SINCE", "UNTIL", "BY", "WHY"]);
    for ban in &bans.bans {
        table.add_row([
            called(&ban.node, ban.name.as_deref()),
            text::time(ban.since_ms),
            ban.until_ms.map_or_else(|| "lifted by hand".to_owned(), text::time),
            if ban.offences == 0 { "the operator" } else { "broken rules" }.to_owned(),
            ban.reason.clone(),
        ]);
    }
    table.to_string()
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
        let text = shown(&dto::Peers { peers: vec![peer] });
        for part in ["beta", "192.0.2.7:7001", "in", "1970-01-01", "1.5 ms", "2.0 KiB", "10 B"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(shown(&dto::Peers { peers: Vec::new() }).starts_with("no peers"));
    }
}
