//! The client as a redis-rs connection.

use super::Client;
use redis::aio::ConnectionLike;
use redis::{Arg, Cmd, Pipeline, RedisFuture, Value};

impl Client {
    /// Runs one `redis::Cmd`, with this crate's own errors.
    pub async fn run_cmd(&self, cmd: &Cmd) -> super::Result<Value> {
        let args = words(cmd);
        self.run(&args).await
    }
}

pub(super) fn words(cmd: &Cmd) -> Vec<&[u8]> {
    cmd.args_iter()
        .map(|arg| match arg {
            Arg::Simple(bytes) => bytes,
            // The place of a cursor in redis-rs' iterators begins at 0.
            _ => b"0".as_slice(),
        })
        .collect()
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
