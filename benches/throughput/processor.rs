//! Processor time: what an operation costs even where the cores are shared with others.

use std::ops::Sub;

/// Processor time in seconds, since some moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub client: f64,
    pub servers: f64,
}

impl Used {
    /// Of this process, and of the processes with these ids.
    pub fn now(servers: &[u32]) -> Used {
        Used { client: used_here(), servers: servers.iter().map(|id| used_by(*id)).sum() }
    }
}

impl Sub for Used {
    type Output = Used;

    fn sub(self, before: Used) -> Used {
        Used { client: self.client - before.client, servers: self.servers - before.servers }
    }
}

/// Of all its threads, also those that have ended; zero for a process that is gone, and where others' clocks cannot be read.
#[cfg(target_os = "linux")]
fn used_by(process: u32) -> f64 {
    let Ok(process) = libc::pid_t::try_from(process) else { return 0.0 };
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both pointers are to variables of ours, and the second call only happens with a clock that the first one gave.
    let known = unsafe {
        libc::clock_getcpuclockid(process, &mut clock) == 0 && libc::clock_gettime(clock, &mut time) == 0
    };
    if known { time.tv_sec as f64 + time.tv_nsec as f64 / 1e9 } else { 0.0 }
}

#[cfg(not(target_os = "linux"))]
fn used_by(_process: u32) -> f64 {
    0.0
}

fn used_here() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a rusage of ours; zeroes are a valid one, if the call should fail.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
