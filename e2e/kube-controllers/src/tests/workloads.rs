use serde_json::{Value, json};

use crate::api::Kind;
use crate::kinds::{CRON_JOB, DAEMON_SET, DEPLOYMENT, JOB, POD, QUOTA, REPLICA_SET};
use crate::pods::condition;
use crate::testing::World;
use crate::value::{annotation, number, text};

fn workload(world: &mut World, kind: Kind, spec: Value) {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    spec["template"] = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    world
        .create(json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": "web", "namespace": "ns"}, "spec": spec}));
}

fn image(world: &mut World, kind: Kind, image: &str) {
    world.edit(kind, "web", |object| object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into());
}

fn images(world: &World) -> Vec<String> {
    world.list(POD).iter().map(|pod| text(pod, "/spec/containers/0/image").to_owned()).collect()
}

fn progress(world: &World) -> String {
    condition(&world.must(DEPLOYMENT, "web"), "Progressing").map_or("", |entry| text(entry, "/reason")).to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_rolls_over_to_a_new_replica_set_and_back() {
    let mut world = World::new(36);
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
    workload(&mut world, DEPLOYMENT, json!({"replicas": 2, "strategy": strategy, "progressDeadlineSeconds": 600}));
    world.settle();
    assert_eq!(images(&world), ["i:1", "i:1"]);
    assert_eq!(
        (progress(&world).as_str(), annotation(&world.must(DEPLOYMENT, "web"), "deployment.kubernetes.io/revision")),
        ("NewReplicaSetAvailable", Some("1"))
    );
    let first = world.names(REPLICA_SET);
    image(&mut world, DEPLOYMENT, "i:2");
    world.settle();
    assert_eq!(images(&world), ["i:2", "i:2"]);
    assert_eq!(world.list(REPLICA_SET).len(), 2);
    let scaled = world.events("web");
    assert!(scaled.iter().any(|event| event == &format!("ScalingReplicaSet Scaled up replica set {} from 0 to 2", first[0])), "{scaled:?}");
    image(&mut world, DEPLOYMENT, "i:1");
    world.settle();
    assert_eq!(images(&world), ["i:1", "i:1"]);
    assert_eq!(world.list(REPLICA_SET).len(), 2, "the former ReplicaSet is used again");
    assert_eq!(annotation(&world.must(DEPLOYMENT, "web"), "deployment.kubernetes.io/revision"), Some("3"));
    let status = world.must(DEPLOYMENT, "web")["status"].clone();
    assert_eq!(
        (number(&status, "/replicas"), number(&status, "/availableReplicas"), number(&status, "/unavailableReplicas")),
        (Some(2), Some(2), None)
    );
}

#[tokio::test(start_paused = true)]
async fn recreate_ends_all_old_pods_first() {
    let mut world = World::new(36);
    workload(&mut world, DEPLOYMENT, json!({"replicas": 2, "strategy": {"type": "Recreate"}, "progressDeadlineSeconds": 600}));
    world.settle();
    let old = world.names(POD);
    world.order.clear();
    world.order.extend(old.iter().map(|pod| format!("+{pod}")));
    image(&mut world, DEPLOYMENT, "i:2");
    world.settle();
    let signs: String = world.order[2..].iter().map(|entry| &entry[..1]).collect();
    assert_eq!(signs, "--++");
    assert_eq!(images(&world), ["i:2", "i:2"]);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_without_progress_says_so_after_its_deadline() {
    let mut world = World::new(36);
    workload(
        &mut world,
        DEPLOYMENT,
        json!({"replicas": 1, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}, "progressDeadlineSeconds": 60}),
    );
    world.settle();
    world.edit(DEPLOYMENT, "web", |object| object["spec"]["template"]["metadata"]["annotations"] = json!({"ready": "false"}));
    world.pass(58).await;
    assert_eq!(progress(&world), "ReplicaSetUpdated");
    world.pass(4).await;
    assert_eq!(progress(&world), "ProgressDeadlineExceeded");
    assert_eq!(images(&world).len(), 2, "the old pod stays while the new one is not ready");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_runs_on_each_node_and_follows_new_ones() {
    let mut world = World::new(36);
    workload(&mut world, DAEMON_SET, json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}}));
    world.settle();
    let ready = |world: &World| number(&world.must(DAEMON_SET, "web"), "/status/numberReady");
    assert_eq!(ready(&world), Some(3));
    world.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n4"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    world.settle();
    assert_eq!(ready(&world), Some(4));
    image(&mut world, DAEMON_SET, "i:2");
    world.settle();
    assert_eq!(images(&world), ["i:2"; 4]);
    assert_eq!(number(&world.must(DAEMON_SET, "web"), "/status/updatedNumberScheduled"), Some(4));
}

