//! The connection to a cluster, chosen as kubectl chooses it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::NamespaceResourceScope;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::DynamicObject;
use kube::{Api, Client, Config, Resource};

use crate::cli::args::ClusterArgs;
use crate::cli::exit::Misuse;
use crate::cli::simulate::problem::meant;
use crate::objects::Kind;

/// The manager in whose name this command writes.
pub const MANAGER: &str = "serin-cli";
/// How long the API server may take for a reply.
const CALL: Duration = Duration::from_secs(30);

/// A client and the namespace that is meant.
#[derive(Clone)]
pub struct Session {
    client: Client,
    /// The namespace that is meant.
    pub namespace: String,
}

impl Session {
    /// Connects to the cluster that the arguments name.
    pub async fn open(args: &ClusterArgs) -> Result<Self> {
        let mut config = config(args).await?;
        config.default_retry = false;
        config.connect_timeout = Some(CALL);
        config.read_timeout = Some(CALL);
        config.write_timeout = Some(CALL);
        let namespace = args.namespace.clone().filter(|name| !name.is_empty());
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("connect to the cluster")?;
        Ok(Self { client, namespace })
    }

    /// A connection that is there already.
    #[cfg(test)]
    pub(super) fn over(client: Client, namespace: &str) -> Self {
        let namespace = namespace.to_owned();
        Self { client, namespace }
    }

    /// The client itself.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Objects of one kind of ours in this namespace.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Objects of one kind of ours in all namespaces.
    #[must_use]
    pub fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// Whole objects of another kind in this namespace: what is not understood is not lost.
    #[must_use]
    pub fn objects(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.api_resource())
    }

    /// The same cluster, another namespace.
    #[must_use]
    pub fn at(&self, namespace: &str) -> Self {
        Self {
            client: self.client.clone(),
            namespace: namespace.to_owned(),
        }
    }
}

/// The configuration that kubectl would use: the file that is named, those in KUBECONFIG, or the usual one; in a Pod without any of
/// them that of its account.
async fn config(args: &ClusterArgs) -> Result<Config> {
    let files = match &args.kubeconfig {
        Some(path) => Some(read(path)?),
        None => merged(
            std::env::var_os("KUBECONFIG"),
            std::env::home_dir().as_deref(),
        )?,
    };
    let Some(files) = files else {
        if args.context.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
            let inside = Config::incluster();
            return inside.context("read the configuration of this Pod's account");
        }
        bail!(Misuse(
            "there is no kubeconfig: set KUBECONFIG, or pass --kubeconfig; `serin demo` needs no cluster".to_owned()
        ));
    };
    known(&files, args.context.as_deref())?;
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(files, &options).await;
    Ok(config.map_err(kube::Error::InferKubeconfig)?)
}

