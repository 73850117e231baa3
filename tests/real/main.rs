//! Releases on a real cluster, with Serin as a Pod of it: `cargo test --test real [-- SCENARIO …]`, as root.
//!
//! A SCENARIO is a number or a part of a name; none means all. One cluster serves the whole run, a namespace each
//! scenario. Those that disturb the cluster itself, or measure seconds, run alone, after the others. Without the
//! cluster's tools every scenario is skipped, and with `SERIN_REQUIRE_REAL=1` that is a failure.
//!
//! | argument or variable | meaning |
//! |---|---|
//! | `--list` | print the scenarios, and `alone` behind those that run alone |
//! | `--jobs 3` | how many run at the same time |
//! | `--repeat 3` | run each so many times |
//! | `--turn 2/3` | of each number the first, and of the others every third, from another one on for 0/3 and 1/3 |
//! | `--keep` | take a cluster that is up, and leave it up |
//! | `SERIN_REQUIRE_REAL=1` | what cannot run has failed |
//! | `SERIN_CLUSTER=serin` | name of the cluster |
//! | `SERIN_CLUSTER_TOOL=PATH` | the program that manages it, `tests/cluster/cluster` by default |
//! | `SERIN_REAL_OUT=DIR` | where binaries, results and dumps of failures go |
//! | `SERIN_REAL_PROFILE=release` | the Cargo profile of what is tested, `dev` by default |

#![expect(clippy::print_stdout, reason = "this program prints its results")]

mod arguments;
mod audit;
mod contour;
mod control;
mod flux;
mod gateway;
mod git;
mod install;
#[expect(
    dead_code,
    unused_imports,
    reason = "the tests of the tools use the rest"
)]
mod load;
mod monitoring;
mod objects;
mod pipeline;
mod prepare;
mod process;
mod prometheus;
mod record;
mod report;
mod run;
mod scenario;
mod scenarios;
mod timeline;
mod token;
mod verdict;
mod world;

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::prepare::Missing;

fn main() -> ExitCode {
    let arguments = match Arguments::from_command_line(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("real: {why}");
            return ExitCode::from(2);
        }
    };
    let chosen = arguments.chosen();
    if arguments.list {
        for case in &chosen {
            let alone = if case.alone { " alone" } else { "" };
            println!("{:>2} {}{alone}", case.number, case.name);
        }
        return ExitCode::SUCCESS;
    }
    if prepare::inside() {
        return run::all(&arguments, &chosen);
    }
    match prepare::outside(&arguments) {
        Ok(code) => code,
        Err(error) if error.is::<Missing>() => report::skipped(&chosen, &error),
        Err(error) => {
            eprintln!("real: {error:#}");
            ExitCode::FAILURE
        }
    }
}
