//! Comments stay with us: a fifth of what a phone would load.
//!
//! Nothing is parsed. Only whole lines go, those that are nothing but a comment, and none
//! within a template literal; what stands behind code stays.

/// A script or style sheet without the lines that are comments. Those that begin with
/// `/*!` stay, as licences do.
pub(super) fn without_comments(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    let is_script = name.ends_with(".js");
    if !is_script && !name.ends_with(".css") {
        return bytes;
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return bytes;
    };
    let mut kept = String::with_capacity(text.len());
    let (mut in_comment, mut in_template) = (false, false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        let ends = bare.find("*/").map(|at| at + 2);
        if in_comment {
            match ends {
                None => {}
                Some(end) if end == bare.len() => in_comment = false,
                Some(_) => return bytes,
            }
            continue;
        }
        let begins = bare.starts_with("/*") && !bare.starts_with("/*!");
        match (in_template, begins, ends) {
            (false, true, None) => {
                in_comment = true;
                continue;
            }
            (false, true, Some(end)) if end == bare.len() => continue,
            (false, false, _) if is_script && bare.starts_with("//") => continue,
            _ => {}
        }
        in_template ^= is_script && bare.matches('`').count() % 2 == 1;
        kept.push_str(line);
    }
    // One that never ends, as one that ends before code, is not for this to judge.
    if in_comment { bytes } else { kept.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(name: &str, text: &str) -> String {
        String::from_utf8(without_comments(name, text.into())).unwrap()
    }

    #[test]
    fn lines_that_are_comments_are_left_out_and_no_others() {
        let text = "// A page.\n\n/** What\n * it does. */\nexport const a = 1; // one\n  // inner\n\
                    /*! licence */\n/* one line */\nconst url = 'https://h/'; /* no\n end */ f();\n";
        let left = "\nexport const a = 1; // one\n/*! licence */\nconst url = 'https://h/'; /* no\n end */ f();\n";
        assert_eq!(published("a.js", text), left);
    }

    #[test]
    fn a_text_that_looks_like_a_comment_stays() {
        let text = "const t = `\n// not a comment\n/* nor this */\n`;\n// but this\n";
        let left = "const t = `\n// not a comment\n/* nor this */\n`;\n";
        assert_eq!(published("a.js", text), left);
        let code = "/* before */ f();\n/* open\n";
        assert_eq!(published("a.js", code), code, "one that never ends");
        let code = "/* open\n end */ f();\n";
        assert_eq!(published("a.js", code), code, "one that ends before code");
    }

    #[test]
    fn style_sheets_have_comments_of_one_kind_and_pictures_none() {
        let css = "/* Colours. */\n//x { }\na { color: red } /* why */\n";
        let left = "//x { }\na { color: red } /* why */\n";
        assert_eq!(published("a.css", css), left);
        assert_eq!(published("a.svg", css), css);
    }
}
