//! What goes over the wire: jute, ZooKeeper's serialization, for the few requests that we have.

/// Of a reply that no request asked for: a watch has fired.
pub const EVENT: i32 = -1;
pub const PING: i32 = -2;
const AUTH: i32 = -4;
/// Any version of a node.
pub const ANY: i32 = -1;

pub mod code {
    pub const OK: i32 = 0;
    pub const NO_NODE: i32 = -101;
    pub const NO_AUTH: i32 = -102;
    pub const BAD_VERSION: i32 = -103;
    pub const NODE_EXISTS: i32 = -110;
    pub const NOT_EMPTY: i32 = -111;
    pub const SESSION_EXPIRED: i32 = -112;
    pub const AUTH_FAILED: i32 = -115;
    pub const SESSION_MOVED: i32 = -118;
    pub const NEEDS_AUTH: i32 = -124;
    pub const QUOTA_EXCEEDED: i32 = -125;
}

const ALL: i32 = 31;
const READ: i32 = 1;

/// Who may do what with a node that we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acl {
    /// Everybody may do everything.
    Open,
    /// Who has our user and password may do everything, the others may read.
    Ours,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A node that ends with the session.
    Ephemeral {
        path: String,
        data: Vec<u8>,
        acl: Acl,
    },
    /// One for good, without data.
    Folder {
        path: String,
        acl: Acl,
    },
    Delete {
        path: String,
        version: i32,
    },
    SetData {
        path: String,
        data: Vec<u8>,
        version: i32,
    },
    Exists {
        path: String,
        watch: bool,
    },
    Data {
        path: String,
        watch: bool,
    },
    Children {
        path: String,
        watch: bool,
    },
    /// What is read behind it is not older than this.
    Sync {
        path: String,
    },
    /// All or nothing.
    Multi(Vec<Op>),
    Ping,
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The last change of the data.
    pub changed: i64,
    pub version: i32,
    /// The session that the node ends with; 0 for one that stays.
    pub owner: i64,
    /// The last coming or going of a child.
    pub children_changed: i64,
}

impl Op {
    fn kind(&self) -> i32 {
        match self {
            Self::Ephemeral { .. } | Self::Folder { .. } => 1,
            Self::Delete { .. } => 2,
            Self::Exists { .. } => 3,
            Self::Data { .. } => 4,
            Self::SetData { .. } => 5,
            Self::Sync { .. } => 9,
            Self::Ping => 11,
            Self::Children { .. } => 12,
            Self::Multi(_) => 14,
            Self::Close => -11,
        }
    }

    /// The path that an answer is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Ephemeral { path, .. }
            | Self::Folder { path, .. }
            | Self::Delete { path, .. }
            | Self::SetData { path, .. }
            | Self::Exists { path, .. }
            | Self::Data { path, .. }
            | Self::Children { path, .. }
            | Self::Sync { path } => path,
            Self::Multi(ops) => ops.last().map_or("", Self::path),
            Self::Ping | Self::Close => "",
        }
    }

    /// The frame of a request.
    pub fn frame(&self, xid: i32) -> Vec<u8> {
        let mut out = Writer::default();
        out.int(xid);
        out.int(self.kind());
        self.body(&mut out);
        out.frame()
    }

    fn body(&self, out: &mut Writer) {
        match self {
            Self::Ephemeral { path, data, acl } => create(out, path, data, *acl, 1),
            Self::Folder { path, acl } => create(out, path, &[], *acl, 0),
            Self::Delete { path, version } => {
                out.text(path);
                out.int(*version);
            }
            Self::SetData { path, data, version } => {
                out.text(path);
                out.buffer(data);
                out.int(*version);
            }
            Self::Exists { path, watch } | Self::Data { path, watch } | Self::Children { path, watch } => {
                out.text(path);
                out.bool(*watch);
            }
            Self::Sync { path } => out.text(path),
            Self::Multi(ops) => {
                for op in ops {
                    multi_header(out, op.kind(), false);
                    op.body(out);
                }
                multi_header(out, -1, true);
            }
            Self::Ping | Self::Close => {}
        }
    }
}

fn create(out: &mut Writer, path: &str, data: &[u8], acl: Acl, flags: i32) {
    out.text(path);
    out.buffer(data);
    let entries: &[(i32, &str, &str)] = match acl {
        Acl::Open => &[(ALL, "world", "anyone")],
        Acl::Ours => &[(ALL, "auth", ""), (READ, "world", "anyone")],
    };
    // there are two at most
    out.int(i32::try_from(entries.len()).unwrap_or_default());
    for (rights, scheme, id) in entries {
        out.int(*rights);
        out.text(scheme);
        out.text(id);
    }
    out.int(flags);
}

fn multi_header(out: &mut Writer, kind: i32, done: bool) {
    out.int(kind);
    out.bool(done);
    out.int(-1);
}

