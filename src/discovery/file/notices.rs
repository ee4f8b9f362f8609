//! What the kernel tells of a file (inotify): that it was written, replaced, taken away or put there, by its name or by any
//! folder or link on the way to it.

use futures_util::{FutureExt, StreamExt};
use inotify::{EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask};
use nix::sys::statfs::{self, FsType, statfs};
use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// What happens to names in a folder.
const IN_FOLDER: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ONLYDIR);
/// What happens to the file itself; the last link to it, too, is an attribute.
const TO_FILE: WatchMask = WatchMask::MODIFY
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF);
/// As many links on one way as the kernel follows.
const MAX_LINKS: usize = 40;
/// Some ten events at once, with the longest names.
const BUFFER: usize = 4096;
/// Not among those that nix names: SMB2, CIFS, what a virtual machine shares with its host (9p), and Ceph.
const MORE_SILENT: [FsType; 4] = [
    FsType(0xfe53_4d42_u32 as _),
    FsType(0xff53_4d42_u32 as _),
    FsType(0x0102_1997_u32 as _),
    FsType(0x00c3_6400_u32 as _),
];

/// The kernel's queue, and which names in which folder concern us. None: the file itself, all of it.
pub struct Armed {
    inotify: Inotify,
    names: HashMap<WatchDescriptor, Option<HashSet<OsString>>>,
}

/// Blocks as long as the file system likes. None where nothing would be told: on a network, or if the user's share of
/// inotify is used up.
pub fn arm(path: &Path) -> Option<Armed> {
    let mut armed = Armed { inotify: Inotify::init().ok()?, names: HashMap::new() };
    armed.follow(path)?;
    Some(armed)
}

impl Armed {
    /// Watches each folder on the way before it looks what its name stands for there, so that no change falls in
    /// between.
    fn follow(&mut self, path: &Path) -> Option<()> {
        let absolute = std::path::absolute(path).ok()?;
        let mut way: VecDeque<OsString> = parts(&absolute).collect();
        let (mut here, mut links) = (PathBuf::from("/"), 0);
        while let Some(name) = way.pop_front() {
            if name == "/" {
                here = PathBuf::from("/");
            } else if name == ".." {
                here.pop();
            } else {
                self.add(&here, IN_FOLDER, Some(&name))?;
                here.push(&name);
                if let Ok(target) = fs::read_link(&here)
                    && links < MAX_LINKS
                {
                    links += 1;
                    here.pop();
                    parts(&target).rev().for_each(|part| way.push_front(part));
                }
            }
        }
        self.add(&here, TO_FILE, None)
    }

    /// What is not there, or may not be looked into, is told of by the folder above or by the file below.
    fn add(&mut self, path: &Path, flags: WatchMask, name: Option<&OsString>) -> Option<()> {
        let watch = match self.inotify.watches().add(path, flags) {
            Ok(watch) => watch,
            // what the kernel says if the user has too many watches
            Err(error) if error.kind() == ErrorKind::StorageFull => return None,
            Err(_) => return Some(()),
        };
        if statfs(path).is_ok_and(|file_system| silent(file_system.filesystem_type())) {
            return None;
        }
        let names = self.names.entry(watch).or_insert_with(|| Some(HashSet::new()));
        match (name, names) {
            (Some(name), Some(names)) => drop(names.insert(name.clone())),
            (_, names) => *names = None,
        }
        Some(())
    }
}

/// The parts of a path from the left; `/` for the root.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter(|part| *part != Component::CurDir).map(|part| part.as_os_str().to_owned())
}

/// Whether changes that others make there are not told.
fn silent(kind: FsType) -> bool {
    let known = [
        statfs::NFS_SUPER_MAGIC,
        statfs::SMB_SUPER_MAGIC,
        statfs::NCP_SUPER_MAGIC,
        statfs::CODA_SUPER_MAGIC,
        statfs::AFS_SUPER_MAGIC,
        statfs::FUSE_SUPER_MAGIC,
        statfs::PROC_SUPER_MAGIC,
        statfs::SYSFS_MAGIC,
    ];
    known.contains(&kind) || MORE_SILENT.contains(&kind)
}

/// Armed, in a runtime.
pub struct Notices {
    events: EventStream<Vec<u8>>,
    names: HashMap<WatchDescriptor, Option<HashSet<OsString>>>,
}

impl Notices {
    pub fn new(armed: Armed) -> Option<Self> {
        let Armed { inotify, names } = armed;
        inotify.into_event_stream(vec![0; BUFFER]).ok().map(|events| Self { events, names })
    }

    /// Waits until something happened that may concern the file. Cancel-safe.
    pub async fn next(&mut self) {
        loop {
            match self.events.next().await {
                Some(Ok(event)) if !self.concerns(&event) => {}
                _ => return,
            }
        }
    }

    /// Takes in what has been told by now, and whether any of it concerns the file.
    pub fn drain(&mut self) -> bool {
        let mut concerned = false;
        while let Some(Some(Ok(event))) = self.events.next().now_or_never() {
            concerned |= self.concerns(&event);
        }
        concerned
    }

    fn concerns(&self, event: &EventOwned) -> bool {
        match (self.names.get(&event.wd), &event.name) {
            (Some(Some(names)), Some(name)) => names.contains(name),
            // a folder or the file as a whole, or a queue that overflowed
            _ => true,
        }
    }
}
