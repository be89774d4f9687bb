//! Seeded bugs: a second actor that does, beside the controller, what a buggy one would do.
//!
//! They show that the oracles see what they are there for; production code carries no bug.

mod acts;
mod members;
mod starts;
mod writes;

use std::time::Duration;

use doris_sim::Volume;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::DeleteParams;

use super::{CONTROLLER_ADDRESS, Lab, cluster};

use acts::{founded, pod, ready, roles, sql, stop, ticket};

const DOMAIN: &str = "demo-fe-members.default.svc.cluster.local";
/// How long a process that must not be there runs.
const VISIT: Duration = Duration::from_secs(5);

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The ticket to found is issued before the record says so.
    TicketBeforeRecord,
    /// A ticket is for another pod than the one that carries it.
    TicketForAnotherPod,
    /// A backend is registered by its Service's name.
    AddByServiceName,
    /// Both followers are registered at once.
    TwoFollowersAtOnce,
    /// An empty frontend is started without helper although others hold metadata.
    FoundsBlindly,
    /// An empty frontend is started with helpers before it is registered.
    StartsUnregistered,
    /// A frontend is started on metadata without a journal.
    StartsWithoutJournal,
    /// A sentence in status quotes a password.
    PasswordInStatus,
    /// A log line quotes a password.
    PasswordInLog,
    /// The used ticket to found stays on the pod.
    TicketKept,
    /// The identity of a founded cluster is made anew.
    IdentityAnew,
    /// Backends are started before a master serves.
    WorkersBeforeMaster,
    /// Every round writes.
    WritesEveryRound,
    /// A claim is deleted.
    ClaimDeleted,
    /// An account is left without a password.
    AdminLeftOpen,
    /// Doris learns a password that is stored nowhere.
    PasswordNotStored,
    /// Doris learns one of root's that is stored nowhere.
    RootPasswordNotStored,
    /// A backend is registered with a master that is cut off from its followers.
    AddAtLoneMaster,
    /// A follower that serves is dropped while another one is down.
    DropBesideLoss,
    /// Two backends are stopped at once.
    StopsTwoBackends,
    /// A backend is stopped that work is sent to.
    StopsUndrained,
    /// A backend is stopped that alone serves a table.
    StopsLastReplica,
    /// A backend is stopped that a backup needs.
    StopsDuringBackup,
    /// Two followers of three are stopped at once.
    StopsTwoVoters,
    /// The master is stopped before the other frontends are made anew.
    StopsMasterFirst,
    /// The tablet scheduler stays held.
    LeavesHold,
    /// A set is lowered while its highest member is registered.
    LowerBeforeDrop,
    /// A backend is dropped with what is on it.
    DropWithData,
    /// A member is registered that the spec does not ask for.
    AddBeyondSpec,
    /// A frontend of a newer line runs beside backends of the old one.
    NewerBesideBackends,
    /// A frontend is made with the old line once a newer master wrote its metadata.
    OlderOnNewMetadata,
    /// Backends are stopped while frontends run.
    BackendsStoppedFirst,
    /// A follower is stopped while there are two on the way to three.
    StopsWhileItGrows,
    /// The tablet scheduler stays held, for longer than any operation is away.
    HoldsForEver,
    /// A backend is registered while the cluster is being suspended.
    AddsDuringSuspension,
    /// A set is deleted with its pods.
    TakesSetWithPods,
    /// A cluster that is made again starts one of three followers.
    StartsTooFew,
    /// Two processes have one name.
    Twin,
    /// A backend with data starts on empty disks without leave.
    BlankBackend,
    /// A new pod starts on the metadata of a frontend that was dropped.
    StartsOnDropped,
    /// A backend is registered by a pod.
    RegistersFromPod,
    /// Doris learns a password that is stored afterwards.
    LearnsBeforeStored,
    /// A backend is restarted for a key that Doris took while it ran.
    RestartsForNothing,
    /// An image that does not run is given to a second backend.
    SpreadsBadImage,
    /// A backend is started on a directory that is no volume.
    StartsUnmounted,
    /// A backend is dropped and registered anew while its cluster is resumed.
    ResumesAsAnother,
    /// A volume is emptied that alone has rows of a table.
    LosesRows,
}

