//! Commands that are executed in one atomic step.

use redis::{Arg, FromRedisValue, Pipeline};

use super::Call;

scripts! {
    TOGETHER = "commands/together.lua";
}

/// The commands of a pipeline in one atomic step; the reply has one element for each of
/// them. Their first argument is their key, the only one that each names.
///
/// [`Pipeline::atomic`] is not used: the client panics when Redis refuses its MULTI.
pub fn together<T: FromRedisValue>(pipe: &Pipeline) -> Call<T> {
    let words = |command: &redis::Cmd| -> Vec<Vec<u8>> {
        let words = command.args_iter();
        let words = words.map(|word| match word {
            Arg::Simple(word) => word.to_vec(),
            _ => b"0".to_vec(),
        });
        words.collect()
    };
    let commands: Vec<Vec<Vec<u8>>> = pipe.cmd_iter().map(words).collect();
    let keys: Vec<&Vec<u8>> = commands.iter().filter_map(|words| words.get(1)).collect();
    let call = Call::new(&TOGETHER, keys.len());
    let call = keys.into_iter().fold(call, Call::arg);
    commands.iter().fold(call, |call, words| {
        words.iter().fold(call.arg(words.len()), Call::arg)
    })
}
