//! The report for people: one HTML file with plots drawn in it, nothing fetched.

use std::fmt::Write as _;

use super::report::{Group, Report};
use crate::plot::short;

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 54.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 12.0;

const STYLE: &str = "
:root{color-scheme:light dark;--paper:#f5f5f7;--card:#fff;--ink:#1c1b1f;--soft:#5c5a64;--line:#dedce3;--a:#1657d0;--b:#c81e12;--c:#0a6e45;--d:#8a4b00}
@media(prefers-color-scheme:dark){:root{--paper:#131217;--card:#1d1c22;--ink:#eceaf1;--soft:#a8a4b3;--line:#34323c;--a:#8ab4ff;--b:#ff8b81;--c:#5fd3a1;--d:#f0b25c}}
*{box-sizing:border-box}body{margin:0;padding:24px 16px 64px;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:auto}h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:0 0 10px}p{margin:0 0 18px;color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:18px 20px;margin-bottom:16px;overflow-x:auto}
svg{display:block;width:100%;min-width:620px;height:auto;font:12px system-ui,sans-serif}text{fill:var(--soft)}text.v{fill:var(--ink)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-bottom:16px}.cards div{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:12px 16px;color:var(--soft)}.cards b{display:block;font-size:24px;color:var(--ink);font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:right;padding:6px 10px;border-bottom:1px solid var(--line);white-space:nowrap}th{color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}tr:last-child td{border:0}tr.sum td{font-weight:700}
.key{display:flex;flex-wrap:wrap;gap:16px;margin-top:8px;color:var(--soft)}.key i{display:inline-block;width:22px;height:3px;border-radius:2px;vertical-align:middle;margin-right:6px}
";

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Load on {item}</title><style>{STYLE}</style></head><body><main>\n\
         <h1>Load on {item}</h1><p>{actors} people and {bots} bots at {edge}; {requests} requests.</p>\n",
        item = escaped(&report.item),
        actors = short(report.people.actors as f64),
        bots = short(report.bots.actors as f64),
        edge = escaped(&report.edge),
        requests = short(report.requests as f64),
    );
    text.push_str(&cards(report));
    section(
        &mut text,
        "Requests a second, from the opening on",
        &throughput(report),
    );
    section(&mut text, "How far they got", &funnel(report));
    section(
        &mut text,
        "How long a response took, by kind (ms)",
        &latencies(report),
    );
    section(&mut text, "Responses to clicks", &clicks(report));
    section(&mut text, "By group", &groups(report));
    text.push_str("</main></body></html>\n");
    text
}

fn section(text: &mut String, title: &str, inner: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "<section><h2>{title}</h2>{inner}</section>");
}

fn cards(report: &Report) -> String {
    let sold = report.people.ordered + report.bots.ordered;
    let peak = report
        .seconds
        .iter()
        .map(|it| it.looks + it.paths + it.clicks + it.after)
        .max();
    let values = [
        ("orders", short(sold as f64)),
        ("of them by bots", short(report.bots.ordered as f64)),
        (
            "bots blocked",
            share(report.bots.blocked, report.bots.actors),
        ),
        (
            "people blocked",
            share(report.people.blocked, report.people.actors),
        ),
        (
            "requests in the busiest second",
            short(peak.unwrap_or(0) as f64),
        ),
    ];
    let cards = values.map(|(name, value)| format!("<div><b>{value}</b>{name}</div>"));
    format!("<div class=\"cards\">{}</div>\n", cards.concat())
}

fn share(part: u64, all: u64) -> String {
    format!("{} of {}", short(part as f64), short(all as f64))
}

fn throughput(report: &Report) -> String {
    type Pick = fn(&super::report::Second) -> u64;
    let lines: [(&str, &str, Pick); 4] = [
        ("pages, time, state", "var(--a)", |it| it.looks),
        ("purchase URLs", "var(--d)", |it| it.paths),
        ("clicks", "var(--b)", |it| it.clicks),
        ("results, payments", "var(--c)", |it| it.after),
    ];
    let seconds = &report.seconds;
    let (Some(first), Some(last)) = (seconds.first(), seconds.last()) else {
        return "<p>No request was sent.</p>".to_owned();
    };
    let most = seconds
        .iter()
        .flat_map(|it| lines.map(|(_, _, pick)| pick(it)))
        .max()
        .unwrap_or(0)
        .max(1) as f64;
    let span = (last.at_s - first.at_s).max(1) as f64;
    let x = |at: i64| LEFT + (at - first.at_s) as f64 / span * (WIDTH - LEFT - 8.0);
    let y = |value: f64| TOP + (1.0 - value / most) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Requests a second\">"
    );
    for part in 0..=4 {
        let value = most * f64::from(part) / 4.0;
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"var(--line)\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y(value) + 4.0,
            short(value),
            at = y(value),
        );
    }
    let step = (span / 10.0).ceil().max(1.0) as i64;
    let mut at = first.at_s - first.at_s.rem_euclid(step) + step;
    // The last one would be cut off at the edge.
    while at <= last.at_s - step / 4 {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{at} s</text>",
            x(at),
            HEIGHT - 8.0
        );
        at += step;
    }
    if (first.at_s..=last.at_s).contains(&0) {
        let _ = write!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\" stroke=\"var(--soft)\" stroke-dasharray=\"4 4\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">opening</text>",
            HEIGHT - BOTTOM,
            x(0) + 6.0,
            TOP + 10.0,
            at = x(0),
        );
    }
    let mut key = String::from("<div class=\"key\">");
    for (name, color, pick) in lines {
        let points: Vec<String> = seconds
            .iter()
            .map(|it| format!("{:.1},{:.1}", x(it.at_s), y(pick(it) as f64)))
            .collect();
        let _ = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.8\" stroke-linejoin=\"round\"/>",
            points.join(" ")
        );
        let _ = write!(
            key,
            "<span><i style=\"background:{color}\"></i>{name}</span>"
        );
    }
    format!("{svg}</svg>{key}</div>")
}

