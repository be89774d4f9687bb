//! Versions and what differs between them.

/// A Doris version by its line and patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DorisVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

impl DorisVersion {
    /// Reads `3.0.3` and the like; missing or unreadable parts count as 0.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        Self { major: next(), minor: next(), patch: next() }
    }

    /// Whether this is at least the given line.
    pub fn from_line(self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// As `SHOW FRONTENDS` and `SHOW BACKENDS` tell it: build version and short hash.
    pub fn build(self) -> String {
        format!("doris-{}.{}.{}-rc01-{}", self.major, self.minor, self.patch, self.hash())
    }

    /// Short hash of the build; the same version always has the same one.
    pub fn hash(self) -> String {
        let mixed = (u64::from(self.major) << 40) ^ (u64::from(self.minor) << 20) ^ u64::from(self.patch);
        let mixed = (mixed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{:010x}", mixed >> 24)
    }

    /// Default of `heartbeat_interval_second`.
    pub fn heartbeat_seconds(self) -> u64 {
        if self.from_line(2, 1) { 10 } else { 5 }
    }

    /// Default of the frontend's `arrow_flight_sql_port`, where the key exists.
    pub fn arrow_port(self) -> Option<i32> {
        match (self.major, self.minor) {
            (0..=1, _) | (2, 0) => None,
            (2 | 3, _) => Some(-1),
            _ => Some(8070),
        }
    }

    /// Metadata version that a master of this version writes.
    pub fn meta_version(self) -> u32 {
        match (self.major, self.minor) {
            (0..=1, _) | (2, 0) => 123,
            (2, _) => 129,
            _ => 140,
        }
    }

    /// Oldest metadata version that this version reads.
    pub fn oldest_meta_version(self) -> u32 {
        if self.major >= 4 { 140 } else { 100 }
    }
}

impl std::fmt::Display for DorisVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
