//! What a frontend works on.

use crate::error::Error;
use crate::session::Session;

impl Session {
    /// Statements that this frontend runs for others now. Idle sessions and our own are not counted.
    ///
    /// The list is the frontend's own: Doris forwards it to nobody.
    pub async fn running_statements(&mut self) -> Result<u64, Error> {
        let rows = self.table("SHOW PROCESSLIST", "SHOW PROCESSLIST").await?.read(|row| {
            let is_idle = row.required("Command")?.eq_ignore_ascii_case("Sleep");
            let is_ours = row.optional_flag("CurrentConnected")?.unwrap_or(false);
            Ok(!is_idle && !is_ours)
        })?;
        Ok(rows.into_iter().filter(|runs| *runs).count() as u64)
    }
}
