//! A drill's timeline as a picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Width of a second, height of the bars, and the margin around them, in pixels.
const SECOND: f64 = 12.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 40.0;
/// Each word with its colour, from the bottom of a bar to its top.
const WORDS: [(&str, &str); 7] = [
    ("processing", "#2e7d32"),
    ("duplicate", "#a5d6a7"),
    ("sold_out", "#90a4ae"),
    ("busy", "#ffb300"),
    ("halted", "#8e24aa"),
    ("unavailable", "#e53935"),
    ("lost", "#212121"),
];

/// What those who clicked were told, by second and word, as a stacked bar each; `spans`
/// are the faults, in seconds.
pub(super) fn svg(
    title: &str,
    timeline: &BTreeMap<u64, BTreeMap<String, u32>>,
    spans: &[(f64, f64)],
) -> String {
    let seconds = timeline.keys().next_back().map_or(1, |last| last + 1);
    let most = timeline
        .values()
        .map(|told| told.values().sum::<u32>())
        .max();
    let scale = HEIGHT / f64::from(most.unwrap_or(1).max(1));
    let (width, height) = (
        seconds as f64 * SECOND + 2.0 * MARGIN,
        HEIGHT + 2.5 * MARGIN,
    );
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">"#
    );
    let _ = writeln!(svg, r#"<rect width="100%" height="100%" fill="white"/>"#);
    let _ = writeln!(
        svg,
        r#"<text x="{MARGIN}" y="20">{title}: clicks a second, by what shoppers were told</text>"#
    );
    for (from, to) in spans {
        let (x, wide) = (MARGIN + from * SECOND, ((to - from) * SECOND).max(2.0));
        let _ = writeln!(
            svg,
            r##"<rect x="{x}" y="{MARGIN}" width="{wide}" height="{HEIGHT}" fill="#ffcdd2"/>"##
        );
    }
    for (second, told) in timeline {
        let mut top = MARGIN + HEIGHT;
        for (word, colour) in WORDS {
            let tall = f64::from(told.get(word).copied().unwrap_or(0)) * scale;
            top -= tall;
            let x = MARGIN + *second as f64 * SECOND;
            let wide = SECOND - 2.0;
            if tall > 0.0 {
                let _ = writeln!(
                    svg,
                    r#"<rect x="{x}" y="{top}" width="{wide}" height="{tall}" fill="{colour}"/>"#
                );
            }
        }
    }
    let base = MARGIN + HEIGHT;
    for second in (0..=seconds).step_by(10) {
        let x = MARGIN + second as f64 * SECOND;
        let y = base + 16.0;
        let _ = writeln!(svg, r#"<text x="{x}" y="{y}">{second} s</text>"#);
    }
    for (at, (word, colour)) in WORDS.iter().enumerate() {
        let (x, y) = (MARGIN + at as f64 * 90.0, base + 36.0);
        let _ = writeln!(
            svg,
            r#"<text x="{x}" y="{y}" fill="{colour}">&#9632; {word}</text>"#
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_has_a_bar_for_each_word_and_each_fault_its_span() {
        let told = |words: &[(&str, u32)]| -> BTreeMap<String, u32> {
            words
                .iter()
                .map(|(word, n)| ((*word).to_owned(), *n))
                .collect()
        };
        let timeline = BTreeMap::from([
            (0, told(&[("processing", 4)])),
            (1, told(&[("processing", 1), ("busy", 3)])),
        ]);
        let svg = svg("redis-kill", &timeline, &[(0.5, 1.5)]);
        assert_eq!(svg.matches("#2e7d32\"/>").count(), 2);
        assert_eq!(svg.matches("#ffb300\"/>").count(), 1);
        assert!(
            svg.contains(r##"x="46" y="40" width="12" height="200" fill="#ffcdd2""##),
            "{svg}"
        );
        assert!(svg.ends_with("</svg>\n"));
    }
}
