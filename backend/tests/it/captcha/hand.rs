//! Drags the piece as a person does.

/// Moments of a drag over `way` pixels: milliseconds, way so far, height. A quick
/// movement that falls a little short, a correction, a slow sway; another for each
/// `seed`.
pub(crate) fn drag(way: f64, seed: u32) -> Vec<(f64, f64, f64)> {
    let jerk = |t: f64| {
        let t = t.clamp(0.0, 1.0);
        t.powi(3) * (10.0 - 15.0 * t + 6.0 * t * t)
    };
    let seed = f64::from(seed);
    let mut moments = Vec::new();
    let mut at_ms = 0.0;
    while at_ms < 1_100.0 {
        let x = way * (0.9 * jerk(at_ms / 560.0) + 0.1 * jerk((at_ms - 480.0) / 520.0));
        let y = 4.0 * (at_ms / 330.0 + seed).sin() + (at_ms / 90.0).cos();
        moments.push((at_ms, x.round(), y.round()));
        at_ms += 16.0 + (at_ms * 7.3 + seed * 3.1).sin().abs() * 2.0;
    }
    moments.push((at_ms, way, moments.last().unwrap().2));
    moments
}
