//! Questions about texts that several rules ask. Each has a regular expression with the same
//! meaning on the CEL side.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube_quantity::ParsedQuantity;

/// A path as messages name it: without `spec.` and without list keys.
pub(super) fn place(path: &str) -> String {
    let path = path.strip_prefix("spec.").unwrap_or(path);
    let mut place = String::new();
    let mut in_key = false;
    for character in path.chars() {
        match character {
            '[' => in_key = true,
            ']' => in_key = false,
            _ if in_key => {}
            _ => place.push(character),
        }
    }
    place
}

/// `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
pub(super) fn is_label(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// `^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
pub(super) fn is_domain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// `^[^ \t\r\n]+$`, written without escapes.
pub(super) fn is_one_word(text: &str) -> bool {
    !text.is_empty() && !text.contains([' ', '\t', '\r', '\n'])
}

/// `^[A-Za-z_][A-Za-z0-9_.-]*$`
pub(super) fn is_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// `^[A-Za-z][A-Za-z0-9_]*$`
pub(super) fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// `^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
pub(super) fn is_label_value(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// A number from 1 to 65535 without leading zeros.
pub(super) fn is_port(text: &str) -> bool {
    !text.starts_with(['0', '+']) && text.parse::<u16>().is_ok()
}

/// `^[0-9]+([.][0-9]+)?([KMGTPE]i|[numkMGTPE]?)$`: a quantity of Kubernetes that is not negative,
/// without the exponents that nobody writes.
pub(super) fn is_quantity(text: &str) -> bool {
    let (number, suffix) =
        text.split_at(text.find(|character: char| character != '.' && !character.is_ascii_digit()).unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    !whole.is_empty() && !fraction.is_empty() && !fraction.contains('.') && SUFFIXES.contains(&suffix)
}

const SUFFIXES: [&str; 16] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// A quantity as a number; none if it is not one.
pub(super) fn quantity(quantity: &Quantity) -> Option<ParsedQuantity> {
    if is_quantity(&quantity.0) { ParsedQuantity::try_from(quantity).ok() } else { None }
}

/// A quantity above zero.
pub(super) fn is_positive(size: &Quantity) -> bool {
    is_quantity(&size.0) && size.0.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

/// `new` is not below `old`; what is no quantity is another rule's matter.
pub(super) fn not_smaller(new: &Quantity, old: &Quantity) -> bool {
    match (quantity(new), quantity(old)) {
        (Some(new), Some(old)) => new >= old,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    use super::{is_domain, is_label, is_label_value, is_port, is_positive, place};

    #[test]
    fn a_place_is_a_path_without_spec_and_keys() {
        assert_eq!(place("spec.be.storage[d1.x]"), "be.storage");
        assert_eq!(place("spec.fe.env[]"), "fe.env");
        assert_eq!(place("metadata"), "metadata");
    }

    #[test]
    fn texts_are_told_apart() {
        assert!(is_label("a-1") && !is_label("") && !is_label("-a") && !is_label("a.b") && !is_label("A"));
        assert!(is_domain("a.b-c") && !is_domain("a..b") && !is_domain(".a"));
        assert!(is_label_value("") && is_label_value("A_b") && !is_label_value("a b") && !is_label_value("-a"));
        assert!(is_port("1") && is_port("65535") && !is_port("0") && !is_port("65536") && !is_port("08030") && !is_port("-1"));
    }

    #[test]
    fn sizes_are_positive_quantities() {
        for (text, positive) in
            [("1Gi", true), ("0", false), ("-1Gi", false), ("1.5Ti", true), ("0.0", false), ("ten", false), ("", false), ("10 Gi", false)]
        {
            assert_eq!(is_positive(&Quantity(text.into())), positive, "{text:?}");
        }
    }
}
