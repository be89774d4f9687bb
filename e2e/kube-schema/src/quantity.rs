//! Resource quantities: parsing, comparing and the canonical spelling.
use std::cmp::Ordering;

use serde_json::Value;
use thiserror::Error;

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct NotAQuantity;

/// How a quantity was spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    DecimalSi,
    BinarySi,
    Exponent,
}

/// A number of billionths, with the spelling it came in. Everything smaller is rounded up, as the server does.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a quantity such as `1.5Gi`, `500m` or `1e3`.
    pub fn parse(text: &str) -> Result<Self, NotAQuantity> {
        let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+' || c == '-')).unwrap_or(text.len());
        let (number, suffix) = text.split_at(split);
        let (multiplier, format) = multiplier(suffix).ok_or(NotAQuantity)?;
        Ok(Self { nanos: scaled(number, multiplier).ok_or(NotAQuantity)?, format })
    }

    /// Reads a JSON string or number.
    pub fn from_json(value: &Value) -> Result<Self, NotAQuantity> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => Err(NotAQuantity),
        }
    }

    /// Billionths.
    pub fn nanos(&self) -> i128 {
        self.nanos
    }

    /// The whole number, rounded up.
    pub fn ceil(&self) -> i128 {
        self.nanos.div_euclid(NANO) + i128::from(self.nanos.rem_euclid(NANO) != 0)
    }

    /// The canonical spelling: the largest suffix that leaves a whole number.
    pub fn canonical(&self) -> String {
        match self.format {
            Format::BinarySi if self.nanos.abs() >= 1024 * NANO && self.nanos % NANO == 0 => binary(self.nanos / NANO),
            Format::Exponent => exponent(self.nanos),
            Format::BinarySi | Format::DecimalSi => decimal(self.nanos),
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// Numerator and denominator of a suffix.
fn multiplier(suffix: &str) -> Option<((i128, i128), Format)> {
    let decimal = |e: i32| {
        if e >= 0 { (10i128.pow(e.unsigned_abs()), 1) } else { (1, 10i128.pow(e.unsigned_abs())) }
    };
    let found = match suffix {
        "" => (decimal(0), Format::DecimalSi),
        "n" => (decimal(-9), Format::DecimalSi),
        "u" => (decimal(-6), Format::DecimalSi),
        "m" => (decimal(-3), Format::DecimalSi),
        "k" => (decimal(3), Format::DecimalSi),
        "M" => (decimal(6), Format::DecimalSi),
        "G" => (decimal(9), Format::DecimalSi),
        "T" => (decimal(12), Format::DecimalSi),
        "P" => (decimal(15), Format::DecimalSi),
        "E" => (decimal(18), Format::DecimalSi),
        "Ki" => ((1 << 10, 1), Format::BinarySi),
        "Mi" => ((1 << 20, 1), Format::BinarySi),
        "Gi" => ((1 << 30, 1), Format::BinarySi),
        "Ti" => ((1 << 40, 1), Format::BinarySi),
        "Pi" => ((1 << 50, 1), Format::BinarySi),
        "Ei" => ((1 << 60, 1), Format::BinarySi),
        _ => {
            let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (power.unsigned_abs() <= 18).then(|| (decimal(power), Format::Exponent))?
        }
    };
    Some(found)
}

/// `number * multiplier` in billionths, rounded away from zero.
fn scaled(number: &str, (numerator, denominator): (i128, i128)) -> Option<i128> {
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) || fraction.len() > 18 {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let places = u32::try_from(fraction.len()).ok()?;
    let divisor = 10i128.pow(places).checked_mul(denominator)?;
    let product = match mantissa.checked_mul(numerator)?.checked_mul(NANO) {
        Some(product) => product / divisor + i128::from(product % divisor != 0),
        None => (mantissa.checked_mul(numerator)? / divisor).checked_mul(NANO)?,
    };
    Some(if negative { -product } else { product })
}

fn binary(mut number: i128) -> String {
    let mut suffix = "";
    for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if number % 1024 != 0 || number == 0 {
            break;
        }
        number /= 1024;
        suffix = next;
    }
    format!("{number}{suffix}")
}

fn decimal(nanos: i128) -> String {
    let (number, thousands) = reduce(nanos, 3);
    let suffix = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].get(thousands).copied().unwrap_or("E");
    format!("{number}{suffix}")
}

fn exponent(nanos: i128) -> String {
    let (number, thousands) = reduce(nanos, 3);
    let power = i64::try_from(thousands).unwrap_or(0) * 3 - 9;
    if power == 0 { number.to_string() } else { format!("{number}e{power}") }
}

/// Divides by 1000 as long as nothing is lost; answers how often.
fn reduce(nanos: i128, zero: usize) -> (i128, usize) {
    if nanos == 0 {
        return (0, zero);
    }
    let (mut number, mut thousands) = (nanos, 0);
    while number % 1000 == 0 && thousands < 9 {
        number /= 1000;
        thousands += 1;
    }
    (number, thousands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_spelt_as_the_server_spells_them() {
        let table = [
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1e3", "1e3"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("2", "2"),
            ("1.5Gi", "1536Mi"),
            ("0", "0"),
            ("100Gi", "100Gi"),
            ("4096", "4096"),
            ("10000", "10k"),
            ("0.1Ki", "102400m"),
            ("-1Gi", "-1Gi"),
            ("1E", "1E"),
            ("5e-1", "500e-3"),
        ];
        for (given, wanted) in table {
            assert_eq!(Quantity::parse(given).unwrap().canonical(), wanted, "{given}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "lots", "1Gib", "1.2.3", "1e99", "Gi", "--1"] {
            assert_eq!(Quantity::parse(text), Err(NotAQuantity), "{text}");
        }
    }

    #[test]
    fn quantities_compare_by_value() {
        assert!(Quantity::parse("1Gi").unwrap() > Quantity::parse("1G").unwrap());
        assert_eq!(Quantity::parse("1").unwrap(), Quantity::parse("1000m").unwrap());
    }
}
