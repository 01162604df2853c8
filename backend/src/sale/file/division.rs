//! The shares of several sites in a product's amount: `sites = { east = 600, west = 400 }`,
//! or evenly. What is imported at a site is its own share.

use std::fmt::Display;

use seckill_core::sites::division::{even_share, is_name};

use super::fields::{Found, Placed, Table};
use crate::config::SiteSettings;
use crate::sale::limits::MAX_AMOUNT;
use crate::sale::tree::{Node, Value};

/// The share of this site in `amount`; all of it where one site sells alone. A division
/// is refused there: it says that others sell too, and that this process was not told so.
pub(super) fn share(
    table: &Table<'_>,
    amount: &Placed<u64>,
    site: Option<&SiteSettings>,
    found: &mut Found,
) -> Option<Placed<u64>> {
    let shares = match table.optional("sites") {
        Some(node) => Some((node.at, read(table, node, found)?)),
        None => None,
    };
    if let Some((at, shares)) = &shares {
        let sum: u64 = shares.iter().map(|(_, share)| share).sum();
        if sum != amount.value {
            let problem = format!(
                "these add up to {sum}, and the amount is {}; make them equal, or leave the sites \
                 out for an even split",
                amount.value
            );
            let values: [&dyn Display; 2] = [&sum, &amount.value];
            found.note(*at, table.name("sites"), "sites_sum", &values, problem);
            return None;
        }
    }
    let (at, value) = match (site, shares) {
        (None, None) => (amount.at, amount.value),
        (None, Some((at, shares))) => {
            let names: Vec<&str> = shares.iter().map(|(name, _)| name.as_str()).collect();
            let (names, all) = (names.join(", "), amount.value);
            let problem = format!(
                "{names} are to share the {all} items, but \"site\" is not set here, and all of \
                 them would be sold here; set site, site_peers and site_home as the roles of this \
                 site have them, or leave the sites out"
            );
            let values: [&dyn Display; 2] = [&names, &all];
            found.note(at, table.name("sites"), "sites_alone", &values, problem);
            return None;
        }
        (Some(site), None) => {
            let share = even_share(amount.value, &site.names(), &site.name);
            (amount.at, share.unwrap_or(0))
        }
        (Some(site), Some((at, shares))) => {
            let names = site.names();
            if let Some((unknown, _)) = shares.iter().find(|(name, _)| !names.contains(&&**name)) {
                let known = names.join(", ");
                let problem = format!(
                    "there is no site \"{unknown}\"; by site and site_peers there are {known}"
                );
                let values: [&dyn Display; 2] = [unknown, &known];
                found.note(at, table.name("sites"), "sites_unknown", &values, problem);
                return None;
            }
            let own = shares.into_iter().find(|(name, _)| *name == site.name);
            (at, own.map_or(0, |(_, share)| share))
        }
    };
    if value == 0 {
        let own = site.map(|site| site.name.as_str()).unwrap_or_default();
        let problem = format!(
            "this site, {own}, has none of the {} items; give it 1 or more by sites = {{ {own} = 1, \
             … }}",
            amount.value
        );
        let values: [&dyn Display; 2] = [&own, &amount.value];
        found.note(at, table.name("sites"), "sites_none", &values, problem);
        return None;
    }
    Some(Placed { at, value })
}

fn read(table: &Table<'_>, node: &Node, found: &mut Found) -> Option<Vec<(String, u64)>> {
    let right = "write a share for each site, such as { east = 600, west = 400 }";
    let number = |node: &Node| match node.value {
        Value::Number(number) => u64::try_from(number).ok().filter(|n| *n <= MAX_AMOUNT),
        _ => None,
    };
    let fields = match &node.value {
        Value::Table(fields) if !fields.is_empty() => fields,
        other => {
            let shown = other.shown();
            let problem = format!("{shown} names no sites; {right}");
            found.note(node.at, table.name("sites"), "no_sites", &[&shown], problem);
            return None;
        }
    };
    let mut shares = Vec::new();
    for field in fields {
        let Some(share) = number(&field.node).filter(|_| is_name(&field.name)) else {
            let shown = format!("{} = {}", field.name, field.node.value.shown());
            let problem = format!("{shown} is no site's share; {right}");
            found.note(
                field.at,
                table.name("sites"),
                "no_sites",
                &[&shown],
                problem,
            );
            return None;
        };
        shares.push((field.name.clone(), share));
    }
    Some(shares)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use crate::config::{Listen, SitePeer, SiteSettings};
    use crate::sale::file::{Form, parse_at};

    fn site(own: &str, other: &str) -> SiteSettings {
        SiteSettings {
            name: own.to_owned(),
            peers: vec![SitePeer {
                name: other.to_owned(),
                url: "http://127.0.0.1:1".parse().unwrap(),
            }],
            home: "east".to_owned(),
            keys: PathBuf::new(),
            listen: Listen::Unix(PathBuf::new()),
            lost_after: Duration::from_secs(600),
        }
    }

    fn amount(site: Option<&SiteSettings>, line: &str) -> Result<u64, String> {
        let text = format!(
            "[[round]]\nid = \"1\"\nname = \"Noon\"\nstarts = \"+10s\"\nends = \"+10m\"\n\
             [[round.product]]\nid = \"1\"\ntitle = \"Phone\"\namount = 1001\n\
             price_cents = 1\n{line}\n"
        );
        match parse_at(site, &text, Form::Toml, 1_800_000_000_000) {
            Ok(rounds) => Ok(rounds[0].round.products[0].amount),
            Err(mistakes) => Err(mistakes[0].problem.clone()),
        }
    }

    #[test]
    fn each_site_imports_its_share_of_one_file() {
        let (east, west) = (site("east", "west"), site("west", "east"));
        let both = |line: &str| (amount(Some(&east), line), amount(Some(&west), line));
        assert_eq!(both(""), (Ok(501), Ok(500)));
        let line = "sites = { east = 1000, west = 1 }";
        assert_eq!(both(line), (Ok(1000), Ok(1)));
        assert_eq!(amount(None, ""), Ok(1001));
        let segments = format!("{line}\nsegments = [400, 600]");
        assert_eq!(amount(Some(&east), &segments), Ok(1000));
    }

    #[test]
    fn a_wrong_division_is_refused_with_its_cure() {
        let east = site("east", "west");
        let cases = [
            ("sites = { east = 1, west = 1 }", "these add up to 2"),
            ("sites = { east = 1, south = 1000 }", "there are east, west"),
            ("sites = { east = 0, west = 1001 }", "sites = { east = 1"),
            ("sites = { west = 1001 }", "sites = { east = 1"),
            ("sites = [1, 2]", "{ east = 600, west = 400 }"),
            ("sites = { east = \"1\" }", "east = \"1\" (text)"),
            ("sites = {}", "names no sites"),
        ];
        for (line, said) in cases {
            let problem = amount(Some(&east), line).unwrap_err();
            assert!(problem.contains(said), "{line}: {problem}");
        }
        let alone = amount(None, "sites = { east = 1000, west = 1 }").unwrap_err();
        assert!(
            alone.contains("east, west are to share the 1001 items") && alone.contains("set site,"),
            "{alone}"
        );
    }
}
