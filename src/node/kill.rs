//! The end of a script that does not end by itself.

use super::RemoteNode;
use crate::surroundings::Patience;
use redis::Value;

impl RemoteNode {
    /// SCRIPT KILL, over a connection of its own: the others wait behind the script.
    pub async fn kill_script(&self) -> Result<Value, redis::RedisError> {
        let patience = Patience { connect: self.config.connect_timeout, answer: self.config.answer_timeout };
        let connection = self.config.surroundings.dial(&self.client, patience).await?;
        let mut cmd = redis::cmd("SCRIPT");
        cmd.arg("KILL");
        connection.send(&cmd).await
    }
}
