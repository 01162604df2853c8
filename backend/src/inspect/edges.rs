//! The edges of this machine: what nginx itself reads of the configuration of each, and
//! which of them are this system's. Several shops may have an edge on one machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::masters::{self, Master, masters};
use super::nginx_text::{self, Directive};
use crate::config::{Config, running};
use crate::redis::RedisLink;

/// Why the configuration of an nginx is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// The program cannot be run.
    NotRun(String),
    /// It does not accept the configuration.
    Refused(String),
}

/// What a system's edge can be known by.
#[derive(Debug)]
struct System<'a> {
    data: &'a Path,
    /// The address of its Redis.
    redis: Option<String>,
    keys: &'a Path,
}

/// An nginx of this machine, and its configuration.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) master: Master,
    pub(super) directives: Result<Vec<Directive>, Unread>,
}

/// The edges that were found.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// Those of this system. Those that cannot be read are among them if they may be.
    pub(super) own: Vec<Edge>,
    /// Those of other shops.
    pub(super) others: Vec<Edge>,
}

/// Reads the configuration that is named, or else that of each nginx that runs here. An
/// nginx that is no edge is left out, unless it is named.
pub(super) async fn find(config: &Config, named: Option<&Path>) -> Edges {
    if let Some(path) = named {
        let own = vec![Edge::read(&config.nginx, Master::of_file(Some(path))).await];
        let others = Vec::new();
        return Edges { own, others };
    }
    let mut found = Vec::new();
    for master in masters() {
        let edge = Edge::read(&config.nginx, master).await;
        if edge.directives.is_err() || edge.is_edge() {
            found.push(edge);
        }
    }
    let link = RedisLink::lazy(&config.redis_url).ok();
    let system = System {
        data: &config.data,
        redis: link.map(|link| link.address().to_owned()),
        keys: &config.keys,
    };
    Edges::sorted(&system, found)
}

impl Edges {
    /// If none is certainly of this system, a single one is, unless "seckill up" wrote its
    /// configuration for another data folder: its addresses may be wrong.
    fn sorted(system: &System<'_>, found: Vec<Edge>) -> Self {
        let is_own = |edge: &Edge| edge.is_of(system);
        let (own, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_own);
        match (own.as_slice(), others.as_slice()) {
            ([], [one]) if !one.is_of_up() => Self {
                own: others,
                others: own,
            },
            _ => Self { own, others },
        }
    }
}

impl Edge {
    /// Has nginx read the configuration of this process.
    pub(super) async fn read(program: &Path, mut master: Master) -> Self {
        let mut arguments = vec!["-T".to_owned()];
        for (flag, path) in [("-c", &master.conf), ("-p", &master.prefix)] {
            if let Some(path) = path {
                arguments.extend([flag.to_owned(), path.display().to_string()]);
            }
        }
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let directives = match masters::run(program, &words).await {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout);
                // Wherever nginx found it.
                master.conf = nginx_text::main_file(&text).or(master.conf);
                Ok(nginx_text::parse(&text))
            }
            Ok(output) => Err(Unread::Refused(masters::reason(&output))),
            Err(reason) => Err(Unread::NotRun(reason)),
        };
        Self { master, directives }
    }

    /// Where its configuration is, for people.
    pub(super) fn shown(&self) -> String {
        match &self.master.conf {
            Some(path) => path.display().to_string(),
            None => "nginx's configuration".to_owned(),
        }
    }

    /// All directives of this name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &Directive> {
        let directives = self.directives.as_deref().unwrap_or_default();
        directives.iter().filter(move |it| it.name == name)
    }

    /// The first argument of this directive.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        Some(self.all(name).next()?.arguments.first()?.as_str())
    }

    /// Whether it is an edge at all.
    pub(super) fn is_edge(&self) -> bool {
        self.value("seckill_zone").is_some()
    }

    /// Whether it is certainly of this system: "seckill up" wrote its configuration into
    /// this data folder, or it has the back end's Redis or key ring.
    fn is_of(&self, system: &System<'_>) -> bool {
        let is_inside = |conf: &PathBuf| match (fs::canonicalize(conf), system.data.canonicalize())
        {
            (Ok(conf), Ok(data)) => conf.starts_with(data),
            _ => false,
        };
        let has_ring = |keys: &str| match (fs::canonicalize(keys), system.keys.canonicalize()) {
            (Ok(edge), Ok(back_end)) => edge == back_end,
            _ => false,
        };
        let redis = self.value("seckill_redis").zip(system.redis.as_deref());
        self.master.conf.as_ref().is_some_and(is_inside)
            || redis.is_some_and(|(edge, back_end)| is_same_redis(edge, back_end))
            || self.value("seckill_keys").is_some_and(has_ring)
    }

    /// Whether "seckill up" wrote its configuration, which is then `nginx/nginx.conf` of a
    /// data folder.
    pub(super) fn is_of_up(&self) -> bool {
        let folder = self.master.conf.as_deref().and_then(Path::parent);
        let data = folder.and_then(Path::parent);
        data.is_some_and(|data| running::lock_file(data).exists())
    }

    /// A file that a directive names; relative names are meant from the configuration's
    /// folder. `None` for one that each request has another of.
    pub(super) fn file(&self, named: &str) -> Option<PathBuf> {
        if named.contains('$') || named.starts_with("data:") || named.starts_with("engine:") {
            return None;
        }
        let conf = self.master.conf.as_deref();
        let conf = conf.unwrap_or(Path::new("/etc/nginx/nginx.conf"));
        Some(conf.parent().unwrap_or(Path::new("/")).join(named))
    }
}

