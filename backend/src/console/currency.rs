//! How the console's pages write amounts.

use seckill_core::orders::money::Currency;
use serde::Serialize;

/// How amounts of a currency are written and read.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct CurrencyView {
    /// What stands before an amount, such as `¥`.
    sign: String,
    /// How many decimal digits an amount has; prices are in its smallest unit.
    digits: usize,
}

impl CurrencyView {
    pub(super) fn of(currency: Currency) -> Self {
        let (sign, digits) = (currency.sign(), currency.digits());
        Self { sign, digits }
    }
}
