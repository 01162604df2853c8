//! Empty: the benchmarks of `seckill-core` are in `benches/`.
