//! As much of a MySQL client as the conversations need: it comes from a chosen address, shows error
//! packets whole, and can send what no ordinary client sends.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const PORT: u16 = 9030;
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Long password, protocol 4.1, transactions, secure connection, several results, authentication plugin.
const FLAGS: u32 = 0x1 | 0x200 | 0x2000 | 0x8000 | 0x2_0000 | 0x8_0000;
const MULTI_STATEMENTS: u32 = 0x1_0000;

/// Codes of what clients say themselves.
const CANNOT_CONNECT: u16 = 2003;
const LOST: u16 = 2013;
const OUT_OF_STEP: u16 = 0;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: u16,
    /// Only a server says one.
    pub state: Option<String>,
    pub text: String,
}

impl Failure {
    fn own(code: u16) -> Self {
        Self { code, state: None, text: String::new() }
    }
}

pub type Answered<T> = Result<T, Failure>;

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: u8,
}

#[derive(Clone, Debug)]
pub enum Reply {
    Done { affected: u64 },
    Rows { columns: Vec<Column>, rows: Vec<Vec<Option<String>>> },
}

/// Who comes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    pub user: &'a str,
    pub password: &'a str,
    pub several_statements: bool,
    /// Deadline of each answer.
    pub limit: Duration,
}

impl<'a> Login<'a> {
    pub fn new(user: &'a str, password: &'a str) -> Self {
        Self { user, password, several_statements: false, limit: Duration::from_secs(30) }
    }
}

/// What a server says first.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    pub protocol: u8,
    pub version: String,
    pub capabilities: u32,
    pub collation: u8,
    pub plugin: String,
    challenge: Vec<u8>,
}

pub struct Client {
    stream: TcpStream,
    sequence: u8,
    limit: Duration,
    pub greeting: Greeting,
    /// Another result follows the last one.
    pub more: bool,
}

/// A TCP connection from a chosen address.
pub async fn dial(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    timeout(CONNECT_LIMIT, socket.connect(to)).await.map_err(|_| std::io::ErrorKind::TimedOut)?
}

impl Client {
    pub async fn connect(from: IpAddr, to: IpAddr, login: Login<'_>) -> Answered<Self> {
        let stream = dial(from, SocketAddr::new(to, PORT)).await.map_err(|_| Failure::own(CANNOT_CONNECT))?;
        let mut client = Self { stream, sequence: 0, limit: login.limit, greeting: Greeting::default(), more: false };
        let payload = client.read().await?;
        client.greeting = Greeting::read(&payload).ok_or(Failure::own(CANNOT_CONNECT))?;
        let mut answer = (FLAGS | if login.several_statements { MULTI_STATEMENTS } else { 0 }).to_le_bytes().to_vec();
        answer.extend(0x0100_0000u32.to_le_bytes());
        answer.push(45);
        answer.extend([0; 23]);
        answer.extend(login.user.as_bytes());
        answer.push(0);
        let proof = scramble(login.password, &client.greeting.challenge);
        answer.push(u8::try_from(proof.len()).unwrap_or(0));
        answer.extend(proof);
        answer.extend(b"mysql_native_password\0");
        client.write(&answer).await?;
        client.read().await?;
        Ok(client)
    }

    /// Runs a text; with several statements in it, the answer is the first one's.
    pub async fn query(&mut self, sql: &str) -> Answered<Reply> {
        let mut payload = vec![3];
        payload.extend(sql.as_bytes());
        self.send(&payload).await?;
        self.result().await
    }

    /// Sends a command and tells whether the answer is a plain OK.
    pub async fn command(&mut self, code: u8, content: &[u8]) -> Answered<bool> {
        self.send(&[&[code], content].concat()).await?;
        let payload = self.read().await?;
        Ok(payload.first() == Some(&0) && payload.len() >= 7)
    }

