//! A sweep that names every register: for a node that is to be filled.

use super::side::Side;
use super::sweep::{Found, Holdings, PAGE, Swept};
use super::{Pass, Progress, Summary};
use crate::command::Register;
use crate::error::Error;
use crate::script::{DigestPage, DigestRow, Ticket, digest_of_call, digest_scan_call};
use futures_util::future::join_all;
use std::collections::BTreeMap;

impl Pass {
    /// Pages every node's registers, and asks the others for the same.
    pub(super) async fn sweep_by_list(
        &self,
        swept: &Swept,
        found: &mut Found,
        summary: &mut Summary,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        for (scanner, side) in swept.nodes.iter().enumerate() {
            let mut pace = self.pace(side, PAGE).await;
            let mut cursor = Some("0".to_owned());
            while let Some(from) = cursor {
                pace.give_way().await;
                let keys = pace.keys();
                let page = pace.timed(keys, self.list(side, &from, keys)).await?;
                cursor = page.next;
                let bytes: usize = page.rows.iter().map(|row| row.register.len() + 140).sum();
                pace.spend(keys as u64, bytes as u64).await;
                let mut holdings = self.with_the_others(swept, scanner, page.rows).await?;
                // What an earlier node of the list holds was seen in that node's scan.
                holdings.retain(|_, held| held[..scanner].iter().all(Option::is_none));
                let (seen, differed) = (holdings.len() as u64, found.differing);
                self.judge(swept, holdings, found, summary).await?;
                found.seen += seen;
                found.identical += seen - (found.differing - differed);
                self.tell(progress, found.seen, swept.about().max(found.seen), summary);
            }
        }
        Ok(())
    }

    pub(super) async fn list(&self, side: &Side, cursor: &str, keys: usize) -> Result<DigestPage, Error> {
        self.ask_patiently(
            side,
            &|ticket: &Ticket<'_>| digest_scan_call(ticket, cursor, keys),
            DigestPage::parse,
        )
        .await
    }

    /// What every node holds of the registers of one node's page.
    async fn with_the_others(
        &self,
        swept: &Swept,
        scanner: usize,
        rows: Vec<DigestRow>,
    ) -> Result<BTreeMap<Vec<u8>, Holdings>, Error> {
        let mut holdings: BTreeMap<Vec<u8>, Holdings> = BTreeMap::new();
        for row in rows {
            holdings.entry(row.register).or_insert_with(|| vec![None; swept.nodes.len()])[scanner] = row.held;
        }
        if holdings.is_empty() {
            return Ok(holdings);
        }
        let records: Vec<Vec<u8>> =
            holdings.keys().map(|id| Register::from_id(id.clone()).record_key()).collect();
        let encode = |ticket: &Ticket<'_>| digest_of_call(ticket, &records);
        let others: Vec<usize> = (0..swept.nodes.len()).filter(|other| *other != scanner).collect();
        let asked =
            others.iter().map(|other| self.ask_patiently(&swept.nodes[*other], &encode, DigestPage::parse));
        for (other, page) in others.iter().zip(join_all(asked).await) {
            for row in page?.rows {
                if let Some(held) = holdings.get_mut(&row.register) {
                    held[*other] = row.held;
                }
            }
        }
        Ok(holdings)
    }
}
