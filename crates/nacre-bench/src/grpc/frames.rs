//! As much of HTTP/2 (RFC 9113) as a gRPC client needs that knows its requests: frames, flow control, one header block.
//!
//! Header blocks of answers are not decoded: a gRPC answer that has a message went well, and the message says the rest.

use std::{
    collections::VecDeque,
    io::{Error, ErrorKind, Result},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length, type, flags, stream.
pub const HEAD: usize = 9;
/// What RFC 9113 gives both sides until they say otherwise.
const WINDOW: i64 = 65_535;
/// How much a server may send us on one stream before it must wait: more than any answer.
const STREAM_WINDOW: u32 = 8 * 1024 * 1024;
/// How much it may send on the connection; given again when half of it is used.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// We never ask for larger frames than every server may send.
const LARGEST_FRAME: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW: u16 = 4;

/// What a connection hears that matters to whoever uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Bytes of a stream, copied to the stream's own buffer by the caller through [`Frames::data`].
    Data {
        stream: u32,
        end: bool,
    },
    /// The end of a stream without (more) data.
    End {
        stream: u32,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    /// The server closes the connection.
    GoAway {
        code: u32,
    },
    /// Settled by this layer.
    Nothing,
}

/// A connection with its windows.
#[derive(Debug)]
pub struct Frames {
    stream: TcpStream,
    input: BytesMut,
    pub out: Vec<u8>,
    /// What was heard while there was no room to send, and has not been told yet.
    early: VecDeque<(Heard, Vec<u8>)>,
    /// Data of such a frame that was told last.
    told: Option<Vec<u8>>,
    /// Bytes of `input` that are the data of the frame heard last; [`Frames::data`] gives them.
    data: std::ops::Range<usize>,
    used: usize,
    /// How much we may send on the connection, and on each new stream.
    send_window: i64,
    initial_window: i64,
    received: u32,
    /// Whether our headers may be kept in the server's table.
    indexed: bool,
    path_known: bool,
    authority: String,
}

impl Frames {
    /// Opens HTTP/2 and waits for the server's settings.
    pub async fn open(stream: TcpStream, authority: String) -> Result<Self> {
        let mut frames = Self {
            stream,
            input: BytesMut::new(),
            out: Vec::new(),
            early: VecDeque::new(),
            told: None,
            data: 0..0,
            used: 0,
            send_window: WINDOW,
            initial_window: WINDOW,
            received: 0,
            indexed: true,
            path_known: false,
            authority,
        };
        frames.out.extend_from_slice(PREFACE);
        let mut settings = Vec::new();
        for (name, value) in [(ENABLE_PUSH, 0), (INITIAL_WINDOW, STREAM_WINDOW)] {
            settings.extend_from_slice(&name.to_be_bytes());
            settings.extend_from_slice(&u32::to_be_bytes(value));
        }
        frames.frame(SETTINGS, 0, 0, &settings);
        frames.grant(0, CONNECTION_WINDOW - WINDOW as u32);
        frames.flush().await?;
        // The first frame of a server is its settings.
        while !frames.settled().await? {}
        Ok(frames)
    }

    async fn settled(&mut self) -> Result<bool> {
        self.fill(HEAD).await?;
        let kind = self.input[self.used + 3];
        self.next().await?;
        Ok(kind == SETTINGS)
    }

    /// Puts the headers of a call to `path` in the buffer. The path that is called again and again is given to the server's
    /// table the first time, as client libraries do.
    pub fn headers(&mut self, stream: u32, path: &str, again: bool) {
        let mut block = Vec::with_capacity(96);
        if again && self.path_known {
            // Newest first from 62: te, content-type, authority, path.
            block.extend_from_slice(&[0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]);
        } else {
            // With incremental indexing, or without.
            let keep = again && self.indexed;
            block.extend_from_slice(&[0x83, 0x86]);
            let mut literal = |name: u8, text: &str| {
                // Indexes below 15 and lengths below 127 take one byte each; content-type (31) takes two without indexing.
                match (keep, name) {
                    (true, _) => block.push(0x40 | name),
                    (false, ..15) => block.push(name),
                    (false, _) => block.extend_from_slice(&[0x0f, name - 15]),
                }
                if name == 0 {
                    block.extend_from_slice(b"\x02te");
                }
                length(text.len(), &mut block);
                block.extend_from_slice(text.as_bytes());
            };
            literal(4, path);
            literal(1, &self.authority);
            literal(31, "application/grpc");
            literal(0, "trailers");
            self.path_known |= keep;
        }
        self.frame(HEADERS, END_HEADERS, stream, &block);
    }

    /// Puts a gRPC message in the buffer, waiting until the windows have room for it.
    pub async fn message(&mut self, stream: u32, payload: &[u8], end: bool) -> Result<()> {
        let size = payload.len() + 5;
        if size as i64 > self.initial_window || size > LARGEST_FRAME {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the request is larger than the server lets us send at once",
            ));
        }
        while self.send_window < size as i64 {
            self.flush().await?;
            match self.read().await? {
                Heard::Nothing => {}
                // It belongs to whoever reads next.
                heard => {
                    let data = self.frame_data().to_vec();
                    self.early.push_back((heard, data));
                }
            }
        }
        self.send_window -= size as i64;
        frame_head(&mut self.out, size, DATA, if end { END_STREAM } else { 0 }, stream);
        self.out.push(0);
        self.out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        self.out.extend_from_slice(payload);
        Ok(())
    }

    pub async fn flush(&mut self) -> Result<()> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    /// The data of the frame heard last.
    pub fn data(&self) -> &[u8] {
        self.told.as_deref().unwrap_or_else(|| self.frame_data())
    }

    fn frame_data(&self) -> &[u8] {
        &self.input[self.data.clone()]
    }

    /// Lets go of buffers: an idle connection of this tool should cost little, too.
    pub fn shrink(&mut self) {
        if self.used == self.input.len() {
            self.input = BytesMut::new();
            (self.used, self.data) = (0, 0..0);
        }
        self.out = Vec::new();
    }

    /// The next frame.
    pub async fn next(&mut self) -> Result<Heard> {
        self.told = None;
        if let Some((heard, data)) = self.early.pop_front() {
            self.told = Some(data);
            return Ok(heard);
        }
        self.read().await
    }

    /// Reads one frame. What HTTP/2 wants answered is in the buffer then, and sent with the next flush.
    async fn read(&mut self) -> Result<Heard> {
        self.fill(HEAD).await?;
        let head = &self.input[self.used..self.used + HEAD];
        let size = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        if size > LARGEST_FRAME {
            return Err(Error::new(ErrorKind::InvalidData, "a frame is larger than allowed: this is no HTTP/2"));
        }
        self.fill(HEAD + size).await?;
        let begin = self.used + HEAD;
        self.used += HEAD + size;
        self.data = begin..begin + size;
        let short = || Error::new(ErrorKind::InvalidData, "a frame is too short");
        let number = |bytes: &[u8]| bytes.first_chunk().map(|b| u32::from_be_bytes(*b)).ok_or_else(short);
        match kind {
            DATA => {
                if flags & PADDED != 0 {
                    let padding = usize::from(*self.frame_data().first().ok_or_else(short)?);
                    if padding + 1 > size {
                        return Err(short());
                    }
                    self.data = begin + 1..begin + size - padding;
                }
                self.received += size as u32;
                if self.received > CONNECTION_WINDOW / 2 {
                    self.grant(0, self.received);
                    self.received = 0;
                }
                Ok(Heard::Data { stream, end: flags & END_STREAM != 0 })
            }
            HEADERS if flags & END_STREAM != 0 => Ok(Heard::End { stream }),
            RST_STREAM => Ok(Heard::Reset { stream, code: number(self.frame_data())? }),
            GOAWAY => Ok(Heard::GoAway { code: number(self.frame_data().get(4..).unwrap_or_default())? }),
            SETTINGS if flags & ACK == 0 => {
                self.settings();
                self.frame(SETTINGS, ACK, 0, &[]);
                Ok(Heard::Nothing)
            }
            PING if flags & ACK == 0 => {
                let echo = self.frame_data().to_vec();
                self.frame(PING, ACK, 0, &echo);
                Ok(Heard::Nothing)
            }
            WINDOW_UPDATE => {
                if stream == 0 {
                    self.send_window += i64::from(number(self.frame_data())?);
                }
                Ok(Heard::Nothing)
            }
            _ => Ok(Heard::Nothing),
        }
    }

    fn settings(&mut self) {
        for entry in self.input[self.data.clone()].chunks_exact(6) {
            let value = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
            match u16::from_be_bytes([entry[0], entry[1]]) {
                // Room for our four headers is enough.
                HEADER_TABLE_SIZE => self.indexed = value >= 1024,
                INITIAL_WINDOW => self.initial_window = i64::from(value),
                _ => {}
            }
        }
    }

    /// Lets the server send more, on a stream or (0) on the connection.
    pub fn grant(&mut self, stream: u32, size: u32) {
        self.frame(WINDOW_UPDATE, 0, stream, &size.to_be_bytes());
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        frame_head(&mut self.out, payload.len(), kind, flags, stream);
        self.out.extend_from_slice(payload);
    }

    /// Reads until so many bytes are there that were not used.
    async fn fill(&mut self, wanted: usize) -> Result<()> {
        if self.used == self.input.len() {
            self.input.clear();
            self.used = 0;
        }
        while self.input.len() - self.used < wanted {
            if !self.out.is_empty() {
                self.flush().await?;
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
        }
        Ok(())
    }
}

fn frame_head(out: &mut Vec<u8>, size: usize, kind: u8, flags: u8, stream: u32) {
    let size = (size as u32).to_be_bytes();
    out.extend_from_slice(&[size[1], size[2], size[3], kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

/// An HPACK integer with seven bits in its first byte, without Huffman coding.
fn length(length: usize, out: &mut Vec<u8>) {
    if length < 127 {
        out.push(length as u8);
        return;
    }
    out.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}
