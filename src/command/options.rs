//! The options of SET and GETEX, checked in the order in which Redis checks them.

use super::expiry::{EX, EXAT, PX, PXAT, Unit};
use super::refusal::Refusal;
use super::request::Request;

/// The options that SET and GETEX share.
#[derive(Default)]
pub(super) struct Options {
    pub flags: Vec<&'static str>,
    /// The last expiry option, and the index of its number.
    pub expiry: Option<(Unit, usize)>,
}

impl Options {
    pub fn parse(request: &Request<'_>, start: usize, is_set: bool) -> Result<Self, Refusal> {
        let mut options = Self::default();
        let mut index = start;
        while index < request.len() {
            if let Some(unit) = unit(request, index).filter(|unit| options.allows(*unit)) {
                if index + 1 == request.len() {
                    return Err(Refusal::syntax());
                }
                options.expiry = Some((unit, index + 1));
                index += 2;
            } else {
                let flag = options.flag(request, index, is_set)?;
                options.flags.push(flag);
                index += 1;
            }
        }
        Ok(options)
    }

    fn flag(&self, request: &Request<'_>, index: usize, is_set: bool) -> Result<&'static str, Refusal> {
        let known: &[&'static str] = if is_set { &["NX", "XX", "GET", "KEEPTTL"] } else { &["PERSIST"] };
        match known.iter().find(|flag| request.is(index, flag)) {
            Some(&"NX") if self.has("XX") => Err(Refusal::syntax()),
            Some(&"XX") if self.has("NX") => Err(Refusal::syntax()),
            Some(&("KEEPTTL" | "PERSIST")) if self.expiry.is_some() => Err(Refusal::syntax()),
            Some(flag) => Ok(flag),
            None => Err(not_an_option(request, index, is_set)),
        }
    }

    /// The same unit twice is allowed, and the last one counts.
    fn allows(&self, unit: Unit) -> bool {
        let other = self.expiry.is_some_and(|(known, _)| known != unit);
        !other && !self.has("KEEPTTL") && !self.has("PERSIST")
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }
}

fn unit(request: &Request<'_>, index: usize) -> Option<Unit> {
    let units = [("EX", EX), ("PX", PX), ("EXAT", EXAT), ("PXAT", PXAT)];
    units.into_iter().find(|(name, _)| request.is(index, name)).map(|(_, unit)| unit)
}

/// Options that newer servers have are not on our list of what gives the same result everywhere.
fn not_an_option(request: &Request<'_>, index: usize, is_set: bool) -> Refusal {
    let newer = ["IFEQ", "IFNE", "IFDEQ", "IFDNE", "IFGT"];
    match newer.iter().find(|option| is_set && request.is(index, option)) {
        Some(option) => Refusal::unsupported(
            format!("set {}", option.to_ascii_lowercase()),
            "only the options of Redis 7.0 are known to every node: read, then use compare_and_apply",
        ),
        None => Refusal::syntax(),
    }
}
