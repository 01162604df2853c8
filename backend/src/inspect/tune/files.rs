//! The files to write, each with its settings and their reasons.

use super::rule::{Line, Syntax};

/// All settings by file and block, each once: several servers of a kind share a file.
pub(super) fn write(lines: &[Line]) -> String {
    let mut files: Vec<(&str, Vec<&Line>)> = Vec::new();
    for line in lines {
        let file = line.file.as_str();
        let at = files.iter().position(|(name, _)| *name == file);
        let at = at.unwrap_or_else(|| {
            files.push((file, Vec::new()));
            files.len() - 1
        });
        let settings = &mut files[at].1;
        if settings.iter().all(|it| it.name != line.name) {
            settings.push(line);
        }
    }
    let texts = files.iter().map(|(file, settings)| {
        let header = match settings.first().map(|line| line.place.syntax) {
            Some(Syntax::Ini) => "[mysqld]\n",
            _ => "",
        };
        let settings: String = settings.iter().map(|line| setting(line)).collect();
        format!("### {file}\n{header}{settings}")
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn setting(line: &Line) -> String {
    let Line {
        name,
        value,
        reason,
        ..
    } = line;
    let text = match line.place.syntax {
        Syntax::Sysctl | Syntax::Ini | Syntax::Postgres => format!("{name} = {value}"),
        Syntax::Tmpfiles(path) => format!("w {path} - - - - {value}"),
        Syntax::Nginx => format!("{name} {value};"),
        Syntax::Argument(directive) => {
            let argument = match value.as_str() {
                "on" => (*name).to_owned(),
                value => format!("{name}={value}"),
            };
            format!("# {directive} … {argument} …;")
        }
        Syntax::Redis => format!("{name} {value}"),
        Syntax::Properties => format!("{name}={value}"),
    };
    format!("# {reason}\n{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::tune::rule::{Part, Place, Rule, Wanted, Weight};

    fn line(server: &str, syntax: Syntax, here: &str) -> Line {
        let rule = Rule {
            part: Part::Redis,
            name: "size",
            wanted: Wanted::Bytes(64 << 20),
            weight: Weight::Helps,
            reason: "so that it fits",
            place: Place {
                file: "/etc/f",
                block: "",
                syntax,
            },
        };
        rule.judge(Some(server), Some(here.to_owned()))
    }

    #[test]
    fn a_setting_of_two_servers_is_written_once_with_its_reason() {
        let lines = [line("a", Syntax::Redis, "1"), line("b", Syntax::Redis, "1")];
        assert_eq!(write(&lines), "### /etc/f\n# so that it fits\nsize 64mb\n");
    }

    #[test]
    fn each_file_has_its_own_syntax() {
        let text = |syntax| write(&[line("a", syntax, "1")]);
        assert!(text(Syntax::Ini).contains("[mysqld]\n# so that it fits\nsize = 64M\n"));
        assert!(text(Syntax::Nginx).ends_with("size 67108864;\n"));
        assert!(text(Syntax::Argument("listen")).ends_with("# listen … size=67108864 …;\n"));
        assert!(text(Syntax::Tmpfiles("/sys/x")).ends_with("w /sys/x - - - - 67108864\n"));
    }
}
