//! Latency against throughput, as drawings.

use crate::record::{Cell, Measure, Report};
use crate::titles;
use plotters::coord::Shift;
use plotters::prelude::*;

const WIDTH: u32 = 1_000;
const HEIGHT: u32 = 420;
/// By the order of the titles: the same contender has the same colour in each drawing.
const COLOURS: [RGBColor; 9] = [
    RGBColor(204, 34, 34),
    RGBColor(31, 119, 180),
    RGBColor(120, 170, 210),
    RGBColor(42, 157, 92),
    RGBColor(140, 200, 120),
    RGBColor(120, 120, 120),
    RGBColor(227, 160, 20),
    RGBColor(224, 112, 0),
    RGBColor(130, 80, 170),
];

/// A contender's points: throughput, and the latency in milliseconds.
struct Line<'a> {
    contender: &'a str,
    cells: Vec<&'a Cell>,
}

/// The drawings of a run, with the names of their files.
pub fn all(report: &Report) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for section in ["closed", "open"] {
        for workload in ["SET", "GET"] {
            let lines = lines(report, section, workload);
            if lines.iter().any(|line| line.cells.len() > 1) {
                files.push((
                    name(section, workload),
                    draw(&lines, &format!("{workload}, 100 bytes, {section} loop")),
                ));
            }
        }
    }
    files
}

pub fn name(section: &str, workload: &str) -> String {
    format!("{}-{section}.svg", workload.to_lowercase())
}

fn lines<'a>(report: &'a Report, section: &'a str, workload: &str) -> Vec<Line<'a>> {
    let mut lines: Vec<Line> = Vec::new();
    for cell in
        report.in_section(section).filter(|cell| cell.place.workload == workload && cell.place.bytes == 100)
    {
        match lines.iter_mut().find(|line| line.contender == cell.contender) {
            Some(line) => line.cells.push(cell),
            None => lines.push(Line { contender: &cell.contender, cells: vec![cell] }),
        }
    }
    lines
}

fn draw(lines: &[Line], title: &str) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        root.fill(&WHITE).expect("drawing into a string");
        let (left, right) = root.split_horizontally(WIDTH / 2);
        half(&left, lines, &format!("{title}: median"), |round| round.p50, false);
        half(&right, lines, &format!("{title}: 99th percentile"), |round| round.p99, true);
        root.present().expect("drawing into a string");
    }
    svg
}

fn half(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    lines: &[Line],
    title: &str,
    pick: fn(&Measure) -> f64,
    legend: bool,
) {
    let points = |line: &Line| points(line, pick);
    let all: Vec<(f64, f64)> = lines.iter().flat_map(points).collect();
    let most = all.iter().map(|(x, _)| *x).fold(1.0, f64::max) * 1.05;
    let highest = all.iter().map(|(_, y)| *y).fold(0.1, f64::max) * 1.5;
    let lowest = all.iter().map(|(_, y)| *y).fold(highest, f64::min) / 1.5;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..most, (lowest..highest).log_scale())
        .expect("axes that are not empty");
    chart
        .configure_mesh()
        .x_desc("thousands of operations a second")
        .y_desc("ms")
        .light_line_style(WHITE)
        .y_label_formatter(&|y: &f64| if *y < 1.0 { format!("{y:.2}") } else { format!("{y:.1}") })
        .draw()
        .expect("drawing into a string");
    for line in lines {
        let colour = colour(line.contender);
        let series = LineSeries::new(points(line), colour.stroke_width(2)).point_size(3);
        let drawn = chart.draw_series(series).expect("drawing into a string");
        let sample = move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(3));
        drawn.label(titles::plain(line.contender)).legend(sample);
    }
    if legend {
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::LowerRight).label_font(("sans-serif", 11));
        labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3));
        labels.draw().expect("drawing into a string");
    }
}

fn points(line: &Line, pick: fn(&Measure) -> f64) -> Vec<(f64, f64)> {
    let point = |cell: &&Cell| (cell.middle(|round| round.per_second) / 1e3, cell.middle(pick) / 1e3);
    line.cells.iter().map(point).filter(|(x, y)| *x > 0.0 && *y > 0.0).collect()
}

fn colour(contender: &str) -> RGBColor {
    COLOURS[titles::place(contender) % COLOURS.len()]
}
