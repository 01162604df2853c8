//! What does not follow yet of something that was done.

use std::fmt::Display;

use serde::Serialize;

/// What does not follow yet of something that was done; all `null` if nothing is left.
#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The whole sentence, such as of an approval that has not reached Redis.
    problem: Option<String>,
    /// A stable name of what is left, for translations.
    problem_code: Option<&'static str>,
    /// The cause, as the end of the sentence has it.
    problem_cause: Option<String>,
}

impl Problem {
    /// This is left of it, for this cause.
    pub(super) fn of(code: &'static str, left: &str, cause: &dyn Display) -> Self {
        Self {
            problem: Some(format!("{left}: {cause}.")),
            problem_code: Some(code),
            problem_cause: Some(cause.to_string()),
        }
    }
}
