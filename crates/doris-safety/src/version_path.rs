//! Which version steps Doris documents.
//!
//! Patch versions jump freely within a line; lines go up one at a time, and never down. The step
//! from 3.0 to 3.1 is recommended before 4.0 and nowhere said to be necessary, so both ways pass.
//! A later minor line of a known major one is taken for documented: refusing every release that
//! came after this table would make it worse than none.

use doris_api::version::Line;

/// Each line with those that may follow it.
const STEPS: [(Line, &[Line]); 5] = [
    (Line::V2_0, &[Line::V2_1]),
    (Line::V2_1, &[Line::V3_0]),
    (Line::V3_0, &[Line::V3_1, Line::V4_0]),
    (Line::V3_1, &[Line::V4_0]),
    (Line::V4_0, &[]),
];

/// The lines to go through from one to another, the last one included; nothing if no documented
/// way leads there. Empty within a line.
pub fn upgrade_path(from: Line, to: Line) -> Option<Vec<Line>> {
    if from == to {
        return Some(Vec::new());
    }
    if from > to || from < Line::V2_0 {
        return None;
    }
    let longer = |next: Line| {
        let mut path = vec![next];
        path.extend(upgrade_path(next, to)?);
        Some(path)
    };
    followers(from, to).into_iter().filter(|next| *next <= to).filter_map(longer).min_by_key(Vec::len)
}

/// Lines that one may step to on the way to another: the table's, and within a major line that the
/// table does not know to its end the next minor one.
fn followers(line: Line, to: Line) -> Vec<Line> {
    let known = STEPS.iter().find(|(from, _)| *from == line).map_or(&[][..], |(_, next)| next);
    let later = (known.is_empty() && line.major == to.major && line >= Line::V4_0).then(|| Line { minor: line.minor + 1, ..line });
    known.iter().copied().chain(later).collect()
}

/// Version of the frontends' metadata that a line writes, where it is known.
pub fn metadata_version(line: Line) -> Option<u32> {
    match line {
        Line::V2_0 => Some(123),
        Line::V2_1 => Some(129),
        Line::V3_0 => Some(140),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::upgrade_path;
    use doris_api::version::Line;

    #[test]
    fn lines_go_up_one_at_a_time() {
        let line = |text: &str| {
            let (major, minor) = text.split_once('.').expect("two numbers");
            Line { major: major.parse().expect("a number"), minor: minor.parse().expect("a number") }
        };
        let cases = [
            ("2.1", "2.1", Some("")),
            ("2.0", "2.1", Some("2.1")),
            ("2.1", "3.0", Some("3.0")),
            ("3.0", "3.1", Some("3.1")),
            ("3.0", "4.0", Some("4.0")),
            ("3.1", "4.0", Some("4.0")),
            ("4.0", "4.1", Some("4.1")),
            ("2.0", "3.0", Some("2.1 3.0")),
            ("2.0", "4.0", Some("2.1 3.0 4.0")),
            ("2.1", "4.1", Some("3.0 4.0 4.1")),
            ("3.0", "2.1", None),
            ("4.1", "4.0", None),
            ("1.2", "2.0", None),
            ("3.1", "3.2", None),
            ("4.0", "5.0", None),
        ];
        for (from, to, path) in cases {
            let found = upgrade_path(line(from), line(to)).map(|path| path.iter().map(Line::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), path, "{from} {to}");
        }
    }
}
