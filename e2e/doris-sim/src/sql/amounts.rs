//! Amounts as Doris prints them.

/// `99.000 GB`: three decimals and the largest unit that is exceeded.
pub(super) fn bytes(value: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    #[expect(clippy::cast_precision_loss, reason = "three decimals are shown")]
    let divided = |unit: u64| value as f64 / unit as f64;
    match UNITS.iter().find(|(_, unit)| value > *unit) {
        Some((name, unit)) => format!("{:.3} {name}", divided(*unit)),
        None if value > 0 => format!("{:.3} B", divided(1)),
        None => "0.000 ".to_owned(),
    }
}

/// `12.50 %`.
pub(super) fn percent(part: u64, whole: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
    let share = if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    format!("{share:.2} %")
}
