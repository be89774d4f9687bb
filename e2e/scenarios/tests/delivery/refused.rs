//! Values that make no sense are refused before anything is installed, and the refusal names them.

use crate::harness::{CLUSTER, OPERATOR, offline};

const OF_THE_OPERATOR: [(&str, &str); 15] = [
    ("cluster-controler.enabled=false", "cluster-controler"),
    ("cluster-controller.replica=3", "replica"),
    ("cluster-controller.replicas=many", "replicas"),
    ("cluster-controller.replicas=-1", "replicas"),
    ("cluster-controller.leaseSeconds=1", "leaseSeconds"),
    ("cluster-controller.image.digest=latest", "digest"),
    ("global.log.format=xml", "format"),
    ("global.watch.namespace=team-a", "namespace"),
    ("global.watch.namespaces={Team_A}", "namespaces"),
    ("global.image.pullPolicy=Sometimes", "pullPolicy"),
    ("global.tracing.endpoint=collector:4317", "endpoint"),
    ("global.installation=Green", "installation"),
    ("cluster-controller.sharded=yes", "sharded"),
    ("global.watch.namespaces={a},global.watch.namespaceSelector=team", "not both"),
    ("global.watch.teamsBind=true", "only with a namespaceSelector"),
];
const OF_A_CLUSTER: [(&str, &str); 7] = [
    ("name=demo", "spec"),
    ("spec.version=2.1.7", "fe"),
    ("spec.version=2.1.7,spec.fe.replica=3", "replica"),
    ("spec.version=2.1.7,spec.fe.replicas=three", "replicas"),
    ("spec.version=2.1.7,spec.fe.replicas=1,spec.fe.storage.size=20Gi,spec.be.storage[0].medium=TAPE", "medium"),
    ("spec.version=2.1.7,spec.fe.replicas=1,spec.fe.storage.size=20Gi,initializers.shop.sq.text=x", "sq"),
    ("spec.version=2.1.7,spec.fe.replicas=1,spec.fe.storage.size=20Gi,initialisers.shop.sql=x", "initialisers"),
];

#[test]
fn values_that_make_no_sense_are_refused_by_name() {
    offline(async |helms| {
        for (chart, cases) in [(OPERATOR, OF_THE_OPERATOR.as_slice()), (CLUSTER, OF_A_CLUSTER.as_slice())] {
            for (values, named) in cases {
                for helm in [&helms.three, &helms.four] {
                    let refused = helm.run(&["template", "x", chart, "--set", values]).await.expect_err(values);
                    assert!(refused.said.contains(named), "{values}: {}", refused.said);
                }
            }
        }
    });
}
