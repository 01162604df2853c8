//! What a setting may be, and how well a value does.

use serde::Serialize;

/// Whose setting it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The settings of Linux.
    Kernel,
    /// The edge.
    Nginx,
    /// Stock and permits.
    Redis,
    /// Orders, in MariaDB or MySQL.
    Mariadb,
    /// Orders, in PostgreSQL.
    Postgres,
    /// The queue.
    Rocketmq,
}

impl Part {
    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Nginx => "nginx",
            Self::Redis => "Redis",
            Self::Mariadb => "MariaDB",
            Self::Postgres => "PostgreSQL",
            Self::Rocketmq => "RocketMQ",
        }
    }
}

/// What happens if a setting is not as wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Buyers are refused, or something that was promised is lost.
    Matters,
    /// It works, slower or with less to spare.
    Helps,
}

/// The values that a setting may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This number or more.
    AtLeast(u64),
    /// This number or less.
    AtMost(u64),
    /// So many bytes or more.
    Bytes(u64),
    /// A limit in bytes: any but none (0); written as this many.
    Limit(u64),
    /// One of these; the first is proposed.
    OneOf(&'static [&'static str]),
    /// Anything; this is proposed if there is nothing.
    Present(&'static str),
    /// `auto`, or this many.
    Workers(u64),
    /// Two numbers with at least so many between them; the second is proposed.
    Span(u64, &'static str),
}

impl Wanted {
    /// Whether a value does.
    pub(super) fn is_met(&self, here: &str) -> bool {
        let number = size(here);
        match self {
            Self::AtLeast(least) | Self::Bytes(least) => number.is_some_and(|it| it >= *least),
            Self::AtMost(most) => number.is_some_and(|it| it <= *most),
            Self::Limit(_) => number.is_some_and(|it| it > 0),
            Self::OneOf(values) => values.iter().any(|it| it.eq_ignore_ascii_case(here)),
            Self::Present(_) => !here.is_empty(),
            Self::Workers(cores) => here == "auto" || number.is_some_and(|it| it == *cores),
            Self::Span(least, _) => {
                let mut numbers = here.split_whitespace().map(str::parse::<u64>);
                match (numbers.next(), numbers.next()) {
                    (Some(Ok(from)), Some(Ok(to))) => to.saturating_sub(from) >= *least,
                    _ => false,
                }
            }
        }
    }

    /// The value to write where none does yet.
    fn proposed(&self, syntax: Syntax) -> String {
        match self {
            Self::AtLeast(number) | Self::AtMost(number) => number.to_string(),
            Self::Bytes(bytes) | Self::Limit(bytes) => syntax.bytes(*bytes),
            Self::OneOf(values) => values.first().copied().unwrap_or_default().to_owned(),
            Self::Present(value) | Self::Span(_, value) => (*value).to_owned(),
            Self::Workers(_) => "auto".to_owned(),
        }
    }

    /// The wanted values, in words.
    fn shown(&self, syntax: Syntax) -> String {
        match self {
            Self::AtLeast(_) | Self::Bytes(_) => format!("at least {}", self.proposed(syntax)),
            Self::AtMost(_) => format!("at most {}", self.proposed(syntax)),
            Self::Limit(_) => format!("a limit, such as {}", self.proposed(syntax)),
            Self::OneOf(values) => values.join(" or "),
            Self::Present(value) => format!("set, such as {value}"),
            Self::Workers(cores) => format!("auto or {cores}"),
            Self::Span(least, value) => format!("{least} ports or more, such as {value}"),
        }
    }
}

/// A number, with the suffixes that nginx, Redis and the databases take for bytes.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, suffix) = text.split_at(digits.unwrap_or(text.len()));
    let factor = match suffix {
        "" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// How a file writes a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `name = value`.
    Sysctl,
    /// A line of tmpfiles.d that writes into this file.
    Tmpfiles(&'static str),
    /// `name value;`.
    Nginx,
    /// An argument of this directive of nginx, which stands there already.
    Argument(&'static str),
    /// `name value`.
    Redis,
    /// `name = value` below `[mysqld]`.
    Ini,
    /// `name = value`, with `MB` for bytes.
    Postgres,
    /// `name=value`.
    Properties,
}

impl Syntax {
    fn bytes(self, bytes: u64) -> String {
        let mib = bytes >> 20;
        match self {
            Self::Redis => format!("{mib}mb"),
            Self::Ini => format!("{mib}M"),
            Self::Postgres => format!("{mib}MB"),
            _ => bytes.to_string(),
        }
    }
}

/// Where a setting belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The file.
    pub(super) file: &'static str,
    /// The block in it, such as `events`; empty for none.
    pub(super) block: &'static str,
    /// How the file writes it.
    pub(super) syntax: Syntax,
}

/// A setting, what it may be, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) part: Part,
    pub(super) name: &'static str,
    pub(super) wanted: Wanted,
    pub(super) weight: Weight,
    pub(super) reason: &'static str,
    pub(super) place: Place,
}

/// How well a setting does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The value is the wanted one.
    Fine,
    /// Not as wanted, and a sale works nevertheless.
    Advised,
    /// Not as wanted, and buyers are refused or something is lost.
    Off,
    /// It could not be read.
    Unknown,
}

