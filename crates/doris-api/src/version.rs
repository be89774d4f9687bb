//! Versions of Doris.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version such as `2.1.7` or `3.0.3-rc02`. Ordered by its numbers; a version with a suffix that
/// names a preview comes before the same without.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DorisVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
    /// What follows the first `-`, empty if nothing does.
    pub suffix: String,
}

/// A release line: versions that differ only in their third number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

/// A text that is no version of Doris.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Doris version such as 2.1.7")]
pub struct VersionError(String);

impl Line {
    /// 2.0, the oldest line that is run.
    pub const V2_0: Self = Self { major: 2, minor: 0 };
    /// 2.1.
    pub const V2_1: Self = Self { major: 2, minor: 1 };
    /// 3.0.
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// 3.1.
    pub const V3_1: Self = Self { major: 3, minor: 1 };
    /// 4.0.
    pub const V4_0: Self = Self { major: 4, minor: 0 };
    /// The lines whose behaviour is known, oldest first.
    pub const KNOWN: [Self; 5] = [Self::V2_0, Self::V2_1, Self::V3_0, Self::V3_1, Self::V4_0];
}

impl DorisVersion {
    /// The release line.
    pub const fn line(&self) -> Line {
        Line { major: self.major, minor: self.minor }
    }

    /// The version that an image's tag names, such as `registry/doris:be-3.0.3`; nothing if it names none.
    pub fn of_image(image: &str) -> Option<Self> {
        let name = image.split('@').next().unwrap_or(image);
        let tag = name.rsplit('/').next()?.split_once(':')?.1;
        let plain = tag.split_once('-').filter(|(process, _)| process.bytes().all(|byte| byte.is_ascii_lowercase()));
        plain.map_or(tag, |(_, version)| version).parse().ok()
    }

    /// The version in the text that a process tells of itself, such as `doris-3.0.3-rc01-a1b2c3`; nothing if it
    /// tells none: official images were built that say `doris-0.0.0`.
    pub fn of_build(text: &str) -> Option<Self> {
        let version: Self = text.strip_prefix("doris-")?.split('-').next()?.parse().ok()?;
        (version.major > 0).then_some(version)
    }

    fn is_preview(&self) -> bool {
        ["rc", "alpha", "beta"].iter().any(|word| self.suffix.starts_with(word))
    }
}

impl FromStr for DorisVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError(text.to_owned());
        let (numbers, suffix) = text.split_once('-').unwrap_or((text, ""));
        if text.ends_with('-') || !suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-') {
            return Err(error());
        }
        let mut parts = numbers.split('.');
        let mut number = || parts.next().and_then(plain_number).ok_or_else(error);
        let (major, minor, patch) = (number()?, number()?, number()?);
        if parts.next().is_some() {
            return Err(error());
        }
        Ok(Self { major, minor, patch, suffix: suffix.to_owned() })
    }
}

impl TryFrom<String> for DorisVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DorisVersion> for String {
    fn from(version: DorisVersion) -> Self {
        version.to_string()
    }
}

/// Up to three digits; neither sign nor spaces, which `parse` alone would let through.
fn plain_number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl Ord for DorisVersion {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let numbers = |version: &Self| (version.major, version.minor, version.patch, !version.is_preview());
        numbers(self).cmp(&numbers(other)).then_with(|| self.suffix.cmp(&other.suffix))
    }
}

impl PartialOrd for DorisVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for DorisVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.suffix.is_empty() { Ok(()) } else { write!(formatter, "-{}", self.suffix) }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::{DorisVersion, Line};

    fn version(text: &str) -> DorisVersion {
        text.parse().expect("a version")
    }

    #[test]
    fn versions_are_ordered_by_number_and_previews_come_first() {
        let ordered = ["2.0.2", "2.0.15", "2.1.0-rc01", "2.1.0", "2.1.7", "3.0.3", "3.1.0", "4.0.1"];
        for pair in ordered.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn versions_read_back_as_they_were_written() {
        for text in ["2.0.15", "3.0.3-rc02", "2.1.7-custom.1"] {
            assert_eq!(version(text).to_string(), text);
        }
        assert_eq!(version("3.1.4").line(), Line::V3_1);
    }

    #[test]
    fn images_and_processes_tell_their_version_or_nothing() {
        for (image, told) in [
            ("apache/doris:be-2.1.7", Some("2.1.7")),
            ("registry:5000/doris:fe-3.0.3-rc01", Some("3.0.3-rc01")),
            ("doris:2.0.15@sha256:00ff", Some("2.0.15")),
            ("registry:5000/doris", None),
            ("example.com/doris:nowhere", None),
            ("doris:broker-latest", None),
        ] {
            assert_eq!(DorisVersion::of_image(image).map(|version| version.to_string()).as_deref(), told, "{image}");
        }
        assert_eq!(DorisVersion::of_build("doris-3.0.3-rc01-1a2b").map(|version| version.to_string()).as_deref(), Some("3.0.3"));
        for text in ["doris-0.0.0-1a2b", "", "doris-trunk", "3.0.3"] {
            assert_eq!(DorisVersion::of_build(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "2", "2.1", "2.1.", "2.1.x", "2.1.7.1", "+2.1.7", "2.1.7-", "2.1.7-a b", "v2.1.7", "2.1.1000"] {
            assert!(text.parse::<DorisVersion>().is_err(), "{text:?}");
        }
    }
}
