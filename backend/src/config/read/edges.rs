//! Where the metrics of the edges are.

use axum::http::Uri;

use super::{Values, list};
use crate::config::{ConfigError, masked_url};

impl Values {
    /// The metrics of every edge: a TOML list, or separated by commas in one
    /// text. None by default: only "seckill up" knows of an edge, its own.
    pub(in crate::config) fn edges(&mut self) -> Result<Vec<Uri>, ConfigError> {
        let right = "write a list such as [\"http://10.0.0.1/metrics\", \
                     \"https://shop.example:8443/metrics\"]; the edges must allow this machine there";
        let parse = |text: &str| {
            let uris: Option<Vec<Uri>> = list(text)
                .map(|uri| uri.parse().ok().filter(is_edge))
                .collect();
            uris.map(shown)
        };
        self.read("edges", right, || shown(Vec::new()), parse)
    }
}

fn is_edge(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
}

fn shown(uris: Vec<Uri>) -> (Vec<Uri>, String) {
    let texts: Vec<String> = uris
        .iter()
        .map(|uri| masked_url(&uri.to_string()))
        .collect();
    let text = match texts.is_empty() {
        true => "none".to_owned(),
        false => texts.join(", "),
    };
    (uris, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, gather};

    fn config(edges: &str) -> Result<Config, String> {
        let variables = [("SECKILL_EDGES".to_owned(), edges.to_owned())];
        let given = gather(None, &variables, Vec::new()).map_err(|error| error.to_string())?;
        Config::from_layers(given).map_err(|error| error.to_string())
    }

    #[test]
    fn edges_are_those_that_are_listed() {
        for none in ["", "[]"] {
            assert_eq!(config(none).unwrap().edges, [] as [Uri; 0], "{none}");
        }
        let two = config("[\"http://a/metrics\",\n \"https://b:81/metrics\",]").unwrap();
        assert_eq!(two.edges.len(), 2);
        for wrong in ["a:80", "ftp://a/metrics", "http://a b", "/metrics"] {
            let error = config(wrong).unwrap_err();
            assert!(error.contains("http://10.0.0.1"), "{error}");
        }
    }
}
