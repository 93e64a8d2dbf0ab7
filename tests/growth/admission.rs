//! What a connection learns of a server, and what becomes of the server by it.

use std::rc::Rc;

use anarchoredis::protocol::{Admission, Epoch, Facts, Fence, Role};

use super::control::Control;
use super::members::Members;
use super::node::Admin;
use super::world::{Server, World};

/// One admitted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    pub run: u64,
    pub fence: u64,
    pub epoch: Epoch,
    pub members: Members,
    pub role: Role,
}

/// What a client knows of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    Away,
    Emptied,
    Up(Session),
}

impl World {
    /// Looks at a node as every (re)connect does, and admits it.
    pub async fn look(self: &Rc<Self>, node: usize) -> Seat {
        let (token, control) = (self.token(), self.control);
        let seat = self.admin(node, |server| admit(server, token, control)).await;
        self.log(|| format!("look at {node}: {seat:?}"));
        seat.unwrap_or(Seat::Away)
    }
}

fn admit(server: &mut Server, token: u64, control: Control) -> Seat {
    let admin = server.durable.admin;
    let facts = Facts {
        fence: if admin.is_some() { Fence::Ours } else { Fence::Missing },
        role: admin.map_or(Role::Joining, |admin| admin.role),
        same_run: admin.is_some_and(|admin| admin.run == server.run),
        fsyncs_every_write: server.fsyncs || control == Control::RolledBackVotes,
        is_empty: server.durable.is_empty(),
    };
    let run = server.run;
    let Some(admin) = &mut server.durable.admin else { return Seat::Emptied };
    match facts.admission() {
        Admission::Readmit => *admin = Admin { run, fence: token, ..*admin },
        Admission::Demote => *admin = Admin { role: Role::Joining, fence: token, ..*admin },
        _ => {}
    }
    Seat::Up(Session {
        run,
        fence: admin.fence,
        epoch: admin.epoch,
        members: admin.members,
        role: admin.role,
    })
}
