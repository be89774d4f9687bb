//! Which namespaces a controller works in.
//!
//! Three ways: all, a fixed list, or those that a label selector finds. The last one needs the right to list and watch namespaces and
//! nothing else that is cluster-wide. Every way takes a list of namespaces that are left alone whatever else is said.

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::ControlFlow;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;

use crate::watch::{self as kit, WatchHealth, WatchName};

/// Where watches are opened: in one namespace, or (`None`) in all at once.
pub type Place = Option<String>;

/// What namespaces are chosen by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    #[default]
    All,
    /// These.
    Listed(BTreeSet<String>),
    /// Those with labels that this selector finds.
    Selected(String),
}

/// The namespaces of a controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    scope: Scope,
    denied: BTreeSet<String>,
}

/// Arguments that leave open where to work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Both ways at once.
    #[error("namespaces are chosen either by their names or by a selector, not by both")]
    Both,
    /// A list that denies itself.
    #[error("every namespace to work in is denied as well: {}", .0.join(", "))]
    Nothing(Vec<String>),
    /// The server does not take the selector.
    #[error("the selector of namespaces is refused: {0}")]
    Selector(String),
}

impl Reach {
    /// From what was given; empty strings are what an unset variable looks like.
    ///
    /// # Errors
    /// Names and a selector at once, or names that are all denied.
    pub fn new(names: &[String], selector: Option<&str>, denied: &[String]) -> Result<Self, ScopeError> {
        let clean = |names: &[String]| -> BTreeSet<String> {
            names.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        };
        let (names, denied) = (clean(names), clean(denied));
        let selector = selector.map(str::trim).filter(|selector| !selector.is_empty());
        let scope = match (names.is_empty(), selector) {
            (true, None) => Scope::All,
            (true, Some(selector)) => Scope::Selected(selector.to_owned()),
            (false, Some(_)) => return Err(ScopeError::Both),
            (false, None) => {
                if names.is_subset(&denied) {
                    return Err(ScopeError::Nothing(names.into_iter().collect()));
                }
                Scope::Listed(names.difference(&denied).cloned().collect())
            }
        };
        Ok(Self { scope, denied })
    }

    /// What namespaces are chosen by.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Field selector of watches that are opened in all namespaces at once: the server sends nothing from those that are denied.
    pub fn field_selector(&self) -> Option<String> {
        let terms: Vec<String> = self.denied.iter().map(|name| format!("metadata.namespace!={name}")).collect();
        (self.scope == Scope::All && !terms.is_empty()).then(|| terms.join(","))
    }

    /// Places that are known without asking; `None` if the server has to be asked.
    fn fixed(&self) -> Option<BTreeSet<Place>> {
        match &self.scope {
            Scope::All => Some([None].into()),
            Scope::Listed(names) => Some(names.iter().cloned().map(Some).collect()),
            Scope::Selected(_) => None,
        }
    }
}

/// Asks the server whether it takes the selector, so that a mistake in it ends the process with a sentence. That namespaces may not be
/// listed, or that nobody answers, is told by the watch.
///
/// # Errors
/// The server's own words about the selector.
pub async fn check(client: &Client, reach: &Reach) -> Result<(), ScopeError> {
    let Scope::Selected(selector) = &reach.scope else { return Ok(()) };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let one = ListParams::default().labels(selector).limit(1);
    match tokio::time::timeout(std::time::Duration::from_secs(10), namespaces.list_metadata(&one)).await {
        Ok(Err(kube::Error::Api(status))) if status.code == 400 || status.code == 422 => Err(ScopeError::Selector(status.message)),
        _ => Ok(()),
    }
}

/// Tells the places to work in, from now on: nothing until they are known. The future keeps them up to date until it is dropped.
pub fn follow(
    client: Client,
    reach: Reach,
    health: WatchHealth,
) -> (watch::Receiver<Option<BTreeSet<Place>>>, impl Future<Output = ()> + Send + 'static) {
    let fixed = reach.fixed();
    let (places, receiver) = watch::channel(fixed.clone());
    let keep = async move {
        let Scope::Selected(selector) = reach.scope else {
            // The sender has to live: a closed channel would tell of an end.
            return places.closed().await;
        };
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(client);
        let config = kit::config().labels(&selector);
        let mut listing = BTreeSet::new();
        let handle = |event| {
            absorb(&places, &mut listing, &reach.denied, event);
            ControlFlow::Continue(())
        };
        let begin = || watcher::watcher(api.clone(), config.clone());
        kit::drive(WatchName::new("namespaces", None), begin, health, handle).await;
    };
    (receiver, keep)
}