fn job(world: &mut World, spec: &Value, exit: &str) {
    let mut spec = spec.clone();
    spec["selector"] = json!({"matchLabels": {"job": "j"}});
    spec["template"] = json!({"metadata": {"labels": {"job": "j"}, "annotations": {"exit": exit}}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}});
    world.create(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "ns"}, "spec": spec}));
}

fn conditions(world: &World) -> Vec<String> {
    let job = world.must(JOB, "j");
    crate::value::items(&job, "/status/conditions")
        .iter()
        .map(|entry| format!("{} {}", text(entry, "/type"), text(entry, "/reason")))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_job_completes_or_fails_with_the_conditions_of_its_version() {
    for (minor, exit, expected) in [
        (36, "0", vec!["SuccessCriteriaMet CompletionsReached", "Complete CompletionsReached"]),
        (30, "0", vec!["Complete "]),
        (36, "3", vec!["FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"]),
        (25, "3", vec!["Failed BackoffLimitExceeded"]),
    ] {
        let mut world = World::new(minor);
        job(&mut world, &json!({"completions": 2, "parallelism": 1, "backoffLimit": 0}), exit);
        world.settle();
        assert_eq!(conditions(&world), expected, "1.{minor}, exit {exit}");
        let (succeeded, failed) = if exit == "0" { (Some(2), None) } else { (None, Some(1)) };
        let job = world.must(JOB, "j");
        assert_eq!((number(&job, "/status/succeeded"), number(&job, "/status/failed")), (succeeded, failed), "1.{minor}, exit {exit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_pod_of_a_job_is_replaced_with_growing_delays() {
    let mut world = World::new(36);
    job(&mut world, &json!({"completions": 1, "parallelism": 1, "backoffLimit": 2, "ttlSecondsAfterFinished": 10}), "1");
    world.pass(9).await;
    assert_eq!(world.list(POD).len(), 1);
    world.pass(2).await;
    assert_eq!(world.list(POD).len(), 2);
    world.pass(18).await;
    assert_eq!(world.list(POD).len(), 2);
    world.pass(3).await;
    assert_eq!(world.list(POD).len(), 3);
    assert_eq!(conditions(&world), ["FailureTarget BackoffLimitExceeded", "Failed BackoffLimitExceeded"]);
    world.pass(12).await;
    assert!(world.get(JOB, "j").is_none(), "the Job goes after its time to live");
    assert!(world.names(POD).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cron_job_starts_jobs_by_the_clock_and_keeps_few() {
    let mut world = World::new(36);
    let template =
        json!({"metadata": {"labels": {"job": "j"}, "annotations": {"exit": "0"}}, "spec": {"restartPolicy": "Never", "containers": []}});
    let job = json!({"spec": {"completions": 1, "parallelism": 1, "selector": {"matchLabels": {"job": "j"}}, "template": template}});
    world.create(json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "ns"},
        "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 2, "jobTemplate": job},
    }));
    world.pass(61).await;
    assert_eq!(world.list(JOB).len(), 1);
    world.pass(240).await;
    assert_eq!(world.list(JOB).len(), 2);
    assert!(world.must(CRON_JOB, "c").pointer("/status/lastSuccessfulTime").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_quota_tells_what_is_used() {
    let mut world = World::new(36);
    world.create(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "ns"}, "spec": {"hard": {"secrets": "1", "requests.cpu": "4", "pods": "9"}}}));
    world.create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns"}}));
    world.create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1500m"}}}]}}));
    world.settle();
    assert_eq!(
        world.must(QUOTA, "q")["status"],
        json!({"hard": {"secrets": "1", "requests.cpu": "4", "pods": "9"}, "used": {"secrets": "1", "requests.cpu": "1500m", "pods": "1"}})
    );
}
