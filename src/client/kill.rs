//! SCRIPT KILL.

use super::{Client, Result};
use crate::error::{Error, Failures, NodeFailure};
use crate::node::Node;
use futures_util::future::join_all;
use redis::Value;

impl Client {
    /// Ends the scripts that nodes are held up by (they say BUSY, or nothing), as SCRIPT KILL does: on each node, unless what runs
    /// there has written.
    ///
    /// Whoever ran the script is told that it was not applied, or that this is not known if its time was over before.
    ///
    /// # Errors
    ///
    /// As Redis': `NOTBUSY` where no node runs any, `UNKILLABLE` where none could be ended. `NoQuorum` where no node answered.
    pub async fn kill_scripts(&self) -> Result<()> {
        let roster = self.inner.roster();
        let asked = roster.nodes.iter().map(async |node| (node.name().to_owned(), node.kill_script().await));
        let (mut errors, mut failures, mut killed) = (Vec::new(), Vec::new(), false);
        for (node, answer) in join_all(asked).await {
            match answer {
                Ok(Value::ServerError(error)) => errors.push(error),
                Ok(_) => killed = true,
                Err(error) => failures.push(NodeFailure { node, reason: error.to_string() }),
            }
        }
        // That one node has nothing to end is no answer where another one cannot end what it runs.
        errors.sort_by_key(|error| error.code() == "NOTBUSY");
        match errors.into_iter().next() {
            _ if killed => Ok(()),
            Some(error) => Err(Error::Command(error)),
            None => Err(Error::NoQuorum { needed: 1, reached: 0, failures: Failures(failures) }),
        }
    }
}
