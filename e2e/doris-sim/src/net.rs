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
    /// The other way round.
    names_of: BTreeMap<IpAddr, BTreeSet<String>>,
    cuts: BTreeMap<(IpAddr, IpAddr), Cut>,
    isolated: BTreeMap<IpAddr, Cut>,
    /// Addresses whose look-ups of names fail.
    without_names: BTreeSet<IpAddr>,
    hosts: BTreeSet<IpAddr>,
}

impl Network {
    pub fn set_name(&mut self, name: &str, ip: IpAddr) {
        self.remove_name(name);
        self.names.insert(name.to_owned(), ip);
        self.names_of.entry(ip).or_default().insert(name.to_owned());
    }

    pub fn remove_name(&mut self, name: &str) {
        let Some(ip) = self.names.remove(name) else { return };
        if let Some(names) = self.names_of.get_mut(&ip) {
            names.remove(name);
            if names.is_empty() {
                self.names_of.remove(&ip);
            }
        }
    }

    /// Address of a name or of an address written out.
    pub fn resolve(&self, host: &str) -> Option<IpAddr> {
        host.parse().ok().or_else(|| self.names.get(host).copied())
    }

    /// What a host at this address finds under a name.
    pub fn resolve_at(&self, at: IpAddr, host: &str) -> Option<IpAddr> {
        host.parse().ok().or_else(|| self.resolve(host).filter(|_| !self.without_names.contains(&at)))
    }

    /// Lets every look-up of a name at this address fail, or succeed again.
    pub fn fail_lookups(&mut self, at: IpAddr, fail: bool) {
        if fail {
            self.without_names.insert(at);
        } else {
            self.without_names.remove(&at);
        }
    }

    /// The first name of an address.
    pub fn reverse(&self, ip: IpAddr) -> Option<&str> {
        self.names_of.get(&ip)?.first().map(String::as_str)
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Network;

    #[test]
    fn an_address_is_found_by_its_first_name_as_long_as_it_has_one() {
        let (one, other) = (IpAddr::from([127, 0, 0, 2]), IpAddr::from([127, 0, 0, 3]));
        let mut net = Network::default();
        net.set_name("b", one);
        net.set_name("a", one);
        assert_eq!(net.reverse(one), Some("a"));
        net.set_name("a", other);
        assert_eq!((net.reverse(one), net.reverse(other)), (Some("b"), Some("a")));
        net.remove_name("b");
        assert_eq!(net.reverse(one), None);
    }
}
