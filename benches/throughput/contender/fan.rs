//! The same command to all servers: what any replication by a client pays, without any of its promises.

use super::wire::{Scripts, Wire};
use crate::workload::Operation;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::aio::MultiplexedConnection;
use std::sync::Arc;

#[derive(Clone)]
pub struct Fan {
    connections: Vec<MultiplexedConnection>,
    /// How many answers it waits for.
    needed: usize,
    scripts: Option<Scripts>,
}

impl Fan {
    pub fn new(connections: Vec<MultiplexedConnection>, needed: usize) -> Fan {
        Fan { connections, needed, scripts: None }
    }

    pub async fn of_scripts(mut connections: Vec<MultiplexedConnection>, needed: usize) -> Fan {
        let mut scripts = Scripts::default();
        for connection in &mut connections {
            scripts = Scripts::load(connection).await;
        }
        Fan { connections, needed, scripts: Some(scripts) }
    }

    pub fn worker(&self) -> FanWorker {
        FanWorker { fan: self.clone(), turn: 0, under_way: FuturesUnordered::new() }
    }
}

/// A fan-out, and the answers to earlier ones that it has not waited for.
pub struct FanWorker {
    fan: Fan,
    turn: u64,
    under_way: FuturesUnordered<BoxFuture<'static, (u64, Result<(), String>)>>,
}

impl FanWorker {
    pub async fn run(&mut self, operation: Operation, key: &str, value: &[u8]) -> Result<(), String> {
        let wire = match &self.fan.scripts {
            Some(scripts) => Wire::scripted(operation, key, value, scripts),
            None => Wire::plain(operation, key, value),
        };
        if self.fan.needed == self.fan.connections.len() {
            let sending =
                self.fan.connections.iter_mut().map(|connection| async { wire.send(connection).await });
            join_all(sending).await.into_iter().try_for_each(|reply| reply.map(drop))
        } else {
            self.until_enough(wire).await
        }
    }

    /// Stragglers go on while later operations wait for theirs: nothing that was asked for is taken back.
    async fn until_enough(&mut self, wire: Wire) -> Result<(), String> {
        self.turn += 1;
        let (wire, turn) = (Arc::new(wire), self.turn);
        for connection in &self.fan.connections {
            let (mut connection, wire) = (connection.clone(), Arc::clone(&wire));
            let sending = async move { (turn, wire.send(&mut connection).await.map(drop)) };
            self.under_way.push(Box::pin(sending));
        }
        let (mut missing, mut spare) = (self.fan.needed, self.fan.connections.len() - self.fan.needed);
        while let Some((of, result)) = self.under_way.next().await {
            match result {
                _ if of != turn => continue,
                Ok(()) => missing -= 1,
                Err(said) if spare == 0 => return Err(said),
                Err(_) => spare -= 1,
            }
            if missing == 0 {
                return Ok(());
            }
        }
        Err("the answers ended before there were enough".into())
    }
}
