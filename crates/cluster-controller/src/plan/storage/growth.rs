//! Growing volumes: claims first, one component at a time and of the frontends one claim at a time; the set's template last.
//!
//! Nothing is written down: a claim says what it asks for and what it has.

use std::time::Duration;

use doris_api::Component;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimCondition};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;

use super::place;
use crate::build::{asked_size, bytes};

/// A volume whose file system waits for a restart for so long is not grown while it is in use.
pub const OFFLINE_AFTER: Duration = Duration::from_mins(10);

/// A claim of a member that is to have a pod.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// Its uid: exactly this claim is grown.
    pub uid: String,
    /// The template that it was made from.
    pub template: String,
    /// Size that it asks for.
    pub asked: Quantity,
    /// Size that it has; unknown before it is bound.
    pub has: Option<Quantity>,
    /// Its storage class.
    pub class: Option<String>,
    /// What whoever resizes it says is wrong.
    pub error: Option<String>,
    /// Since when its file system waits for a pod to be made anew.
    pub waits_for_pod: Option<Timestamp>,
}

impl Claim {
    /// What a claim of a template says of itself.
    pub fn of(claim: &PersistentVolumeClaim, template: &str) -> Self {
        let status = claim.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let condition = |types: &[&str]| conditions.iter().find(|one| types.contains(&one.type_.as_str()) && one.status == "True");
        let allocated = status.and_then(|status| status.allocated_resource_statuses.as_ref());
        let infeasible = allocated.and_then(|all| all.get("storage")).filter(|state| state.ends_with("Infeasible"));
        let error = condition(&["ControllerResizeError", "NodeResizeError"]).map(words);
        Self {
            name: claim.name_any(),
            uid: claim.uid().unwrap_or_default(),
            template: template.to_owned(),
            asked: asked_size(claim),
            has: status.and_then(|status| status.capacity.as_ref()?.get("storage").cloned()),
            class: claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()),
            error: error.or_else(|| infeasible.cloned()),
            waits_for_pod: condition(&["FileSystemResizePending"]).and_then(|one| Some(one.last_transition_time.as_ref()?.0)),
        }
    }

    fn is_growing(&self) -> bool {
        self.has.as_ref().is_some_and(|has| bytes(has) < bytes(&self.asked))
    }

    /// Whether the file system of a pod that was made before has waited for another pod for long enough.
    pub fn wears_out(&self, pod_made: Option<Timestamp>, now: Timestamp) -> bool {
        let is_older = |since: Timestamp| pod_made.is_some_and(|made| made < since);
        self.is_growing()
            && self.waits_for_pod.is_some_and(|since| is_older(since) && now.duration_since(since).unsigned_abs() >= OFFLINE_AFTER)
    }
}

fn words(condition: &PersistentVolumeClaimCondition) -> String {
    let message = condition.message.clone().filter(|message| !message.is_empty()).or_else(|| condition.reason.clone());
    message.unwrap_or_else(|| condition.type_.clone())
}

/// The claims of one component and the sizes that they are to have.
#[derive(Clone, Debug)]
pub struct Volumes {
    /// The component.
    pub component: Component,
    /// Its claims, in the order in which they grow.
    pub claims: Vec<Claim>,
    /// Wanted size of each template.
    pub wanted: Vec<(String, Quantity)>,
    /// Its set's templates ask for less than is wanted.
    pub template_is_behind: bool,
}

/// A claim that is to ask for more.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Name of the claim.
    pub claim: String,
    /// Its uid.
    pub uid: String,
    /// The size to ask for.
    pub size: Quantity,
}

/// What is to be done and told about volumes that grow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Growth {
    /// Claims that are to ask for more now.
    pub asks: Vec<Ask>,
    /// Volumes on their way.
    pub waits: Vec<String>,
    /// Volumes that somebody has to help.
    pub stalls: Vec<String>,
    /// A component whose claims have grown: its set is made anew with the present templates.
    pub template: Option<Component>,
}

