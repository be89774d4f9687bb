//! Addresses of pods: handed out in order, reused as late as possible.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

#[derive(Debug)]
pub(crate) struct Addresses {
    first: u32,
    size: u32,
    next: u32,
    used: BTreeSet<u32>,
}

impl Addresses {
    pub(crate) fn new(first: Ipv4Addr, size: u32) -> Self {
        Self { first: first.into(), size: size.max(1), next: 0, used: BTreeSet::new() }
    }

    /// A free address; `None` when all are taken.
    pub(crate) fn take(&mut self) -> Option<Ipv4Addr> {
        for _ in 0..self.size {
            let candidate = self.first.wrapping_add(self.next);
            self.next = (self.next + 1) % self.size;
            if self.used.insert(candidate) {
                return Some(candidate.into());
            }
        }
        None
    }

    pub(crate) fn give_back(&mut self, address: Ipv4Addr) {
        self.used.remove(&address.into());
    }
}

#[cfg(test)]
mod tests {
    use super::Addresses;

    #[test]
    fn an_address_is_used_once_at_a_time_and_reused_last() {
        let mut addresses = Addresses::new([127, 0, 1, 1].into(), 3);
        let first = addresses.take().expect("one of three");
        let second = addresses.take().expect("two of three");
        addresses.give_back(first);
        let third = addresses.take().expect("three of three");
        assert!(first != second && third != first && third != second);
        assert_eq!(addresses.take(), Some(first));
        assert_eq!(addresses.take(), None);
    }
}
