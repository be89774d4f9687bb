//! One look at an initializer: what it needs is gathered, the plan is asked, and what it says is carried out.

use std::sync::Arc;
use std::time::Duration;

use controller_kit::apply::ApplyError;
use controller_kit::events::{Happening, Severity};
use doris_api::conditions::{READY, reason};
use doris_api::initializer::{DorisInitializerSpec, DorisInitializerStatus, Phase};
use doris_api::{DorisCluster, DorisInitializer, labels};
use doris_client::elect::{MasterVerdict, NoMaster};
use doris_client::{FrontendTarget, Journals, Login, Session};
use kube::{Api, Resource as _, ResourceExt as _};

use super::plan::{Script, Step, is_settled, plan};
use super::report::{self, Told};
use super::script::{self, Statement};
use super::sources;
use crate::act::accounts::{self, OPERATOR_USER, UserPasswords};
use crate::act::identity;
use crate::cache::ClusterKey;
use crate::context::Context;
use crate::controller::is_well;
use crate::error::Error;
use crate::identity::Identity;
use crate::observe::doris::{self, FrontendPorts, Wanted};
use crate::observe::pods::{self, Place};
use crate::plan::accounts::{Candidate, Patience};
use crate::report::Finding;

/// Until the next look at something that is waited for.
const WAITING: Duration = Duration::from_secs(5);
/// Until the next look at a master that has not proven itself yet.
const PROVING: Duration = Duration::from_secs(1);
/// A changed source of an initializer that runs on change is seen within this time.
const AT_REST: Duration = Duration::from_mins(1);

/// What is remembered of an initializer. All of it can be lost at any time.
#[derive(Default)]
pub struct Memory {
    /// Journal ids of the frontends over time.
    journals: Journals,
    /// Logins that were refused.
    patience: Patience,
}

/// A look under way.
pub(super) struct Look<'a> {
    pub ctx: &'a Context,
    /// The object as the server has it now.
    pub object: Arc<DorisInitializer>,
    installation: Option<&'a str>,
    memory: &'a mut Memory,
    key: ClusterKey,
}

/// When the next look is due; `None` for when something changes.
pub(super) type Again = Option<Duration>;

/// The way into a cluster that is ready.
struct Door {
    targets: Vec<FrontendTarget>,
    identity: Identity,
}

