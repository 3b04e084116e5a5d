//! What is allowed but should be known.

use super::error::Unsafe;
use std::fmt;

/// Something an operator should know about his configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Accepted in words.
    AcceptedUnsafe(Unsafe),
    /// Accepted in words, but not the case.
    NotNeeded(Unsafe),
    /// One organisation's failure halts everything.
    HaltsWithOneOrganization {
        /// One such organisation (a home domain, or the name of a node).
        organization: String,
        /// How many organisations there are.
        organizations: usize,
    },
    /// One node's failure halts everything.
    HaltsWithOneNode {
        /// One such node.
        node: String,
    },
    /// The quorum set is this node alone.
    Alone,
    /// The quorum set by hand does not list this node.
    SelfNotListed,
    /// Listed as validator, but in no quorum set.
    NotTrusted(String),
    /// Not known within the budget.
    SafetyUnknown,
    /// Nobody's address is known.
    NoPeers,
    /// HTTP is open to other machines.
    HttpReachable(std::net::SocketAddr),
    /// Listens to the world, and tells nobody where.
    NoPublicAddress(std::net::SocketAddr),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AcceptedUnsafe(accepted) => {
                write!(f, "UNSAFE, accepted in words: {}", accepted.words())
            }
            Self::NotNeeded(accepted) => {
                write!(f, "accept_unsafe has {:?}, which is not the case here; remove it", accepted.words())
            }
            Self::HaltsWithOneOrganization { organization, organizations } => write!(
                f,
                "HALTS WHEN ONE ORGANISATION STOPS: {organization} of the {organizations} is enough, and nothing closes until \
                 it is back; four organisations of equal quality can spare one, seven two"
            ),
            Self::HaltsWithOneNode { node } => {
                write!(f, "halts when one node stops, for example {node}: nothing closes until it is back")
            }
            Self::Alone => f.write_str(
                "the quorum set is this node alone: it agrees with itself, and nothing protects what it decides",
            ),
            Self::SelfNotListed => f.write_str(
                "the quorum set by hand does not list this node (\"self\"): it follows the others and its own voice \
                 does not count for it",
            ),
            Self::NotTrusted(name) => {
                write!(f, "validator {name} is listed but not in the quorum set: it is only a name and an address")
            }
            Self::SafetyUnknown => f.write_str("too large to tell within the budget how it can halt or split"),
            Self::NoPeers => f.write_str(
                "no address of any other node: this node waits to be called; add known_peers or addresses of validators",
            ),
            Self::HttpReachable(address) => {
                write!(f, "http = \"{address}\" can be reached from other machines; put a proxy with TLS in front")
            }
            Self::NoPublicAddress(address) => write!(
                f,
                "listen = \"{address}\" is open to other machines, but public_address is missing: peers are not told \
                 where to call back"
            ),
        }
    }
}
