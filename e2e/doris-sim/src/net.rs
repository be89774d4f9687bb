//! Names, addresses and links.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How a cut link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Packets vanish; only time-outs tell.
    Silent,
    /// The other side is known to be unreachable at once.
    Refused,
}

/// State of the way between two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Up,
    Cut(Cut),
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    names: BTreeMap<String, IpAddr>,
    cuts: BTreeMap<(IpAddr, IpAddr), Cut>,
    isolated: BTreeMap<IpAddr, Cut>,
    hosts: BTreeSet<IpAddr>,
}

impl Network {
    pub fn set_name(&mut self, name: &str, ip: IpAddr) {
        self.names.insert(name.to_owned(), ip);
    }

    pub fn remove_name(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// Address of a name or of an address written out.
    pub fn resolve(&self, host: &str) -> Option<IpAddr> {
        host.parse().ok().or_else(|| self.names.get(host).copied())
    }

    /// Name of an address, if exactly this one is known.
    pub fn reverse(&self, ip: IpAddr) -> Option<&str> {
        self.names.iter().find(|(_, address)| **address == ip).map(|(name, _)| name.as_str())
    }

    pub fn add_host(&mut self, ip: IpAddr) {
        self.hosts.insert(ip);
    }

    pub fn has_host(&self, ip: IpAddr) -> bool {
        self.hosts.contains(&ip)
    }

    pub fn cut(&mut self, a: IpAddr, b: IpAddr, cut: Cut) {
        self.cuts.insert(pair(a, b), cut);
    }

    pub fn heal(&mut self, a: IpAddr, b: IpAddr) {
        self.cuts.remove(&pair(a, b));
    }

    pub fn isolate(&mut self, ip: IpAddr, cut: Cut) {
        self.isolated.insert(ip, cut);
    }

    pub fn rejoin(&mut self, ip: IpAddr) {
        self.isolated.remove(&ip);
    }

    pub fn link(&self, a: IpAddr, b: IpAddr) -> Link {
        if a == b {
            return Link::Up;
        }
        let cut = self.cuts.get(&pair(a, b)).or_else(|| self.isolated.get(&a)).or_else(|| self.isolated.get(&b));
        cut.map_or(Link::Up, |cut| Link::Cut(*cut))
    }
}

fn pair(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    if a <= b { (a, b) } else { (b, a) }
}
