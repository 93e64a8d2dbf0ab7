//! The timeline as a drawing: of each episode the operations by their ends, and below them who was hurt when.

use std::fmt::Write as _;
use std::time::Duration;

use super::episode::{BUCKET, Outcome};

const WIDTH: f64 = 1_200.0;
const LEFT: f64 = 70.0;
const CHART: f64 = 60.0;
const LANE: f64 = 9.0;
const LANES: [&str; 10] =
    ["node 1", "node 2", "node 3", "node 4", "node 5", "proxy 1", "proxy 2", "proxy 3", "healer", "majority"];
const BAND: f64 = 18.0 + CHART + LANE * LANES.len() as f64 + 22.0;

/// All episodes, one below the other.
pub fn svg(episodes: &[Outcome]) -> String {
    let height = BAND * episodes.len() as f64 + 40.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"9\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"14\" font-size=\"11\">operations: \
         <tspan fill=\"#2a9d5c\">acknowledged</tspan>, <tspan fill=\"#e08a00\">unknown</tspan>, \
         <tspan fill=\"#888888\">not applied</tspan>; <tspan fill=\"#bb99dd\">no acknowledgement</tspan>; \
         faults: <tspan fill=\"#cc2222\">fault</tspan>, <tspan fill=\"#dd9999\">until it votes again</tspan></text>\n",
        WIDTH + LEFT + 20.0
    );
    for (place, episode) in episodes.iter().enumerate() {
        text += &band(episode, 30.0 + BAND * place as f64);
    }
    text + "</svg>\n"
}

fn band(episode: &Outcome, top: f64) -> String {
    let mut text = String::new();
    let whole = episode.lasted.as_secs_f64().max(1.0);
    let x = |time: Duration| LEFT + WIDTH * (time.as_secs_f64() / whole).min(1.0);
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-size=\"10\">{}</text>",
        top + 8.0,
        episode.plan.told()
    );
    let highest = episode.buckets.iter().map(|count| count.total()).max().unwrap_or(1).max(1) as f64;
    let bottom = top + 14.0 + CHART;
    // One line of strokes for each colour: a rectangle each makes a page of many megabytes.
    let stroke = (WIDTH / episode.buckets.len().max(1) as f64).max(0.3);
    let mut strokes = [String::new(), String::new(), String::new(), String::new()];
    for (place, count) in episode.buckets.iter().enumerate() {
        let middle = x(BUCKET * place as u32) + stroke / 2.0;
        if count.acked == 0 {
            let _ = write!(strokes[0], "M{middle:.1} {bottom:.1}v-{CHART}");
        }
        let mut y = bottom;
        for (way, number) in [count.acked, count.unknown, count.refused].into_iter().enumerate() {
            let height = CHART * number as f64 / highest;
            if number > 0 {
                let _ = write!(strokes[way + 1], "M{middle:.1} {y:.1}v-{height:.1}");
                y -= height;
            }
        }
    }
    for (path, colour) in strokes.iter().zip(["#eee4f7", "#2a9d5c", "#e08a00", "#888888"]) {
        let _ = writeln!(
            text,
            "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"{stroke:.2}\" fill=\"none\"/>"
        );
    }
    for (place, lane) in LANES.iter().enumerate() {
        let y = bottom + 4.0 + LANE * place as f64;
        let _ = writeln!(
            text,
            "<text x=\"4\" y=\"{:.1}\">{lane}</text><line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#eeeeee\"/>",
            y + 7.0,
            LEFT + WIDTH,
            y + 4.0,
            y + 4.0
        );
        for fault in episode.faults.iter().filter(|fault| fault.lane == *lane) {
            for (from, to, colour) in [(fault.to, fault.whole, "#dd9999"), (fault.from, fault.to, "#cc2222")]
            {
                let width = (x(to) - x(from)).max(1.0);
                let _ = writeln!(
                    text,
                    "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"><title>{}</title></rect>",
                    x(from),
                    LANE - 2.0,
                    fault.name
                );
            }
        }
    }
    text
}