/// The first frame on a connection: a session is wanted, or one is taken up again.
pub fn hello(seen: i64, timeout: i32, id: i64, password: &[u8]) -> Vec<u8> {
    let mut out = Writer::default();
    out.int(0);
    out.long(seen);
    out.int(timeout);
    out.long(id);
    out.buffer(password);
    // no server that only reads
    out.bool(false);
    out.frame()
}

/// Milliseconds, id and password of the session that was granted; no milliseconds for one that has ended.
pub fn welcome(frame: &[u8]) -> Option<(i32, i64, Vec<u8>)> {
    let mut reader = Reader(frame);
    reader.int()?;
    Some((reader.int()?, reader.long()?, reader.buffer()?.to_vec()))
}

/// Of the head of a reply.
pub const HEAD: usize = 16;

/// Which request it answers, the last transaction, and whether it failed.
pub fn head(frame: &[u8]) -> Option<(i32, i64, i32)> {
    let mut reader = Reader(frame);
    Some((reader.int()?, reader.long()?, reader.int()?))
}

/// Tells who we are.
pub fn digest(user_and_password: &str) -> Vec<u8> {
    let mut out = Writer::default();
    out.int(AUTH);
    out.int(100);
    out.int(0);
    out.text("digest");
    out.buffer(user_and_password.as_bytes());
    out.frame()
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn int(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
    }

    fn long(&mut self, value: i64) {
        self.0.extend(value.to_be_bytes());
    }

    fn bool(&mut self, value: bool) {
        self.0.push(value.into());
    }

    fn buffer(&mut self, value: &[u8]) {
        self.int(length(value));
        self.0.extend(value);
    }

    fn text(&mut self, value: &str) {
        self.buffer(value.as_bytes());
    }

    fn frame(self) -> Vec<u8> {
        let mut frame = length(&self.0).to_be_bytes().to_vec();
        frame.extend(self.0);
        frame
    }
}

/// Nothing that we send comes near the limit.
fn length(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).unwrap_or(i32::MAX)
}

/// Takes apart what came; None for what is too short.
pub struct Reader<'b>(pub &'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn int(&mut self) -> Option<i32> {
        self.take(4)?.try_into().ok().map(i32::from_be_bytes)
    }

    pub fn long(&mut self) -> Option<i64> {
        self.take(8)?.try_into().ok().map(i64::from_be_bytes)
    }

    /// Nothing for the buffer that is none.
    pub fn buffer(&mut self) -> Option<&'b [u8]> {
        match self.int()? {
            -1 => Some(&[]),
            length => self.take(usize::try_from(length).ok()?),
        }
    }

    pub fn texts(&mut self) -> Option<Vec<String>> {
        let count = usize::try_from(self.int()?.max(0)).ok()?;
        (0..count).map(|_| self.buffer().map(|text| String::from_utf8_lossy(text).into_owned())).collect()
    }

    pub fn stat(&mut self) -> Option<Stat> {
        let (_created, changed) = (self.long()?, self.long()?);
        self.take(16)?;
        let version = self.int()?;
        self.take(8)?;
        let owner = self.long()?;
        self.take(8)?;
        Some(Stat { changed, version, owner, children_changed: self.long()? })
    }

    /// The first failure among the results of a multi; those that it took down with it don't count.
    pub fn multi(&mut self) -> Option<i32> {
        loop {
            let kind = self.int()?;
            let done = self.take(1)? != [0];
            self.int()?;
            match kind {
                _ if done => return Some(code::OK),
                -1 => match self.int()? {
                    code::OK | -2 => {}
                    failure => return Some(failure),
                },
                1 => drop(self.buffer()?),
                5 => drop(self.stat()?),
                2 => {}
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_length_before_it() {
        let frame = Op::Delete { path: "/a".into(), version: ANY }.frame(7);
        assert_eq!(frame, [0, 0, 0, 18, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 2, b'/', b'a', 255, 255, 255, 255]);
    }

    #[test]
    fn what_is_too_short_or_makes_no_sense_is_no_answer() {
        assert_eq!(Reader(&[0, 0, 0, 5, 1]).buffer(), None);
        assert_eq!(Reader(&[255, 255, 255, 255]).buffer(), Some(&[][..]));
        assert_eq!(Reader(&[255, 255, 255, 254]).buffer(), None);
        assert_eq!(Reader(&[127, 255, 255, 255, 0]).texts(), None);
        assert_eq!(Reader(&[0; 67]).stat(), None);
        assert_eq!(welcome(&[0; 16]), None);
        assert!(Reader(&[0; 68]).stat().is_some());
    }

    #[test]
    fn the_cause_of_a_multi_that_failed_is_not_what_it_took_down() {
        let mut bytes = Writer::default();
        for failure in [0, code::BAD_VERSION, -2] {
            multi_header(&mut bytes, -1, false);
            bytes.int(failure);
        }
        multi_header(&mut bytes, -1, true);
        assert_eq!(Reader(&bytes.0).multi(), Some(code::BAD_VERSION));
    }
}
