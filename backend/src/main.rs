//! `seckill`: the program. All of it is in the library, so that its asynchronous
//! code is compiled once.

use std::process::ExitCode;

fn main() -> ExitCode {
    seckill::cli::run()
}
