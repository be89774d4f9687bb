//! Addresses as statements write them.

use crate::answer::SqlError;

/// Reads `host:port`.
pub(super) fn host_port(text: &str) -> Result<(String, u16), SqlError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SqlError::detail("Invalid host port: "));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(SqlError::detail(format!("invalid host port: {text}")));
    };
    if host.is_empty() {
        return Err(SqlError::detail("Host is null"));
    }
    let wrapped = |text: String| SqlError::detail(format!("Encounter unknown exception: {text}"));
    match port.parse::<i64>() {
        Ok(port @ 1..=65_535) => Ok((host.to_owned(), u16::try_from(port).unwrap_or(0))),
        Ok(port) => Err(wrapped(format!("errCode = 2, detailMessage = Port is out of range: {port}"))),
        Err(_) => Err(wrapped(format!("For input string: \"{port}\""))),
    }
}
