//! Quoting of values in SQL text.

use std::fmt::{self, Write as _};

/// Where a member listens for its cluster: host name and edit log, heartbeat or broker port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberAddress {
    /// Fully qualified host name of the pod.
    pub host: String,
    /// The port it is registered with.
    pub port: u16,
}

impl MemberAddress {
    /// Puts a host and a port together.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for MemberAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// A string literal in single quotes.
pub(crate) fn quoted(value: &str) -> String {
    quote(value, '\'')
}

/// A string literal in double quotes, as Doris' manual writes addresses and properties.
pub(crate) fn double_quoted(value: &str) -> String {
    quote(value, '"')
}

/// A name in backquotes, for example of a broker.
pub(crate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn quote(value: &str, mark: char) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push(mark);
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\0' => text.push_str("\\0"),
            _ if character == mark => {
                text.push('\\');
                text.push(mark);
            }
            _ => text.push(character),
        }
    }
    text.push(mark);
    text
}

/// `("key"="value", ...)`.
pub(crate) fn properties<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::from("(");
    for (index, (key, value)) in pairs.into_iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        // Writing into a String cannot fail.
        let _ = write!(text, "{separator}{}={}", double_quoted(key), double_quoted(value));
    }
    text.push(')');
    text
}

/// `"host:port", ...`.
pub(crate) fn addresses<'a>(members: impl IntoIterator<Item = &'a MemberAddress>) -> String {
    members.into_iter().map(|member| double_quoted(&member.to_string())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{double_quoted, identifier, properties, quoted};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn a_quote_cannot_end_a_literal_early() {
        assert_eq!(quoted("a'b\\c\"d"), r#"'a\'b\\c"d'"#);
        assert_eq!(double_quoted("a'b\\c\"d"), r#""a'b\\c\"d""#);
        assert_eq!(identifier("a`b"), "`a``b`");
        assert_eq!(properties([("tag.location", "x"), ("disable_query", "true")]), r#"("tag.location"="x","disable_query"="true")"#);
    }

    /// What a MySQL-style lexer makes of a literal, or `None` if it does not end at its last character.
    fn read_back(literal: &str) -> Option<String> {
        let mut characters = literal.chars();
        let mark = characters.next()?;
        let mut value = String::new();
        while let Some(character) = characters.next() {
            match character {
                '\\' => match characters.next()? {
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    '0' => value.push('\0'),
                    other => value.push(other),
                },
                _ if character == mark => return characters.next().is_none().then_some(value),
                _ => value.push(character),
            }
        }
        None
    }

    proptest! {
        #[test]
        fn every_value_survives_quoting(value in any::<String>()) {
            prop_assert_eq!(read_back(&quoted(&value)), Some(value.clone()));
            prop_assert_eq!(read_back(&double_quoted(&value)), Some(value));
        }
    }
}
