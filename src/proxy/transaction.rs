//! MULTI as one client sees it: the store queues its commands, and what the proxy answers itself takes its place among them.

use super::dialogue::{Dialogue, Step, name_of};
use super::own;
use super::request::Request;
use super::shape::{Form, Shape, shape_of};
use crate::client::steps::reply_or_error;
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
        if own::is_ours(name) {
            self.queue.push(Queued::Own(request.clone()));
            return (Step::Now(Value::SimpleString("QUEUED".into())), plain);
        }
        self.queue.push(Queued::Store(shape_of(name, request)));
        if let Some(key) = request.words().get(1) {
            self.last_write = Some(key.to_vec());
        }
        (self.in_session(request), plain)
    }

    /// The store's part as one op; what is answered here is put between its replies.
    fn exec(&mut self, request: &Request) -> (Step, Form) {
        let queue = std::mem::take(&mut self.queue);
        let (mut shapes, mut ours) = (Vec::new(), Vec::new());
        for (place, queued) in queue.into_iter().enumerate() {
            match queued {
                Queued::Store(shape) => shapes.push(shape),
                Queued::Own(request) => {
                    let name = name_of(&request);
                    shapes.push(shape_of(&name, &request));
                    ours.extend(own::answer(self, &name, &request).map(|step| (place, step)));
                }
            }
        }
        let (session, request) = (self.session.clone(), request.clone());
        let later = async move {
            let mut reply = reply_or_error(session.run(&request.words()).await);
            if let Value::Array(replies) = &mut reply {
                for (place, step) in ours {
                    let value = match step {
                        Step::Now(value) => value,
                        Step::Alone(later) => later.await,
                        Step::Lane(..) => Value::Nil,
                    };
                    replies.insert(place.min(replies.len()), value);
                }
            }
            reply
        };
        (Step::Alone(Box::pin(later)), Form::Exec(shapes))
    }
}
