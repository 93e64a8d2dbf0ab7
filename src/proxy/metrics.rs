//! What a proxy shows to Prometheus: the numbers of its client and of the healer in it, and behind them its own, which INFO counts.

use super::shared::Shared;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How the text of every registry ends.
const END: &str = "# EOF\n";

/// All of it, in the text format of OpenMetrics.
pub(super) fn metrics(shared: &Arc<Shared>) -> String {
    let mut text = shared.client.metrics();
    text.truncate(text.len() - if text.ends_with(END) { END.len() } else { 0 });
    let mut registry = Registry::with_prefix("anarcho");
    registry.register_collector(Box::new(Own(Arc::clone(shared))));
    // A String takes all that is written to it.
    let _ = encode_registry(&mut text, &registry).and_then(|()| encode_eof(&mut text));
    text
}

/// The proxy's own numbers, read when somebody asks.
struct Own(Arc<Shared>);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

impl Collector for Own {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = &self.0.stats;
        let told = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let gauges = [
            ("connected_clients", "Clients that are connected to the proxy", self.0.clients.len() as u64),
            ("tls_handshakes", "Clients that have not got to speak TLS yet", told(&stats.handshakes)),
            ("blocked_clients", "Clients of the proxy that wait in a command", told(&stats.blocked)),
        ];
        for (name, help, value) in gauges {
            let row = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(row)?;
        }
        let counters = [
            ("connections", "Clients that ever connected to the proxy", &stats.connections),
            ("connections_rejected", "Clients that were refused, being too many", &stats.rejected),
            ("requests", "Requests to the proxy", &stats.requests),
            ("error_replies", "Errors that the proxy answered", &stats.failures),
            ("input_bytes", "Bytes that the proxy read from clients", &stats.input),
            ("output_bytes", "Bytes that the proxy wrote to clients", &stats.output),
        ];
        for (name, help, counter) in counters {
            let row = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(told(counter)).encode(row)?;
        }
        self.commands(encoder)
    }
}

impl Own {
    fn commands(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (mut calls, mut failures, mut times) = (Vec::new(), Vec::new(), Vec::new());
        self.0.stats.each(|name, called, failed, seconds| {
            calls.push((name.to_owned(), called));
            failures.push((name.to_owned(), failed));
            times.push((name.to_owned(), seconds));
        });
        by_command(&mut encoder, "commands", "Commands that the proxy answered", calls)?;
        by_command(
            &mut encoder,
            "commands_failed",
            "Commands that the proxy answered with an error",
            failures,
        )?;
        by_command(&mut encoder, "commands_seconds", "How long commands took, all together", times)
    }
}

fn by_command<N: EncodeCounterValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: Vec<(String, N)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (command, value) in rows {
        family.encode_family(&[("command", command)])?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
    }
    Ok(())
}
