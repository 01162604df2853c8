//! Directives out of what `nginx -T` prints.

use std::path::PathBuf;

/// One directive: the blocks around it from the outside, its name, its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::inspect) struct Directive {
    pub(in crate::inspect) blocks: Vec<String>,
    pub(in crate::inspect) name: String,
    pub(in crate::inspect) arguments: Vec<String>,
}

impl Directive {
    /// The value of an argument such as `backlog=16384`.
    pub(in crate::inspect) fn option(&self, name: &str) -> Option<&str> {
        let mut values = self.arguments.iter();
        values.find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The file that was read first: the configuration itself, where nginx found it.
pub(in crate::inspect) fn main_file(text: &str) -> Option<PathBuf> {
    let files = text.lines().filter_map(|line| {
        let file = line.strip_prefix("# configuration file ")?;
        file.strip_suffix(':')
    });
    files.map(PathBuf::from).next()
}

/// Reads all directives, those that open a block included.
pub(in crate::inspect) fn parse(text: &str) -> Vec<Directive> {
    let mut found = Vec::new();
    let mut blocks: Vec<String> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '#' => while rest.next_if(|c| *c != '\n').is_some() {},
            ';' | '{' => {
                let mut line = std::mem::take(&mut words).into_iter();
                let Some(name) = line.next() else { continue };
                let is_lua = name.ends_with("_by_lua_block");
                found.push(Directive {
                    blocks: blocks.clone(),
                    name: name.clone(),
                    arguments: line.collect(),
                });
                if c == '{' && is_lua {
                    // Text of another language, up to the brace that closes it.
                    let mut depth = 1;
                    while depth > 0 {
                        match rest.next() {
                            Some('{') => depth += 1,
                            Some('}') => depth -= 1,
                            Some(_) => {}
                            None => return found,
                        }
                    }
                } else if c == '{' {
                    let opened = found.last().map(|it| it.arguments.join(" "));
                    let opened = opened.filter(|it| !it.is_empty());
                    blocks.push(opened.map_or(name.clone(), |it| format!("{name} {it}")));
                }
            }
            '}' => {
                words.clear();
                blocks.pop();
            }
            '"' | '\'' => {
                let mut word = String::new();
                while let Some(inner) = rest.next() {
                    match inner {
                        '\\' => word.extend(rest.next()),
                        inner if inner == c => break,
                        inner => word.push(inner),
                    }
                }
                words.push(word);
            }
            c if c.is_whitespace() => {}
            c => {
                let mut word = String::from(c);
                // `${name}` is part of a word.
                let mut depth = 0;
                while let Some(next) = rest.peek().copied() {
                    let opens = next == '{' && word.ends_with('$');
                    let ends = next.is_whitespace() || matches!(next, ';' | '{' | '}');
                    if ends && !opens && depth == 0 {
                        break;
                    }
                    depth += i32::from(opens) - i32::from(next == '}' && depth > 0);
                    word.push(next);
                    rest.next();
                }
                words.push(word);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_where_nginx_found_it() {
        let text = "# configuration file /d/nginx.conf:\nevents {}\n\n# configuration file /d/a:\n";
        assert_eq!(main_file(text), Some("/d/nginx.conf".into()));
        assert_eq!(main_file("events {}\n"), None);
    }

    #[test]
    fn directives_are_read_with_their_blocks_and_arguments() {
        let found = parse(
            "# configuration file /etc/nginx/nginx.conf: a { b }\nuser www-data;\nhttp {\n  \
             log_format j '{\"a\": \"$b\"}';\n  set $a x${b}y;\n  upstream u { keepalive 16; }\n  server {\n    \
             listen 80 backlog=16384;\n    location ~ \"a{2}\" { gzip on; }\n  }\n}\nevents{worker_connections 9;}\n",
        );
        let one = |name: &str| found.iter().find(|it| it.name == name).unwrap();
        assert_eq!(one("listen").option("backlog"), Some("16384"));
        assert_eq!(one("listen").blocks, ["http", "server"]);
        assert_eq!(one("keepalive").blocks, ["http", "upstream u"]);
        assert_eq!(one("gzip").blocks[2], "location ~ a{2}");
        assert_eq!(one("set").arguments, ["$a", "x${b}y"]);
        assert_eq!(one("worker_connections").blocks, ["events"]);
        assert_eq!(one("log_format").arguments.len(), 2);
    }

    #[test]
    fn lua_in_a_block_is_no_directive() {
        let found = parse("a_by_lua_block { local t = {}; x; } b on;");
        let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a_by_lua_block", "b"]);
    }
}
