//! The description of a product: plain text with a few marks that people know from
//! messages. Paragraphs are divided by an empty line. Lines that begin with `- ` are a
//! list, with `## ` or `### ` a heading, with `|` a table whose first row is its head if
//! a row of dashes follows. `![2]` is the product's second picture, with what follows as
//! its caption. What stands between `**` is bold. Everything else is shown as it was
//! typed: no HTML comes from an operator.
//!
//! Every block has its own direction (`dir="auto"`): a text may mix languages.

use seckill_core::pages::picture::Described;

/// The HTML of `text`; `pictures` are those of the product. Every character that means
/// something in HTML is escaped.
#[must_use]
pub fn to_html(text: &str, pictures: &[Described]) -> String {
    let mut html = String::new();
    for block in text.replace('\r', "").split("\n\n") {
        let lines: Vec<Line<'_>> = block
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| Line::of(line, pictures))
            .collect();
        for part in lines.chunk_by(Line::continues) {
            html.push_str(&part_html(part));
        }
    }
    html
}

/// A line, by its mark.
enum Line<'a> {
    Text(&'a str),
    Item(&'a str),
    /// A heading of level 2 or 3.
    Heading(u8, &'a str),
    Row(&'a str),
    Picture(&'a Described, &'a str),
}

impl<'a> Line<'a> {
    fn of(line: &'a str, pictures: &'a [Described]) -> Self {
        if let Some(item) = line.strip_prefix("- ") {
            return Self::Item(item);
        }
        if let Some(heading) = line.strip_prefix("### ") {
            return Self::Heading(3, heading);
        }
        if let Some(heading) = line.strip_prefix("## ") {
            return Self::Heading(2, heading);
        }
        if let Some(row) = line.trim().strip_prefix('|') {
            return Self::Row(row.strip_suffix('|').unwrap_or(row));
        }
        let picture = line.strip_prefix("![").and_then(|line| {
            let (number, caption) = line.split_once(']')?;
            let number: usize = number.parse().ok()?;
            Some((pictures.get(number.checked_sub(1)?)?, caption.trim()))
        });
        match picture {
            Some((picture, caption)) => Self::Picture(picture, caption),
            None => Self::Text(line),
        }
    }

    /// Whether `next` belongs to the same paragraph, list or table.
    fn continues(&self, next: &Self) -> bool {
        matches!(
            (self, next),
            (Self::Text(_), Self::Text(_))
                | (Self::Item(_), Self::Item(_))
                | (Self::Row(_), Self::Row(_))
        )
    }
}

fn part_html(lines: &[Line<'_>]) -> String {
    let each = |html: fn(&Line<'_>) -> String| lines.iter().map(html).collect::<Vec<_>>();
    let inner = |line: &Line<'_>| match line {
        Line::Text(text) | Line::Item(text) | Line::Row(text) => inline(text),
        Line::Heading(..) | Line::Picture(..) => String::new(),
    };
    match lines.first() {
        None => String::new(),
        Some(Line::Text(_)) => format!("<p dir=\"auto\">{}</p>", each(inner).join("<br>")),
        Some(Line::Item(_)) => {
            let items = each(|line| match line {
                Line::Item(item) => format!("<li dir=\"auto\">{}</li>", inline(item)),
                _ => String::new(),
            });
            format!("<ul>{}</ul>", items.concat())
        }
        Some(Line::Heading(level, text)) => {
            format!("<h{level} dir=\"auto\">{}</h{level}>", inline(text))
        }
        Some(Line::Row(_)) => table_html(lines),
        Some(Line::Picture(picture, caption)) => figure_html(picture, caption),
    }
}

/// A table that scrolls by itself where it is wider than the page.
fn table_html(lines: &[Line<'_>]) -> String {
    let rows: Vec<&str> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Row(row) => Some(*row),
            _ => None,
        })
        .collect();
    let is_rule = |row: &str| row.contains('-') && row.chars().all(|c| "-:| ".contains(c));
    let row_html = |row: &str, cell: &str| {
        let cells = row
            .split('|')
            .map(|text| format!("<{cell} dir=\"auto\">{}</{cell}>", inline(text.trim())));
        format!("<tr>{}</tr>", cells.collect::<String>())
    };
    let has_head = rows.get(1).is_some_and(|row| is_rule(row));
    let mut html = String::from("<div class=\"scroll\" tabindex=\"0\"><table>");
    for (at, row) in rows.iter().enumerate() {
        if is_rule(row) {
            continue;
        }
        html.push_str(&row_html(
            row,
            if at == 0 && has_head { "th" } else { "td" },
        ));
    }
    html.push_str("</table></div>");
    html
}

fn figure_html(shown: &Described, caption: &str) -> String {
    let picture = &shown.picture;
    let caption = escaped(caption);
    // Beside a caption that says it, the picture needs no words of its own.
    let alt = match shown.alt.as_str() {
        "" => caption.clone(),
        alt => escaped(alt),
    };
    let line = match caption.as_str() {
        "" => String::new(),
        caption => format!("<figcaption dir=\"auto\">{caption}</figcaption>"),
    };
    format!(
        "<figure><img src=\"{}\" srcset=\"{}\" sizes=\"(min-width: 900px) 468px, 92vw\" width=\"{}\" \
         height=\"{}\" alt=\"{alt}\" loading=\"lazy\">{line}</figure>",
        picture.src(),
        picture.srcset(),
        picture.width(),
        picture.height()
    )
}

/// One line: escaped, and every second stretch between `**` bold. A mark that is
/// never closed stays a pair of stars.
fn inline(line: &str) -> String {
    let parts: Vec<&str> = line.split("**").collect();
    let mut html = String::new();
    for (at, part) in parts.iter().enumerate() {
        let (is_inside, is_last) = (at % 2 == 1, at + 1 == parts.len());
        match (is_inside, is_last) {
            (true, false) => html.push_str(&format!("<strong>{}</strong>", escaped(part))),
            (true, true) => html.push_str(&format!("**{}", escaped(part))),
            (false, _) => html.push_str(&escaped(part)),
        }
    }
    html
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use seckill_core::pages::picture::described;

    use super::*;

    #[test]
    fn paragraphs_lists_and_bold() {
        assert_eq!(
            to_html("Folds **twice**.\nLight.\n\n- black\n- red\nand more", &[]),
            "<p dir=\"auto\">Folds <strong>twice</strong>.<br>Light.</p>\
             <ul><li dir=\"auto\">black</li><li dir=\"auto\">red</li></ul>\
             <p dir=\"auto\">and more</p>"
        );
        assert_eq!(to_html("", &[]), "");
        assert_eq!(to_html("2 ** 3", &[]), "<p dir=\"auto\">2 ** 3</p>");
    }

    #[test]
    fn headings_and_tables() {
        assert_eq!(
            to_html("## Size\nand\n### weight", &[]),
            "<h2 dir=\"auto\">Size</h2><p dir=\"auto\">and</p><h3 dir=\"auto\">weight</h3>"
        );
        let table = to_html("| Size | Weight |\n|---|---|\n| 7\" | **200** g |", &[]);
        assert!(table.contains("<th dir=\"auto\">Size</th>"), "{table}");
        assert!(table.contains("<td dir=\"auto\">7&quot;</td>"), "{table}");
        assert!(
            table.contains("<td dir=\"auto\"><strong>200</strong> g</td>"),
            "{table}"
        );
        assert!(!table.contains("---"), "{table}");
    }

    #[test]
    fn only_the_products_own_pictures_stand_in_its_text() {
        let pictures = described(
            "0123456789abcdef-960x720,fedcba9876543210-480x480",
            "A \"front\"",
        );
        let html = to_html("![2] The \"back\"", &pictures);
        assert!(
            html.contains("/pictures/fedcba9876543210-480.jpg"),
            "{html}"
        );
        assert!(html.contains("alt=\"The &quot;back&quot;\""), "{html}");
        let html = to_html("![1] From the front", &pictures);
        assert!(html.contains("alt=\"A &quot;front&quot;\""), "{html}");
        for bad in ["![3] x", "![0] x", "![http://evil] x"] {
            assert!(!to_html(bad, &pictures).contains("<img"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_becomes_a_tag_of_its_own(text in "\\PC{0,80}|[<>&\"'*|#! \\[\\]1\\-\na-z]{0,80}") {
            let html = to_html(&text, &[]);
            let mut left = html;
            for tag in [
                "<p dir=\"auto\">", "</p>", "<br>", "<ul>", "</ul>", "<li dir=\"auto\">", "</li>",
                "<strong>", "</strong>", "<h2 dir=\"auto\">", "</h2>", "<h3 dir=\"auto\">", "</h3>",
                "<div class=\"scroll\" tabindex=\"0\"><table>", "</table></div>", "<tr>", "</tr>",
                "<td dir=\"auto\">", "</td>", "<th dir=\"auto\">", "</th>",
            ] {
                left = left.replace(tag, "");
            }
            prop_assert!(!left.contains(['<', '>', '"', '\'']), "{left}");
        }
    }
}
