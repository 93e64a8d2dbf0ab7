//! One server with data and empty ones become a cluster.

use super::answers::answer;
use super::flags::{File, Flags};
use super::once::Bar;
use anarchoredis::Config;
use anarchoredis::command::Scopes;
use anarchoredis::heal::{Adopted, Healer, Survey};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Adopts, or says what would be adopted.
pub async fn run(flags: &Flags, file: File, scopes: &[String]) -> Result<ExitCode, String> {
    let bar = Bar::new(std::io::stderr().is_terminal() && !flags.json);
    let mut config = Config::default();
    if !scopes.is_empty() {
        let scopes: Vec<Vec<u8>> = scopes.iter().map(|scope| scope.clone().into_bytes()).collect();
        config.scopes = Some(Scopes::new(scopes)?);
    }
    if flags.dry_run {
        let survey = Healer::survey(file.nodes, config, &bar).await;
        bar.end();
        return answer(&survey.map_err(|error| error.to_string())?, flags.json, show_survey, true);
    }
    let adopted = Healer::adopt(file.nodes, config, &bar).await;
    bar.end();
    let adopted = adopted.map_err(|error| error.to_string())?;
    let complete = adopted.complete;
    answer(&adopted, flags.json, show_adopted, complete)
}

fn show_survey(survey: &Survey) {
    println!("source               {}", survey.source);
    survey.copies.iter().for_each(|copy| println!("gets a copy          {copy}"));
    println!("keys                 {:>10}", survey.keys);
    survey.types.iter().for_each(|(kind, keys)| println!("  {kind:<18} {keys:>10}"));
    println!("  that expire        {:>10}", survey.expiring);
    println!("registers            {:>10}, the largest of {} keys", survey.registers, survey.largest);
    println!("memory               {:>10.1} MiB", survey.memory as f64 / 1024.0 / 1024.0);
    let begun = if survey.begun { "an adoption has begun and would go on; " } else { "" };
    println!("{begun}nothing was changed");
}

fn show_adopted(adopted: &Adopted) {
    println!("adopted              {}", adopted.source);
    println!("keys                 {:>10}", adopted.keys);
    println!("registers            {:>10}", adopted.registers);
    for key in &adopted.changed {
        println!("changed meanwhile, and copied again: {key}");
    }
    println!(
        "{}",
        if adopted.complete {
            "all nodes vote, with the same values; from now on write through the cluster only"
        } else {
            "NOT all nodes vote yet; run `anarcho-heal --once`"
        }
    );
}
