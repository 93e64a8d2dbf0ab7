//! What a server holds before it is adopted, and what stands in the way.

use super::verify::{PAGE, scanned};
use super::{Healer, Progress};
use crate::command::RESERVED_PREFIX;
use crate::config::Config;
use crate::error::Error;
use crate::node::{ConnectError, Probe, Refusal, Source, find_source, probe_all};
use crate::surroundings::Connection;
use futures_util::StreamExt;
use redis::{Cmd, Value};
use serde::Serialize;
use std::collections::BTreeMap;

/// Keys that are asked for at a time.
const AT_ONCE: usize = 64;
/// Keys that are named.
const NAMED: usize = 5;

/// What an adoption would take over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// The server that holds the data.
    pub source: String,
    /// The others, which get it.
    pub copies: Vec<String>,
    /// Whether an adoption had begun already.
    pub begun: bool,
    /// Keys that no record lists yet, and those that one lists.
    pub keys: u64,
    /// The registers that they make.
    pub registers: u64,
    /// Keys of the largest of them.
    pub largest: u64,
    /// Keys of each type.
    pub types: BTreeMap<String, u64>,
    /// Keys that expire.
    pub expiring: u64,
    /// Bytes that the server uses.
    pub memory: u64,
    /// Keys whose names are the protocol's, though no adoption has begun; the first few.
    pub reserved: Vec<String>,
}

impl Healer {
    /// What an adoption of these servers would take over, or why it would be refused; changes nothing.
    pub async fn survey<I, S>(nodes: I, config: Config, progress: &dyn Progress) -> Result<Survey, Error>
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let urls: Vec<String> = nodes.into_iter().map(Into::into).collect();
        let (probes, source, mut survey) = adoptable(&urls, &config).await?;
        let probe = &probes[source.place];
        if let Ok(opened) = &probe.found {
            survey.count(&opened.connection, &source, progress).await.map_err(|why| silent(probe, why))?;
        }
        Ok(survey)
    }
}

fn silent(probe: &Probe, why: String) -> Error {
    ConnectError::Node { node: probe.name.clone(), refusal: Refusal::Unreachable(why) }.into()
}

/// The servers, which of them holds the data, and what can be told of it at once; or why they cannot be adopted.
pub(super) async fn adoptable(
    urls: &[String],
    config: &Config,
) -> Result<(Vec<Probe>, Source, Survey), Error> {
    let probes = probe_all(urls, config).await?;
    let source = find_source(&probes, config)?;
    let survey = of(&probes, &source).await?;
    survey.check()?;
    Ok((probes, source, survey))
}

/// What can be told without looking at every key. A name that is the protocol's is looked for, since it would be taken for a record.
async fn of(probes: &[Probe], source: &Source) -> Result<Survey, Error> {
    let probe = &probes[source.place];
    let mut survey = Survey { source: probe.name.clone(), begun: source.begun, ..Survey::default() };
    survey.copies =
        probes.iter().map(|probe| probe.name.clone()).filter(|name| *name != probe.name).collect();
    let Ok(opened) = &probe.found else { return Ok(survey) };
    survey.memory = opened.info.used_memory;
    if source.begun {
        return Ok(survey);
    }
    let mut cursor = Some("0".to_owned());
    while let Some(from) = cursor {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&from).arg("MATCH").arg([RESERVED_PREFIX, b"*"].concat()).arg("COUNT").arg(10 * PAGE);
        let (next, keys) = page(&opened.connection, &scan).await.map_err(|why| silent(probe, why))?;
        survey.reserved.extend(keys.iter().map(|key| key.escape_ascii().to_string()));
        survey.reserved.truncate(NAMED);
        cursor = (next != "0").then_some(next);
    }
    Ok(survey)
}

impl Survey {
    fn check(&self) -> Result<(), Error> {
        if self.reserved.is_empty() {
            return Ok(());
        }
        Err(ConnectError::List(format!(
            "{}: it has keys whose names are kept for the protocol, such as {}: rename or delete them first",
            self.source,
            self.reserved.join(", ")
        ))
        .into())
    }

    async fn count(
        &mut self,
        connection: &Connection,
        source: &Source,
        progress: &dyn Progress,
    ) -> Result<(), String> {
        let mut registers: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut cursor = Some("0".to_owned());
        while let Some(from) = cursor {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&from).arg("COUNT").arg(PAGE);
            let reply = connection.send(&scan).await.map_err(|error| error.to_string())?;
            let (next, keys) = scanned(reply).map_err(|error| error.to_string())?;
            cursor = (next != "0").then_some(next);
            for key in &keys {
                let register = source.cluster.terms.scopes.register_of(key);
                *registers.entry(register.id().to_vec()).or_default() += 1;
            }
            self.keys += keys.len() as u64;
            let looks = keys.into_iter().map(|key| look(connection, key));
            let mut looks = futures_util::stream::iter(looks).buffer_unordered(AT_ONCE);
            while let Some(found) = looks.next().await {
                let (kind, expires) = found?;
                *self.types.entry(kind).or_default() += 1;
                self.expiring += u64::from(expires);
            }
            progress.compared(self.keys, self.keys, 0);
        }
        self.registers = registers.len() as u64;
        self.largest = registers.values().copied().max().unwrap_or(0);
        Ok(())
    }
}

async fn page(connection: &Connection, scan: &Cmd) -> Result<(String, Vec<Vec<u8>>), String> {
    let reply = connection.send(scan).await.map_err(|error| error.to_string())?;
    let mut items = crate::script::fields(reply).map_err(|error| error.to_string())?;
    let next = crate::script::text(items.next().unwrap_or(Value::Nil)).map_err(|error| error.to_string())?;
    let keys =
        crate::script::fields(items.next().unwrap_or(Value::Nil)).map_err(|error| error.to_string())?;
    Ok((next, keys.filter_map(|key| crate::script::bytes(key).ok()).collect()))
}

/// A key's type, and whether it expires.
async fn look(connection: &Connection, key: Vec<u8>) -> Result<(String, bool), String> {
    let failed = |error: redis::RedisError| error.to_string();
    let kind = connection.send(redis::cmd("TYPE").arg(&key)).await.map_err(failed)?;
    let left = connection.send(redis::cmd("PTTL").arg(&key)).await.map_err(failed)?;
    let kind = crate::script::text(kind).map_err(|error| error.to_string())?;
    Ok((kind, matches!(left, Value::Int(ms) if ms >= 0)))
}