/// Plans growth. `refusal` tells what the server said when a claim asked for this size a moment ago.
pub fn plan(all: &[Volumes], refusal: &dyn Fn(&str, &Quantity) -> Option<String>) -> Growth {
    let mut growth = Growth::default();
    let mut is_under_way = false;
    for volumes in all {
        let mut found = of_component(volumes, refusal);
        growth.stalls.append(&mut found.stalls);
        growth.waits.append(&mut found.waits);
        let moves = !found.asks.is_empty() || found.is_growing;
        if !is_under_way {
            growth.asks.append(&mut found.asks);
            let is_grown = !moves && !found.is_hindered && volumes.template_is_behind;
            growth.template = growth.template.or(is_grown.then_some(volumes.component));
        }
        is_under_way |= moves;
    }
    growth
}

#[derive(Default)]
struct Found {
    asks: Vec<Ask>,
    waits: Vec<String>,
    stalls: Vec<String>,
    is_growing: bool,
    /// A claim does not grow, for whatever reason: pods that are made later must not have more either.
    is_hindered: bool,
}

fn of_component(volumes: &Volumes, refusal: &dyn Fn(&str, &Quantity) -> Option<String>) -> Found {
    let mut found = Found::default();
    for claim in &volumes.claims {
        let Some((_, size)) = volumes.wanted.iter().find(|(template, _)| *template == claim.template) else { continue };
        let what = || format!("{} (claim {})", place(volumes.component, &claim.template), claim.name);
        if claim.is_growing() {
            let has = claim.has.as_ref().map_or("?", |has| has.0.as_str());
            match (&claim.error, claim.waits_for_pod) {
                (Some(error), _) => {
                    found.is_hindered = true;
                    found.stalls.push(format!(
                        "{} is to grow from {has} to {} and does not: {error}. Mend what is said there (quota, space, the driver); it goes on \
                         by itself",
                        what(),
                        claim.asked.0
                    ));
                }
                (None, Some(_)) => {
                    found.is_growing = true;
                    found.waits.push(format!(
                        "{} has grown to {}; its file system follows, at the latest when its pod is made anew, {} min after",
                        what(),
                        claim.asked.0,
                        OFFLINE_AFTER.as_secs() / 60
                    ));
                }
                (None, None) => {
                    found.is_growing = true;
                    found.waits.push(format!("{} grows from {has} to {}", what(), claim.asked.0));
                }
            }
        } else if bytes(&claim.asked) < bytes(size) {
            if claim.has.is_none() {
                found.is_growing = true;
                found.waits.push(format!("{} is not bound yet; it grows to {} then", what(), size.0));
            } else if let Some(said) = refusal(&claim.name, size) {
                found.is_hindered = true;
                found.stalls.push(refused(&what(), claim, size, &said));
            } else {
                found.asks.push(Ask { claim: claim.name.clone(), uid: claim.uid.clone(), size: size.clone() });
            }
        }
    }
    // Of the frontends never two volumes at once.
    if matches!(volumes.component, Component::Fe | Component::FeObserver) {
        found.asks.truncate(usize::from(!found.is_growing));
    }
    found
}

fn refused(what: &str, claim: &Claim, size: &Quantity, said: &str) -> String {
    let class = claim.class.as_deref().unwrap_or("none");
    let help = if said.contains("quota") {
        "Raise the quota".to_owned()
    } else {
        format!("Let the class grow volumes (allowVolumeExpansion: true of StorageClass {class}) if its driver can")
    };
    format!(
        "{what} is to grow from {} to {}, and the server refuses it (storage class {class}): {said}. {help}; it is tried again every few minutes",
        claim.asked.0, size.0
    )
}

#[cfg(test)]
mod tests {
    use doris_api::Component;
    use jiff::{SignedDuration, Timestamp};
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use serde_json::json;

    use super::{Claim, Growth, Volumes, plan};

    fn claim(name: &str, asked: &str, has: &str) -> Claim {
        let object = json!({
            "metadata": {"name": name, "uid": format!("u-{name}")},
            "spec": {"storageClassName": "standard", "resources": {"requests": {"storage": asked}}},
            "status": {"phase": "Bound", "capacity": {"storage": has}},
        });
        Claim::of(&serde_json::from_value(object).expect("a claim"), "data")
    }

    fn volumes(component: Component, claims: Vec<Claim>, wanted: &str) -> Volumes {
        Volumes { component, claims, wanted: vec![("data".into(), Quantity(wanted.into()))], template_is_behind: true }
    }

    fn run(all: &[Volumes]) -> Growth {
        plan(all, &|_, _| None)
    }

