//! MULTI as one client sees it: the store queues its commands, and what the proxy answers itself takes its place among them.

use super::dialogue::{Dialogue, Later, Step, name_of};
use super::own;
use super::request::Request;
use super::shape::{Form, Shape, shape_of};
use redis::Value;

/// One command behind MULTI.
pub enum Queued {
    /// It goes to the store.
    Store(Shape),
    /// It is answered here, when EXEC comes.
    Own(Request),
}

impl Dialogue {
    /// A request behind MULTI.
    pub(super) fn take_queued(&mut self, name: &str, request: &Request) -> (Step, Form) {
        let plain = Form::One(Shape::Plain);
        match name {
            "exec" => return self.exec(request),
            "discard" => {
                self.queue.clear();
                self.queue_writes = false;
                return (self.in_session(request), plain);
            }
            "reset" | "quit" | "auth" | "hello" => {
                return match own::answer(self, name, request) {
                    Some(answer) => (answer, Form::One(shape_of(name, request))),
                    None => (self.in_session(request), plain),
                };
            }
            "multi" | "watch" => return (self.in_session(request), plain),
            _ => {}
        }
        if own::can_be_queued(self, name, request) {
            self.queue.push(Queued::Own(request.clone()));
            return (Step::Now(Value::SimpleString("QUEUED".into())), plain);
        }
        self.queue_writes |= self.writes(name, request);
        self.queue.push(Queued::Store(shape_of(name, request)));
        if let Some(key) = request.words().get(1) {
            self.last_write = Some(key.to_vec());
        }
        (self.in_session(request), plain)
    }

    /// The store's part as one op; what is answered here waits for it, since nothing of a transaction that is aborted may happen.
    fn exec(&mut self, request: &Request) -> (Step, Form) {
        let queue = std::mem::take(&mut self.queue);
        self.queue_writes = false;
        let mut shapes = Vec::with_capacity(queue.len());
        for (place, queued) in queue.into_iter().enumerate() {
            match queued {
                Queued::Store(shape) => shapes.push(shape),
                Queued::Own(request) => {
                    shapes.push(shape_of(&name_of(&request), &request));
                    self.after_exec.push((place, request));
                }
            }
        }
        (self.in_session(request), Form::Exec(shapes))
    }

    /// What ran alone has come to this. Where it was EXEC, the replies of what is answered here are put between the store's.
    pub fn finish(&mut self, value: Value) -> Result<Value, Later> {
        let ours = std::mem::take(&mut self.after_exec);
        let mut replies = match value {
            Value::Array(replies) if !ours.is_empty() => replies,
            value => return Ok(value),
        };
        let mut slow = Vec::new();
        for (place, request) in ours {
            let value = match own::answer(self, &name_of(&request), &request) {
                Some(Step::Now(value)) => value,
                Some(Step::Alone(later)) => {
                    slow.push((place, later));
                    Value::Nil
                }
                Some(Step::Lane(..)) | None => Value::Nil,
            };
            replies.insert(place.min(replies.len()), value);
        }
        if slow.is_empty() {
            return Ok(Value::Array(replies));
        }
        Err(Box::pin(async move {
            for (place, later) in slow {
                let value = later.await;
                if let Some(reply) = replies.get_mut(place) {
                    *reply = value;
                }
            }
            Value::Array(replies)
        }))
    }
}
