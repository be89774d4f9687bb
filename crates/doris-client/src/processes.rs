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

    /// Parts of statements that run on a backend now, by its own word; nothing if the version cannot tell (2.0).
    pub async fn active_tasks(&mut self, backend: u64) -> Result<Option<u64>, Error> {
        const WHAT: &str = "information_schema.backend_active_tasks";
        let asked = self.table(WHAT, "SELECT BE_ID FROM information_schema.backend_active_tasks").await;
        let rows = match asked {
            Ok(table) => table.read(|row| row.required_number::<u64>("BE_ID"))?,
            Err(Error::Refused { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(rows.into_iter().filter(|id| *id == backend).count() as u64))
    }
}
