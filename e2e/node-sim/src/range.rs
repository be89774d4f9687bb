//! Loopback addresses for pods, so that two worlds on one machine don't meet.

use std::net::{Ipv4Addr, TcpListener};

/// Ranges that are tried: `127.65.0.0/16` and on.
const RANGES: std::ops::Range<u8> = 65..250;
/// The port on a range's network address that tells others that the range is taken.
const MARK: u16 = 40_404;
/// Pods that fit a range.
const SIZE: u32 = 65_000;

/// Every range is taken, or this machine does not listen on such addresses.
#[derive(Debug, thiserror::Error)]
#[error("no range of loopback addresses from 127.65.0.0 on is free for the pods: {0}")]
pub struct NoAddresses(#[source] std::io::Error);

/// A range of loopback addresses that is ours while this lives.
#[derive(Debug)]
pub struct AddressRange {
    second: u8,
    _mark: TcpListener,
}

impl AddressRange {
    /// Takes the first free range.
    pub fn take() -> Result<Self, NoAddresses> {
        let mut last = std::io::Error::other("there is none");
        for second in RANGES {
            match TcpListener::bind((Ipv4Addr::new(127, second, 0, 0), MARK)) {
                Ok(mark) => return Ok(Self { second, _mark: mark }),
                Err(error) => last = error,
            }
        }
        Err(NoAddresses(last))
    }

    /// The first address for a pod.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, self.second, 0, 1)
    }

    /// How many addresses there are.
    pub fn size(&self) -> u32 {
        SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::AddressRange;

    #[test]
    fn two_worlds_get_two_ranges_and_a_range_is_free_again_afterwards() {
        let one = AddressRange::take().expect("a range");
        let other = AddressRange::take().expect("a range");
        assert_ne!(one.first(), other.first());
    }
}
