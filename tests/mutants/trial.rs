//! One mutant at a time: written into a copy of the core, compiled, and tested.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::package::{CORE, Package, copy};
use crate::table::Mutant;

/// A mutant whose tests use a processor for longer hangs, and is caught by that.
const PATIENCE: Duration = Duration::from_secs(60);
/// The clock's ticks in a second, in which the kernel counts that.
const TICKS: u64 = 100;

/// What became of a mutant. One that a test caught is not tested further.
pub(crate) enum Outcome {
    /// There was none, and the tests passed.
    Unchanged,
    /// A test failed.
    Caught(String),
    /// Every test passed.
    Survived,
    /// Nothing is known: the table or the core itself is wrong.
    Wrong(String),
}

/// A copy of the core, and what was compiled from it.
pub(crate) struct Worker<'a> {
    package: &'a Package,
    folder: PathBuf,
}

impl<'a> Worker<'a> {
    /// A fresh copy of the core as it is.
    pub(crate) fn new(package: &'a Package, number: usize) -> Result<Self> {
        let folder = package.folder.join(format!("worker-{number}"));
        let source = folder.join("src");
        if source.exists() {
            fs::remove_dir_all(&source)?;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut main = "pub use base::{crd, objects};\n".to_owned();
        for module in CORE {
            copy(&root.join(module), &source.join(module))?;
            main.push_str(&format!("pub mod {module};\n"));
        }
        fs::write(source.join("lib.rs"), main)?;
        Ok(Self { package, folder })
    }

    /// The core without a mutant: its tests have to pass.
    pub(crate) fn unchanged(&self) -> Result<Outcome> {
        Ok(match self.judge()? {
            Outcome::Survived => Outcome::Unchanged,
            Outcome::Caught(by) => Outcome::Wrong(format!("{by} fails without any mutant")),
            other => other,
        })
    }

    /// Tries one mutant, and takes it back.
    pub(crate) fn attempt(&self, mutant: &Mutant) -> Result<Outcome> {
        let path = self.folder.join(&mutant.file);
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(Outcome::Wrong(format!(
                "{} is no file of the core",
                mutant.file
            )));
        };
        let mutated = match mutant.applied(&text) {
            Ok(mutated) => mutated,
            Err(why) => return Ok(Outcome::Wrong(why)),
        };
        fs::write(&path, mutated)?;
        let outcome = self.judge();
        fs::write(&path, text)?;
        outcome
    }

    fn said(&self) -> PathBuf {
        self.folder.join("said")
    }

    fn judge(&self) -> Result<Outcome> {
        let program = self.folder.join("tests");
        let main = self.folder.join("src/lib.rs");
        let compiled = self
            .package
            .compiler(&main, &program, &self.folder.join("incremental"))
            .output()
            .context("run rustc")?;
        if !compiled.status.success() {
            let why = String::from_utf8_lossy(&compiled.stderr).into_owned();
            return Ok(Outcome::Wrong(format!("it does not compile:\n{why}")));
        }
        let mut tests = self.start(&program)?;
        loop {
            let ended = tests.try_wait()?;
            if let Some(by) = self.failed()? {
                stop(&mut tests)?;
                return Ok(Outcome::Caught(by));
            }
            if let Some(status) = ended {
                return Ok(match status.success() {
                    true => Outcome::Survived,
                    false => {
                        Outcome::Wrong(format!("the tests ended with {status}, and none failed"))
                    }
                });
            }
            if spent(&tests) > PATIENCE {
                stop(&mut tests)?;
                let by = format!("tests that take longer than {} s", PATIENCE.as_secs());
                return Ok(Outcome::Caught(by));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The first test that has failed so far.
    fn failed(&self) -> Result<Option<String>> {
        let said = fs::read(self.said())?;
        let said = String::from_utf8_lossy(&said);
        Ok(said.lines().find_map(failed_test).map(str::to_owned))
    }

    /// Starts the tests, one after the other.
    fn start(&self, program: &Path) -> Result<Child> {
        let said = File::create(self.said())?;
        Command::new(program)
            .current_dir(&self.folder)
            .env("PROPTEST_CASES", "32")
            .env("STORIES", "10")
            .env("RUST_TEST_THREADS", "1")
            .env("RUST_BACKTRACE", "0")
            .env_remove("UPDATE_EXPECT")
            .stdin(Stdio::null())
            .stderr(said.try_clone()?)
            .stdout(said)
            .spawn()
            .context("run the tests")
    }
}

/// How long a program has used a processor, by itself and by the kernel; a machine that is busy makes that no longer.
fn spent(tests: &Child) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", tests.id())).unwrap_or_default();
    // The name of the program may hold anything, and ends with the last bracket.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

fn stop(tests: &mut Child) -> Result<()> {
    tests.kill()?;
    tests.wait()?;
    Ok(())
}

/// The test that a line of libtest calls failed.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}
