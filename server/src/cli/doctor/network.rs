//! Ports of this node, and whether its peers answer.

use super::finding::Finding;
use super::node::Running;
use crate::config::Config;
use crate::key::node_strkey;
use crate::ledger::Genesis;
use crate::overlay::{self, PeerAddress, Reached};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};

pub(super) fn ports(config: &Config, running: Option<&Running>, findings: &mut Vec<Finding>) {
    let udp = |address: SocketAddr| UdpSocket::bind(address).map(drop);
    let tcp = |address: SocketAddr| TcpListener::bind(address).map(drop);
    findings.push(port("listen port", "udp", config.listen, running, udp(config.listen)));
    findings.push(port("HTTP port", "tcp", config.http, running, tcp(config.http)));
}

fn port(
    check: &'static str,
    kind: &str,
    address: SocketAddr,
    running: Option<&Running>,
    bound: io::Result<()>,
) -> Finding {
    let number = address.port();
    match bound.map_err(|error| (error.kind(), error)) {
        Ok(()) if running.is_none() => Finding::ok(check, format!("{kind} {address} is free")),
        Ok(()) => {
            let says =
                format!("the node runs, but {kind} {address} is free: it was started with another configuration");
            Finding::warn(check, says, "restart the node with this configuration")
        }
        Err((ErrorKind::AddrInUse, _)) if running.is_some() => {
            Finding::ok(check, format!("{kind} {address} is held by the running node"))
        }
        Err((ErrorKind::AddrInUse, _)) => {
            let says = format!("{kind} {address} is taken by another program, or by this node and it does not answer");
            let fix =
                format!("see who has it with `ss -lpn '( sport = :{number} )'`; stop that, or choose another port");
            Finding::fail(check, says, fix)
        }
        Err((ErrorKind::AddrNotAvailable, _)) => {
            let says = format!("{address} is not an address of this machine");
            Finding::fail(check, says, "choose one that `ip addr` lists, or 0.0.0.0 (or [::]) for all of them")
        }
        Err((_, error)) => {
            let fix = "choose a port from 1024 on, or give the program the right to low ports";
            Finding::fail(check, format!("{kind} {address}: {error}"), fix)
        }
    }
}

/// Those the node is linked with need not be asked; all others are called.
pub(super) fn peers(
    config: &Config,
    genesis: Option<&Genesis>,
    running: Option<&Running>,
    findings: &mut Vec<Finding>,
) {
    let (check, Some(genesis)) = ("peers", genesis) else { return };
    if config.peers.is_empty() {
        let fix = "list known_peers, or addresses of [[validator]] entries: this node can only wait to be called";
        return findings.push(Finding::warn(check, "nobody's address is known", fix));
    }
    let linked: BTreeSet<String> = running.map(Running::linked).unwrap_or_default();
    let is_linked = |peer: &&crate::config::Peer| peer.key.is_some_and(|key| linked.contains(&node_strkey(key)));
    let (up, others): (Vec<_>, Vec<_>) = config.peers.iter().partition(is_linked);
    let addresses: Vec<PeerAddress> =
        others.iter().map(|peer| PeerAddress { address: peer.address.to_string(), key: peer.key }).collect();
    let answers = overlay::probe(genesis.network_id(), &addresses);
    let reached = answers.iter().filter(|answer| answer.is_ok()).count().saturating_add(up.len());
    for (peer, answer) in others.iter().zip(&answers) {
        let name = peer
            .key
            .map_or_else(|| peer.address.to_string(), |key| format!("{} at {}", config.name(key), peer.address));
        // One that is configured without a key is linked under the key it proved.
        let is_linked = |reached: &Reached| linked.contains(&node_strkey(reached.node));
        if !answer.as_ref().is_ok_and(is_linked) {
            findings.extend(judged(&name, answer, running.is_some(), reached == 0));
        }
    }
    let count = config.peers.len();
    let linked_now = answers.iter().flatten().filter(|reached| linked.contains(&node_strkey(reached.node))).count();
    let linked_now = linked_now.saturating_add(up.len());
    let says = format!("{reached} of {count} answer, {linked_now} of them linked with the running node");
    let fix = "is UDP open in the firewall, on both sides? are the addresses right? do the others run? (`fba peers` on theirs)";
    findings.push(if reached == 0 { Finding::fail(check, says, fix) } else { Finding::ok(check, says) });
}

/// One that did not answer; or that answers, though the running node has no link with it.
fn judged(name: &str, answer: &Result<Reached, String>, runs: bool, none: bool) -> Option<Finding> {
    match answer {
        Err(why) => {
            let fix = "ask its operator whether it runs and where; check name, port, key and the firewall for UDP";
            let says = format!("{name} does not answer: {why}");
            Some(if none { Finding::fail("peer", says, fix) } else { Finding::warn("peer", says, fix) })
        }
        Ok(reached) if runs => {
            let says =
                format!("{name} answers (ledger {}), but the running node names no link with it", reached.ledger);
            let fix = "look for it in the node's log and in `fba peers`, which say why links ended";
            Some(Finding::warn("peer", says, fix))
        }
        Ok(_) => None,
    }
}
