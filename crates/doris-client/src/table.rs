//! Rows of an answer, read by the names of their columns: order and number of columns differ
//! between Doris versions, and any cell may be NULL.

use std::str::FromStr;

use crate::error::Error;
use crate::transport::Answer;

/// An answer with rows, checked for its shape.
pub(crate) struct Table {
    what: &'static str,
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// Takes an answer to the statement that `what` names; anything but rows of full length is malformed.
    pub(crate) fn new(what: &'static str, answer: Answer) -> Result<Self, Error> {
        let Answer::Rows { columns, rows } = answer else {
            return Err(malformed(what, "no rows where rows were expected"));
        };
        if let Some(row) = rows.iter().find(|row| row.len() != columns.len()) {
            return Err(malformed(what, format!("a row of {} cells under {} columns", row.len(), columns.len())));
        }
        Ok(Self { what, columns, rows })
    }

    /// Reads every row with one function.
    pub(crate) fn read<T>(&self, read: impl FnMut(Row<'_>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        self.rows.iter().map(|cells| Row { table: self, cells }).map(read).collect()
    }

    /// The cell of the first row and first column, of which the name does not matter.
    pub(crate) fn single(&self) -> Result<&str, Error> {
        self.rows
            .first()
            .and_then(|row| row.first())
            .and_then(Option::as_deref)
            .ok_or_else(|| malformed(self.what, "no value in the answer"))
    }
}

/// One row of a [`Table`].
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    table: &'a Table,
    cells: &'a [Option<String>],
}

impl<'a> Row<'a> {
    /// The cell under a column; `None` for NULL and for a column this server does not have.
    pub(crate) fn text(self, column: &str) -> Option<&'a str> {
        let position = self.table.columns.iter().position(|name| name.eq_ignore_ascii_case(column))?;
        self.cells.get(position)?.as_deref()
    }

    /// The cell under a column that every supported server has and fills.
    pub(crate) fn required(self, column: &'static str) -> Result<&'a str, Error> {
        self.text(column).ok_or_else(|| malformed(self.table.what, format!("no value under {column}")))
    }

    /// A number under a column that every supported server has and fills.
    pub(crate) fn required_number<T: FromStr>(self, column: &'static str) -> Result<T, Error> {
        self.number(column)?.ok_or_else(|| malformed(self.table.what, format!("no value under {column}")))
    }

    /// A number, if there is one.
    pub(crate) fn number<T: FromStr>(self, column: &'static str) -> Result<Option<T>, Error> {
        match self.text(column).map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => {
                text.parse().map(Some).map_err(|_| malformed(self.table.what, format!("{text:?} under {column} is not a number in range")))
            }
        }
    }

    /// A port, if there is one: Doris writes 0 or -1 for a port that it has not learnt yet.
    pub(crate) fn port(self, column: &'static str) -> Result<Option<u16>, Error> {
        let number: Option<i64> = self.number(column)?;
        match number {
            None | Some(-1 | 0) => Ok(None),
            Some(number) => {
                u16::try_from(number).map(Some).map_err(|_| malformed(self.table.what, format!("{number} under {column} is not a port")))
            }
        }
    }

    /// A truth value under a column that every supported server has and fills.
    pub(crate) fn flag(self, column: &'static str) -> Result<bool, Error> {
        self.optional_flag(column)?.ok_or_else(|| malformed(self.table.what, format!("no value under {column}")))
    }

    /// A truth value, if there is one.
    pub(crate) fn optional_flag(self, column: &'static str) -> Result<Option<bool>, Error> {
        match self.text(column) {
            None | Some("") => Ok(None),
            Some(text) if ["true", "yes"].iter().any(|yes| text.eq_ignore_ascii_case(yes)) => Ok(Some(true)),
            Some(text) if ["false", "no"].iter().any(|no| text.eq_ignore_ascii_case(no)) => Ok(Some(false)),
            Some(text) => Err(malformed(self.table.what, format!("{text:?} under {column} is neither true nor false"))),
        }
    }

    /// A size such as `1024.000 KB`, in bytes; `None` where the cell is empty.
    pub(crate) fn size(self, column: &'static str) -> Result<Option<u64>, Error> {
        match self.text(column).map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => {
                parse_size(text).map(Some).ok_or_else(|| malformed(self.table.what, format!("{text:?} under {column} is not a size")))
            }
        }
    }

    /// Every value of the row by the name of its column.
    pub(crate) fn cells(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.table.columns.iter().zip(self.cells).filter_map(|(name, cell)| Some((name.as_str(), cell.as_deref()?)))
    }

    /// Every number of the row by the name of its column.
    pub(crate) fn counts(self) -> impl Iterator<Item = (&'a str, u64)> {
        self.cells().filter_map(|(name, cell)| Some((name, cell.parse().ok()?)))
    }

    pub(crate) fn malformed(self, cause: impl Into<String>) -> Error {
        malformed(self.table.what, cause)
    }
}

pub(crate) fn malformed(what: &str, cause: impl Into<String>) -> Error {
    Error::Malformed { what: what.to_owned(), cause: cause.into() }
}

/// Sizes are written with three decimals and a unit; exact to what the decimals carry.
fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_once(' ').map_or((text, ""), |(number, unit)| (number, unit.trim()));
    let factor: u128 = match unit {
        "" | "B" => 1,
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        "PB" => 1 << 50,
        _ => return None,
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if decimals.len() > 6 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u128 = if decimals.is_empty() { 0 } else { decimals.parse::<u32>().ok()?.into() };
    let scale = 10u128.pow(u32::try_from(decimals.len()).ok()?);
    u64::try_from(u128::from(whole).checked_mul(factor)? + fraction * factor / scale).ok()
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_read_in_every_unit() {
        let cases = [
            ("0.000", Some(0)),
            ("0.000 ", Some(0)),
            ("1.000 B", Some(1)),
            ("1024.000 KB", Some(1 << 20)),
            ("99.000 GB", Some(99 << 30)),
            ("1.500 TB", Some(3 << 39)),
            ("1.5 XB", None),
            ("-1.000 KB", None),
            ("GB", None),
            ("1.+5 KB", None),
            ("99999999999999999999 TB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), bytes, "{text:?}");
        }
    }
}
