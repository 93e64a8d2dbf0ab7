//! The client as a redis-rs connection.

use super::Client;
use redis::aio::ConnectionLike;
use redis::{Arg, Cmd, Pipeline, RedisFuture, Value};
use std::borrow::Cow;

impl Client {
    /// Runs one `redis::Cmd`, with this crate's own errors.
    pub async fn run_cmd(&self, cmd: &Cmd) -> super::Result<Value> {
        self.run(&words(cmd).list()).await
    }
}

/// The words of a command.
pub(super) struct Words<'a>(Vec<Cow<'a, [u8]>>);

impl Words<'_> {
    pub(super) fn list(&self) -> Vec<&[u8]> {
        self.0.iter().map(Cow::as_ref).collect()
    }
}

pub(super) fn words(cmd: &Cmd) -> Words<'_> {
    let word = |(place, arg)| match arg {
        Arg::Simple(bytes) => Cow::Borrowed(bytes),
        _ => Cow::Owned(cursor(cmd, place)),
    };
    Words(cmd.args_iter().enumerate().map(word).collect())
}

/// Where an iterator of redis-rs stands; it tells that only to the server.
fn cursor(cmd: &Cmd, place: usize) -> Vec<u8> {
    match redis::parse_redis_value(&cmd.get_packed_command()) {
        Ok(Value::Array(words)) => match words.into_iter().nth(place) {
            Some(Value::BulkString(cursor)) => cursor,
            _ => b"0".to_vec(),
        },
        _ => b"0".to_vec(),
    }
}

impl ConnectionLike for Client {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { Ok(self.run_cmd(cmd).await?) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            if pipeline.is_transaction() {
                return Ok(vec![self.run_atomic(pipeline, None).await?]);
            }
            let replies = self.run_pipeline(pipeline).await?;
            Ok(replies.into_iter().skip(offset).take(count).collect())
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}