/// Whether the edge's `seckill_redis` and the back end's address are one.
pub(super) fn is_same_redis(edge: &str, back_end: &str) -> bool {
    let plain = |text: &str| {
        let text = text.strip_prefix("unix:").unwrap_or(text);
        text.replace("localhost:", "127.0.0.1:")
    };
    plain(edge) == plain(back_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(conf: &Path, text: &str) -> Edge {
        Edge {
            master: Master::of_file(Some(conf)),
            directives: Ok(nginx_text::parse(text)),
        }
    }

    /// A folder that "seckill up" has run in.
    fn data() -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        for path in [
            running::lock_file(data.path()),
            data.path().join("nginx/nginx.conf"),
        ] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        data
    }

    fn sorted(system: &System<'_>, found: Vec<Edge>) -> [Vec<String>; 2] {
        let edges = Edges::sorted(system, found);
        [edges.own, edges.others].map(|edges| edges.iter().map(Edge::shown).collect())
    }

    #[test]
    fn edges_of_other_shops_are_told_from_those_of_this_system() {
        let (ours, theirs) = (data(), data());
        let system = System {
            data: ours.path(),
            redis: Some("127.0.0.1:6379".to_owned()),
            keys: Path::new("/nowhere"),
        };
        let conf = |data: &tempfile::TempDir| data.path().join("nginx/nginx.conf");
        let (ours, theirs) = (conf(&ours), conf(&theirs));
        let plain = Path::new("/etc/nginx/nginx.conf");
        let elsewhere = "seckill_zone s:1m; seckill_redis unix:/elsewhere;";
        let names = |paths: &[&Path]| -> Vec<String> {
            paths.iter().map(|it| it.display().to_string()).collect()
        };
        // Two systems of "seckill up": the data folder says which is ours.
        let two = vec![edge(&theirs, elsewhere), edge(&ours, elsewhere)];
        assert_eq!(sorted(&system, two), [names(&[&ours]), names(&[&theirs])]);
        // Only that of another one runs.
        let one = vec![edge(&theirs, elsewhere)];
        assert_eq!(sorted(&system, one), [names(&[]), names(&[&theirs])]);
        // The machine's only edge is ours, though it names another Redis.
        let one = vec![edge(plain, elsewhere)];
        assert_eq!(sorted(&system, one), [names(&[plain]), names(&[])]);
        // Of two, the one with our Redis.
        let same = "seckill_zone s:1m; seckill_redis localhost:6379 timeout=50ms;";
        let two = vec![edge(&theirs, elsewhere), edge(plain, same)];
        assert_eq!(sorted(&system, two), [names(&[plain]), names(&[&theirs])]);
    }

    #[test]
    fn two_ways_to_write_one_redis_are_the_same() {
        assert!(is_same_redis("localhost:6379", "127.0.0.1:6379"));
        assert!(is_same_redis("unix:/r.sock", "/r.sock"));
        assert!(!is_same_redis("10.0.0.5:6379", "10.0.0.6:6379"));
    }
}
