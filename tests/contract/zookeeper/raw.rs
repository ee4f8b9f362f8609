//! Somebody else who speaks to a ZooKeeper, written apart from the backend's client.

use crate::common::DEADLINE;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub const NO_NODE: i32 = -101;
pub const NO_AUTH: i32 = -102;

/// A session of its own, which ends some seconds after it is dropped.
pub struct Raw {
    stream: TcpStream,
    xid: i32,
    /// The last transaction of all.
    pub zxid: i64,
    pub session: i64,
}

pub struct Node {
    pub data: Vec<u8>,
    pub created: i64,
    pub owner: i64,
}

impl Raw {
    pub fn open(server: SocketAddr) -> io::Result<Self> {
        Self::attach(server, 0, &[0; 16])
    }

    /// An error for a session that has ended.
    pub fn attach(server: SocketAddr, session: i64, password: &[u8]) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let mut raw = Self { stream, xid: 0, zxid: 0, session };
        let mut hello = Vec::new();
        hello.extend(0_i32.to_be_bytes());
        hello.extend(0_i64.to_be_bytes());
        hello.extend(10_000_i32.to_be_bytes());
        hello.extend(session.to_be_bytes());
        buffer(&mut hello, password);
        raw.send(&hello)?;
        let answer = raw.frame()?;
        if int(&answer, 4) <= 0 {
            return Err(io::Error::other("the session has ended"));
        }
        raw.session = long(&answer, 8);
        Ok(raw)
    }

    /// The session of a hold.
    pub fn of_hold(server: SocketAddr, hold: &str) -> io::Result<Self> {
        let session = u64::from_str_radix(&hold[..16], 16).map_err(io::Error::other)?;
        let byte = |at| u8::from_str_radix(&hold[at..at + 2], 16).map_err(io::Error::other);
        let password: Vec<u8> = (16..hold.len()).step_by(2).map(byte).collect::<Result<_, _>>()?;
        Self::attach(server, session.cast_signed(), &password)
    }

    pub fn create(&mut self, path: &str, data: &str, ephemeral: bool) -> io::Result<()> {
        let mut body = Vec::new();
        create(&mut body, path, data, ephemeral);
        self.ask(1, &body).and_then(done)
    }

    /// With all its parents.
    pub fn folder(&mut self, path: &str) -> io::Result<()> {
        for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            if self.get(&path[..at])?.is_none() {
                self.create(&path[..at], "", false)?;
            }
        }
        Ok(())
    }

    /// For good, many at once.
    pub fn fill(&mut self, folder: &str, names: &[String]) -> io::Result<()> {
        for some in names.chunks(200) {
            let mut body = Vec::new();
            for name in some {
                header(&mut body, 1, false);
                create(&mut body, &format!("{folder}/{name}"), name, false);
            }
            header(&mut body, -1, true);
            self.ask(14, &body).and_then(done)?;
        }
        Ok(())
    }

    pub fn set(&mut self, path: &str, data: &str) -> io::Result<()> {
        let mut body = Vec::new();
        buffer(&mut body, path.as_bytes());
        buffer(&mut body, data.as_bytes());
        body.extend((-1_i32).to_be_bytes());
        self.ask(5, &body).and_then(done)
    }

    pub fn delete(&mut self, path: &str) -> io::Result<()> {
        self.try_delete(path).and_then(|code| done((code, Vec::new())))
    }

    pub fn try_delete(&mut self, path: &str) -> io::Result<i32> {
        let mut body = Vec::new();
        buffer(&mut body, path.as_bytes());
        body.extend((-1_i32).to_be_bytes());
        self.ask(2, &body).map(|(code, _)| code)
    }

    pub fn get(&mut self, path: &str) -> io::Result<Option<Node>> {
        let mut body = Vec::new();
        buffer(&mut body, path.as_bytes());
        body.push(0);
        let (code, answer) = self.ask(4, &body)?;
        if code == NO_NODE {
            return Ok(None);
        }
        done((code, Vec::new()))?;
        let length = usize::try_from(int(&answer, 0)).unwrap_or_default();
        let stat = 4 + length;
        Ok(Some(Node { data: answer[4..stat].to_vec(), created: long(&answer, stat), owner: long(&answer, stat + 44) }))
    }

    /// Everybody may read, and nobody else may do anything.
    pub fn protect(&mut self, path: &str) -> io::Result<()> {
        let mut body = Vec::new();
        buffer(&mut body, path.as_bytes());
        body.extend(2_i32.to_be_bytes());
        for (rights, scheme, id) in [(31_i32, "auth", ""), (1, "world", "anyone")] {
            body.extend(rights.to_be_bytes());
            buffer(&mut body, scheme.as_bytes());
            buffer(&mut body, id.as_bytes());
        }
        body.extend((-1_i32).to_be_bytes());
        self.ask(7, &body).and_then(done)
    }

    pub fn log_in(&mut self, user_and_password: &str) -> io::Result<()> {
        let mut body = 0_i32.to_be_bytes().to_vec();
        buffer(&mut body, b"digest");
        buffer(&mut body, user_and_password.as_bytes());
        self.xid = -5;
        self.ask(100, &body).and_then(done)?;
        self.xid = 0;
        Ok(())
    }

    /// Ends the session.
    pub fn close(mut self) -> io::Result<()> {
        self.ask(-11, &[]).map(drop)
    }

    fn ask(&mut self, kind: i32, body: &[u8]) -> io::Result<(i32, Vec<u8>)> {
        self.xid += 1;
        let mut frame = self.xid.to_be_bytes().to_vec();
        frame.extend(kind.to_be_bytes());
        frame.extend(body);
        self.send(&frame)?;
        let answer = self.frame()?;
        assert_eq!(int(&answer, 0), self.xid, "it answers what was asked");
        self.zxid = self.zxid.max(long(&answer, 4));
        Ok((int(&answer, 12), answer[16..].to_vec()))
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::new();
        buffer(&mut bytes, frame);
        self.stream.write_all(&bytes)
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }
}

fn create(out: &mut Vec<u8>, path: &str, data: &str, ephemeral: bool) {
    buffer(out, path.as_bytes());
    buffer(out, data.as_bytes());
    out.extend(1_i32.to_be_bytes());
    out.extend(31_i32.to_be_bytes());
    buffer(out, b"world");
    buffer(out, b"anyone");
    out.extend(i32::from(ephemeral).to_be_bytes());
}

fn header(out: &mut Vec<u8>, kind: i32, done: bool) {
    out.extend(kind.to_be_bytes());
    out.push(done.into());
    out.extend((-1_i32).to_be_bytes());
}

fn buffer(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).expect("it is short").to_be_bytes());
    out.extend(bytes);
}

fn done((code, _): (i32, Vec<u8>)) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::other(format!("code {code}"))) }
}

fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
