//! Cutting statements into tokens.

/// Kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    /// An identifier in backticks.
    Quoted,
    Str,
    Number,
    Symbol,
    End,
}

/// A token. `text` is without quotes, `raw` as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub text: String,
    pub start: usize,
    pub end: usize,
    pub line: usize,
    pub column: usize,
}

impl Token {
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }
}

/// Cuts a text that may hold several statements; each ends with a token of kind `End`.
pub(crate) fn statements(sql: &str) -> Vec<Vec<Token>> {
    let mut all = Vec::new();
    let mut current = Vec::new();
    for token in tokens(sql) {
        if token.is_symbol(";") || token.kind == Kind::End {
            let end = Token { kind: Kind::End, text: if token.kind == Kind::End { "<EOF>".to_owned() } else { ";".to_owned() }, ..token };
            if !current.is_empty() {
                current.push(end);
                all.push(std::mem::take(&mut current));
            }
        } else {
            current.push(token);
        }
    }
    all
}

struct Scanner<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: usize,
    line_start: usize,
}

fn tokens(sql: &str) -> Vec<Token> {
    let mut scanner = Scanner { sql, bytes: sql.as_bytes(), at: 0, line: 1, line_start: 0 };
    let mut found = Vec::new();
    loop {
        scanner.skip_blanks();
        let start = scanner.at;
        let (line, column) = (scanner.line, start - scanner.line_start);
        let (kind, text) = scanner.next();
        found.push(Token { kind, text, start, end: scanner.at, line, column });
        if kind == Kind::End {
            return found;
        }
    }
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip_blanks(&mut self) {
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'\n', _) => {
                    self.at += 1;
                    self.line += 1;
                    self.line_start = self.at;
                }
                (b' ' | b'\t' | b'\r', _) => self.at += 1,
                (b'-', b'-') | (b'#', _) => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                (b'/', b'*') => self.at += self.rest().find("*/").map_or(self.rest().len(), |end| end + 2),
                _ => return,
            }
        }
    }

    fn rest(&self) -> &str {
        &self.sql[self.at..]
    }

    fn next(&mut self) -> (Kind, String) {
        let start = self.at;
        match self.peek(0) {
            0 if self.at >= self.bytes.len() => (Kind::End, String::new()),
            quote @ (b'\'' | b'"' | b'`') => (if quote == b'`' { Kind::Quoted } else { Kind::Str }, self.quoted(quote)),
            b'0'..=b'9' => {
                self.take_while(|b| b.is_ascii_digit() || b == b'.');
                (Kind::Number, self.sql[start..self.at].to_owned())
            }
            b'@' if self.peek(1) == b'@' => {
                self.at += 2;
                self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
                (Kind::Symbol, self.sql[start..self.at].to_owned())
            }
            b if b.is_ascii_alphabetic() || b == b'_' || b >= 0x80 => {
                self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80);
                (Kind::Word, self.sql[start..self.at].to_owned())
            }
            b => {
                let pair = [b, self.peek(1)];
                self.at += if [*b"!=", *b"<=", *b">=", *b"<>", *b"||", *b"&&"].contains(&pair) { 2 } else { 1 };
                (Kind::Symbol, self.sql[start..self.at].to_owned())
            }
        }
    }

    fn take_while(&mut self, fits: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && fits(self.peek(0)) {
            self.at += 1;
        }
    }

    fn quoted(&mut self, quote: u8) -> String {
        self.at += 1;
        let mut content = Vec::new();
        while self.at < self.bytes.len() {
            let byte = self.peek(0);
            self.at += 1;
            if byte == quote {
                if self.peek(0) != quote {
                    break;
                }
                self.at += 1;
                content.push(quote);
            } else if byte == b'\\' && quote != b'`' {
                content.push(match self.peek(0) {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    other => other,
                });
                self.at += 1;
            } else {
                content.push(byte);
            }
        }
        String::from_utf8_lossy(&content).into_owned()
    }
}
