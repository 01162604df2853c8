//! Several sites that sell one round: who holds how much, and how items move.
//!
//! Each site is a whole system: edges, roles, Redis, queue, database. What a round has of a
//! product is divided among the sites in advance, and what a site holds it sells without
//! asking anybody. So distance costs a buyer nothing, a cut between the sites stops
//! neither, and together they sell exactly what there is. (Escrow: O'Neil, "The Escrow
//! Transactional Method", 1986; divided among sites as in Kumar and Stonebraker, 1988.)
//!
//! Here are the rules; what is read and written is the back end's. At every instant, over
//! all sites: sold + for sale + under way = the round's amount.

/// Compares what all sites say of one product.
pub mod audit;
/// How an amount is divided when a round is imported.
pub mod division;
/// For how long a site may sell that its home site has not heard.
pub mod lease;
/// Who asks whom for how many items, and how many are given.
pub mod share;
/// The steps of a transfer between two sites.
pub mod transfer;
