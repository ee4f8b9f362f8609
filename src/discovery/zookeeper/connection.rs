//! One connection to one server.

use super::wire::{self, EVENT, Op, PING, Reader};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// A list of ten thousands of nodes is a MiB.
const LIMIT: usize = 16 << 20;

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Bytes with a session. One that is dropped in the middle of something is of no use any more, and is closed.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// For errors.
    pub server: String,
    input: Vec<u8>,
    xid: i32,
    /// The last transaction that we know of.
    pub seen: i64,
    /// A watch has fired.
    pub fired: bool,
    pub watches: Watches,
}

/// Whether a change of what its user cares about makes a watch fire. They end with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watches {
    None,
    /// Some of it was asked for over this connection.
    BeingSet,
    Set,
}

/// Why a connection is of no use any more.
#[derive(Debug)]
pub enum Broken {
    Io(io::Error),
    Garbled(&'static str),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What came back, success or not.
#[derive(Debug)]
pub struct Reply {
    pub code: i32,
    body: Vec<u8>,
}

impl Reply {
    pub fn reader(&self) -> Reader<'_> {
        Reader(&self.body)
    }
}

impl Connection {
    pub fn new(stream: Box<dyn Stream>, server: String) -> Self {
        Self { stream, server, input: Vec::new(), xid: 0, seen: 0, fired: false, watches: Watches::None }
    }

    /// Sends what is not an operation, and gives the frame that comes back.
    pub async fn say(&mut self, frame: &[u8]) -> Result<Vec<u8>, Broken> {
        self.send(frame).await?;
        self.frame().await
    }

    /// Sends all of them at once; the replies come in the same order.
    pub async fn exchange(&mut self, ops: &[Op]) -> Result<Vec<Reply>, Broken> {
        let (mut bytes, mut expected) = (Vec::new(), Vec::with_capacity(ops.len()));
        for op in ops {
            let xid = if *op == Op::Ping { PING } else { self.next_xid() };
            bytes.extend(op.frame(xid));
            expected.push(xid);
        }
        self.send(&bytes).await?;
        let (mut replies, mut length) = (Vec::with_capacity(ops.len()), 0);
        for xid in expected {
            let reply = self.reply(xid).await?;
            length += reply.body.len();
            if length > LIMIT {
                return Err(Broken::Garbled("what was asked for at once is too long"));
            }
            replies.push(reply);
        }
        Ok(replies)
    }

    /// Waits until a watch fires; false: none did. It sees that the session lives meanwhile, and the server.
    pub async fn event(&mut self, until: Instant, pace: Duration) -> Result<bool, Broken> {
        let mut unanswered = false;
        while !self.fired {
            let pause = (Instant::now() + pace).min(until);
            match timeout_at(pause, self.frame()).await {
                Ok(frame) => {
                    self.fired = head(&frame?)?.0 == EVENT;
                    unanswered = false;
                }
                Err(_) if pause == until => return Ok(false),
                Err(_) if unanswered => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                Err(_) => {
                    self.send(&Op::Ping.frame(PING)).await?;
                    unanswered = true;
                }
            }
        }
        self.fired = false;
        Ok(true)
    }

    async fn reply(&mut self, xid: i32) -> Result<Reply, Broken> {
        loop {
            let frame = self.frame().await?;
            let (of, seen, code) = head(&frame)?;
            match of {
                EVENT => self.fired = true,
                _ if of == xid => {
                    self.seen = self.seen.max(seen);
                    return Ok(Reply { code, body: frame[wire::HEAD..].to_vec() });
                }
                // of one that was sent while we waited for an event
                PING => {}
                _ => return Err(Broken::Garbled("it answers something else than was asked")),
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Cancel-safe: what came so far is kept.
    async fn frame(&mut self) -> Result<Vec<u8>, Broken> {
        let mut chunk = [0; 8192];
        loop {
            if let Some(length) = self.input.first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if length > LIMIT {
                    return Err(Broken::Garbled("it is no answer of a ZooKeeper server, or is too long"));
                }
                if self.input.len() >= 4 + length {
                    let rest = self.input.split_off(4 + length);
                    let frame = std::mem::replace(&mut self.input, rest);
                    return Ok(frame[4..].to_vec());
                }
            }
            match self.stream.read(&mut chunk).await? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                read => self.input.extend(&chunk[..read]),
            }
        }
    }

    fn next_xid(&mut self) -> i32 {
        self.xid = self.xid.checked_add(1).unwrap_or(1);
        self.xid
    }
}

/// Request, transaction, failure.
fn head(frame: &[u8]) -> Result<(i32, i64, i32), Broken> {
    wire::head(frame).ok_or(Broken::Garbled("it is too short"))
}