    /// Reads one result.
    pub async fn result(&mut self) -> Answered<Reply> {
        let payload = self.read().await?;
        let mut rest = payload.as_slice();
        let count = number(&mut rest).unwrap_or(0);
        if count == 0 {
            let affected = number(&mut rest).unwrap_or(0);
            number(&mut rest);
            self.note_status(rest);
            return Ok(Reply::Done { affected });
        }
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(column(&self.read().await?).ok_or(Failure::own(OUT_OF_STEP))?);
        }
        self.read().await?;
        let mut rows = Vec::new();
        loop {
            let payload = self.read().await?;
            if payload.first() == Some(&0xfe) && payload.len() < 9 {
                self.note_status(payload.get(3..).unwrap_or_default());
                return Ok(Reply::Rows { columns, rows });
            }
            let mut rest = payload.as_slice();
            rows.push(columns.iter().map(|_| value(&mut rest)).collect());
        }
    }

    fn note_status(&mut self, status: &[u8]) {
        self.more = status.first().is_some_and(|flags| flags & 8 != 0);
    }

    async fn send(&mut self, payload: &[u8]) -> Answered<()> {
        self.sequence = 0;
        self.write(payload).await
    }

    async fn write(&mut self, payload: &[u8]) -> Answered<()> {
        let length = u32::try_from(payload.len()).unwrap_or(0).to_le_bytes();
        let mut packet = vec![length[0], length[1], length[2], self.sequence];
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        let written = timeout(self.limit, self.stream.write_all(&packet)).await;
        written.ok().and_then(Result::ok).ok_or(Failure::own(LOST))
    }

    /// One packet; an error packet is a failure.
    async fn read(&mut self) -> Answered<Vec<u8>> {
        let payload = timeout(self.limit, self.packet()).await.ok().and_then(Result::ok).ok_or(Failure::own(LOST))?;
        let (sequence, payload) = payload;
        if sequence != self.sequence {
            return Err(Failure::own(OUT_OF_STEP));
        }
        self.sequence = self.sequence.wrapping_add(1);
        match payload.as_slice() {
            [0xff, low, high, b'#', rest @ ..] => Err(Failure {
                code: u16::from_le_bytes([*low, *high]),
                state: Some(String::from_utf8_lossy(rest.get(..5).unwrap_or_default()).into_owned()),
                text: String::from_utf8_lossy(rest.get(5..).unwrap_or_default()).into_owned(),
            }),
            _ => Ok(payload),
        }
    }

    async fn packet(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let mut payload = vec![0; usize::try_from(length).unwrap_or(0)];
        self.stream.read_exact(&mut payload).await?;
        Ok((header[3], payload))
    }
}

impl Greeting {
    fn read(payload: &[u8]) -> Option<Self> {
        let end = payload.iter().position(|byte| *byte == 0)?;
        let rest = payload.get(end + 1..)?;
        let mut challenge = rest.get(4..12)?.to_vec();
        challenge.extend(rest.get(31..43)?);
        let plugin = rest.get(44..)?;
        Some(Self {
            protocol: *payload.first()?,
            version: String::from_utf8_lossy(payload.get(1..end)?).into_owned(),
            capabilities: u32::from_le_bytes([*rest.get(13)?, *rest.get(14)?, *rest.get(18)?, *rest.get(19)?]),
            collation: *rest.get(15)?,
            plugin: String::from_utf8_lossy(plugin).trim_end_matches('\0').to_owned(),
            challenge,
        })
    }
}

/// Proof of a password that does not show it.
fn scramble(password: &str, challenge: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = Sha1::digest(password.as_bytes());
    let twice = Sha1::digest(once);
    let mask = Sha1::new().chain_update(challenge).chain_update(twice).finalize();
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// A length-encoded number; `None` for NULL or at the end.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let (first, tail) = rest.split_first()?;
    let size = match first {
        0..=0xfa => 0,
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => {
            *rest = tail;
            return None;
        }
    };
    let (bytes, tail) = tail.split_at_checked(size)?;
    *rest = tail;
    Some(if size == 0 { u64::from(*first) } else { bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)) })
}

fn value(rest: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (text, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn column(payload: &[u8]) -> Option<Column> {
    let mut rest = payload;
    for _ in 0..4 {
        value(&mut rest);
    }
    let name = value(&mut rest)?;
    value(&mut rest);
    Some(Column { name, kind: *rest.get(7)? })
}