/// A namespace that no longer has the labels arrives as deleted.
fn absorb(
    places: &watch::Sender<Option<BTreeSet<Place>>>,
    listing: &mut BTreeSet<Place>,
    denied: &BTreeSet<String>,
    event: Event<PartialObjectMeta<Namespace>>,
) {
    let place = |namespace: &PartialObjectMeta<Namespace>| Some(namespace.name_any()).filter(|name| !denied.contains(name)).map(Some);
    match event {
        Event::Init => listing.clear(),
        Event::InitApply(namespace) => listing.extend(place(&namespace)),
        Event::InitDone => {
            let fresh = std::mem::take(listing);
            places.send_if_modified(|known| {
                let differs = known.as_ref() != Some(&fresh);
                *known = Some(fresh);
                differs
            });
        }
        Event::Apply(namespace) => {
            places.send_if_modified(|known| place(&namespace).is_some_and(|place| known.get_or_insert_default().insert(place)));
        }
        Event::Delete(namespace) => {
            places.send_if_modified(|known| known.get_or_insert_default().remove(&Some(namespace.name_any())));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use k8s_openapi::api::core::v1::Namespace;
    use kube::api::{ObjectMeta, PartialObjectMeta};
    use kube::core::PartialObjectMetaExt as _;
    use kube::runtime::watcher::Event;
    use tokio::sync::watch;

    use super::{Place, Reach, Scope, ScopeError, absorb};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn namespaces_are_all_or_listed_or_selected_and_some_are_denied() {
        let nothing = Reach::new(&names(&["", " "]), Some(""), &names(&[""])).expect("all");
        assert_eq!((nothing.scope(), nothing.field_selector()), (&Scope::All, None));
        let all_but = Reach::new(&[], None, &names(&["kube-system", "a"])).expect("all");
        assert_eq!(all_but.field_selector().as_deref(), Some("metadata.namespace!=a,metadata.namespace!=kube-system"));
        let listed = Reach::new(&names(&["a", "b"]), None, &names(&["a"])).expect("a list");
        assert_eq!((listed.scope(), listed.field_selector()), (&Scope::Listed(["b".to_owned()].into()), None));
        let selected = Reach::new(&[], Some("team in (a)"), &[]).expect("a selector");
        assert_eq!(selected.scope(), &Scope::Selected("team in (a)".into()));
        assert_eq!(Reach::new(&names(&["a"]), Some("x"), &[]), Err(ScopeError::Both));
        assert_eq!(Reach::new(&names(&["a"]), None, &names(&["a", "b"])), Err(ScopeError::Nothing(names(&["a"]))));
    }

    fn namespace(name: &str) -> PartialObjectMeta<Namespace> {
        ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }.into_response_partial()
    }

    fn known(places: &watch::Sender<Option<BTreeSet<Place>>>) -> Option<Vec<String>> {
        places.borrow().as_ref().map(|places| places.iter().flatten().cloned().collect())
    }

    #[test]
    fn selected_namespaces_come_and_go_and_denied_ones_never_come() {
        let (places, mut told) = watch::channel(None);
        let (mut listing, denied) = (BTreeSet::new(), BTreeSet::from(["d".to_owned()]));
        let mut tell = |event| absorb(&places, &mut listing, &denied, event);
        tell(Event::Init);
        tell(Event::InitApply(namespace("a")));
        tell(Event::InitApply(namespace("d")));
        assert_eq!(known(&places), None, "half a list is none");
        tell(Event::InitDone);
        assert_eq!(known(&places), Some(names(&["a"])));
        tell(Event::Apply(namespace("b")));
        tell(Event::Apply(namespace("d")));
        assert_eq!(known(&places), Some(names(&["a", "b"])));
        tell(Event::Delete(namespace("a")));
        assert_eq!(known(&places), Some(names(&["b"])));
        told.mark_unchanged();
        for event in
            [Event::Apply(namespace("b")), Event::Delete(namespace("x")), Event::Init, Event::InitApply(namespace("b")), Event::InitDone]
        {
            tell(event);
        }
        assert!(!told.has_changed().expect("the sender lives"), "nothing has changed");
    }
}
