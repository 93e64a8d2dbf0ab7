//! HELLO, AUTH, QUIT, RESET, ACL WHOAMI: who a client is and what it speaks.

use super::{bulk, int, integer, refuse, sub, unknown_sub, wrong_arity};
use crate::proxy::dialogue::{Dialogue, Step, Wants};
use crate::proxy::reply::{self, Protocol};
use crate::proxy::request::Request;
use crate::proxy::users::DEFAULT;
use redis::Value;

const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// AUTH [user] password
pub fn auth(with: &mut Dialogue, request: &Request) -> Step {
    let (name, password) = match request.len() {
        2 => (DEFAULT.as_bytes(), request.word(1)),
        3 => (request.word(1), request.word(2)),
        _ => return wrong_arity("auth"),
    };
    if request.len() == 2 && !with.shared.users.has_default_password() {
        return refuse(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        );
    }
    Step::Now(if log_in(with, name, password) { Value::Okay } else { reply::error(WRONG) })
}

fn log_in(with: &mut Dialogue, name: &[u8], password: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).into_owned();
    let admitted = with.shared.users.admit(&name, password);
    if admitted {
        with.peer.told().user.clone_from(&name);
        with.user = Some(name);
    } else {
        tracing::warn!(client = %with.peer.address, "wrong user or password");
    }
    admitted
}

/// HELLO [2|3 [AUTH user password] [SETNAME name]]
pub fn hello(with: &mut Dialogue, request: &Request) -> Step {
    let mut protocol = with.protocol;
    if request.len() > 1 {
        protocol = match integer(request.word(1)) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return refuse("NOPROTO unsupported protocol version"),
            None => return refuse("ERR Protocol version is not an integer or out of range"),
        };
    }
    let (mut login, mut name, mut place) = (None, None, 2);
    while place < request.len() {
        let left = request.len() - place - 1;
        match request.word(place).to_ascii_lowercase().as_slice() {
            b"auth" if left >= 2 => {
                login = Some((request.word(place + 1), request.word(place + 2)));
                place += 3;
            }
            b"setname" if left >= 1 => {
                name = Some(request.word(place + 1));
                place += 2;
            }
            _ => return refuse("ERR Syntax error in HELLO option"),
        }
    }
    if let Some((user, password)) = login
        && !log_in(with, user, password)
    {
        return refuse(WRONG);
    }
    if with.user.is_none() {
        return refuse(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        );
    }
    if let Some(name) = name
        && let Err(why) = super::client::set_name(with, name)
    {
        return refuse(&why);
    }
    with.protocol = protocol;
    with.peer.told().protocol = protocol.number();
    Step::Now(greeting(with))
}

fn greeting(with: &Dialogue) -> Value {
    Value::Map(vec![
        (bulk("server"), bulk("redis")),
        (bulk("version"), bulk(with.shared.version())),
        (bulk("proto"), int(with.protocol.number())),
        (bulk("id"), int(with.peer.id)),
        (bulk("mode"), bulk("standalone")),
        (bulk("role"), bulk("master")),
        (bulk("modules"), Value::Array(Vec::new())),
    ])
}

/// QUIT
pub fn quit(with: &mut Dialogue) -> Step {
    with.leaves = true;
    Step::Now(Value::Okay)
}

/// RESET: as if it had just connected.
pub fn reset(with: &mut Dialogue) -> Step {
    with.client = with.shared.client.clone();
    with.session = with.client.session();
    with.user = with.shared.users.stranger();
    with.queue.clear();
    with.last_write = None;
    with.protocol = Protocol::Resp2;
    with.wants = Wants::All;
    with.monitors = false;
    with.ears = None;
    let mut told = with.peer.told();
    *told = crate::proxy::clients::Told {
        user: with.user.clone().unwrap_or_else(|| DEFAULT.into()),
        protocol: 2,
        ..Default::default()
    };
    Step::Now(Value::SimpleString("RESET".into()))
}

/// ACL WHOAMI. The proxy's users all may the same; who wants more asks the nodes, which know no users of ours.
pub fn acl(with: &mut Dialogue, request: &Request) -> Step {
    match sub(request).as_str() {
        "" => wrong_arity("acl"),
        "whoami" => Step::Now(bulk(with.user.clone().unwrap_or_default())),
        "cat" | "deluser" | "dryrun" | "genpass" | "getuser" | "help" | "list" | "load" | "log" | "save"
        | "setuser" | "users" => refuse(
            "ERR 'acl' is refused: users and passwords are set when anarcho-proxy is started, and all of them may do the same",
        ),
        _ => unknown_sub("acl", request),
    }
}
