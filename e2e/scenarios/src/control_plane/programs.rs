//! Where the four programs, and those that are run beside them, come from: `KUBEBUILDER_ASSETS`, the user's cache folder, or a build into it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::Error;
use super::release::{Release, real_dir};

const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";
const KUBERNETES_PROGRAMS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const ETCD_PACKAGE: &str = "go.etcd.io/etcd/server/v3";

/// The paths of a control plane's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The store.
    pub etcd: PathBuf,
    /// The API server.
    pub apiserver: PathBuf,
    /// The built-in controllers.
    pub controller_manager: PathBuf,
    /// The scheduler.
    pub scheduler: PathBuf,
}

impl Programs {
    /// Finds the programs of a release, building what is not there yet: minutes the first time, nothing after it.
    pub fn provide(release: &Release) -> Result<Self, Error> {
        if let Some(assets) = assets_dir() {
            return Self::from_assets(&assets);
        }
        let kubernetes = Module::kubernetes(release).provide()?;
        let etcd = Module::etcd().provide()?;
        Ok(Self {
            etcd: etcd.join("etcd"),
            apiserver: kubernetes.join("kube-apiserver"),
            controller_manager: kubernetes.join("kube-controller-manager"),
            scheduler: kubernetes.join("kube-scheduler"),
        })
    }

    /// Why the programs of a release can't be had on this machine, if so; what a test says when it skips.
    pub fn unavailable(release: &Release) -> Option<Error> {
        if let Some(assets) = assets_dir() {
            return Self::from_assets(&assets).err();
        }
        let built = |module: Module| module.cache_dir().is_ok_and(|directory| directory.is_dir());
        if built(Module::kubernetes(release)) && built(Module::etcd()) || go_is_there() { None } else { Some(Error::NoGo) }
    }

    fn from_assets(directory: &Path) -> Result<Self, Error> {
        let find = |program: &'static str| {
            let path = directory.join(program);
            if path.is_file() { Ok(path) } else { Err(Error::MissingProgram { directory: directory.to_owned(), program }) }
        };
        Ok(Self {
            etcd: find("etcd")?,
            apiserver: find("kube-apiserver")?,
            controller_manager: find("kube-controller-manager")?,
            scheduler: find("kube-scheduler")?,
        })
    }
}

/// A real program that tests run beside a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Helm 3.
    Helm3,
    /// Helm 4.
    Helm4,
    /// The Lua that Argo CD runs its health scripts with.
    Lua,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Helm3, Self::Helm4, Self::Lua];

    fn program(self) -> &'static str {
        match self {
            Self::Helm3 => "helm3",
            Self::Helm4 => "helm4",
            Self::Lua => "glua",
        }
    }

    fn module(self) -> Module {
        match self {
            Self::Helm3 => Module::single("helm", self.program(), "helm.sh/helm/v3/cmd/helm"),
            Self::Helm4 => Module::single("helm", self.program(), "helm.sh/helm/v4/cmd/helm"),
            Self::Lua => Module::single("lua", self.program(), "github.com/yuin/gopher-lua/cmd/glua"),
        }
    }

    /// The path of the program, which is built if it is not there yet.
    pub fn provide(self) -> Result<PathBuf, Error> {
        Ok(self.module().provide()?.join(self.program()))
    }

    /// Why it can't be had on this machine, if so.
    pub fn unavailable(self) -> Option<Error> {
        let is_built = self.module().cache_dir().is_ok_and(|directory| directory.is_dir());
        if is_built || go_is_there() { None } else { Some(Error::NoGo) }
    }
}

