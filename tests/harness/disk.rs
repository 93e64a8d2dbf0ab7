//! A file system of a server's own, that can be full: a tmpfs, where this process runs in a mount namespace of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `scripts/with-mounts` sets it.
const MAY_MOUNT: &str = "ANARCHO_MOUNTS";
/// Much more than a test writes; nothing is taken before it is written.
const ROOM: u64 = 1 << 30;

/// Unmounted when it is dropped, and gone with the namespace at the latest.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// None where nothing may be mounted.
    pub fn mount(folder: &Path) -> Option<Disk> {
        std::env::var_os(MAY_MOUNT)?;
        let disk = Disk(folder.to_owned());
        assert!(run("mount", &["-t", "tmpfs", "-o", &format!("size={ROOM}"), "none"], folder), "no tmpfs");
        Some(disk)
    }

    /// No block is free any more: a write gets ENOSPC.
    pub fn fill(&self) {
        let path = std::ffi::CString::new(self.0.as_os_str().as_encoded_bytes()).expect("a path without NUL");
        // SAFETY: a plain system call into a zeroed structure of plain numbers.
        let used = unsafe {
            let mut found: libc::statvfs = std::mem::zeroed();
            assert_eq!(libc::statvfs(path.as_ptr(), &mut found), 0, "statvfs");
            (found.f_blocks - found.f_bfree) * found.f_frsize
        };
        // It may have grown since; a limit below what is used is refused.
        let sizes = [used, used + (64 << 10), used + (1 << 20)];
        assert!(sizes.iter().any(|size| self.resize(*size)), "the file system cannot be made smaller");
    }

    /// There is room again.
    pub fn empty(&self) {
        assert!(self.resize(ROOM), "the file system cannot be made larger");
    }

    fn resize(&self, size: u64) -> bool {
        run("mount", &["-o", &format!("remount,size={size}")], &self.0)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, words: &[&str], folder: &Path) -> bool {
    Command::new(program).args(words).arg(folder).status().is_ok_and(|status| status.success())
}
