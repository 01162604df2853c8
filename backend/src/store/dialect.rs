//! The one text of each statement, in what PostgreSQL reads.
//!
//! Statements are written as SQLite, MySQL and MariaDB take them. PostgreSQL has numbered
//! placeholders, takes `user` for the name of whoever is logged in, and has another word
//! for a cast to 64 bits. Nothing else of the statements differs; a test of the store runs
//! each of them on all databases.

/// The statement with PostgreSQL's words in place of the common ones. What is quoted stays
/// as it is.
pub(super) fn for_postgres(statement: &str) -> String {
    let mut out = String::with_capacity(statement.len() + statement.len() / 4);
    let mut placeholders = 0_u32;
    let mut rest = statement;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => quoted(rest, first),
            it if it.is_alphanumeric() || it == '_' => word(rest),
            it => it.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        rest = behind;
        match token {
            "?" => {
                placeholders += 1;
                out.push('$');
                out.push_str(&placeholders.to_string());
            }
            "user" => out.push_str("\"user\""),
            "SIGNED" => out.push_str("BIGINT"),
            token => out.push_str(token),
        }
    }
    out
}

/// Bytes of the quoted text at the beginning. A doubled quote, which stands for one, is
/// the end of one text and the beginning of the next.
fn quoted(text: &str, quote: char) -> usize {
    let within = text.get(1..).unwrap_or_default();
    within.find(quote).map_or(text.len(), |end| end + 2)
}

/// Bytes of the word at the beginning.
fn word(text: &str) -> usize {
    text.find(|it: char| !(it.is_alphanumeric() || it == '_'))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_and_words_translated_except_in_quotes() {
        let cases = [
            ("SELECT 1", "SELECT 1"),
            (
                "UPDATE t SET a = ?, b = 'is? it''s user' WHERE user = ? AND c IN (?,?)",
                "UPDATE t SET a = $1, b = 'is? it''s user' WHERE \"user\" = $2 AND c IN ($3,$4)",
            ),
            (
                "SELECT user, users, a_user, \"user?\", CAST(SUM(n) AS SIGNED) FROM t",
                "SELECT \"user\", users, a_user, \"user?\", CAST(SUM(n) AS BIGINT) FROM t",
            ),
            ("SELECT o.user FROM 商品 o", "SELECT o.\"user\" FROM 商品 o"),
            // What is not closed is the server's to refuse.
            ("SELECT 'a?", "SELECT 'a?"),
            ("", ""),
        ];
        for (common, postgres) in cases {
            assert_eq!(for_postgres(common), postgres);
        }
    }
}
