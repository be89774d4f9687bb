//! The unhealthy tablets at the beginning of an operation as a text, for a place that outlives the
//! controller. Tablets that were made together have ids at equal distances, so distances are
//! written, with a number where one comes several times: `10023,4x99,12` are 102 tablets.

use std::collections::BTreeSet;

/// A text that is no list of tablets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of tablets: {0:?}")]
pub struct NoBaseline(String);

/// Writes a set of tablets.
pub fn write_baseline(tablets: &BTreeSet<u64>) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut before = 0;
    for tablet in tablets {
        let distance = tablet - before;
        before = *tablet;
        match runs.last_mut() {
            Some((last, count)) if *last == distance => *count += 1,
            _ => runs.push((distance, 1)),
        }
    }
    let text = |(distance, count): (u64, u64)| if count == 1 { distance.to_string() } else { format!("{distance}x{count}") };
    runs.into_iter().map(text).collect::<Vec<_>>().join(",")
}

/// Reads a set of tablets. A text that names more than `limit` of them is refused.
pub fn read_baseline(text: &str, limit: usize) -> Result<BTreeSet<u64>, NoBaseline> {
    let error = || NoBaseline(text.chars().take(80).collect());
    let mut tablets = BTreeSet::new();
    let mut at: u64 = 0;
    for run in text.split(',').filter(|run| !run.is_empty()) {
        let (distance, count) = run.split_once('x').unwrap_or((run, "1"));
        let (distance, count): (u64, usize) = (distance.parse().map_err(|_| error())?, count.parse().map_err(|_| error())?);
        if count > limit.saturating_sub(tablets.len()) {
            return Err(error());
        }
        for _ in 0..count {
            at = at.checked_add(distance).ok_or_else(error)?;
            if !tablets.insert(at) {
                return Err(error());
            }
        }
    }
    Ok(tablets)
}

#[cfg(test)]
mod tests {
    use super::{read_baseline, write_baseline};
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn tablets_that_were_made_together_take_little_room() {
        let tablets = (0..5000u64).map(|n| 10_023 + 4 * n).collect();
        assert_eq!(write_baseline(&tablets), "10023,4x4999");
    }

    #[test]
    fn what_is_no_list_or_too_long_is_refused() {
        for text in ["x", "1,", "7x", "5,0", "1x99", "18446744073709551615,1", "-1"] {
            let read = read_baseline(text, 20);
            assert_eq!(read.is_ok(), text == "1,", "{text}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn a_baseline_reads_back_as_it_was_written(tablets in prop::collection::btree_set(any::<u64>(), 0..50)) {
            prop_assert_eq!(read_baseline(&write_baseline(&tablets), 50), Ok(tablets));
        }

        #[test]
        fn no_text_makes_reading_panic(text in "[0-9x,]{0,40}") {
            prop_assert!(read_baseline(&text, 1000).is_ok_and(|tablets| tablets.len() <= 1000) || read_baseline(&text, 1000).is_err());
        }
    }
}
