//! The few numbers that are read from a frontend's `/metrics`.

/// The value of a metric, by name and by one label if given. `None` where it is missing or no number.
pub(crate) fn value(text: &str, name: &str, label: Option<(&str, &str)>) -> Option<f64> {
    text.lines().find_map(|line| sample(line.trim(), name, label))
}

fn sample(line: &str, name: &str, label: Option<(&str, &str)>) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (labels, number) = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once('}')?,
        // A longer name begins with ours.
        None if rest.starts_with(char::is_whitespace) => ("", rest),
        None => return None,
    };
    if let Some((key, value)) = label
        && !labels.split(',').any(|pair| pair.trim().split_once('=') == Some((key, format!("\"{value}\"").as_str())))
    {
        return None;
    }
    number.split_whitespace().next()?.parse().ok()
}

/// A whole, non-negative number of a metric.
pub(crate) fn count(text: &str, name: &str, label: Option<(&str, &str)>) -> Option<u64> {
    let number = value(text, name, label)?;
    // Journal ids stay far below 2^53, up to which the conversion is exact.
    if (0.0..9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked above")]
        Some(number as u64)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    const TEXT: &str = "# HELP doris_fe_max_journal_id max journal id of this frontends\n# TYPE doris_fe_max_journal_id gauge\n\
        doris_fe_max_journal_id_old 7\ndoris_fe_max_journal_id 8\nnode_info{type=\"be_node_num\", state=\"alive\"} 3\n\
        node_info{type=\"is_master\"} 1\nbroken{ 1\nbig 1.5E9\nbad x\nnan NaN\n";

    #[test]
    fn metrics_are_found_by_name_and_label() {
        let cases = [
            ("doris_fe_max_journal_id", None, Some(8)),
            ("node_info", Some(("type", "is_master")), Some(1)),
            ("node_info", Some(("state", "alive")), Some(3)),
            ("node_info", Some(("type", "other")), None),
            ("big", None, Some(1_500_000_000)),
            ("bad", None, None),
            ("nan", None, None),
            ("broken", None, None),
            ("absent", None, None),
        ];
        for (name, label, expected) in cases {
            assert_eq!(count(TEXT, name, label), expected, "{name} {label:?}");
        }
    }
}
