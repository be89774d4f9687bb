//! Pieces of sentences.

/// Names that a sentence carries at most; the rest is counted.
const SHOWN: usize = 5;

/// The pod's name of a fully qualified host name; a person looks for the pod.
pub(crate) fn short(host: &str) -> &str {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return host;
    }
    host.split('.').next().unwrap_or(host)
}

/// `a`, `a and b`, `a, b and c`, `a, b, c, d, e and 7 more`.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    let all: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match all.as_slice() {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        few if few.len() <= SHOWN => {
            let (last, others) = (few[few.len() - 1], &few[..few.len() - 1]);
            format!("{} and {last}", others.join(", "))
        }
        many => format!("{} and {} more", many[..SHOWN].join(", "), many.len() - SHOWN),
    }
}

/// `1 tablet`, `2 tablets`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `is` or `are`.
pub(crate) fn be(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// Bytes in the largest unit that leaves a whole part, with one decimal.
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| value >= *unit) {
        Some((name, unit)) => {
            let tenths = u128::from(value) * 10 / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{value} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, list, short};

    #[test]
    fn long_lists_are_cut_and_the_rest_counted() {
        let names: Vec<String> = (0..8).map(|n| format!("t{n}")).collect();
        let cases = [(0, "none"), (1, "t0"), (2, "t0 and t1"), (5, "t0, t1, t2, t3 and t4"), (8, "t0, t1, t2, t3, t4 and 3 more")];
        for (length, text) in cases {
            assert_eq!(list(&names[..length]), text);
        }
    }

    #[test]
    fn hosts_and_sizes_read_well() {
        assert_eq!((short("c-be-0.c-be-members.ns.svc.cluster.local"), short("10.0.0.7")), ("c-be-0", "10.0.0.7"));
        for (value, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB")] {
            assert_eq!(bytes(value), text);
        }
    }
}
