//! Rules about what Doris was told: passwords that a Secret has to hold before, and who asked for members.

use std::collections::BTreeMap;
use std::time::Duration;

use doris_api::names;
use doris_sim::{AccountFacts, Registration, password_hash};
use tokio::time::Instant;

use super::model::cluster_of;
use super::pods::Pods;
use super::{ClusterName, Verdicts};

/// Accounts whose passwords the operator sets.
const OURS: [&str; 3] = ["root", "admin", "doris_operator"];
/// A version of a Secret may be seen so much later than it was written.
const SLACK: Duration = Duration::from_millis(500);
/// Nothing longer is a password.
const LONGEST: usize = 256;

/// When passwords were stored, and when Doris learned them.
#[derive(Debug, Default)]
pub(super) struct Passwords {
    /// What Doris keeps of everything that any Secret ever held, with the first time.
    stored: BTreeMap<Vec<u8>, Instant>,
    learned: BTreeMap<(ClusterName, String, Vec<u8>), Instant>,
}

impl Passwords {
    /// Takes a value of a Secret.
    pub fn store(&mut self, value: &[u8]) {
        let Some(text) = std::str::from_utf8(value).ok().filter(|text| !text.is_empty() && text.len() <= LONGEST) else { return };
        self.stored.entry(password_hash(text)).or_insert_with(Instant::now);
    }

    /// Takes a look at the accounts of all masters.
    pub fn look(&mut self, accounts: Vec<AccountFacts>) {
        for account in accounts.into_iter().filter(|account| OURS.contains(&account.user.as_str())) {
            let Some(cluster) = cluster_of(&account.master) else { continue };
            self.learned.entry((cluster, account.user, account.hash)).or_insert_with(Instant::now);
        }
    }

    /// `stored-before`: a password is in a Secret before Doris learns it.
    pub fn judge(&self) -> Verdicts {
        let is_known = |hash: &Vec<u8>, learned: Instant| self.stored.get(hash).is_some_and(|stored| *stored <= learned + SLACK);
        let broken = self.learned.iter().filter(|((_, _, hash), learned)| !is_known(hash, **learned));
        broken
            .map(|(((_, cluster), user, _), _)| format!("stored-before: {user} of {cluster} got a password that no Secret held"))
            .collect()
    }
}

/// `pods-register-nobody`: whoever registers members is no member.
pub(super) fn by_pods(registrations: &[Registration], pods: &Pods) -> Verdicts {
    let of_pods = registrations.iter().filter_map(|registration| Some((pods.at(registration.from)?, registration)));
    of_pods.map(|(pod, registration)| format!("pods-register-nobody: {pod} registered {}", registration.members.join(", "))).collect()
}

/// `mounted-roots`: a backend keeps nothing where its pod has no volume.
pub(super) fn unmounted(fqdn: &str, paths: &[String], pods: &Pods) -> Verdicts {
    let Some(((namespace, cluster), pod)) = cluster_of(fqdn).zip(fqdn.split('.').next()) else { return Verdicts::new() };
    if names::parse_pod(&cluster, pod).is_none() {
        return Verdicts::new();
    }
    let missing = paths.iter().filter(|path| pods.mounts(&namespace, pod, path) == Some(false));
    missing.map(|path| format!("mounted-roots: {pod} was started on {path}, where its pod has no volume")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use doris_sim::{AccountFacts, password_hash};

    use super::Passwords;

    #[tokio::test(start_paused = true)]
    async fn a_password_that_is_stored_later_than_doris_learns_it_is_told() {
        let mut passwords = Passwords::default();
        let account = |user: &str, password: &str| AccountFacts {
            master: "demo-fe-0.demo-fe-members.default.svc.cluster.local".to_owned(),
            user: user.to_owned(),
            hash: password_hash(password),
        };
        passwords.store(b"Before-1");
        passwords.look(vec![account("root", "Before-1"), account("app", "Nobody-Asks-1")]);
        assert_eq!(passwords.judge(), [] as [String; 0]);
        passwords.look(vec![account("admin", "After-1")]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        passwords.store(b"After-1");
        assert_eq!(passwords.judge(), ["stored-before: admin of demo got a password that no Secret held"]);
    }
}