/// The files of KUBECONFIG, the first of which counts where two say the same; those that are not there say nothing. `None`: no file.
fn merged(named: Option<OsString>, home: Option<&Path>) -> Result<Option<Kubeconfig>> {
    let named = named.filter(|named| !named.is_empty());
    let paths: Vec<PathBuf> = match (named, home) {
        (Some(named), _) => std::env::split_paths(&named).collect(),
        (None, Some(home)) => vec![home.join(".kube").join("config")],
        (None, None) => Vec::new(),
    };
    let there = paths.iter().filter(|path| path.exists());
    let mut all: Option<Kubeconfig> = None;
    for path in there {
        let next = read(path)?;
        all = Some(match all {
            None => next,
            Some(all) => all.merge(next).map_err(kube::Error::InferKubeconfig)?,
        });
    }
    if all.is_none() && paths.len() > 1 {
        let names: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        bail!(Misuse(format!(
            "KUBECONFIG names no file that is there: {}",
            names.join(", ")
        )));
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Kubeconfig> {
    if !path.exists() {
        bail!(Misuse(format!(
            "the kubeconfig {} is not there: set KUBECONFIG, or pass --kubeconfig",
            path.display()
        )));
    }
    let file = Kubeconfig::read_from(path);
    let mut file =
        file.with_context(|| format!("the kubeconfig {} cannot be used", path.display()))?;
    // kubectl writes an empty name where it takes one out.
    file.current_context = file.current_context.filter(|name| !name.is_empty());
    Ok(file)
}

/// The context that is meant is there.
fn known(files: &Kubeconfig, named: Option<&str>) -> Result<()> {
    let names: Vec<_> = files.contexts.iter().map(|it| it.name.as_str()).collect();
    let all = match names.as_slice() {
        [] => "there are none".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    let Some(wanted) = named.or(files.current_context.as_deref()) else {
        bail!(Misuse(format!(
            "the kubeconfig has no current context: pass --context; {all}"
        )));
    };
    if names.contains(&wanted) {
        return Ok(());
    }
    bail!(Misuse(match meant(wanted, names.iter().copied()) {
        Some(other) => format!("the kubeconfig has no context {wanted}; did you mean {other}?"),
        None => format!("the kubeconfig has no context {wanted}; {all}"),
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(current: &str, names: &[&str]) -> String {
        let contexts = names.iter().map(|name| {
            format!("- name: {name}\n  context: {{cluster: {name}, namespace: of-{name}}}\n")
        });
        let clusters = names.iter().map(|name| {
            format!("- name: {name}\n  cluster: {{server: \"http://{name}.example\"}}\n")
        });
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: \"{current}\"\ncontexts:\n{}clusters:\n{}",
            contexts.collect::<String>(),
            clusters.collect::<String>()
        )
    }

    /// A folder with two files: `a` has no current context, `b` has `two`.
    fn folder(name: &str) -> PathBuf {
        let name = format!("serin-kubeconfig-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a"), file("", &["one"])).unwrap();
        fs::write(folder.join("b"), file("two", &["one", "two"])).unwrap();
        folder
    }

    #[test]
    fn several_files_are_one_as_for_kubectl() {
        let folder = folder("several");
        let paths = ["missing", "a", "b"].map(|name| folder.join(name));
        let named = std::env::join_paths(&paths).unwrap();
        let all = merged(Some(named), None).unwrap().unwrap();
        assert_eq!(all.current_context.as_deref(), Some("two"));
        let names: Vec<_> = all.contexts.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["one", "two"]);

        let missing = std::env::join_paths([folder.join("x"), folder.join("y")]).unwrap();
        let error = merged(Some(missing), None).unwrap_err();
        assert!(
            error.to_string().contains("names no file that is there"),
            "{error}"
        );
        assert!(merged(None, Some(&folder)).unwrap().is_none());
        fs::create_dir_all(folder.join(".kube")).unwrap();
        fs::write(folder.join(".kube/config"), file("x", &["x"])).unwrap();
        let usual = merged(Some(OsString::new()), Some(&folder))
            .unwrap()
            .unwrap();
        assert_eq!(usual.current_context.as_deref(), Some("x"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn the_context_says_which_namespace() {
        let folder = folder("context");
        let args = |context: Option<&str>, namespace: Option<&str>| ClusterArgs {
            namespace: namespace.map(str::to_owned),
            context: context.map(str::to_owned),
            kubeconfig: Some(folder.join("b")),
        };
        let rows = [
            (None, None, "of-two"),
            (Some("one"), None, "of-one"),
            (Some("one"), Some("shop"), "shop"),
            (None, Some(""), "of-two"),
        ];
        for (context, namespace, expected) in rows {
            let session = Session::open(&args(context, namespace)).await.unwrap();
            assert_eq!(session.namespace, expected);
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_wrong_kubeconfig_is_told_with_what_to_do() {
        let folder = folder("wrong");
        fs::write(folder.join("broken"), "contexts: [").unwrap();
        let rows = [
            (
                "missing",
                None,
                "missing is not there: set KUBECONFIG, or pass --kubeconfig",
            ),
            ("b", Some("twoo"), "has no context twoo; did you mean two?"),
            (
                "b",
                Some("production"),
                "has no context production; there are one, two",
            ),
            (
                "a",
                None,
                "has no current context: pass --context; there are one",
            ),
            ("broken", None, "broken cannot be used"),
        ];
        for (name, context, expected) in rows {
            let args = ClusterArgs {
                namespace: None,
                context: context.map(str::to_owned),
                kubeconfig: Some(folder.join(name)),
            };
            let error = Session::open(&args).await.err().unwrap();
            assert!(error.to_string().contains(expected), "{name}: {error:#}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
