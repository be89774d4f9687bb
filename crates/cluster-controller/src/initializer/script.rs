//! Statements out of SQL text, and what may be shown of them.

use sha2::{Digest as _, Sha256};

use super::lexer::{Kind, Piece, line_of, pieces};

/// Most statements of one initializer.
pub const MOST_STATEMENTS: usize = 1000;
/// Most text of one initializer, in bytes.
pub const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Longest text of a statement that is shown, in characters.
const LONGEST_TEXT: usize = 120;

/// Words next to which passwords and keys are found.
const SENSITIVE: [&str; 10] =
    ["IDENTIFIED", "PASSWORD", "PASSWD", "SECRET", "CREDENTIAL", "TOKEN", "KEYTAB", "ACCESS_KEY", "PRIVATE_KEY", "PWD"];

/// Text of one source.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// What it is called.
    pub name: String,
    /// Its statements.
    pub text: String,
    /// It is from a Secret.
    pub is_secret: bool,
}

/// A statement.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    /// What Doris is sent.
    pub text: String,
    /// Source and line.
    pub place: String,
    /// It is from a Secret.
    pub is_secret: bool,
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Statement").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Why texts are no script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A text ends within something.
    #[error("{place}: {problem}")]
    Unfinished {
        /// The source.
        place: String,
        /// What.
        problem: String,
    },
    /// There is no statement.
    #[error("there is no statement in spec.sql")]
    Empty,
    /// There are too many.
    #[error("there are more than {MOST_STATEMENTS} statements; make several initializers of them")]
    TooMany,
    /// The text is too long.
    #[error("the statements have more than {} MiB of text; make several initializers of them", MOST_BYTES / 1024 / 1024)]
    TooLong,
}

/// Takes the statements out of the sources, in their order.
pub fn statements(sources: &[Source]) -> Result<Vec<Statement>, ScriptError> {
    if sources.iter().map(|source| source.text.len()).sum::<usize>() > MOST_BYTES {
        return Err(ScriptError::TooLong);
    }
    let mut all = Vec::new();
    for source in sources {
        let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
        let pieces = pieces(text).map_err(|error| ScriptError::Unfinished { place: source.name.clone(), problem: error.to_string() })?;
        for pieces in pieces.split(|piece| piece.kind == Kind::End) {
            all.extend(statement(source, text, pieces));
        }
    }
    match all.len() {
        0 => Err(ScriptError::Empty),
        count if count > MOST_STATEMENTS => Err(ScriptError::TooMany),
        _ => Ok(all),
    }
}

/// A statement without the blanks and comments around it; none if there is nothing else.
fn statement(source: &Source, text: &str, pieces: &[Piece<'_>]) -> Option<Statement> {
    let says_something = |piece: &Piece<'_>| piece.kind != Kind::Comment && !piece.text.trim().is_empty();
    let (first, last) = (pieces.iter().find(|piece| says_something(piece))?, pieces.iter().rfind(|piece| says_something(piece))?);
    let whole = &text[first.at..last.at + last.text.len()];
    let begin = first.at + (whole.len() - whole.trim_start().len());
    Some(Statement {
        text: whole.trim().to_owned(),
        place: format!("{} line {}", source.name, line_of(text, begin)),
        is_secret: source.is_secret,
    })
}

impl Statement {
    fn pieces(&self) -> Vec<Piece<'_>> {
        // It was cut out of a text that could be taken apart.
        pieces(&self.text).unwrap_or_default()
    }

    /// What may be shown of it: no literal, no comment, nothing at all if it is from a Secret.
    pub fn shown(&self) -> Option<String> {
        if self.is_secret {
            return None;
        }
        let parts = self.pieces().into_iter().map(|piece| match piece.kind {
            Kind::Code | Kind::Name | Kind::End => piece.text.to_owned(),
            Kind::Literal => "'…'".to_owned(),
            Kind::Comment => " ".to_owned(),
        });
        let text = parts.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
        Some(if text.chars().count() > LONGEST_TEXT { text.chars().take(LONGEST_TEXT).chain(['…']).collect() } else { text })
    }

    /// Doris' words about it, unless they may show what is not to be shown: Doris repeats statements in them.
    pub fn showable(&self, words: &str) -> String {
        const WITHHELD: &str = "the words are withheld, they may show something secret";
        let literals: Vec<&str> = self.pieces().iter().filter(|piece| piece.kind == Kind::Literal).map(|piece| piece.text).collect();
        let is_hidden = self.is_secret || (self.is_sensitive() && literals.iter().any(|literal| shows_piece_of(words, literal)));
        if is_hidden { WITHHELD.to_owned() } else { words.split_whitespace().collect::<Vec<_>>().join(" ") }
    }

    /// Whether it may hold a password or a key.
    fn is_sensitive(&self) -> bool {
        let text = self.text.to_ascii_uppercase();
        SENSITIVE.iter().any(|word| text.contains(word))
    }

    /// Whether it concerns its session alone, and has to be said again in every new one.
    pub fn is_of_session(&self) -> bool {
        let pieces = self.pieces();
        let code = pieces.iter().filter(|piece| piece.kind != Kind::Comment).map(|piece| piece.text).collect::<Vec<_>>().join(" ");
        let mut words =
            code.split(|character: char| !(character.is_alphanumeric() || matches!(character, '_' | '@'))).filter(|word| !word.is_empty());
        let (first, second) =
            (words.next().unwrap_or_default().to_ascii_uppercase(), words.next().unwrap_or_default().to_ascii_uppercase());
        match first.as_str() {
            "USE" | "SWITCH" => true,
            "SET" => {
                let lasts = ["GLOBAL", "@@GLOBAL", "PASSWORD", "LDAP_ADMIN_PASSWORD", "PROPERTY", "DEFAULT", "ROLE"];
                !lasts.contains(&second.as_str()) && (code.contains('=') || matches!(second.as_str(), "NAMES" | "CHARACTER" | "CHARSET"))
            }
            _ => false,
        }
    }
}

/// Whether four characters in a row of a literal stand in a text; all of it, if it is shorter.
fn shows_piece_of(text: &str, literal: &str) -> bool {
    let inner: Vec<char> = literal.trim_matches(['\'', '"']).chars().collect();
    let length = inner.len().min(4);
    length > 0 && inner.windows(length).any(|piece| text.contains(&piece.iter().collect::<String>()))
}

/// Digests of a script: of nothing, of the first statement, of the first two, and so on.
///
/// The key is a secret: from the digest of a statement nobody must be able to try out the password in it.
pub fn chain(key: &str, account: &str, database: &str, statements: &[Statement]) -> Vec<String> {
    let mut last = digest(&[key, account, database]);
    let mut all = vec![last.clone()];
    for statement in statements {
        last = digest(&[key, &last, &statement.text]);
        all.push(last.clone());
    }
    all
}

/// A digest of texts under a key.
pub fn digest(parts: &[&str]) -> String {
    use std::fmt::Write as _;
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
