//! The generated top-level configuration: what depends on this machine. All
//! else is the repository's `conf/seckill/`, which it includes unchanged.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use nix::unistd::Uid;
use seckill_core::gate::directive::jwt::Jwks;

use super::super::child::file_limit;
use crate::config::{Config, Listen};
use crate::redis::directive;

/// Most connections a worker is prepared for; each costs it some memory.
const MOST_CONNECTIONS: u64 = 16_384;

/// The text of `nginx.conf`.
pub(super) fn text(config: &Config, module: &Path, home: &Path) -> String {
    let data = config.data.display();
    let logs = config.logs_dir();
    let logs = logs.display();
    format!(
        r#"# Written by "seckill up" at every start: changes here are lost. What can be
# changed is in {home}/conf/seckill/ and in "seckill config".
daemon off;
{user}worker_processes {workers};
pid "{data}/run/nginx.pid";
error_log "{logs}/edge.log" warn;
load_module "{module}";

events {{
    # A request that is passed to the back end takes two.
    worker_connections {connections};
}}

http {{
    client_body_temp_path "{data}/nginx/body";
    proxy_temp_path "{data}/nginx/proxy";
    fastcgi_temp_path "{data}/nginx/fastcgi";
    uwsgi_temp_path "{data}/nginx/uwsgi";
    scgi_temp_path "{data}/nginx/scgi";

    upstream seckill_purchase {{
        server {purchase};
        keepalive 256;
    }}
    upstream seckill_ops {{
        server {ops};
        keepalive 8;
    }}

    seckill_zone seckill:64m;
    # Longer than the default: on one box, where the edge shares its cores with
    # everything else, a late reply is better than none.
    seckill_redis {redis} timeout=500ms;
    seckill_keys "{keys}";
    seckill_rate rate={rate}r/s burst={burst};
{jwt}    seckill_digest {digest};
    seckill_captcha {captcha};
    seckill_trace {trace};

    include "{home}/conf/seckill/http.conf";
    access_log "{logs}/access.log" seckill_json buffer=64k flush=1s;

    server {{
{listen}        set $seckill_static "{home}/html/static";
        set $seckill_pages "{pages}";
        include "{home}/conf/seckill/server.conf";
    }}

    server {{
{console}        set $seckill_html "{home}/html";
        set $seckill_pages "{pages}";
        include "{home}/conf/seckill/console.conf";
    }}
}}
"#,
        home = home.display(),
        user = user(),
        workers = config
            .edge_workers
            .map_or("auto".to_owned(), |workers| workers.to_string()),
        module = module.display(),
        connections = (file_limit() / 2).min(MOST_CONNECTIONS),
        purchase = upstream(&config.purchase_listen),
        ops = upstream(&config.ops_listen),
        redis = directive(&config.redis_url).unwrap_or_default(),
        keys = config.keys.display(),
        rate = config.site_rate,
        burst = config.site_burst,
        jwt = jwt(config),
        digest = config.digest.as_str(),
        captcha = if config.captcha.is_on() { "on" } else { "off" },
        trace = trace(config),
        listen = listen(config.port),
        pages = config.pages_dir().display(),
        console = listen_console(config),
    )
}

/// The arguments of `seckill_trace`: the edge samples as many purchases as the back end.
fn trace(config: &Config) -> String {
    match config.traces.url {
        Some(_) => format!("on ratio={}", config.traces.ratio_text),
        None => "off".to_owned(),
    }
}

/// The pages of other names that may call the API, as http.conf includes them.
pub(super) fn origins(config: &Config) -> String {
    let line = |origin: &String| format!("{origin} $http_origin;\n");
    config.names.origins.iter().map(line).collect()
}

/// The line of `seckill_jwt` for the tokens that the back end believes.
fn jwt(config: &Config) -> String {
    let Some(jwt) = &config.jwt else {
        return String::new();
    };
    let (Jwks::File(jwks) | Jwks::Url(jwks)) = &jwt.jwks;
    let policy = &jwt.policy;
    let mut line = format!(
        "    seckill_jwt \"jwks={jwks}\" claim={} cookie={}",
        policy.claim, jwt.cookie
    );
    if let Some(issuer) = &policy.issuer {
        line.push_str(&format!(" \"issuer={issuer}\""));
    }
    for audience in &policy.audiences {
        line.push_str(&format!(" \"audience={audience}\""));
    }
    line + ";\n"
}

/// Workers of a nginx that root starts would become `nobody`, who can read
/// neither a clone in root's home nor the key ring. Another user cannot
/// change users anyway, and nginx would warn about the line.
fn user() -> &'static str {
    if Uid::effective().is_root() {
        "user root;\n"
    } else {
        ""
    }
}

fn upstream(listen: &Listen) -> String {
    match listen {
        Listen::Unix(path) => format!("\"unix:{}\"", path.display()),
        Listen::Tcp(address) => address.to_string(),
    }
}

