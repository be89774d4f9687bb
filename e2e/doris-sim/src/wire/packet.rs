//! Packets of the MySQL protocol, server side.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer::{Answer, ColumnType, Rows, SqlError};

/// Largest payload of one packet; longer ones are continued.
const FULL: usize = 0xff_ffff;

/// Client flags that change what is sent.
pub(super) const DEPRECATE_EOF: u32 = 0x0100_0000;
pub(super) const MULTI_STATEMENTS: u32 = 0x0001_0000;

/// A connection with its packet numbers.
pub(super) struct Packets {
    pub stream: TcpStream,
    pub sequence: u8,
    pub deprecate_eof: bool,
    /// Whether the client wants to be told that another result follows; it gets the result all the same.
    pub multi_statements: bool,
}

impl Packets {
    pub async fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut payload = Vec::new();
        loop {
            let mut header = [0; 4];
            self.stream.read_exact(&mut header).await?;
            let length = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
            self.sequence = header[3].wrapping_add(1);
            let start = payload.len();
            payload.resize(start + length, 0);
            self.stream.read_exact(&mut payload[start..]).await?;
            if length < FULL {
                return Ok(payload);
            }
        }
    }

    fn frame(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        let mut rest = payload;
        loop {
            let (part, tail) = rest.split_at(rest.len().min(FULL));
            let length = u32::try_from(part.len()).unwrap_or(0).to_le_bytes();
            out.extend([length[0], length[1], length[2], self.sequence]);
            out.extend(part);
            self.sequence = self.sequence.wrapping_add(1);
            rest = tail;
            if part.len() < FULL {
                return;
            }
        }
    }

    pub async fn write(&mut self, payload: &[u8]) -> std::io::Result<()> {
        let mut out = Vec::new();
        self.frame(&mut out, payload);
        self.stream.write_all(&out).await
    }

    pub async fn ok(&mut self) -> std::io::Result<()> {
        self.write(&[0, 0, 0, 0, 0, 0, 0]).await
    }

    pub async fn error(&mut self, error: &SqlError) -> std::io::Result<()> {
        let (code, state, text) = match error {
            SqlError::Server { code, state, text } => (*code, *state, text.clone()),
            // There is nobody left to say it: the connection just ends.
            _ => return Err(std::io::ErrorKind::ConnectionAborted.into()),
        };
        let mut payload = vec![0xff];
        payload.extend(code.to_le_bytes());
        payload.push(b'#');
        payload.extend(state.as_bytes());
        payload.extend(text.as_bytes());
        self.write(&payload).await
    }

    /// One answer; `more` when another follows.
    pub async fn answer(&mut self, answer: &Result<Answer, SqlError>, more: bool) -> std::io::Result<()> {
        let more = more && self.multi_statements;
        match answer {
            Err(error) => self.error(error).await,
            Ok(Answer::Ok { affected }) => {
                let mut payload = vec![0];
                length(&mut payload, *affected);
                payload.push(0);
                payload.extend(status(more));
                payload.extend([0, 0]);
                self.write(&payload).await
            }
            Ok(Answer::Rows(rows)) => self.rows(rows, more).await,
        }
    }

    async fn rows(&mut self, rows: &Rows, more: bool) -> std::io::Result<()> {
        let mut out = Vec::new();
        let mut count = Vec::new();
        length(&mut count, rows.columns.len() as u64);
        self.frame(&mut out, &count);
        for column in &rows.columns {
            self.frame(&mut out, &definition(&column.name, column.kind));
        }
        if !self.deprecate_eof {
            self.frame(&mut out, &[0xfe, 0, 0, 0, 0]);
        }
        for row in &rows.rows {
            let mut payload = Vec::new();
            for cell in row {
                match cell {
                    Some(text) => bytes(&mut payload, text.as_bytes()),
                    None => payload.push(0xfb),
                }
            }
            self.frame(&mut out, &payload);
        }
        let flags = status(more);
        if self.deprecate_eof {
            self.frame(&mut out, &[0xfe, 0, 0, flags[0], flags[1], 0, 0]);
        } else {
            self.frame(&mut out, &[0xfe, 0, 0, flags[0], flags[1]]);
        }
        self.stream.write_all(&out).await
    }
}

/// Server status: only "more results follow" is ever set.
fn status(more: bool) -> [u8; 2] {
    [if more { 8 } else { 0 }, 0]
}

fn definition(name: &str, kind: ColumnType) -> Vec<u8> {
    let (code, size, text) = match kind {
        ColumnType::Tiny => (0x01, 4, false),
        ColumnType::Short => (0x02, 6, false),
        ColumnType::Long => (0x03, 11, false),
        ColumnType::LongLong => (0x08, 20, false),
        ColumnType::Double => (0x05, 22, false),
        ColumnType::Decimal => (0xf6, 65, false),
        ColumnType::Date => (0x0a, 10, false),
        ColumnType::DateTime => (0x0c, 19, false),
        ColumnType::Str => (0xfe, 255, true),
        ColumnType::Blob => (0xfc, 255, true),
    };
    let mut payload = Vec::new();
    for part in ["def", "", "", ""] {
        bytes(&mut payload, part.as_bytes());
    }
    bytes(&mut payload, name.as_bytes());
    bytes(&mut payload, name.as_bytes());
    payload.push(0x0c);
    payload.extend(if text { 33u16 } else { 63 }.to_le_bytes());
    payload.extend(u32::to_le_bytes(size));
    payload.extend([code, 0, 0, 0, 0, 0]);
    payload
}

/// A length-encoded number.
fn length(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    match value {
        0..=250 => out.push(bytes[0]),
        251..=0xffff => {
            out.push(0xfc);
            out.extend(&bytes[..2]);
        }
        0x1_0000..=0xff_ffff => {
            out.push(0xfd);
            out.extend(&bytes[..3]);
        }
        _ => {
            out.push(0xfe);
            out.extend(bytes);
        }
    }
}

fn bytes(out: &mut Vec<u8>, content: &[u8]) {
    length(out, content.len() as u64);
    out.extend(content);
}