    fn asked(growth: &Growth) -> Vec<&str> {
        growth.asks.iter().map(|ask| ask.claim.as_str()).collect()
    }

    #[test]
    fn frontends_grow_one_by_one_then_backends_all_at_once_and_each_template_last() {
        let be = || volumes(Component::Be, vec![claim("b0", "1Gi", "1Gi"), claim("b1", "1Gi", "1Gi")], "2Gi");
        let fe = |sizes: [(&str, &str); 2]| {
            let claims = sizes.into_iter().enumerate().map(|(n, (asked, has))| claim(&format!("f{n}"), asked, has)).collect();
            volumes(Component::Fe, claims, "2Gi")
        };
        assert_eq!(asked(&run(&[fe([("1Gi", "1Gi"), ("1Gi", "1Gi")]), be()])), ["f0"]);
        let under_way = run(&[fe([("2Gi", "1Gi"), ("1Gi", "1Gi")]), be()]);
        assert_eq!((asked(&under_way), under_way.waits.len(), under_way.template), (vec![], 1, None));
        assert_eq!(asked(&run(&[fe([("2Gi", "2Gi"), ("1Gi", "1Gi")]), be()])), ["f1"]);
        let grown = run(&[fe([("2Gi", "2Gi"), ("2Gi", "2Gi")]), be()]);
        assert_eq!((asked(&grown), grown.template), (vec!["b0", "b1"], Some(Component::Fe)));
        let all = run(&[volumes(Component::Be, vec![claim("b0", "2Gi", "2Gi")], "2Gi")]);
        assert_eq!(all.template, Some(Component::Be));
    }

    #[test]
    fn what_the_server_refuses_is_told_with_the_class_and_keeps_only_its_own_component() {
        let fe = volumes(Component::Fe, vec![claim("f0", "1Gi", "1Gi")], "2Gi");
        let be = volumes(Component::Be, vec![claim("b0", "1Gi", "1Gi")], "2Gi");
        let growth = plan(&[fe, be], &|claim, _| (claim == "f0").then(|| "must support resize".to_owned()));
        assert_eq!(asked(&growth), ["b0"]);
        assert_eq!(growth.template, None, "pods that are made later get no more than those that are there");
        insta::assert_snapshot!(growth.stalls.join("\n"), @"fe.storage (claim f0) is to grow from 1Gi to 2Gi, and the server refuses it (storage class standard): must support resize. Let the class grow volumes (allowVolumeExpansion: true of StorageClass standard) if its driver can; it is tried again every few minutes");
    }

    fn with_condition(type_: &str, message: &str) -> Claim {
        let object = json!({
            "metadata": {"name": "b0", "uid": "u"},
            "spec": {"resources": {"requests": {"storage": "2Gi"}}},
            "status": {"phase": "Bound", "capacity": {"storage": "1Gi"},
                "conditions": [{"type": type_, "status": "True", "message": message, "lastTransitionTime": "1970-01-01T00:01:40Z"}]},
        });
        Claim::of(&serde_json::from_value(object).expect("a claim"), "data")
    }

    #[test]
    fn an_error_of_the_driver_is_told_in_its_words_and_holds_the_template() {
        let growth = run(&[volumes(Component::Be, vec![with_condition("ControllerResizeError", "no space in pool")], "2Gi")]);
        assert!(growth.stalls[0].contains("no space in pool"), "{:?}", growth.stalls);
        assert_eq!((growth.template, asked(&growth)), (None, vec![]));
    }

    #[test]
    fn a_file_system_that_waits_for_long_wears_the_older_pod_out_and_no_younger_one() {
        let claim = with_condition("FileSystemResizePending", "");
        let at = |second| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        assert!(!claim.wears_out(Some(at(10)), at(600)), "not for ten minutes");
        assert!(claim.wears_out(Some(at(10)), at(700)));
        assert!(!claim.wears_out(Some(at(150)), at(5000)), "made after");
        assert!(!claim.wears_out(None, at(5000)));
    }

    #[test]
    fn a_claim_that_is_not_bound_is_not_asked() {
        let unbound = Claim { has: None, ..claim("b0", "1Gi", "1Gi") };
        let growth = run(&[volumes(Component::Be, vec![unbound], "2Gi")]);
        assert_eq!((growth.asks.len(), growth.waits.len(), growth.template), (0, 1, None));
    }
}