fn assets_dir() -> Option<PathBuf> {
    std::env::var_os(ASSETS_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn go_is_there() -> bool {
    Command::new("go").arg("version").output().is_ok_and(|output| output.status.success())
}

/// One go.mod under `e2e/real` and what is built from it.
struct Module {
    name: String,
    directory: PathBuf,
    packages: Vec<String>,
    linker_flags: String,
    /// The file that `go build` makes, where its own choice of a name would say nothing.
    output: Option<&'static str>,
}

impl Module {
    fn kubernetes(release: &Release) -> Self {
        Self {
            name: format!("kubernetes-{}", release.git_version),
            directory: release.module.clone(),
            packages: KUBERNETES_PROGRAMS.map(|program| format!("k8s.io/kubernetes/cmd/{program}")).to_vec(),
            linker_flags: format!("-s -w {}", release.version_flags()),
            output: None,
        }
    }

    fn etcd() -> Self {
        Self::single("etcd", "etcd", ETCD_PACKAGE)
    }

    /// One program of a folder under `e2e/real`, in a file of its own name.
    fn single(folder: &str, program: &'static str, package: &str) -> Self {
        Self {
            name: program.to_owned(),
            directory: real_dir().join(folder),
            packages: vec![package.to_owned()],
            linker_flags: "-s -w".to_owned(),
            output: Some(program),
        }
    }

    /// The folder with the built programs; builds them if it is not there.
    fn provide(&self) -> Result<PathBuf, Error> {
        let built = self.cache_dir()?;
        if built.is_dir() {
            return Ok(built);
        }
        let parent = built.parent().unwrap_or(&built);
        std::fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        // Two test processes that start at once must not build twice: the second waits here and finds it built.
        let lock_path = built.with_extension("lock");
        let lock = File::create(&lock_path).map_err(Error::io("create", &lock_path))?;
        lock.lock().map_err(Error::io("lock", &lock_path))?;
        if !built.is_dir() {
            self.build_into(&built)?;
        }
        Ok(built)
    }

    /// Builds beside the final folder and renames, so that a folder of that name is always complete.
    fn build_into(&self, built: &Path) -> Result<(), Error> {
        if !go_is_there() {
            return Err(Error::NoGo);
        }
        let partial = built.with_extension("partial");
        match std::fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &partial)(error)),
            _ => {}
        }
        std::fs::create_dir_all(&partial).map_err(Error::io("create", &partial))?;
        tracing::info!(program = %self.name, "building with go: minutes the first time");
        let output = self.output.map_or_else(|| partial.clone(), |file| partial.join(file));
        let result = Command::new("go")
            .current_dir(&self.directory)
            .env("GOWORK", "off")
            .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &self.linker_flags, "-o"])
            .arg(&output)
            .args(&self.packages)
            .output()
            .map_err(Error::io("run go build in", &self.directory))?;
        if !result.status.success() {
            return Err(Error::Build { module: self.directory.clone(), output: String::from_utf8_lossy(&result.stderr).into_owned() });
        }
        std::fs::rename(&partial, built).map_err(Error::io("name", built))
    }

    fn cache_dir(&self) -> Result<PathBuf, Error> {
        let mut hash = Sha256::new();
        for file in ["go.mod", "go.sum"] {
            let path = self.directory.join(file);
            hash.update(std::fs::read(&path).map_err(Error::io("read", &path))?);
        }
        hash.update(self.linker_flags.as_bytes());
        let digest = format!("{:x}", hash.finalize());
        // No dot in it: a dot would begin an extension, and the lock's and the partial build's names are made by changing that.
        Ok(cache_root().join(format!("{}-{}", self.name.replace('.', "_"), &digest[..16])))
    }
}

/// `$XDG_CACHE_HOME` or `~/.cache`; without a home, the system's temporary folder.
fn cache_root() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("doris-operator/real")
}

#[cfg(test)]
mod tests {
    use super::{Module, Programs, Release, Tool};

    #[test]
    fn assets_that_lack_a_program_are_refused_by_its_name() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for program in ["etcd", "kube-apiserver"] {
            std::fs::write(directory.path().join(program), "").expect("a file");
        }
        let error = Programs::from_assets(directory.path()).expect_err("two programs are missing");
        assert!(error.to_string().contains("has no `kube-controller-manager`"), "{error}");
    }

    #[test]
    fn built_programs_are_found_by_what_was_pinned() {
        let of = |minor: &str| Module::kubernetes(&Release::find(minor).expect("a release")).cache_dir().expect("a path");
        assert_eq!(of("1.36"), of("1.36"));
        assert_ne!(of("1.36"), of("1.30"));
        assert_ne!(Module::etcd().cache_dir().expect("a path"), of("1.36"));
        let tools = Tool::ALL.map(|tool| tool.module().cache_dir().expect("a path"));
        assert!(tools[0] != tools[1] && tools[1] != tools[2], "{tools:?}");
    }
}
