//! Prints the page of the documentation that lists every field: `docs/src/fields.md` is to be what this prints.

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    print!("{}", doris_api::fields::page().context("making the page")?);
    Ok(())
}
