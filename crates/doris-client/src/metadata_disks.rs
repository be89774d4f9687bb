//! The disks below the frontends' metadata.

use crate::error::Error;
use crate::session::Session;
use crate::table::Table;

/// The metadata directory of one frontend and the disk below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataDisk {
    /// Host of the frontend.
    pub host: String,
    /// Bytes taken, as far as the text could be read.
    pub used: Option<u64>,
    /// Bytes free, as far as the text could be read.
    pub available: Option<u64>,
}

impl MetadataDisk {
    fn read(table: &Table) -> Result<Vec<Self>, Error> {
        let rows = table.read(|row| {
            let is_meta = row.required("DirType")? == "meta";
            let size = |column: &str| row.text(column).and_then(rounded_size);
            Ok(is_meta.then_some(Self { host: row.required("Host")?.to_owned(), used: size("Used"), available: size("Available") }))
        })?;
        Ok(rows.into_iter().flatten().collect())
    }
}

/// `20G`, `512.5M` and the like, as the operating system rounds sizes for people.
fn rounded_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == ' ');
    let shift = match text[number.len()..].trim().bytes().next().map(|unit| unit.to_ascii_uppercase()) {
        None | Some(b'B') => 0,
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        Some(b'T') => 40,
        _ => return None,
    };
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let tenth: u64 = tenths.get(..1)?.parse().ok()?;
    let unit = 1_u64 << shift;
    Some(whole.parse::<u64>().ok()?.checked_mul(unit)? + unit / 10 * tenth)
}

impl Session {
    /// The metadata directories of the frontends; from 2.1.
    pub async fn metadata_disks(&mut self) -> Result<Vec<MetadataDisk>, Error> {
        MetadataDisk::read(&self.table("SHOW FRONTENDS DISKS", "SHOW FRONTENDS DISKS").await?)
    }
}

#[cfg(test)]
mod tests {
    use super::rounded_size;

    #[test]
    fn sizes_are_read_as_the_operating_system_writes_them() {
        for (text, bytes) in [
            ("20G", Some(20 << 30)),
            ("1.5G", Some((1 << 30) + (1 << 30) / 10 * 5)),
            ("512 MB", Some(512 << 20)),
            ("0", Some(0)),
            ("97%", None),
            ("", None),
            ("99999999999T", None),
        ] {
            assert_eq!(rounded_size(text), bytes, "{text:?}");
        }
    }
}
