//! INSERT, and what else fills and empties tables.

use super::ast::{Expr, Statement};
use super::parser::{Parsed, Parser};
use super::token::Kind;

impl Parser<'_> {
    /// Of the data only its number of rows and its length count. `SELECT SLEEP(n)` is one row that takes its time.
    pub(super) fn insert(&mut self, start: usize) -> Parsed<Statement> {
        if !self.accept("INTO") && !self.accept_all(&["OVERWRITE", "TABLE"]) {
            return Err(self.no_viable(start));
        }
        let (database, table) = self.qualified()?;
        let label = if self.accept_all(&["WITH", "LABEL"]) { Some(self.name_or_string()?) } else { None };
        if self.peek().is_symbol("(") {
            self.skip_brackets();
        }
        let (mut rows, mut seconds) = (0, 0);
        let from = self.peek().start;
        if self.accept("VALUES") {
            while self.peek().is_symbol("(") {
                self.skip_brackets();
                rows += 1;
                self.symbol(",");
            }
        } else if self.accept("SELECT") {
            rows = 1;
            while self.peek().kind != Kind::End {
                if self.peek().is_word("SLEEP") && self.ahead(1).is_symbol("(") {
                    seconds = self.ahead(2).text.parse().unwrap_or(0);
                }
                self.next();
            }
        } else {
            return Err(self.mismatch_many(&["SELECT", "VALUES"]));
        }
        let bytes = self.peek().start.saturating_sub(from) as u64;
        Ok(Statement::Insert { database, table, label, rows, bytes, seconds })
    }

    fn skip_brackets(&mut self) {
        let mut depth = 0;
        loop {
            let token = self.next();
            depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
            if depth <= 0 || self.peek().kind == Kind::End {
                return;
            }
        }
    }

    /// `DROP CATALOG RECYCLE BIN [WHERE 'TableId' = n]`
    pub(super) fn empty_bin(&mut self) -> Parsed<Statement> {
        if !self.accept("WHERE") {
            return Ok(Statement::EmptyBin { table: None });
        }
        let key = self.name_or_string()?;
        self.expect_symbol("=")?;
        let id = self.next().text.parse().ok();
        if key.eq_ignore_ascii_case("TableId") && id.is_some() {
            Ok(Statement::EmptyBin { table: id })
        } else {
            Err(self.mismatch("'TableId'"))
        }
    }
}

/// Seconds that a select list sleeps.
pub(super) fn sleeps(items: &[Expr]) -> Option<u64> {
    items.iter().find_map(|item| match item {
        Expr::Call { name, arguments } if name == "sleep" => match arguments.first() {
            Some(Expr::Literal { text, .. }) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    })
}
