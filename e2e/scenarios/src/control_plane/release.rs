//! Which Kubernetes versions can be built here: the folders `e2e/real/kubernetes-<minor>`.

use std::path::{Path, PathBuf};

use super::Error;

const FOLDER_PREFIX: &str = "kubernetes-";

/// The folder that holds one go.mod for each real program.
pub(super) fn real_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../real")
}

/// A Kubernetes release whose programs can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The folder of its go.mod.
    pub module: PathBuf,
    /// As in `v1.36.3`.
    pub git_version: String,
}

impl Release {
    /// The release of a minor version such as `1.36`.
    pub fn find(minor: &str) -> Result<Self, Error> {
        let module = real_dir().join(format!("{FOLDER_PREFIX}{minor}"));
        let go_mod = module.join("go.mod");
        if !go_mod.is_file() {
            return Err(Error::UnknownVersion { asked: minor.to_owned(), known: known_versions().join(", ") });
        }
        let text = std::fs::read_to_string(&go_mod).map_err(Error::io("read", &go_mod))?;
        let git_version = required_version(&text).ok_or(Error::NoVersion(go_mod))?;
        Ok(Self { module, git_version })
    }

    /// Linker flags that make the programs know their own version, as a release build's do; else discovery says `v0.0.0-master`.
    pub fn version_flags(&self) -> String {
        let mut parts = self.git_version.trim_start_matches('v').split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]
            .map(|package| {
                format!("-X {package}.gitVersion={} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}", self.git_version)
            })
            .join(" ")
    }
}

/// The versions that stand under `e2e/real`, oldest first.
pub fn known_versions() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(real_dir()) else { return Vec::new() };
    let mut known: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix(FOLDER_PREFIX).map(str::to_owned))
        .collect();
    known.sort_by_key(|version| version.split('.').map(|part| part.parse::<u32>().unwrap_or_default()).collect::<Vec<_>>());
    known
}

fn required_version(go_mod: &str) -> Option<String> {
    go_mod.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word == "require");
        (words.next() == Some("k8s.io/kubernetes")).then(|| words.next()).flatten().filter(|word| word.starts_with('v')).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::{Release, known_versions, required_version};

    #[test]
    fn the_version_is_read_from_a_block_and_from_a_single_line() {
        for (text, expected) in [
            ("require (\n\tk8s.io/api v0.36.3 // indirect\n\tk8s.io/kubernetes v1.36.3 // indirect\n)", Some("v1.36.3")),
            ("require k8s.io/kubernetes v1.25.4\n", Some("v1.25.4")),
            ("tool k8s.io/kubernetes/cmd/kube-apiserver\nreplace k8s.io/kubernetes => ../here", None),
        ] {
            assert_eq!(required_version(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn every_folder_names_the_minor_version_that_it_builds() {
        let known = known_versions();
        assert_eq!(known, ["1.25", "1.30", "1.36"]);
        for minor in known {
            let release = Release::find(&minor).expect("a release");
            assert!(release.git_version.starts_with(&format!("v{minor}.")), "{release:?}");
        }
    }

    #[test]
    fn an_unknown_version_is_answered_with_the_known_ones() {
        let error = Release::find("1.16").expect_err("1.16 cannot be built");
        assert_eq!(error.to_string(), "no Kubernetes 1.16 under e2e/real: there are 1.25, 1.30, 1.36");
    }

    #[test]
    fn programs_are_told_their_version_in_both_packages_that_report_it() {
        let release = Release { module: "m".into(), git_version: "v1.25.4".into() };
        assert_eq!(
            release.version_flags(),
            "-X k8s.io/component-base/version.gitVersion=v1.25.4 -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=25 -X k8s.io/client-go/pkg/version.gitVersion=v1.25.4 \
             -X k8s.io/client-go/pkg/version.gitMajor=1 -X k8s.io/client-go/pkg/version.gitMinor=25"
        );
    }
}
