//! A small package with what the core needs, and the compiler's arguments for the core itself.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The modules that are tried.
pub(crate) const CORE: [&str; 2] = ["analysis", "rollout"];

/// What they and their tests use of other people's.
const USED: [&str; 7] = [
    "base64",
    "expect-test",
    "jiff",
    "k8s-openapi",
    "proptest",
    "serde",
    "serde_json",
];

/// What the definitions use beside that; of `kube` only the types, not the client.
const OF_DEFINITIONS: [&str; 5] = ["http", "kube", "regex", "schemars", "serde-saphyr"];

/// What macros need is built with other settings, to be told apart from what the core needs.
const WORKSPACE: &str = "[workspace]
resolver = \"3\"
members = [\"base\", \"core\"]
[profile.dev]
debug = false
incremental = false
[profile.dev.build-override]
debug-assertions = false
";

/// The dependencies of the core, built.
pub(crate) struct Package {
    /// Where everything is made.
    pub(crate) folder: PathBuf,
    libraries: PathBuf,
    externs: BTreeMap<String, PathBuf>,
    /// Another run waits until this one ends.
    _alone: File,
}

impl Package {
    /// Writes the package below the target folder and builds what the core depends on, at the versions of `Cargo.lock`.
    pub(crate) fn build() -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
        fs::create_dir_all(&folder)?;
        let alone = File::create(folder.join("lock"))?;
        alone.lock()?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        write(root, &folder)?;
        let externs = build(root, &folder)?;
        let libraries = folder.join("target/debug/deps");
        Ok(Self {
            folder,
            libraries,
            externs,
            _alone: alone,
        })
    }

    /// A compiler that makes a program of the core's tests from this file.
    pub(crate) fn compiler(&self, main: &Path, program: &Path, incremental: &Path) -> Command {
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let mut compiler = Command::new(rustc);
        compiler
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args([
                "--test",
                "--edition=2024",
                "--crate-name=serin",
                "--cap-lints=allow",
            ])
            .args(["--error-format=short", "-Cdebuginfo=0", "-Copt-level=0"])
            .arg(format!("-Cincremental={}", incremental.display()))
            .arg(format!("-Ldependency={}", self.libraries.display()))
            .arg("-o")
            .arg(program)
            .arg(main);
        for (name, path) in &self.externs {
            compiler.arg(format!("--extern={name}={}", path.display()));
        }
        compiler
    }
}

/// Two packages: the definitions and marks, which no mutant changes, and an empty one in the place of the core.
fn write(root: &Path, folder: &Path) -> Result<()> {
    let manifest = text_of(&root.join("Cargo.toml"))?;
    let read = |names: &[&str]| {
        names
            .iter()
            .map(|name| dependency(&manifest, name))
            .collect::<Result<String>>()
    };
    let (used, more) = (read(&USED)?, read(&OF_DEFINITIONS)?);
    let base = folder.join("base/src");
    let core = folder.join("core/src");
    copy(&root.join("src/crd"), &base.join("crd"))?;
    let marks = marks(&text_of(&root.join("src/objects/mod.rs"))?)?;
    put(&base.join("objects.rs"), &marks)?;
    put(&base.join("lib.rs"), "pub mod crd;\npub mod objects;\n")?;
    put(&core.join("lib.rs"), "")?;
    put(
        &folder.join("base/Cargo.toml"),
        &format!("{}{used}{more}", head("base")),
    )?;
    put(
        &folder.join("core/Cargo.toml"),
        &format!(
            "{}base = {{ path = \"../base\" }}\n{used}",
            head("core-of-serin")
        ),
    )?;
    put(&folder.join("Cargo.toml"), WORKSPACE)?;
    put(
        &folder.join("Cargo.lock"),
        &text_of(&root.join("Cargo.lock"))?,
    )
}

fn head(name: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n"
    )
}

/// The line of a dependency in the manifest.
fn dependency(manifest: &str, name: &str) -> Result<String> {
    let begin = format!("{name} = ");
    let line = manifest
        .lines()
        .find(|line| line.starts_with(&begin))
        .with_context(|| format!("Cargo.toml does not name {name}"))?;
    if name != "kube" {
        return Ok(format!("{line}\n"));
    }
    let features = line.split_once("features = [\"").map(|(before, _)| before);
    let before = features.context("Cargo.toml: kube has no features")?;
    Ok(format!("{before}features = [\"derive\"] }}\n"))
}

/// The module of the marks in the file of all objects.
fn marks(objects: &str) -> Result<String> {
    let start = objects.find("pub mod mark {");
    let rest = &objects[start.context("src/objects/mod.rs has no marks")?..];
    let end = rest.find("\n}\n").context("the marks do not end")?;
    Ok(rest[..end + 3].to_owned())
}

/// Builds what the core depends on; the name and library of each.
fn build(root: &Path, folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let manifest = text_of(&root.join("Cargo.toml"))?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "build",
            "--offline",
            "--message-format=json",
            "--package=core-of-serin",
        ])
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()
        .context("run cargo")?;
    if !output.status.success() {
        bail!(
            "cargo could not build the dependencies:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let said = String::from_utf8(output.stdout)?;
    let mut externs = BTreeMap::new();
    for line in said.lines() {
        if let Some((name, path)) = library(&manifest, &serde_json::from_str(line)?)
            && externs.insert(name.clone(), path).is_some()
        {
            bail!("{name} is built in two versions");
        }
    }
    ensure!(
        externs.len() == USED.len() + 1,
        "built are only {:?}",
        externs.keys()
    );
    Ok(externs)
}

/// Name and file of a library that the core uses.
fn library(manifest: &str, message: &serde_json::Value) -> Option<(String, PathBuf)> {
    let name = message["target"]["name"].as_str()?.replace('-', "_");
    let used = USED.iter().find(|used| used.replace('-', "_") == name);
    let ours = name == "base"
        || used.is_some_and(|used| is_asked_for(manifest, used, &message["package_id"]));
    let asserts = message["profile"]["debug_assertions"].as_bool()?;
    let files = message["filenames"]
        .as_array()
        .filter(|_| ours && asserts)?;
    let mut files = files.iter().filter_map(|file| file.as_str());
    let file = files.find(|file| file.ends_with(".rlib"))?;
    Some((name, file.into()))
}

/// Whether a package has the version that the manifest asks for: what others depend on may have another.
fn is_asked_for(manifest: &str, name: &str, package: &serde_json::Value) -> bool {
    let line = dependency(manifest, name).unwrap_or_default();
    let version = line.split('"').nth(1).unwrap_or_default();
    let end = format!("#{name}@{version}.");
    package.as_str().is_some_and(|id| id.contains(&end))
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            put(&to, &text_of(&from)?)?;
        }
    }
    Ok(())
}

fn text_of(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// Writes a file unless it says so already, since the builder looks at times.
fn put(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
