//! One server, or one with replicas that a write waits for: what a user of Redis would do instead.

use super::wire::Wire;
use crate::workload::Operation;
use redis::Value;
use redis::aio::MultiplexedConnection;

#[derive(Clone)]
pub struct Primary {
    connections: Vec<MultiplexedConnection>,
    replicas: usize,
}

impl Primary {
    /// Tasks share the connections in turn. Without replicas nothing is waited for.
    pub fn new(connections: Vec<MultiplexedConnection>, replicas: usize) -> Primary {
        Primary { connections, replicas }
    }

    pub fn worker(&self, task: usize) -> PrimaryWorker {
        let connection = self.connections[task % self.connections.len()].clone();
        PrimaryWorker { connection, replicas: self.replicas }
    }
}

pub struct PrimaryWorker {
    connection: MultiplexedConnection,
    replicas: usize,
}

impl PrimaryWorker {
    pub async fn run(&mut self, operation: Operation, key: &str, value: &[u8]) -> Result<(), String> {
        if self.replicas == 0 || operation.is_read() {
            return Wire::plain(operation, key, value).send(&mut self.connection).await.map(drop);
        }
        let wire = Wire::awaited(operation, key, value, self.replicas);
        let reply = wire.send(&mut self.connection).await?;
        let Value::Array(replies) = &reply else { return Err(format!("{reply:?} to a pipeline")) };
        match replies.last() {
            Some(Value::Int(acked)) if usize::try_from(*acked).is_ok_and(|acked| acked >= self.replicas) => {
                Ok(())
            }
            other => Err(format!("{other:?} of {} replicas have it", self.replicas)),
        }
    }
}
