//! Free ports for a network on this machine.

use crate::cli::exit::{CliError, Exit};
use crate::cli::network_init::{ADMIN_PORT_OFFSET, BASE_PORT};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// The QUIC port of the first server when nobody asks for another.
const DEFAULT_BASE: u16 = BASE_PORT;

/// HTTP ports lie this far above the QUIC ports.
const HTTP_OFFSET: u16 = 1000;

/// Ports of the admin side lie this far above those of HTTP.
const ADMIN_OFFSET: u16 = ADMIN_PORT_OFFSET;

/// How many bases are tried, this far apart, when nobody asked for one.
const BASES_TRIED: u16 = 40;
const BASE_STEP: u16 = 50;

/// Why no ports were given out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// A port asked for is taken.
    #[error("port {port} ({what}) is in use: stop what holds it, or choose others with --base-port")]
    InUse {
        /// The port.
        port: u16,
        /// UDP for QUIC or TCP for HTTP and the admin side.
        what: &'static str,
    },
    /// Every base tried is taken.
    #[error("no {count} free neighbouring ports above {DEFAULT_BASE}: choose some with --base-port")]
    NoneFree {
        /// How many were needed.
        count: usize,
    },
    /// The range would pass 65535.
    #[error("--base-port {base} leaves no room for {count} servers below port 65536: choose a lower one")]
    TooHigh {
        /// The base asked for.
        base: u16,
        /// How many servers.
        count: usize,
    },
}

impl From<PortError> for CliError {
    fn from(error: PortError) -> Self {
        Self::new(Exit::Unavailable, error)
    }
}

/// Ports (UDP for QUIC, TCP for HTTP, with that of the admin side free too) for `count` servers: from `base` if one is asked for, else from the first base where all are free.
///
/// They were free a moment ago; a program that takes one before the server binds it makes that server fail, and say so.
///
/// # Errors
/// See [`PortError`].
pub fn free_ports(base: Option<u16>, count: usize) -> Result<Vec<(u16, u16)>, PortError> {
    match base {
        Some(base) => {
            let ports = range(base, count).ok_or(PortError::TooHigh { base, count })?;
            ports.iter().try_for_each(|ports| check(*ports))?;
            Ok(ports)
        }
        None => (0..BASES_TRIED)
            .filter_map(|step| range(DEFAULT_BASE + step * BASE_STEP, count))
            .find(|ports| ports.iter().all(|ports| check(*ports).is_ok()))
            .ok_or(PortError::NoneFree { count }),
    }
}

fn range(base: u16, count: usize) -> Option<Vec<(u16, u16)>> {
    let count = u16::try_from(count).ok()?;
    (0..count)
        .map(|i| {
            let quic = base.checked_add(i)?;
            let http = quic.checked_add(HTTP_OFFSET)?;
            http.checked_add(ADMIN_OFFSET)?;
            Some((quic, http))
        })
        .collect()
}

fn check((quic, http): (u16, u16)) -> Result<(), PortError> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    UdpSocket::bind(at(quic)).map_err(|_| PortError::InUse { port: quic, what: "UDP" })?;
    let admin = http.saturating_add(ADMIN_OFFSET);
    for port in [http, admin] {
        TcpListener::bind(at(port)).map_err(|_| PortError::InUse { port, what: "TCP" })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let base = port - HTTP_OFFSET;
        assert_eq!(free_ports(Some(base), 1), Err(PortError::InUse { port, what: "TCP" }));
    }

    #[test]
    fn a_range_past_the_last_port_is_refused() {
        let refused = Err(PortError::TooHigh { base: 64_530, count: 9 });
        assert_eq!(free_ports(Some(64_530), 9), refused);
    }
}
