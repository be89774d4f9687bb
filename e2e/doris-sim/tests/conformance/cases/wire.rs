//! The MySQL protocol as clients use it.

use serde_json::{Value, json};

use super::conversations;
use crate::ask::Ask;
use crate::mysql::{Client, Login, Reply};
use crate::stage::Stage;

conversations![commands, several_statements_at_once, big_statement];

const ROOT: Login<'static> = Login { user: "root", password: "", several_statements: false, limit: std::time::Duration::from_secs(20) };

async fn commands(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    let Some(mut client) = d.session(0, ROOT).await else { return };
    for (name, code, content) in [
        ("PING", 0x0e, &b""[..]),
        ("INIT_DB information_schema", 0x02, b"information_schema"),
        ("INIT_DB no_such_db", 0x02, b"no_such_db"),
        ("STATISTICS", 0x09, b""),
        ("RESET_CONNECTION", 0x1f, b""),
        ("SET_OPTION", 0x1b, &[1, 0]),
        ("unknown 0x55", 0x55, b""),
    ] {
        let answer = match client.command(code, content).await {
            Ok(plain) => json!(if plain { "OK" } else { "other" }),
            Err(failure) => json!([failure.code.to_string(), failure.text]),
        };
        d.note(name, answer);
        if client.command(0x0e, b"").await.is_err() {
            d.note(&format!("{name}: connection lost"), true);
            let Some(new) = d.session(0, ROOT).await else { return };
            client = new;
        }
    }
}

/// With the client flag each result follows the other; without it the server sends both all the same.
async fn several_statements_at_once(d: &mut Stage) {
    const BOTH: &str = "SELECT 1; SELECT 2";
    d.start(0).await;
    d.ready(0).await;
    let Some(mut client) = d.session(0, Login { several_statements: true, ..ROOT }).await else { return };
    let mut sets = vec![rows(client.query(BOTH).await.ok())];
    while client.more {
        sets.push(rows(client.result().await.ok()));
    }
    d.note("with MULTI_STATEMENTS", sets);
    let Some(mut client) = d.session(0, ROOT).await else { return };
    let next = works_afterwards(&mut client, BOTH).await;
    d.note("without the flag, the next statement", if next { "works" } else { "fails: the stream is out of step" });
    d.tell(Ask::new(0, "SELECT 4;")).await;
}

fn rows(reply: Option<Reply>) -> Value {
    match reply {
        Some(Reply::Rows { rows, .. }) => json!(rows),
        Some(Reply::Done { affected }) => json!(affected),
        None => Value::Null,
    }
}

async fn works_afterwards(client: &mut Client, first: &str) -> bool {
    client.query(first).await.is_ok() && client.query("SELECT 3").await.is_ok()
}

async fn big_statement(d: &mut Stage) {
    d.start(0).await;
    d.ready(0).await;
    let big = format!("SELECT LENGTH('{}')", "x".repeat(1_000_000));
    let rows = d.ask(0, &big).await.unwrap_or_default();
    let column = rows.first().and_then(|row| row.keys().next()).map(|name| name.chars().take(57).collect::<String>());
    d.note("column of a statement of a megabyte", column);
}
