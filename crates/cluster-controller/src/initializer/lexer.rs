//! The pieces of SQL text, as Doris' own lexer sees them.
//!
//! Splitters and parsers for MySQL differ from Doris just where it is dangerous: to Doris `--` begins a comment whatever follows, a
//! backslash at the end of a line goes on with it, and comments in `/* */` nest. What is commented out there must not be sent as a
//! statement of its own.

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Words, numbers, signs, blanks, hints.
    Code,
    /// Text in single or double quotes, these included.
    Literal,
    /// A name in backquotes, these included.
    Name,
    /// A comment.
    Comment,
    /// The `;` that ends a statement.
    End,
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text.
    pub text: &'a str,
    /// Where it begins, in bytes.
    pub at: usize,
}

/// A text that ends within something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} that begins in line {line} does not end")]
pub struct Unfinished {
    what: &'static str,
    line: usize,
}

/// Number of the line in which a byte is, from 1.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

/// Takes a text apart. Together the pieces are the text.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Unfinished> {
    let bytes = text.as_bytes();
    let mut found: Vec<Piece<'_>> = Vec::new();
    let (mut at, mut code_from) = (0, 0);
    while at < bytes.len() {
        let unfinished = |what| Unfinished { what, line: line_of(text, at) };
        let (kind, end) = match (bytes[at], bytes.get(at + 1)) {
            (b';', _) => (Kind::End, at + 1),
            (quote @ (b'\'' | b'"'), _) => (Kind::Literal, quoted(bytes, at, quote, true).ok_or_else(|| unfinished("a text in quotes"))?),
            (b'`', _) => (Kind::Name, quoted(bytes, at, b'`', false).ok_or_else(|| unfinished("a name in backquotes"))?),
            (b'-', Some(b'-')) | (b'#', _) => (Kind::Comment, line_end(bytes, at)),
            (b'/', Some(b'*')) => {
                let end = block_end(bytes, at).ok_or_else(|| unfinished("a comment"))?;
                (if bytes.get(at + 2) == Some(&b'+') { Kind::Code } else { Kind::Comment }, end)
            }
            _ => {
                at += 1;
                continue;
            }
        };
        if code_from < at {
            found.push(Piece { kind: Kind::Code, text: &text[code_from..at], at: code_from });
        }
        found.push(Piece { kind, text: &text[at..end], at });
        (at, code_from) = (end, end);
    }
    if code_from < bytes.len() {
        found.push(Piece { kind: Kind::Code, text: &text[code_from..], at: code_from });
    }
    Ok(found)
}

/// The end of a quoted text; a doubled quote belongs to it. All marks are single bytes that are part of no other character.
fn quoted(bytes: &[u8], from: usize, quote: u8, has_escapes: bool) -> Option<usize> {
    let mut at = from + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' if has_escapes => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The end of a comment to the end of its line; the line break does not belong to it.
fn line_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'\\', Some(b'\n')) => at += 2,
            (b'\n' | b'\r', _) => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a comment that may hold others.
fn block_end(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from + 2, 1);
    while depth > 0 {
        match (*bytes.get(at)?, bytes.get(at + 1)) {
            (b'*', Some(b'/')) => {
                depth -= 1;
                at += 2;
            }
            (b'/', Some(b'*')) => {
                depth += 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::{Kind, pieces};
    use proptest::prelude::{prop_assert_eq, proptest};

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        pieces(text).expect("it ends").into_iter().map(|piece| (piece.kind, piece.text)).collect()
    }

    #[test]
    fn what_ends_no_statement_is_told_from_what_does() {
        use Kind::{Code, Comment, End, Literal, Name};
        let table: [(&str, &[(Kind, &str)]); 10] = [
            ("a;b", &[(Code, "a"), (End, ";"), (Code, "b")]),
            ("'a;''b\\';' c", &[(Literal, "'a;''b\\';'"), (Code, " c")]),
            ("\"a;\"\"b\\\";\"", &[(Literal, "\"a;\"\"b\\\";\"")]),
            ("`a;``b\\`;", &[(Name, "`a;``b\\`"), (End, ";")]),
            ("1--2;3\n;", &[(Code, "1"), (Comment, "--2;3"), (Code, "\n"), (End, ";")]),
            ("--a\\\nb;\nc", &[(Comment, "--a\\\nb;"), (Code, "\nc")]),
            ("# a;\r\nb", &[(Comment, "# a;"), (Code, "\r\nb")]),
            ("/* a /* ; */ ; */b", &[(Comment, "/* a /* ; */ ; */"), (Code, "b")]),
            ("select /*+ SET_VAR(a=1) */ 1", &[(Code, "select "), (Code, "/*+ SET_VAR(a=1) */"), (Code, " 1")]),
            ("a - -b / *c", &[(Code, "a - -b / *c")]),
        ];
        for (text, expected) in table {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn what_does_not_end_is_told_with_its_line() {
        for (text, what) in
            [("a\n'b", "a text in quotes"), ("a\n\"b\\\"", "a text in quotes"), ("a\n`b", "a name"), ("a\n/* /* */", "a comment")]
        {
            let told = pieces(text).expect_err("it does not end").to_string();
            assert!(told.starts_with(what) && told.contains("line 2"), "{told}");
        }
        assert!(pieces("'\\").is_err());
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in "[a;'\"`\\\\\n#*/ -é]{0,40}") {
            if let Ok(pieces) = pieces(&text) {
                prop_assert_eq!(pieces.iter().map(|piece| piece.text).collect::<String>(), text);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
            let _ = pieces(&text);
        }
    }
}