impl Bug {
    /// Every bug, with the rule that has to catch it.
    pub const ALL: [(Self, &'static str); 47] = [
        (Self::TicketBeforeRecord, "found-on-record"),
        (Self::TicketForAnotherPod, "ticket-names-pod"),
        (Self::AddByServiceName, "own-name"),
        (Self::TwoFollowersAtOnce, "one-follower"),
        (Self::FoundsBlindly, "found-once"),
        (Self::StartsUnregistered, "added-before"),
        (Self::StartsWithoutJournal, "no-bdb"),
        (Self::PasswordInStatus, "no-password"),
        (Self::PasswordInLog, "no-password"),
        (Self::TicketKept, "used-tickets-go"),
        (Self::IdentityAnew, "founded-for-good"),
        (Self::WorkersBeforeMaster, "workers-after-master"),
        (Self::WritesEveryRound, "quiet"),
        (Self::ClaimDeleted, "claims-stay"),
        (Self::AdminLeftOpen, "no-empty-password"),
        (Self::PasswordNotStored, "operator-logs-in"),
        (Self::RootPasswordNotStored, "root-logs-in"),
        (Self::AddAtLoneMaster, "led-by-majority"),
        (Self::DropBesideLoss, "drop-leaves-majority"),
        (Self::StopsTwoBackends, "one-at-a-time"),
        (Self::StopsUndrained, "drained-before"),
        (Self::StopsLastReplica, "tables-stay-readable"),
        (Self::StopsDuringBackup, "backups-go-on"),
        (Self::StopsTwoVoters, "keeps-majority"),
        (Self::StopsMasterFirst, "master-last"),
        (Self::LeavesHold, "switches-back"),
        (Self::LowerBeforeDrop, "row-before-pod"),
        (Self::DropWithData, "dropped-empty"),
        (Self::AddBeyondSpec, "asked-for"),
        (Self::NewerBesideBackends, "upgrade-order"),
        (Self::OlderOnNewMetadata, "no-downgrade"),
        (Self::BackendsStoppedFirst, "backends-stop-last"),
        (Self::StopsWhileItGrows, "whole-while-it-grows"),
        (Self::HoldsForEver, "switches-with-operation"),
        (Self::AddsDuringSuspension, "suspended-as-it-was"),
        (Self::TakesSetWithPods, "same-pods"),
        (Self::StartsTooFew, "majority-starts"),
        (Self::Twin, "one-process"),
        (Self::BlankBackend, "blank-on-ticket"),
        (Self::StartsOnDropped, "dropped-stays-out"),
        (Self::RegistersFromPod, "pods-register-nobody"),
        (Self::LearnsBeforeStored, "stored-before"),
        (Self::RestartsForNothing, "restarts-for-a-reason"),
        (Self::SpreadsBadImage, "one-bad-image"),
        (Self::StartsUnmounted, "mounted-roots"),
        (Self::ResumesAsAnother, "same-members"),
        (Self::LosesRows, "rows-stay"),
    ];

    /// Does it, in a laboratory where a cluster `demo` is created.
    #[expect(clippy::too_many_lines, reason = "an arm for each bug")]
    pub async fn commit(self, lab: &Lab) {
        match self {
            Self::TicketBeforeRecord => {
                let pod = pod(lab, "demo-fe-0").await;
                ticket(lab, "demo-fe-0", &format!("found:{}:1", pod.uid().unwrap_or_default())).await;
            }
            Self::TicketForAnotherPod => {
                let (other, _) = (pod(lab, "demo-fe-0").await, pod(lab, "demo-fe-1").await);
                let text = format!("join:{}:fe_1:FOLLOWER:demo-fe-0.{DOMAIN}:9010", other.uid().unwrap_or_default());
                ticket(lab, "demo-fe-1", &text).await;
            }
            Self::AddByServiceName => sql(lab, &["ALTER SYSTEM ADD BACKEND \"demo-be.default.svc.cluster.local:9050\""]).await,
            Self::TwoFollowersAtOnce => {
                let add = |ordinal| format!("ALTER SYSTEM ADD FOLLOWER \"demo-fe-{ordinal}.{DOMAIN}:9010\"");
                sql(lab, &[&add(1), &add(2)]).await;
            }
            Self::FoundsBlindly => {
                founded(lab).await;
                starts::visit(lab, &Volume::new(), &[]).await;
            }
            Self::StartsUnregistered => {
                founded(lab).await;
                starts::visit(lab, &Volume::new(), &[format!("demo-fe-0.{DOMAIN}:9010")]).await;
            }
            Self::StartsWithoutJournal => {
                let identity = founded(lab).await;
                let volume = Volume::new();
                let files = [
                    ("image/ROLE", "role=FOLLOWER\nname=fe_1\n".to_owned()),
                    ("image/VERSION", format!("clusterId={}\ntoken=t\n", identity["cluster-id"])),
                ];
                for (file, text) in files {
                    volume.write(file, text).expect("a new volume takes files");
                }
                starts::visit(lab, &volume, &[]).await;
            }
            Self::PasswordInStatus => writes::password_in_status(lab).await,
            Self::PasswordInLog => {
                let identity = founded(lab).await;
                tracing::info!(login = identity["operator.current"], "logging in");
            }
            Self::TicketKept => {
                ready(lab).await;
                let pod = pod(lab, "demo-fe-0").await;
                ticket(lab, "demo-fe-0", &format!("found:{}:1", pod.uid().unwrap_or_default())).await;
            }
            Self::IdentityAnew => {
                founded(lab).await;
                writes::phase(lab, "Unfounded").await;
                writes::phase(lab, "Founded").await;
            }
            Self::WorkersBeforeMaster => starts::early_backend(lab).await,
            Self::WritesEveryRound => writes::write_every_round(lab).await,
            Self::ClaimDeleted => {
                ready(lab).await;
                let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(lab.client.clone());
                claims.delete("meta-demo-fe-2", &DeleteParams::default()).await.expect("the claim is there");
            }
            Self::AdminLeftOpen => {
                ready(lab).await;
                sql(lab, &["ALTER USER 'admin' IDENTIFIED BY ''"]).await;
            }
            Self::PasswordNotStored => {
                ready(lab).await;
                writes::forget_password(lab).await;
            }
            Self::RootPasswordNotStored => {
                ready(lab).await;
                sql(lab, &["ALTER USER root IDENTIFIED BY 'Another-1-that-nobody-knows'"]).await;
                tokio::time::sleep(VISIT).await;
            }
            Self::AddAtLoneMaster => members::add_at_lone_master(lab).await,
            Self::DropBesideLoss => members::drop_beside_loss(lab).await,
            Self::StopsTwoBackends => {
                ready(lab).await;
                stop(lab, &["demo-be-2", "demo-be-1"]).await;
            }
            Self::StopsUndrained => {
                ready(lab).await;
                stop(lab, &["demo-be-2"]).await;
            }
            Self::StopsLastReplica => members::stop_last_replica(lab).await,
            Self::StopsDuringBackup => members::stop_during_backup(lab).await,
            Self::StopsTwoVoters => {
                ready(lab).await;
                let (_, followers) = roles(lab);
                stop(lab, &[&followers[0], &followers[1]]).await;
            }
            Self::StopsMasterFirst => members::stop_master_first(lab).await,
            Self::LeavesHold => members::leave_hold(lab).await,
            Self::LowerBeforeDrop => members::lower_before_drop(lab).await,
            Self::DropWithData => members::drop_with_data(lab).await,
            Self::AddBeyondSpec => members::add_beyond_spec(lab).await,
            Self::NewerBesideBackends => starts::guests(lab, &[("3.0.3", 1)]).await,
            Self::OlderOnNewMetadata => starts::guests(lab, &[("2.1.7", 1), ("3.0.3", 1), ("2.1.7", 2)]).await,
            Self::BackendsStoppedFirst => members::stop_backends_first(lab).await,
            Self::StopsWhileItGrows => members::stop_while_it_grows(lab).await,
            Self::HoldsForEver => {
                members::leave_hold(lab).await;
                tokio::time::sleep(Duration::from_mins(4)).await;
            }
            Self::AddsDuringSuspension => members::add_during_suspension(lab).await,
            Self::TakesSetWithPods => members::take_set_with_pods(lab).await,
            Self::StartsTooFew => members::start_too_few(lab).await,
            Self::Twin => starts::twin(lab).await,
            Self::BlankBackend => starts::blank_backend(lab).await,
            Self::StartsOnDropped => starts::start_on_dropped(lab).await,
            Self::RegistersFromPod => members::register_from_pod(lab).await,
            Self::LearnsBeforeStored => writes::store_afterwards(lab).await,
            Self::RestartsForNothing => members::restart_for_nothing(lab).await,
            Self::SpreadsBadImage => members::spread_bad_image(lab).await,
            Self::StartsUnmounted => starts::start_unmounted(lab).await,
            Self::ResumesAsAnother => members::resume_as_another(lab).await,
            Self::LosesRows => starts::lose_rows(lab).await,
        }
    }
}
