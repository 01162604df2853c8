//! Keeps the last answers for a second: a crowd that asks at once is answered
//! by one read of Redis.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::day::Which;

/// How long an answer is good for.
const LIFE: Duration = Duration::from_secs(1);
/// How many days are kept. Whoever asks for a thousand days must not make this
/// process hold a thousand answers.
const MOST: usize = 32;

/// When it was read, and what it says.
type Answer = (Instant, Arc<str>);

/// Answers by what was asked. The lock is held while one is read, so that a
/// hundred askers make one read and wait for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    answers: Arc<Mutex<HashMap<Which, Answer>>>,
}

impl Recent {
    /// The answer kept for `which`, or the one that `read` brings.
    pub(super) async fn get_or<E, F>(
        &self,
        which: Which,
        read: impl FnOnce() -> F,
    ) -> Result<Arc<str>, E>
    where
        F: Future<Output = Result<String, E>>,
    {
        let mut answers = self.answers.lock().await;
        let now = Instant::now();
        answers.retain(|_, (read_at, _)| now.duration_since(*read_at) < LIFE);
        if let Some((_, answer)) = answers.get(&which) {
            return Ok(Arc::clone(answer));
        }
        let answer: Arc<str> = read().await?.into();
        if answers.len() < MOST {
            answers.insert(which, (Instant::now(), Arc::clone(&answer)));
        }
        Ok(answer)
    }
}