/// Horizontal bars: name, and values with their colors.
fn bars(rows: &[(String, Vec<(f64, &str)>)], scale: impl Fn(f64) -> f64) -> String {
    const NAMES: f64 = 190.0;
    let row_height = |row: &(String, Vec<(f64, &str)>)| 14.0 * row.1.len() as f64 + 10.0;
    let height: f64 = rows.iter().map(row_height).sum();
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">");
    let mut top = 0.0;
    for row in rows {
        let (name, values) = row;
        let middle = top + row_height(row) / 2.0;
        let _ = write!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            NAMES - 10.0,
            middle,
            escaped(name)
        );
        for (at, (value, color)) in values.iter().enumerate() {
            let y = top + 4.0 + 14.0 * at as f64;
            let length = scale(*value).clamp(0.0, 1.0) * (WIDTH - NAMES - 80.0);
            let _ = write!(
                svg,
                "<rect x=\"{NAMES}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"11\" rx=\"2\" fill=\"{color}\"/>\
                 <text class=\"v\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                NAMES + length + 6.0,
                y + 10.0,
                short(*value)
            );
        }
        top += row_height(row);
    }
    svg.push_str("</svg>");
    svg
}

fn two(names: [&str; 2]) -> String {
    format!(
        "<div class=\"key\"><span><i style=\"background:var(--a)\"></i>{}</span><span><i style=\"background:var(--b)\"></i>{}</span></div>",
        names[0], names[1]
    )
}

fn funnel(report: &Report) -> String {
    type Pick = fn(&Group) -> u64;
    let steps: [(&str, Pick); 7] = [
        ("came", |it| it.actors),
        ("loaded the page", |it| it.looked),
        ("have a purchase URL", |it| it.got_url),
        ("clicked", |it| it.clicked),
        ("were accepted", |it| it.accepted),
        ("have an order", |it| it.ordered),
        ("paid", |it| it.paid),
    ];
    let most = report.people.actors.max(report.bots.actors).max(1) as f64;
    let rows = steps.map(|(name, pick)| {
        let values = vec![
            (pick(&report.people) as f64, "var(--a)"),
            (pick(&report.bots) as f64, "var(--b)"),
        ];
        (name.to_owned(), values)
    });
    bars(&rows, |value| value / most) + &two(["people", "bots"])
}

fn latencies(report: &Report) -> String {
    let shown = &report.latencies[..report.latencies.len().min(12)];
    let most = shown.iter().map(|it| it.p99_ms).fold(1.0, f64::max);
    let rows: Vec<_> = shown
        .iter()
        .map(|it| {
            let name = format!("{} ({})", it.kind, short(it.count as f64));
            (name, vec![(it.p50_ms, "var(--a)"), (it.p99_ms, "var(--b)")])
        })
        .collect();
    // Powers of ten at even distances, from a hundredth of a millisecond on.
    let scale = |value: f64| ((value.max(0.01) / 0.01).log10()) / (most.max(0.1) / 0.01).log10();
    bars(&rows, scale) + &two(["half were faster", "99 of 100 were faster (logarithmic)"])
}

fn clicks(report: &Report) -> String {
    let most = report.clicks.values().map(|it| it.0.max(it.1)).max();
    let most = most.unwrap_or(1).max(1) as f64;
    let rows: Vec<_> = report
        .clicks
        .iter()
        .map(|(code, (people, bots))| {
            let values = vec![(*people as f64, "var(--a)"), (*bots as f64, "var(--b)")];
            (code.clone(), values)
        })
        .collect();
    bars(&rows, |value| value / most) + &two(["people", "bots"])
}

fn groups(report: &Report) -> String {
    let mut text = String::from(
        "<table><thead><tr><th>group<th>came<th>looked<th>got URL<th>clicks<th>accepted<th>ordered<th>paid<th>blocked<th>before the opening</tr></thead><tbody>",
    );
    let rows = report.groups.iter().map(|(name, it)| (*name, it, ""));
    let sums = [
        ("people", &report.people, " class=\"sum\""),
        ("bots", &report.bots, " class=\"sum\""),
    ];
    for (name, group, class) in rows.chain(sums) {
        let _ = write!(text, "<tr{class}><td>{name}");
        for value in [
            group.actors,
            group.looked,
            group.got_url,
            group.clicks,
            group.accepted,
            group.ordered,
            group.paid,
            group.blocked,
            group.blocked_before,
        ] {
            let _ = write!(text, "<td>{}", short(value as f64));
        }
        text.push_str("</tr>");
    }
    text.push_str("</tbody></table>");
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::shopped;
    use super::*;

    #[test]
    fn the_page_is_whole_fetches_nothing_and_escapes_what_it_shows() {
        let mut report = Report::new(&shopped());
        report.item = "<script>".to_owned();
        let page = page(&report);
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("http"));
        assert!(page.contains("opening") && page.matches("<polyline").count() == 4);
        assert!(!page.contains("NaN") && !page.contains("inf"));
    }
}
