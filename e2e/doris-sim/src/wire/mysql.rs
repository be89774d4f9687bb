//! The MySQL server of a frontend.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::packet::{DEPRECATE_EOF, MULTI_STATEMENTS, Packets};
use crate::answer::SqlError;
use crate::process::ProcessId;
use crate::session::{Proof, Session};
use crate::world::World;

/// What a real frontend's greeting offers: long flags, connecting with a database, local files,
/// protocol 4.1, secure connection and plugin authentication.
const CAPABILITIES: u32 = 0x8828c;

const PLUGIN: &str = "mysql_native_password";

/// Serves one connection until it ends.
pub(super) async fn serve(world: &World, id: ProcessId, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    let mut packets = Packets { stream, sequence: 0, deprecate_eof: false, multi_statements: false };
    let challenge = challenge(world);
    world.awake(id).await;
    packets.write(&greeting(&challenge)).await?;
    let Some(mut session) = login(world, id, &mut packets, &challenge, peer).await? else { return Ok(()) };
    loop {
        let command = packets.read().await?;
        let Some((code, payload)) = command.split_first() else { return Ok(()) };
        match code {
            0x01 => return Ok(()),
            0x02 => {
                let name = String::from_utf8_lossy(payload).into_owned();
                let answer = session.use_database(&name).await;
                packets.answer(&answer, false).await?;
            }
            0x03 => query(&mut session, &mut packets, payload).await?,
            0x09 | 0x0d | 0x0e | 0x1b => packets.ok().await?,
            _ => packets.error(&refusal(*code, payload)).await?,
        }
    }
}

async fn query(session: &mut Session, packets: &mut Packets, payload: &[u8]) -> io::Result<()> {
    let sql = String::from_utf8_lossy(payload).into_owned();
    let answers = session.query_all(&sql).await;
    if answers.is_empty() {
        return packets.ok().await;
    }
    let last = answers.len() - 1;
    for (number, answer) in answers.iter().enumerate() {
        packets.answer(answer, number < last).await?;
    }
    Ok(())
}

/// What Doris says of commands that it does not serve.
fn refusal(code: u8, payload: &[u8]) -> SqlError {
    let text = match code {
        0x04 => return SqlError::bare(1049, "42000", "Unknown database()"),
        0x0a => "Unsupported command(Processlist)".to_owned(),
        0x0c => "Unsupported command(Kill)".to_owned(),
        0x11 => return SqlError::bare(1045, "28000", "Change to root or admin is forbidden"),
        0x16 => {
            let sql = String::from_utf8_lossy(payload);
            let select = sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"));
            let text = if select {
                "errCode = 2, detailMessage = There is no scanNode Backend available."
            } else {
                "MustFallbackException, msg: Must fallback to legacy planner, because cannot prepare command UnsupportedCommand"
            };
            return SqlError::bare(1105, "HY000", text);
        }
        0x17 => "msg: Not supported such prepared statement".to_owned(),
        0x1f => "Unsupported command(COM_RESET_CONNECTION)".to_owned(),
        _ => format!("Unknown command({code})"),
    };
    SqlError::bare(1047, "08S01", text)
}

/// Twenty random letters.
fn challenge(world: &World) -> Vec<u8> {
    let mut state = world.state();
    (0..20).map(|_| u8::try_from(u32::from(state.rng.alphabetic())).unwrap_or(b'a')).collect()
}

fn greeting(challenge: &[u8]) -> Vec<u8> {
    let flags = CAPABILITIES.to_le_bytes();
    let mut payload = vec![10];
    payload.extend(b"5.7.99\0");
    payload.extend(1u32.to_le_bytes());
    payload.extend(&challenge[..8]);
    payload.push(0);
    payload.extend(&flags[..2]);
    payload.push(33);
    payload.extend([0, 0]);
    payload.extend(&flags[2..]);
    payload.push(21);
    payload.extend([0; 10]);
    payload.extend(&challenge[8..]);
    payload.push(0);
    payload.extend(PLUGIN.as_bytes());
    payload.push(0);
    payload
}

async fn login(world: &World, id: ProcessId, packets: &mut Packets, challenge: &[u8], peer: SocketAddr) -> io::Result<Option<Session>> {
    let payload = packets.read().await?;
    let Some(response) = Response::read(&payload) else {
        packets.error(&SqlError::bare(1043, "08S01", "Bad handshake")).await?;
        return Ok(None);
    };
    packets.deprecate_eof = response.flags & DEPRECATE_EOF != 0;
    packets.multi_statements = response.flags & MULTI_STATEMENTS != 0;
    let mut answer = response.answer;
    if response.plugin.is_some_and(|plugin| plugin != PLUGIN) {
        let mut switch = vec![0xfe];
        switch.extend(PLUGIN.as_bytes());
        switch.push(0);
        switch.extend(challenge);
        switch.push(0);
        packets.write(&switch).await?;
        answer = packets.read().await?;
    }
    let proof = Proof::Scramble { challenge, answer: &answer };
    let mut session = match Session::open(world, id, peer.ip(), &peer.to_string(), &response.user, &proof) {
        Ok(session) => session,
        Err(error) => {
            packets.error(&error).await?;
            return Ok(None);
        }
    };
    if let Some(database) = response.database.filter(|name| !name.is_empty())
        && let Err(error) = session.use_database(&database).await
    {
        packets.error(&error).await?;
        return Ok(None);
    }
    packets.ok().await?;
    Ok(Some(session))
}

/// A client's answer to the greeting.
struct Response {
    flags: u32,
    user: String,
    answer: Vec<u8>,
    database: Option<String>,
    plugin: Option<String>,
}

const CONNECT_WITH_DB: u32 = 0x8;
const PLUGIN_AUTH: u32 = 0x8_0000;

impl Response {
    /// Reads the answer of protocol 4.1; `None` for anything else.
    fn read(payload: &[u8]) -> Option<Self> {
        let flags = u32::from_le_bytes(payload.get(..4)?.try_into().ok()?);
        let mut rest = payload.get(32..)?;
        let user = text(&mut rest)?;
        let (length, tail) = rest.split_first()?;
        let answer = tail.get(..usize::from(*length))?.to_vec();
        rest = tail.get(usize::from(*length)..)?;
        let database = if flags & CONNECT_WITH_DB != 0 { Some(text(&mut rest)?) } else { None };
        let plugin = if flags & PLUGIN_AUTH != 0 { text(&mut rest) } else { None };
        Some(Self { flags, user, answer, database, plugin })
    }
}

/// A text that ends with a zero byte, or with the packet.
fn text(rest: &mut &[u8]) -> Option<String> {
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let found = String::from_utf8_lossy(rest.get(..end)?).into_owned();
    *rest = rest.get(end + 1..).unwrap_or_default();
    Some(found)
}
