//! Which machine each node of a network runs on: `--host alpha=192.0.2.1`.

use crate::config::HostPort;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A machine for the nodes of one organisation, or for one node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// An organisation's name (`alpha`) or a node's (`alpha-1`).
    pub name: String,
    /// Its machine.
    pub machine: Machine,
}

/// How others reach a machine: a host name or an IP address.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Machine(String);

impl Machine {
    /// What others call: `host:port`.
    #[must_use]
    pub fn address(&self, port: u16) -> String {
        if self.0.contains(':') { format!("[{}]:{port}", self.0) } else { format!("{}:{port}", self.0) }
    }

    /// Every interface of the machine, of the family others reach it by.
    #[must_use]
    pub fn any(&self) -> IpAddr {
        match self.0.parse() {
            Ok(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
            Ok(IpAddr::V4(_)) | Err(_) => Ipv4Addr::UNSPECIFIED.into(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Machine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let machine =
            bare.parse::<IpAddr>().map_or_else(|_| Self(bare.to_ascii_lowercase()), |ip| Self(ip.to_string()));
        if machine.0.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            return Err(format!("{text:?} is every interface: give the address that other machines call"));
        }
        // The port is only there to be able to ask.
        match HostPort::new(&machine.address(1)) {
            Ok(_) => Ok(machine),
            Err(_) => {
                Err(format!("{text:?} is neither an IP address nor a host name; leave out scheme, port and path"))
            }
        }
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "write it like alpha=192.0.2.1 or alpha=fba.alpha.example";
        let (name, machine) = text.split_once('=').ok_or_else(|| format!("there is no `=`; {example}"))?;
        if name.is_empty() {
            return Err(format!("there is no name before the `=`; {example}"));
        }
        Ok(Self { name: name.to_owned(), machine: machine.parse()? })
    }
}

/// A node that needs a machine: its organisation's name, and its own.
pub(super) struct Seat<'a> {
    pub(super) organization: &'a str,
    pub(super) node: &'a str,
}

/// The machine and the port of each node. Nodes that share a machine get the ports from `base` on, in order.
///
/// # Errors
/// What is wrong, and what to write instead: a node without a machine, or a machine for nobody.
pub(super) fn assign(hosts: &[Host], seats: &[Seat<'_>], base: u16) -> Result<Vec<(Machine, u16)>, String> {
    let mut machines: BTreeMap<&str, &Machine> = BTreeMap::new();
    for host in hosts {
        if machines.insert(&host.name, &host.machine).is_some() {
            return Err(format!("--host {0} is given twice; give each name one machine", host.name));
        }
    }
    let known: BTreeSet<&str> = seats.iter().flat_map(|seat| [seat.organization, seat.node]).collect();
    if let Some(stranger) = machines.keys().find(|name| !known.contains(*name)) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(format!("--host {stranger}=…: nobody in this network is called that; there are {known}"));
    }
    let mut used: BTreeMap<&Machine, u16> = BTreeMap::new();
    let mut places = Vec::new();
    for Seat { organization, node } in seats {
        let Some(machine) = machines.get(node).or_else(|| machines.get(organization)) else {
            return Err(format!(
                "no machine for {node}: with --host every node needs one; add --host {organization}=ADDRESS"
            ));
        };
        let offset = used.entry(machine).or_default();
        let port = base.checked_add(*offset).filter(|port| *port > 0);
        let port = port.ok_or_else(|| format!("--base-port {base}: the nodes on {machine} need ports up to 65535"))?;
        *offset = offset.saturating_add(1);
        places.push(((*machine).clone(), port));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(all: &[&str]) -> Vec<Host> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    const SEATS: [Seat<'static>; 3] = [
        Seat { organization: "alpha", node: "alpha-1" },
        Seat { organization: "alpha", node: "alpha-2" },
        Seat { organization: "bravo", node: "bravo-1" },
    ];

    #[test]
    fn nodes_on_one_machine_get_ports_of_their_own_and_a_nodes_name_goes_before_its_organisations() {
        let places = |all: &[&str]| -> Vec<String> {
            let places = assign(&hosts(all), &SEATS, 7001).unwrap();
            places.iter().map(|(machine, port)| machine.address(*port)).collect()
        };
        let one_each = ["192.0.2.1:7001", "192.0.2.1:7002", "[2001:db8::2]:7001"];
        assert_eq!(places(&["alpha=192.0.2.1", "bravo=[2001:db8::2]"]), one_each);
        let apart = ["a.example:7001", "b.example:7001", "a.example:7002"];
        assert_eq!(places(&["alpha=a.example", "alpha-2=B.example", "bravo=a.example"]), apart);
    }

    #[test]
    fn wrong_hosts_are_refused_with_a_way_out() {
        for (text, words) in [
            ("alpha", "no `=`"),
            ("=x", "no name"),
            ("alpha=", "neither an IP address nor a host name"),
            ("alpha=http://x", "leave out scheme"),
            ("alpha=192.0.2.1:7001", "leave out scheme, port"),
            ("alpha=0.0.0.0", "every interface"),
            ("alpha=1.2.3", "neither"),
        ] {
            let refused = text.parse::<Host>().unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
        for (all, words) in [
            (vec!["alpha=a"], "no machine for bravo-1"),
            (vec!["alpha=a", "alpha=b", "bravo=c"], "given twice"),
            (vec!["alpha=a", "bravo=b", "carol=c"], "nobody in this network is called that; there are alpha, alpha-1"),
        ] {
            let refused = assign(&hosts(&all), &SEATS, 7001).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
        assert!(assign(&hosts(&["alpha=a", "bravo=b"]), &SEATS, 65_535).unwrap_err().contains("65535"));
    }
}