/// A setting that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Whose it is.
    pub part: Part,
    /// Which server's, if there may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Its name.
    pub name: &'static str,
    /// Its value here; `None` if it could not be read.
    pub here: Option<String>,
    /// What it may be.
    pub wanted: String,
    /// How well it does.
    pub state: State,
    /// What it is for.
    pub reason: &'static str,
    /// The file that it belongs into.
    pub file: String,
    /// The value to write into that file.
    pub value: String,
    #[serde(skip)]
    pub(super) place: Place,
}

impl Rule {
    /// Judges the value that is here.
    pub(super) fn judge(&self, server: Option<&str>, here: Option<String>) -> Line {
        let is_met = here.as_deref().map(|here| self.wanted.is_met(here));
        let state = match (is_met, self.weight) {
            (None, _) => State::Unknown,
            (Some(true), _) => State::Fine,
            (Some(false), Weight::Matters) => State::Off,
            (Some(false), Weight::Helps) => State::Advised,
        };
        let syntax = self.place.syntax;
        let value = match (&here, state) {
            (Some(here), State::Fine) => here.clone(),
            _ => self.wanted.proposed(syntax),
        };
        let block = self.place.block;
        let file = match block.is_empty() {
            true => self.place.file.to_owned(),
            false => format!("{}, {block}", self.place.file),
        };
        Line {
            part: self.part,
            server: server.map(ToOwned::to_owned),
            name: self.name,
            here,
            wanted: self.wanted.shown(syntax),
            state,
            reason: self.reason,
            file,
            value,
            place: self.place,
        }
    }
}

impl Line {
    /// Two lines of text: the values, then reason and file.
    pub(super) fn for_people(&self) -> String {
        let mark = match self.state {
            State::Fine => "ok",
            State::Advised => "advised",
            State::Off => "OFF",
            State::Unknown => "unknown",
        };
        let here = match self.here.as_deref() {
            None => "?",
            Some("") => "not set",
            Some(here) => here,
        };
        format!(
            "  {mark:8} {:34} here: {here}, wanted: {}\n{:11}{} ({})\n",
            self.name, self.wanted, "", self.reason, self.file
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place {
        file: "/etc/f",
        block: "",
        syntax: Syntax::Sysctl,
    };

    fn rule(wanted: Wanted, weight: Weight) -> Rule {
        Rule {
            part: Part::Kernel,
            name: "n",
            wanted,
            weight,
            reason: "r",
            place: PLACE,
        }
    }

    #[test]
    fn numbers_are_compared_with_their_suffixes() {
        assert!(Wanted::AtLeast(65_536).is_met("64k"));
        assert!(!Wanted::AtLeast(65_537).is_met("64k"));
        assert!(Wanted::Bytes(1 << 30).is_met("1gb"));
        assert!(!Wanted::AtLeast(1).is_met("many"));
        assert!(Wanted::AtMost(10).is_met("10"));
        assert!(!Wanted::Limit(1).is_met("0"));
    }

    #[test]
    fn words_ports_and_workers_are_compared_by_their_own_rules() {
        assert!(Wanted::OneOf(&["yes"]).is_met("YES"));
        assert!(!Wanted::OneOf(&["madvise", "never"]).is_met("always"));
        assert!(Wanted::Span(40_000, "").is_met("10240\t65535"));
        assert!(!Wanted::Span(40_000, "").is_met("32768 60999"));
        assert!(!Wanted::Span(1, "").is_met("65535"));
        assert!(Wanted::Workers(4).is_met("auto") && Wanted::Workers(4).is_met("4"));
        assert!(!Wanted::Workers(4).is_met("1"));
    }

    #[test]
    fn only_what_matters_is_off_and_what_is_not_known_is_neither() {
        let matters = rule(Wanted::AtLeast(10), Weight::Matters);
        let helps = rule(Wanted::AtLeast(10), Weight::Helps);
        let state =
            |rule: &Rule, here: Option<&str>| rule.judge(None, here.map(ToOwned::to_owned)).state;
        assert_eq!(state(&matters, Some("9")), State::Off);
        assert_eq!(state(&helps, Some("9")), State::Advised);
        assert_eq!(state(&matters, Some("10")), State::Fine);
        assert_eq!(state(&matters, None), State::Unknown);
    }

    #[test]
    fn a_value_that_is_better_than_wanted_is_the_one_to_write() {
        let rule = rule(Wanted::AtLeast(10), Weight::Matters);
        assert_eq!(rule.judge(None, Some("99".to_owned())).value, "99");
        assert_eq!(rule.judge(None, Some("9".to_owned())).value, "10");
        assert_eq!(rule.judge(None, None).value, "10");
    }
}
