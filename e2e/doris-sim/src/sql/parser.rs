//! From tokens to statements, with Doris' syntax errors.

use super::ast::{LockWish, Password, Properties, Statement};
use super::token::{Kind, Token};
use crate::answer::SqlError;
use crate::catalog::Identity;

/// Words that cannot be names without quotes.
const RESERVED: &[&str] = &[
    "ADD",
    "ADMIN",
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "ANTI",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CANCEL",
    "CASE",
    "CAST",
    "CREATE",
    "CROSS",
    "DATABASE",
    "DATABASES",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DISTRIBUTED",
    "DROP",
    "DROPP",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FOLLOWER",
    "FOR",
    "FORCE",
    "FROM",
    "FULL",
    "GRANT",
    "GROUP",
    "HAVING",
    "IF",
    "IN",
    "INNER",
    "INSERT",
    "INTO",
    "IS",
    "JOIN",
    "KEY",
    "KEYS",
    "KILL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LOAD",
    "NOT",
    "NULL",
    "OBSERVER",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "PARTITION",
    "PROCEDURE",
    "REVOKE",
    "RIGHT",
    "ROLE",
    "ROLES",
    "SELECT",
    "SET",
    "SHOW",
    "TABLE",
    "TABLES",
    "TABLET",
    "THEN",
    "TO",
    "TRUE",
    "UNION",
    "UPDATE",
    "USE",
    "USER",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

pub(super) type Parsed<T> = Result<T, SqlError>;

/// Walks over the tokens of one statement.
pub(super) struct Parser<'a> {
    sql: &'a str,
    tokens: &'a [Token],
    at: usize,
}

/// Reads one statement.
pub(crate) fn parse(sql: &str, tokens: &[Token]) -> Parsed<Statement> {
    let mut parser = Parser { sql, tokens, at: 0 };
    let statement = parser.statement()?;
    Ok(statement)
}

impl<'a> Parser<'a> {
    pub fn peek(&self) -> &'a Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    pub fn ahead(&self, by: usize) -> &'a Token {
        &self.tokens[(self.at + by).min(self.tokens.len() - 1)]
    }

