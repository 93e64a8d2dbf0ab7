//! A child process that cannot outlive the test.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// A running server. Dropping it kills it.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` as a child that dies when the test's process dies, however it dies.
    pub fn spawn(command: Command) -> io::Result<Process> {
        let (answer, child) = channel();
        let spawner = spawner().lock().expect("the spawner's lock").clone();
        spawner.send((command, answer)).expect("the spawner lives as long as the process");
        let child = child.recv().expect("the spawner answers")?;
        Ok(Process { child })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended by itself?
    pub fn has_exited(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// SIGKILL, and waits until it is gone. Works on a stopped process too.
    pub fn kill(&mut self) {
        // Fails only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; a stopped process is continued so that it can notice.
    pub fn terminate(&mut self) {
        self.signal(libc::SIGTERM);
        self.signal(libc::SIGCONT);
    }

    /// SIGSTOP, and waits until it has stopped: after that it answers nothing.
    pub fn pause(&mut self) {
        self.signal(libc::SIGSTOP);
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.is_stopped() {
            assert!(Instant::now() < deadline, "process {} does not stop", self.id());
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&mut self, signal: i32) {
        if !self.has_exited() {
            // SAFETY: plain system call. The id is our child's: it has not been waited for, so nobody else has the number.
            unsafe { libc::kill(self.id() as i32, signal) };
        }
    }

    fn is_stopped(&self) -> bool {
        let options = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: siginfo_t is plain data for which all zeros are valid, and waitid only fills it in.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let answer = unsafe { libc::waitid(libc::P_PID, self.id(), &mut info, options) };
        answer == 0 && info.si_signo == libc::SIGCHLD
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

type Order = (Command, Sender<io::Result<Child>>);

/// The thread that starts all servers. PR_SET_PDEATHSIG means the death of the *thread* that forked, and the threads of
/// tests and runtimes come and go; this one ends with the process.
fn spawner() -> &'static Mutex<Sender<Order>> {
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (orders, queue) = channel::<Order>();
        thread::Builder::new()
            .name("spawner".into())
            .spawn(move || {
                for (command, answer) in queue {
                    // A test that has gone away drops the child's handle, not the child: that dies with this thread.
                    let _ = answer.send(spawn_here(command));
                }
            })
            .expect("a thread to start servers from");
        Mutex::new(orders)
    })
}

fn spawn_here(mut command: Command) -> io::Result<Child> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt;
        // SAFETY: both calls are async-signal-safe and touch nothing of ours.
        unsafe {
            command.pre_exec(|| {
                // At a limit of its files' size (the full disk of tests/torture) a server gets errors, not this signal.
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
    }
    command.spawn()
}