fn listen(port: u16) -> String {
    let mut lines = format!("        listen {port};\n");
    if has_ipv6() {
        lines.push_str(&format!("        listen [::]:{port};\n"));
    }
    lines
}

/// The console is for this machine alone, unless the settings name an address.
fn listen_console(config: &Config) -> String {
    let port = config.console_port;
    let line = |address: SocketAddr| format!("        listen {address};\n");
    match config.console_address {
        Some(address) => line(SocketAddr::new(address, port)),
        None if has_ipv6() => {
            line((Ipv4Addr::LOCALHOST, port).into()) + &line((Ipv6Addr::LOCALHOST, port).into())
        }
        None => line((Ipv4Addr::LOCALHOST, port).into()),
    }
}

/// A kernel without IPv6 would make nginx refuse such a line.
fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::gather;

    #[test]
    fn the_edge_demands_a_pass_when_the_back_end_does() {
        for (given, directive) in [
            ("on", "seckill_captcha on;"),
            ("slider", "seckill_captcha on;"),
            ("off", "seckill_captcha off;"),
        ] {
            let variables = [("SECKILL_CAPTCHA".to_owned(), given.to_owned())];
            let given = gather(None, &variables, Vec::new()).unwrap();
            let config = Config::from_layers(given).unwrap();
            let text = text(&config, Path::new("/m.so"), Path::new("/h"));
            assert!(text.contains(directive), "{text}");
        }
    }

    #[test]
    fn the_edge_traces_when_there_is_a_collector() {
        let configured = |variables: &[(&str, &str)]| {
            let owned = variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let given = gather(None, &owned.collect::<Vec<_>>(), Vec::new()).unwrap();
            let config = Config::from_layers(given).unwrap();
            text(&config, Path::new("/m.so"), Path::new("/h"))
        };
        let url = ("SECKILL_OTLP_URL", "http://127.0.0.1:4318");
        let on = configured(&[url, ("SECKILL_TRACE_RATIO", "0.5")]);
        assert!(on.contains("seckill_trace on ratio=0.5;"), "{on}");
        assert!(configured(&[]).contains("seckill_trace off;"));
    }

    #[test]
    fn the_edge_digests_purchase_urls_as_the_back_end_does() {
        for digest in ["hmac-sha256", "md5"] {
            let variables = [("SECKILL_DIGEST".to_owned(), digest.to_owned())];
            let given = gather(None, &variables, Vec::new()).unwrap();
            let config = Config::from_layers(given).unwrap();
            let text = text(&config, Path::new("/m.so"), Path::new("/h"));
            assert!(
                text.contains(&format!("seckill_digest {digest};")),
                "{text}"
            );
        }
    }

    #[test]
    fn the_edge_believes_the_tokens_that_the_back_end_believes() {
        let given = [
            ("SECKILL_JWT_JWKS", "https://login.example.com/jwks"),
            ("SECKILL_JWT_ISSUER", "https://login.example.com/"),
            ("SECKILL_JWT_AUDIENCE", "shop, app"),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::from_layers(gather(None, &given, Vec::new()).unwrap()).unwrap();
        assert_eq!(
            jwt(&config),
            "    seckill_jwt \"jwks=https://login.example.com/jwks\" claim=sub \
             cookie=seckill_session \"issuer=https://login.example.com/\" \
             \"audience=shop\" \"audience=app\";\n"
        );
    }

    #[test]
    fn pages_of_other_names_may_call_the_edge_if_they_may_call_the_back_end() {
        let given = [
            ("SECKILL_SHOP_ORIGINS", "https://mall.example.com"),
            ("SECKILL_SITE_URL", "https://seckill.example.com/"),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::from_layers(gather(None, &given, Vec::new()).unwrap()).unwrap();
        assert_eq!(
            origins(&config),
            "https://mall.example.com $http_origin;\nhttps://seckill.example.com $http_origin;\n"
        );
        assert!(config.names.secure);
    }

    #[test]
    fn the_console_is_for_this_machine_unless_an_address_is_named() {
        let lines = |given: &[(&str, &str)]| {
            let variables: Vec<_> = given
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            let config = Config::from_layers(gather(None, &variables, Vec::new()).unwrap());
            listen_console(&config.unwrap())
        };
        let local = lines(&[("SECKILL_CONSOLE_PORT", "9001")]);
        assert!(local.contains("listen 127.0.0.1:9001;"), "{local}");
        assert!(
            !local.contains("0.0.0.0") && !local.contains("[::]"),
            "{local}"
        );
        let named = lines(&[("SECKILL_CONSOLE_ADDRESS", "10.0.0.5")]);
        assert_eq!(named, "        listen 10.0.0.5:8081;\n");
    }
}
