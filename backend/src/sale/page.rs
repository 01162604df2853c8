//! Renders a product's page at approval (course §068): static from then on, so
//! that a crowd costs no more than a file.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use askama::Template;

use super::{Product, Round, text};

/// Why a page is not there.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The template could not be filled in.
    #[error("the page of round {round}, product {product} could not be rendered: {source}")]
    Render {
        /// The round's id.
        round: String,
        /// The product's id.
        product: String,
        /// What the template says.
        source: askama::Error,
    },
    /// The file could not be written.
    #[error("the page {} could not be written: {source}", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// What `html/templates/product.html` is filled in with.
#[derive(Template)]
#[template(path = "product.html")]
struct ProductPage<'a> {
    round: &'a str,
    product: &'a str,
    round_name: &'a str,
    title: &'a str,
    price: String,
    list_price: String,
    discount_percent: u64,
    amount: u64,
    per_buyer: u32,
    opens_ms: u64,
    ends_ms: u64,
    /// HTML, of which nothing but its few tags is the operator's.
    text: String,
}

/// The path of a product's page, as the edge serves it.
#[must_use]
pub fn path_of(round: &str, product: &str) -> String {
    format!("/product/{round}-{product}.html")
}

/// Renders the pages of all products of `round` under `pages`.
///
/// # Errors
/// [`PageError`] of the first page that failed.
pub fn render(pages: &Path, round: &Round) -> Result<(), PageError> {
    for product in &round.products {
        let html = to_html(round, product)?;
        let path = pages.join(path_of(&round.id, &product.id).trim_start_matches('/'));
        replace(&path, &html).map_err(|source| PageError::Write { path, source })?;
    }
    Ok(())
}

/// The page of a product of `round`.
///
/// # Errors
/// [`PageError::Render`].
pub fn to_html(round: &Round, product: &Product) -> Result<String, PageError> {
    page(round, product)
        .render()
        .map_err(|source| PageError::Render {
            round: round.id.clone(),
            product: product.id.clone(),
            source,
        })
}

fn page<'a>(round: &'a Round, product: &'a Product) -> ProductPage<'a> {
    ProductPage {
        round: &round.id,
        product: &product.id,
        round_name: &round.name,
        title: &product.title,
        price: money(product.price_cents),
        list_price: money(product.list_price_cents),
        discount_percent: discount_percent(product.price_cents, product.list_price_cents),
        amount: product.amount,
        per_buyer: product.per_buyer,
        opens_ms: round.opens_ms,
        ends_ms: round.ends_ms,
        text: text::to_html(&product.text),
    }
}

/// Cents as shown: 99900 is `999.00`.
fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// By how much the price is below the list price, in whole percent, rounded
/// down: a shop does not promise more than it gives.
fn discount_percent(price_cents: u64, list_price_cents: u64) -> u64 {
    match list_price_cents {
        0 => 0,
        list => list.saturating_sub(price_cents) * 100 / list,
    }
}

/// Puts `html` at `path` in one step: a reader sees the old page or the new
/// one, never half of one.
fn replace(path: &Path, html: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Named by process, so that two approvals at once do not share it.
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    let written = std::fs::File::create(&draft)
        .and_then(|mut file| {
            file.write_all(html.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        // The draft is of no use to anybody; the first error is what matters.
        let _ = std::fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_read_as_prices() {
        assert_eq!(money(99_900), "999.00");
        assert_eq!(money(5), "0.05");
        assert_eq!(discount_percent(99_900, 399_900), 75);
        assert_eq!(discount_percent(100, 100), 0);
        assert_eq!(discount_percent(0, 0), 0);
    }
}
