//! Ids for new rounds.

use seckill_core::ids;

/// The number after the highest.
pub(super) fn free_number(ids: &[String]) -> String {
    let highest = ids.iter().filter_map(|id| id.parse::<u64>().ok()).max();
    (highest.unwrap_or(0).saturating_add(1)).to_string()
}

/// An id for a copy: the next number, or the same with a number behind it.
pub(super) fn free_like(id: &str, ids: &[String]) -> String {
    if id.parse::<u64>().is_ok() {
        return free_number(ids);
    }
    let stem: String = id.chars().take(ids::MAX_ID - 5).collect();
    (2_u32..)
        .map(|number| format!("{stem}_{number}"))
        .find(|candidate| !ids.contains(candidate))
        .unwrap_or_else(|| free_number(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_round_gets_an_id_that_nobody_has() {
        let ids = ["1", "7", "noon", "noon_2"].map(str::to_owned);
        assert_eq!(free_number(&ids), "8");
        assert_eq!(free_like("7", &ids), "8");
        assert_eq!(free_like("noon", &ids), "noon_3");
        assert_eq!(free_number(&[]), "1");
        assert!(ids::is_id(&free_like(&"x".repeat(32), &ids)));
    }
}
