//! Virtual time for actors written as `async` functions: one thread, one order of events, decided by the seed alone.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The clock of a schedule, and what waits for it.
#[derive(Default)]
pub struct Sim {
    now: Cell<u64>,
    sequence: Cell<u64>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    spawned: RefCell<Vec<Task>>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Sim {
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Starts a task; it runs until it ends or nothing is left to happen.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawned.borrow_mut().push(Box::pin(task));
    }

    /// Waits until `ticks` from now.
    pub fn sleep(self: &Rc<Self>, ticks: u64) -> Sleep {
        Sleep { sim: Rc::clone(self), due: self.now() + ticks, is_set: false }
    }

    /// Runs until nothing is left to happen, or until `stop` says that it is enough.
    pub fn run(&self, stop: impl Fn() -> bool) {
        let mut tasks: FuturesUnordered<Task> = FuturesUnordered::new();
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        while !stop() {
            flag.0.store(true, Ordering::Relaxed);
            while flag.0.swap(false, Ordering::Relaxed) {
                tasks.extend(self.spawned.take());
                while let Poll::Ready(Some(())) = tasks.poll_next_unpin(&mut Context::from_waker(&waker)) {}
                flag.0.fetch_or(!self.spawned.borrow().is_empty(), Ordering::Relaxed);
            }
            let Some(((due, _), waiting)) = self.timers.borrow_mut().pop_first() else { return };
            self.now.set(due);
            waiting.wake();
        }
    }
}

/// Ends at its time.
pub struct Sleep {
    sim: Rc<Sim>,
    due: u64,
    is_set: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.is_set && self.sim.now() >= self.due {
            return Poll::Ready(());
        }
        if !self.is_set {
            self.is_set = true;
            let sequence = self.sim.sequence.get() + 1;
            self.sim.sequence.set(sequence);
            self.sim.timers.borrow_mut().insert((self.due, sequence), context.waker().clone());
        }
        Poll::Pending
    }
}

/// What an actor waits for: answers and its own timers, in the order in which they come.
pub struct Mailbox<T>(Rc<Inbox<T>>);

struct Inbox<T> {
    letters: RefCell<VecDeque<T>>,
    waiting: RefCell<Option<Waker>>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Mailbox<T> {
    pub fn new() -> Self {
        Self(Rc::new(Inbox { letters: RefCell::default(), waiting: RefCell::default() }))
    }

    pub fn push(&self, letter: T) {
        self.0.letters.borrow_mut().push_back(letter);
        if let Some(waiting) = self.0.waiting.take() {
            waiting.wake();
        }
    }

    pub async fn next(&self) -> T {
        std::future::poll_fn(|context| match self.0.letters.borrow_mut().pop_front() {
            Some(letter) => Poll::Ready(letter),
            None => {
                *self.0.waiting.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}
