//! The analysis role: judges by the edges' access logs who is a program.

use seckill_core::suspicion::watch::Limits;

use super::running::Running;
use super::{Parts, Role};
use crate::edges::analysis;

/// Starts its task.
pub(super) fn start(parts: &Parts<'_>, running: &mut Running) {
    let config = parts.config;
    let options = analysis::Options {
        logs: config.access_logs.clone(),
        positions: config.data.join("analysis.json"),
        rules: config.analysis.clone(),
        zone: config.time_zone.clone(),
        limits: Limits::default(),
    };
    let store = parts.store.clone();
    let redis = parts.redis.clone();
    running.spawn(Role::Analysis, move |stop| {
        analysis::run(options.clone(), redis.clone(), store.clone(), stop)
    });
}
