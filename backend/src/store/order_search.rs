//! Searching the orders of all buyers, for operators.

use seckill_core::orders::order::{OrderId, State};
use seckill_core::orders::payment::{self, ProviderName};
use sqlx::{Any, QueryBuilder};

use super::orders::{Order, read};
use super::{Database, Store, StoreError, signed, unsigned};

/// Which orders; what is empty or `None` matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderQuery {
    /// The order of this number.
    pub order: Option<OrderId>,
    /// A buyer.
    pub user: String,
    /// A round's id.
    pub round: String,
    /// A product's id.
    pub product: String,
    /// A payment's id.
    pub payment: String,
    /// A state.
    pub state: Option<State>,
    /// Only orders with a lower number: the last one of the page before.
    pub before: Option<OrderId>,
    /// Most orders in the reply.
    pub limit: u32,
}

impl Store {
    /// Orders that match, newest first. Purchases that failed have the state `failed`.
    ///
    /// # Errors
    /// A database is away, or a row cannot be read.
    pub async fn search_orders(&self, query: &OrderQuery) -> Result<Vec<Order>, StoreError> {
        let mut query = query.clone();
        if !query.payment.is_empty() {
            let Some(order) = self.order_of_payment(&query.payment).await? else {
                return Ok(Vec::new());
            };
            if query.order.is_some_and(|wanted| wanted != order) {
                return Ok(Vec::new());
            }
            query.order = Some(order);
        }
        // There is an index by round: a product alone is looked up in the rounds that
        // have it.
        let rounds: Vec<String> = match (query.round.is_empty(), query.product.is_empty()) {
            (true, false) => {
                sqlx::query_scalar("SELECT round FROM round_products WHERE product = ?")
                    .bind(&query.product)
                    .fetch_all(self.main().readers())
                    .await?
            }
            (false, _) => vec![query.round.clone()],
            (true, true) => Vec::new(),
        };
        if rounds.is_empty() && !query.product.is_empty() {
            return Ok(Vec::new());
        }
        let mut orders = Vec::new();
        for shard in self.shards() {
            orders.extend(search(shard, &query, &rounds).await?);
        }
        // Each database returned its newest; order numbers are in order of time.
        orders.sort_by_key(|order| std::cmp::Reverse(order.id.0));
        orders.truncate(query.limit as usize);
        Ok(orders)
    }

    /// The order of this number, of any buyer, also one that was never placed.
    ///
    /// # Errors
    /// A database is away, or the row cannot be read.
    pub async fn any_order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let query = OrderQuery {
            order: Some(id),
            limit: 1,
            ..OrderQuery::default()
        };
        Ok(self.search_orders(&query).await?.pop())
    }

    async fn order_of_payment(&self, id: &str) -> Result<Option<OrderId>, StoreError> {
        // As it is stored, or as one of the providers names it.
        let named = ProviderName::ALL.map(|provider| payment::key(provider, id));
        for key in std::iter::once(id.to_owned()).chain(named) {
            for shard in self.shards() {
                let order: Option<i64> =
                    sqlx::query_scalar("SELECT order_id FROM payments WHERE id = ?")
                        .bind(&key)
                        .fetch_optional(shard.readers())
                        .await?;
                if let Some(order) = order {
                    return Ok(Some(OrderId(unsigned(order))));
                }
            }
        }
        Ok(None)
    }
}

async fn search(
    shard: &Database,
    wanted: &OrderQuery,
    rounds: &[String],
) -> Result<Vec<Order>, StoreError> {
    let mut query = QueryBuilder::<Any>::new(
        "SELECT id, request, round, product, segment, user, quantity, price_cents, permit, \
         state, reason, stock_due, pay_by_ms, locked_ms, created_ms FROM orders WHERE id < ",
    );
    query.push_bind(wanted.before.map_or(i64::MAX, |id| signed(id.0)));
    if let Some(id) = wanted.order {
        query.push(" AND id = ").push_bind(signed(id.0));
    }
    if !wanted.user.is_empty() {
        query.push(" AND user = ").push_bind(wanted.user.clone());
    }
    if !rounds.is_empty() {
        query.push(" AND round IN (");
        let mut list = query.separated(", ");
        for round in rounds {
            list.push_bind(round.clone());
        }
        query.push(")");
    }
    if !wanted.product.is_empty() {
        query
            .push(" AND product = ")
            .push_bind(wanted.product.clone());
    }
    if let Some(state) = wanted.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    query.push(" ORDER BY id DESC LIMIT ");
    query.push_bind(i64::from(wanted.limit));
    let rows = query.build().fetch_all(shard.readers()).await?;
    rows.iter().map(read).collect()
}
