//! Wall time and made-up identifiers, both given from outside so that a run can be repeated.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// The server's wall clock.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Starts at `start` and moves with tokio's clock, paused or not.
    pub fn from_tokio(start: Timestamp) -> Self {
        let origin = tokio::time::Instant::now();
        Self::new(move || {
            let passed = jiff::SignedDuration::try_from(origin.elapsed()).unwrap_or(jiff::SignedDuration::MAX);
            start.checked_add(passed).unwrap_or(Timestamp::MAX)
        })
    }

    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clock")
    }
}

/// `2026-01-01T00:00:00Z`, the precision of object metadata.
pub fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Where uids and generated names come from.
#[derive(Debug)]
pub struct Identifiers(fastrand::Rng);

/// The letters of generated name suffixes.
const SUFFIX: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Identifiers {
    /// The same seed gives the same identifiers.
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A version 4 uuid.
    pub fn uid(&mut self) -> String {
        let bits = (self.0.u128(..) & !(0xf000_u128 << 64) & !(0xc000_u128 << 48)) | (0x4000_u128 << 64) | (0x8000_u128 << 48);
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// The five letters after `generateName`.
    pub fn suffix(&mut self) -> String {
        (0..5).map(|_| char::from(SUFFIX[self.0.usize(..SUFFIX.len())])).collect()
    }

    /// A secret of 256 bits in hexadecimal.
    pub fn secret(&mut self) -> String {
        format!("{:032x}{:032x}", self.0.u128(..), self.0.u128(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_have_the_form_of_version_4_and_repeat_with_the_seed() {
        let uid = Identifiers::seeded(7).uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(uid.as_bytes()[14], b'4');
        assert!(matches!(uid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_eq!(uid, Identifiers::seeded(7).uid());
    }
}
