//! Plots as SVG: horizontal bars, as many panels as there are quantities.

use std::fmt::Write as _;

/// One quantity, measured of every subject.
#[derive(Debug)]
pub struct Panel {
    /// What and in which unit.
    pub title: String,
    /// A bar for each subject: its name and value.
    pub bars: Vec<(String, f64)>,
    /// Powers of ten at even distances, for values that differ a hundredfold.
    pub logarithmic: bool,
}

const WIDTH: f64 = 760.0;
const LABELS: f64 = 170.0;
const NUMBERS: f64 = 80.0;
const BAR: f64 = 24.0;
const HEAD: f64 = 44.0;

/// Draws panels below each other under one title.
#[must_use]
pub fn svg(title: &str, panels: &[Panel]) -> String {
    let height = HEAD + panels.iter().map(height_of).sum::<f64>();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"28\" font-size=\"17\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    let mut top = HEAD;
    for panel in panels {
        draw(&mut text, panel, top);
        top += height_of(panel);
    }
    text.push_str("</svg>\n");
    text
}

fn height_of(panel: &Panel) -> f64 {
    HEAD + BAR * panel.bars.len() as f64
}

fn draw(text: &mut String, panel: &Panel, top: f64) {
    let title = escaped(&panel.title);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<text x=\"12\" y=\"{:.0}\" fill=\"#555\">{title}</text>",
        top + 24.0
    );
    for (at, (name, value)) in panel.bars.iter().enumerate() {
        let y = top + HEAD - 10.0 + BAR * at as f64;
        let length = (WIDTH - LABELS - NUMBERS) * share(panel, *value);
        // The first is what the others are compared with.
        let color = if at == 0 { "#c0392b" } else { "#7f8c8d" };
        let _ = writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABELS}\" y=\"{y:.0}\" width=\"{length:.1}\" height=\"{:.0}\" fill=\"{color}\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            LABELS - 8.0,
            y + 14.0,
            escaped(name),
            BAR - 6.0,
            LABELS + length + 6.0,
            y + 14.0,
            number(*value),
        );
    }
}

/// How much of the width a value takes.
fn share(panel: &Panel, value: f64) -> f64 {
    let values = || {
        panel
            .bars
            .iter()
            .map(|(_, value)| *value)
            .filter(|it| *it > 0.0)
    };
    let largest = values().fold(f64::MIN_POSITIVE, f64::max);
    if value <= 0.0 {
        return 0.0;
    }
    if !panel.logarithmic {
        return value / largest;
    }
    // From the power of ten below the smallest.
    let from = values().fold(largest, f64::min).log10().floor();
    let all = (largest.log10() - from).max(f64::MIN_POSITIVE);
    ((value.log10() - from) / all).clamp(0.0, 1.0)
}

/// A count as people read it: thousands apart, no decimals unless there are any.
#[must_use]
pub fn short(value: f64) -> String {
    if value.fract() == 0.0 && value < 100.0 {
        format!("{value:.0}")
    } else {
        number(value)
    }
}

/// A number as people read it: three digits, thousands apart.
#[must_use]
pub fn number(value: f64) -> String {
    if value >= 100.0 {
        let digits = format!("{value:.0}");
        let mut apart = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                apart.push(',');
            }
            apart.push(digit);
        }
        apart
    } else {
        format!("{value:.2}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values_say() {
        let panel = |logarithmic| Panel {
            title: "a < b".to_owned(),
            bars: vec![("x".into(), 1000.0), ("y".into(), 10.0), ("z".into(), 0.0)],
            logarithmic,
        };
        assert!((share(&panel(false), 10.0) - 0.01).abs() < 1e-9);
        assert!((share(&panel(true), 1000.0) - 1.0).abs() < 1e-9);
        assert!(share(&panel(true), 10.0) < 0.01 && share(&panel(true), 0.0) < 1e-9);
        let svg = svg("t & u", &[panel(true), panel(false)]);
        assert!(svg.contains("t &amp; u") && svg.contains("a &lt; b") && svg.contains("1,000"));
        assert_eq!(svg.matches("<rect").count(), 7);
    }
}
