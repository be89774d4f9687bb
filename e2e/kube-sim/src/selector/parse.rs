//! The grammar of selectors in queries.

use super::Requirement;
use crate::status::ApiStatus;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Symbol(&'static str),
    End,
}

impl Token {
    fn literal(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
            Self::End => "",
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    const SYMBOLS: [&str; 10] = ["!=", "==", "!", "=", "(", ")", ",", ">", "<", " "];
    let (mut found, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            rest = &rest[symbol.len()..];
            if *symbol != " " {
                found.push(Token::Symbol(symbol));
            }
        } else {
            let end = rest.find(|letter: char| "!=(),>< ".contains(letter)).unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    found.push(Token::End);
    found
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, ApiStatus> {
        if *self.peek() == Token::Symbol("!") {
            self.next();
            return Ok(Requirement::Missing(self.key()?));
        }
        let key = self.key()?;
        match self.peek().clone() {
            Token::End | Token::Symbol(",") => Ok(Requirement::Exists(key)),
            Token::Symbol("=" | "==") => {
                self.next();
                Ok(Requirement::In(key, vec![self.value()?]))
            }
            Token::Symbol("!=") => {
                self.next();
                Ok(Requirement::NotIn(key, vec![self.value()?]))
            }
            Token::Symbol(symbol @ (">" | "<")) => {
                self.next();
                let bound = self.number(&key)?;
                Ok(if symbol == ">" { Requirement::Greater(key, bound) } else { Requirement::Less(key, bound) })
            }
            Token::Word(word) if word == "in" || word == "notin" => {
                self.next();
                let values = self.values()?;
                Ok(if word == "in" { Requirement::In(key, values) } else { Requirement::NotIn(key, values) })
            }
            other => Err(bad(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt, ',' or 'end of string'", other.literal()))),
        }
    }

    fn key(&mut self) -> Result<String, ApiStatus> {
        match self.next() {
            Token::Word(word) => {
                if let Some(problem) = crate::names::qualified_name(&word) {
                    return Err(bad(format!("<nil>: Invalid value: \"{word}\": {problem}")));
                }
                Ok(word)
            }
            other => Err(bad(format!("found '{}', expected: identifier", other.literal()))),
        }
    }

    fn value(&mut self) -> Result<String, ApiStatus> {
        match self.peek().clone() {
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Word(word) => {
                self.next();
                check_value(&word)?;
                Ok(word)
            }
            other @ Token::Symbol(_) => Err(bad(format!("found '{}', expected: identifier", other.literal()))),
        }
    }

    fn number(&mut self, key: &str) -> Result<i64, ApiStatus> {
        let text = self.value()?;
        text.parse().map_err(|_| bad(format!("{key}: Invalid value: \"{text}\": for 'Gt', 'Lt' operators, the value must be an integer")))
    }

    fn values(&mut self) -> Result<Vec<String>, ApiStatus> {
        let open = self.next();
        if open != Token::Symbol("(") {
            return Err(bad(format!("found '{}' expected: '('", open.literal())));
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    check_value(&word)?;
                    values.push(word);
                }
                Token::Symbol(",") => {}
                Token::Symbol(")") => break,
                other => return Err(bad(format!("found '{}', expected: ',' or ')'", other.literal()))),
            }
        }
        if values.is_empty() {
            values.push(String::new());
        }
        Ok(values)
    }
}

fn check_value(value: &str) -> Result<(), ApiStatus> {
    match crate::names::label_value(value) {
        Some(problem) => Err(bad(format!("<nil>: Invalid value: \"{value}\": {problem}"))),
        None => Ok(()),
    }
}

fn bad(text: impl std::fmt::Display) -> ApiStatus {
    ApiStatus::bad_request(format!("unable to parse requirement: {text}"))
}

/// A label selector.
pub fn labels(text: &str) -> Result<Vec<Requirement>, ApiStatus> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut found = Vec::new();
    loop {
        match parser.peek().clone() {
            Token::End => return Ok(found),
            Token::Word(_) | Token::Symbol("!") => {
                found.push(parser.requirement()?);
                match parser.next() {
                    Token::End => return Ok(found),
                    Token::Symbol(",") => {}
                    other => return Err(ApiStatus::bad_request(format!("found '{}', expected: ',' or 'end of string'", other.literal()))),
                }
            }
            other @ Token::Symbol(_) => {
                let text = format!("found '{}', expected: !, identifier, or 'end of string'", other.literal());
                return Err(ApiStatus::bad_request(text));
            }
        }
    }
}

/// One term of a field selector: field, equal, value.
pub fn field_term(term: &str) -> Result<(String, bool, String), ApiStatus> {
    for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((field, value)) = term.split_once(operator) {
            return Ok((field.to_owned(), equal, value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\")));
        }
    }
    Err(ApiStatus::bad_request(format!("invalid selector: '{term}'; can't understand '{term}'")))
}
