//! Processor time: what an operation costs even where the cores are shared with others.

use crate::harness::Server;
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use std::ops::Sub;

/// Processor time in seconds, since some moment.
#[derive(Clone, Copy)]
pub struct Used {
    pub client: f64,
    pub servers: f64,
}

impl Sub for Used {
    type Output = Used;

    fn sub(self, before: Used) -> Used {
        Used { client: self.client - before.client, servers: self.servers - before.servers }
    }
}

/// Asks this process and the servers.
pub struct Processor {
    servers: Vec<MultiplexedConnection>,
}

impl Processor {
    pub async fn of(servers: &[Server]) -> Processor {
        Processor { servers: join_all(servers.iter().map(Server::connection)).await }
    }

    pub async fn used(&mut self) -> Used {
        let servers = join_all(self.servers.iter_mut().map(used_by)).await;
        Used { client: used_here(), servers: servers.into_iter().sum() }
    }
}

async fn used_by(server: &mut MultiplexedConnection) -> f64 {
    let mut cmd = redis::cmd("INFO");
    let info: String = cmd.arg("cpu").query_async(server).await.expect("INFO cpu");
    let lines = info.lines().filter_map(|line| line.split_once(':'));
    let own = lines.filter(|(name, _)| matches!(*name, "used_cpu_user" | "used_cpu_sys"));
    own.map(|(_, seconds)| seconds.parse::<f64>().expect("seconds")).sum()
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
