//! The description of a product: plain text with three marks that people know from
//! messages. Paragraphs are divided by an empty line, lines that begin with
//! `- ` are a list, and what stands between `**` is bold. Everything else is shown
//! as it was typed: no HTML comes from an operator.

/// The HTML of `text`. Every character that means something in HTML is escaped.
#[must_use]
pub fn to_html(text: &str) -> String {
    let mut html = String::new();
    for block in text.replace('\r', "").split("\n\n") {
        let lines: Vec<&str> = block
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        for part in lines.chunk_by(|one, next| is_item(one) == is_item(next)) {
            html.push_str(&part_html(part));
        }
    }
    html
}

fn is_item(line: &str) -> bool {
    line.starts_with("- ")
}

fn part_html(lines: &[&str]) -> String {
    if lines.first().is_some_and(|line| is_item(line)) {
        let items: String = lines
            .iter()
            .map(|line| format!("<li>{}</li>", inline(line.trim_start_matches("- "))))
            .collect();
        return format!("<ul>{items}</ul>");
    }
    let lines: Vec<String> = lines.iter().map(|line| inline(line)).collect();
    format!("<p>{}</p>", lines.join("<br>"))
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
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paragraphs_lists_and_bold_are_all_there_is() {
        assert_eq!(
            to_html("Folds **twice**.\nLight.\n\n- black\n- red\nand more"),
            "<p>Folds <strong>twice</strong>.<br>Light.</p>\
             <ul><li>black</li><li>red</li></ul><p>and more</p>"
        );
        assert_eq!(to_html(""), "");
        assert_eq!(to_html("2 ** 3"), "<p>2 ** 3</p>");
    }

    proptest! {
        #[test]
        fn no_text_becomes_a_tag_of_its_own(text in "\\PC{0,80}|[<>&\"'* \\-\na-z]{0,80}") {
            let html = to_html(&text);
            let mut left = html;
            for tag in ["<p>", "</p>", "<br>", "<ul>", "</ul>", "<li>", "</li>", "<strong>", "</strong>"] {
                left = left.replace(tag, "");
            }
            prop_assert!(!left.contains(['<', '>', '"', '\'']), "{left}");
        }
    }
}