impl<'a> Look<'a> {
    /// `installation` is the name of ours, where there are several.
    pub fn new(ctx: &'a Context, (object, installation): (Arc<DorisInitializer>, Option<&'a str>), memory: &'a mut Memory) -> Self {
        let key = ClusterKey { namespace: object.namespace().unwrap_or_default(), name: object.spec.cluster_ref.name.clone() };
        Self { ctx, object, installation, memory, key }
    }

    /// Whether the cluster is looked after by another installation, which runs its initializers as well.
    async fn is_somebody_elses(&self) -> Result<bool, Error> {
        let clusters: Api<DorisCluster> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        let cluster = clusters.get_metadata_opt(&self.key.name).await;
        let cluster = cluster.map_err(|source| Error::Read { what: "the DorisCluster", source })?;
        Ok(cluster.is_some_and(|cluster| cluster.labels().get(labels::INSTALLATION).map(String::as_str) != self.installation))
    }

    fn spec(&self) -> &DorisInitializerSpec {
        &self.object.spec
    }

    pub fn status(&self) -> DorisInitializerStatus {
        self.object.status.clone().unwrap_or_default()
    }

    /// Goes as far as it can now.
    pub async fn take(mut self) -> Result<Again, Error> {
        let violations = doris_api::validation::validate_initializer(&self.object);
        if !violations.is_empty() {
            let message = violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            return self.stalled(Finding::new(reason::SPEC_INVALID, message), None).await;
        }
        if is_settled(self.spec(), &self.status()) {
            // The spec may have changed in a way that changes nothing.
            self.tell(self.status(), &Told::Done).await?;
            return Ok(None);
        }
        if self.is_somebody_elses().await? {
            return Ok(Some(AT_REST));
        }
        let sources = sources::read(&self.ctx.client, &self.key.namespace, self.spec()).await;
        let sources = match sources.map_err(|source| Error::Read { what: "the sources that spec.sql names", source })? {
            Ok(sources) => sources,
            Err(finding) => return self.stalled(finding, Some(WAITING)).await,
        };
        let statements = match script::statements(&sources) {
            Ok(statements) => statements,
            // A source that is not in the spec may change without telling us.
            Err(error) => return self.stalled(Finding::new(reason::SPEC_INVALID, error.to_string()), Some(AT_REST)).await,
        };
        let Some(stored) = identity::get(self.ctx, &self.key).await? else {
            let name = &self.key.name;
            return self.waiting(reason::CLUSTER_NOT_READY, format!("DorisCluster {name} is not there, or not founded yet")).await;
        };
        let account = self.spec().user.as_ref().map_or(OPERATOR_USER, |user| user.name.as_str());
        let database = self.spec().database.as_deref().unwrap_or_default();
        let secret = &stored.identity.accounts.root_generated;
        let chain = script::chain(secret.reveal(), account, database, &statements);
        let step = plan(self.spec(), self.object.metadata.generation, &self.status(), Script { chain: &chain }, self.ctx.clock.now());
        match step {
            Step::Rest => {
                self.tell(self.status(), &Told::Done).await?;
                Ok(Some(AT_REST))
            }
            Step::GivenUp => Ok(Some(AT_REST)),
            Step::Later(left) => Ok(Some(left.min(AT_REST))),
            Step::Run { from, is_new } => self.begin(stored.identity, &statements, &chain, (from, is_new)).await,
        }
    }

    async fn begin(
        mut self,
        identity: Identity,
        statements: &[Statement],
        chain: &[String],
        (from, is_new): (usize, bool),
    ) -> Result<Again, Error> {
        let account = sources::account(&self.ctx.client, &self.key.namespace, self.spec()).await;
        let account = match account.map_err(|source| Error::Read { what: "the Secret that spec.user names", source })? {
            Ok(account) => account,
            Err(finding) => return self.stalled(finding, Some(WAITING)).await,
        };
        let door = match self.door(identity).await? {
            Ok(door) => door,
            Err(sentence) => return self.waiting(reason::CLUSTER_NOT_READY, sentence).await,
        };
        let session = match self.enter(&door, account.as_ref()).await {
            Ok(session) => session,
            Err(None) => return Ok(Some(PROVING)),
            Err(Some(sentence)) => return self.waiting(reason::CLUSTER_NOT_READY, sentence).await,
        };
        let key = door.identity.accounts.root_generated.clone();
        self.run(session, statements, (chain, key.reveal()), (from, is_new)).await
    }

    /// The cluster, if it is ready; a sentence otherwise.
    async fn door(&self, identity: Identity) -> Result<Result<Door, String>, Error> {
        let clusters: Api<DorisCluster> = Api::namespaced(self.ctx.client.clone(), &self.key.namespace);
        let name = &self.key.name;
        let cluster = clusters.get_opt(name).await.map_err(|source| Error::Read { what: "the DorisCluster", source })?;
        let Some(cluster) = cluster else { return Ok(Err(format!("DorisCluster {name} does not exist"))) };
        let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == READY);
        if !is_well(&cluster) {
            let what = ready.map_or_else(|| "nothing is known of it yet".to_owned(), |ready| ready.message.clone());
            return Ok(Err(format!("DorisCluster {name} is not ready: {what}")));
        }
        let claims = self.ctx.caches.claims.of(&self.key).into_iter().map(|(name, claim)| (name, Arc::new(claim.open()))).collect();
        let all: Vec<_> = self.ctx.caches.pods.of(&self.key).values().map(|pod| pod.open()).collect();
        let place = Place { cluster: name, namespace: &self.key.namespace, domain: &cluster.spec.cluster_domain };
        let members = pods::members(place, &all, &claims);
        Ok(Ok(Door { targets: FrontendPorts::of(&cluster.spec).targets(&members), identity }))
    }

    /// A session with the proven master. `None` in the error: it is just being proven.
    async fn enter(&mut self, door: &Door, account: Option<&Login>) -> Result<Session, Option<String>> {
        let transport = self.ctx.transport.as_ref();
        let wanted = Wanted { backends: false, brokers: false };
        let mut refusal = None;
        for candidate in [Candidate::Operator, Candidate::OperatorNext] {
            let now = self.ctx.clock.instant();
            let login = accounts::login(&door.identity, &UserPasswords::default(), candidate);
            let Some(login) = login.filter(|login| self.memory.patience.allows(login, now)) else { continue };
            let seen = doris::observe(transport, &door.targets, &login, wanted, &mut self.memory.journals).await;
            let (seen, session) = seen.map_err(|error| Some(error.to_string()))?;
            if seen.is_denied() {
                self.memory.patience.refused(&login, false, now);
                refusal = Some("the operator's account is refused".to_owned());
                continue;
            }
            return match (seen.verdict, session) {
                (MasterVerdict::Accepted { .. }, Some(session)) => self.as_account(session, account).await.map_err(Some),
                (MasterVerdict::Refused(NoMaster::NotYetProven { .. }), _) | (MasterVerdict::Accepted { .. }, None) => Err(None),
                (MasterVerdict::Refused(why), _) => Err(Some(why.to_string())),
            };
        }
        Err(Some(refusal.unwrap_or_else(|| "the operator's account was refused a moment ago".to_owned())))
    }

    /// The session itself, or one of the account that the spec names.
    async fn as_account(&mut self, session: Session, account: Option<&Login>) -> Result<Session, String> {
        let Some(login) = account else { return Ok(session) };
        let endpoint = session.endpoint();
        session.close().await;
        let now = self.ctx.clock.instant();
        let denied = || {
            format!("Doris does not let the account {} in with the password that spec.user names; it is tried once a minute", login.user)
        };
        if !self.memory.patience.allows(login, now) {
            return Err(denied());
        }
        match Session::open(self.ctx.transport.as_ref(), endpoint, login).await {
            Ok(session) => {
                self.memory.patience.forget(&login.user);
                Ok(session)
            }
            Err(error) if error.is_login_refused() => {
                self.memory.patience.refused(login, false, now);
                Err(denied())
            }
            Err(error) => Err(format!("the account {} cannot log in: {error}", login.user)),
        }
    }

    /// Tells what is waited for. A run that was begun stays one.
    pub async fn waiting(&mut self, why: &'static str, sentence: String) -> Result<Again, Error> {
        let status = self.status();
        let phase = status.phase.filter(|phase| matches!(phase, Phase::Succeeded | Phase::Retrying)).unwrap_or(Phase::Waiting);
        let told = Told::Waits(Finding::new(why, sentence));
        self.tell(DorisInitializerStatus { phase: Some(phase), ..status }, &told).await?;
        Ok(Some(WAITING))
    }

    /// Tells what a person has to mend.
    async fn stalled(&mut self, finding: Finding, again: Again) -> Result<Again, Error> {
        let status = self.status();
        let phase = status.phase.filter(|phase| *phase == Phase::Succeeded).unwrap_or(Phase::Waiting);
        self.event(Severity::Warning, finding.reason, finding.message.clone()).await;
        self.tell(DorisInitializerStatus { phase: Some(phase), ..status }, &Told::Stalls(finding)).await?;
        Ok(again)
    }

    /// Writes the status if it differs. Tells whether the server has exactly this one now.
    pub async fn tell(&mut self, status: DorisInitializerStatus, told: &Told) -> Result<bool, Error> {
        let status = report::complete(&self.object, status, told, self.ctx.clock.now());
        let failed = |source| Error::Apply { object: format!("the status of DorisInitializer {}", self.object.name_any()), source };
        let value = serde_json::to_value(&status).map_err(|error| Error::Build(format!("the status is no JSON: {error}")))?;
        match self.ctx.applier.put_status(self.object.as_ref(), &value).await {
            Ok((_, Some(answer))) => {
                self.object = Arc::new(answer);
                Ok(true)
            }
            Ok((_, None)) => Ok(self.object.status.as_ref() == Some(&status)),
            // Somebody changed it meanwhile: that wakes us with the newer version.
            Err(ApplyError::Race { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Tells people.
    pub async fn event(&self, severity: Severity, reason: &str, note: String) {
        let happening = Happening { severity, reason: reason.to_owned(), action: "RunSql".to_owned(), note };
        self.ctx.recorder.record(&self.object.object_ref(&()), &happening).await;
    }
}
