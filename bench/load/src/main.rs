//! `seckill-load`: shoppers by the thousand, from the command line. `seckill load`
//! is the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    seckill_load::program::run()
}