    pub fn next(&mut self) -> &'a Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    pub fn accept(&mut self, word: &str) -> bool {
        let found = self.peek().is_word(word);
        self.at += usize::from(found);
        found
    }

    pub fn accept_all(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(i, word)| self.ahead(i).is_word(word));
        self.at += if found { words.len() } else { 0 };
        found
    }

    pub fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.peek().is_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, word: &str) -> Parsed<()> {
        if self.accept(word) { Ok(()) } else { Err(self.mismatch(&format!("'{word}'"))) }
    }

    pub fn expect_symbol(&mut self, symbol: &str) -> Parsed<()> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.mismatch(&format!("'{symbol}'"))) }
    }

    /// The text at the present place is none of what may stand here.
    pub fn mismatch(&self, expected: &str) -> SqlError {
        let token = self.peek();
        SqlError::detail(format!(
            "\nmismatched input '{}' expecting {expected}(line {}, pos {})\n",
            self.raw(token),
            token.line,
            token.column
        ))
    }

    /// The same where many words may stand.
    pub fn mismatch_many(&self, some: &[&str]) -> SqlError {
        let list: Vec<String> = some.iter().map(|word| format!("'{word}'")).collect();
        self.mismatch(&format!("{{{}}}", list.join(", ")))
    }

    /// No rule of the grammar goes on from here; the text starts where the choice began.
    pub fn no_viable(&self, from: usize) -> SqlError {
        let first = &self.tokens[from.min(self.tokens.len() - 1)];
        let token = self.peek();
        let text = if token.kind == Kind::End {
            format!("{}<EOF>", &self.sql[first.start..token.start.min(self.sql.len())])
        } else {
            self.sql[first.start..token.end].to_owned()
        };
        SqlError::detail(format!("\nno viable alternative at input '{text}'(line {}, pos {})\n", token.line, token.column))
    }

    fn raw(&self, token: &Token) -> String {
        if token.kind == Kind::End { "<EOF>".to_owned() } else { self.sql[token.start..token.end].to_owned() }
    }

    /// A name: a word that is not reserved, or one in backticks.
    pub fn name(&mut self) -> Parsed<String> {
        let token = self.peek();
        let fits = match token.kind {
            Kind::Quoted => true,
            Kind::Word => !RESERVED.iter().any(|word| token.is_word(word)),
            _ => false,
        };
        if fits {
            Ok(self.next().text.clone())
        } else {
            Err(self.mismatch_many(&["{", "}", "ACTIONS", "AFTER", "ALIAS", "BACKENDS", "IDENTIFIER", "BACKQUOTED_IDENTIFIER"]))
        }
    }

    pub fn string(&mut self) -> Parsed<String> {
        if self.peek().kind == Kind::Str { Ok(self.next().text.clone()) } else { Err(self.mismatch("STRING_LITERAL")) }
    }

    /// A name or a string.
    pub fn name_or_string(&mut self) -> Parsed<String> {
        if self.peek().kind == Kind::Str { self.string() } else { self.name() }
    }

    pub fn strings(&mut self) -> Parsed<Vec<String>> {
        let mut list = vec![self.string()?];
        while self.symbol(",") {
            list.push(self.string()?);
        }
        Ok(list)
    }

    /// `name` or `database.name`.
    pub fn qualified(&mut self) -> Parsed<(Option<String>, String)> {
        let mut parts = vec![self.name()?];
        while self.symbol(".") {
            parts.push(self.name()?);
        }
        let name = parts.pop().unwrap_or_default();
        Ok((parts.pop(), name))
    }

    /// `name`, `database.name` or `catalog.database.name`.
    pub fn fully_qualified(&mut self) -> Parsed<(Option<String>, Option<String>, String)> {
        let mut parts = vec![self.name()?];
        while self.symbol(".") {
            parts.push(self.name()?);
        }
        let name = parts.pop().unwrap_or_default();
        let database = parts.pop();
        Ok((parts.pop(), database, name))
    }

    /// `( "k" = "v", .. )`
    pub fn pairs(&mut self) -> Parsed<Properties> {
        self.expect_symbol("(")?;
        let mut pairs = Vec::new();
        loop {
            let key = self.name_or_string()?;
            self.expect_symbol("=")?;
            pairs.push((key, self.next().text.clone()));
            if !self.symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok(pairs)
    }

    pub fn optional_properties(&mut self) -> Parsed<Properties> {
        if self.accept("PROPERTIES") { self.pairs() } else { Ok(Vec::new()) }
    }

    /// `u`, `'u'`, `'u'@'h'`.
    pub fn identity(&mut self) -> Parsed<Identity> {
        let user = self.name_or_string()?;
        let host = if self.symbol("@") { self.name_or_string()? } else { "%".to_owned() };
        Ok(Identity::new(user, host))
    }

    pub fn password(&mut self) -> Parsed<Password> {
        if self.accept("PASSWORD") && !self.peek().is_symbol("(") {
            return self.string().map(Password::Hash);
        }
        let bracket = self.symbol("(");
        let text = self.string()?;
        if bracket {
            self.expect_symbol(")")?;
        }
        Ok(Password::Clear(text))
    }

    /// Password options up to the end of the statement; those about expiry and history are not modelled.
    pub fn lock_wish(&mut self) -> Parsed<LockWish> {
        let mut wish = LockWish::default();
        while self.peek().kind != Kind::End {
            if self.accept("FAILED_LOGIN_ATTEMPTS") {
                wish.attempts = self.next().text.parse().ok();
            } else if self.accept("PASSWORD_LOCK_TIME") {
                let unit = |word: &Token| [("DAY", 86_400), ("HOUR", 3600), ("SECOND", 1)].into_iter().find(|(name, _)| word.is_word(name));
                let count: Option<i64> = self.next().text.parse().ok();
                let seconds = unit(self.peek()).map_or(1, |(_, seconds)| seconds);
                wish.seconds = Some(count.map_or(i64::MAX / 1000, |count| count * seconds));
            } else if self.accept("COMMENT") || self.accept_all(&["DEFAULT", "ROLE"]) {
                self.string()?;
            } else if matches!(self.peek().kind, Kind::Word | Kind::Number) {
                self.next();
            } else {
                return Err(self.mismatch("<EOF>"));
            }
        }
        Ok(wish)
    }

    pub fn if_exists(&mut self) -> bool {
        self.accept_all(&["IF", "EXISTS"])
    }

    pub fn if_not_exists(&mut self) -> bool {
        self.accept_all(&["IF", "NOT", "EXISTS"])
    }

    pub fn like(&mut self) -> Parsed<Option<String>> {
        if self.accept("LIKE") { self.string().map(Some) } else { Ok(None) }
    }

    /// `FROM x` or `IN x`.
    pub fn scope_name(&mut self) -> Parsed<Option<String>> {
        if self.accept("FROM") || self.accept("IN") { self.name().map(Some) } else { Ok(None) }
    }
}
