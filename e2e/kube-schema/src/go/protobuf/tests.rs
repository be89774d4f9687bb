use serde_json::json;

use super::*;

/// Bodies that Kubernetes' own encoder made.
fn decoded(base64: &str) -> Value {
    decode(&STANDARD.decode(base64).expect("the test's text is base64")).expect("the body is well-formed")
}

#[test]
fn a_pod_is_read_with_all_that_was_set() {
    let body = "azhzAAoJCgJ2MRIDUG9kEtMBCiEKAXASABoAIgAqADIAOABCCAil69zKBhAAWgYKAWESAWISmAEKCQoBZRIEEgIKABJeCgFjEgFpKgAyCgoAEAAYUCIAKgBCEAoO\
                CgNjcHUSBwoFMTUwMG1aIAoUEhIKABIKCAEQABoEaHR0cBoAIgAQABgAIAMoADAAagByAHoEIAAoAIABAIgBAJABAKIBABoAIP///////////wEyAEIASgBSAFgAYABo\
                AHIEIAEgAoIBAIoBAJoBAMIBABoTCgAaACIAKgAyAEoAWgByAIgBABoAIgA=";
    let container = json!({
        "name": "c", "image": "i", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1500m"}},
        "readinessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 3}, "securityContext": {"runAsUser": 0, "runAsNonRoot": false},
    });
    let wanted = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"a": "b"}},
        "spec": {
            "volumes": [{"name": "e", "emptyDir": {}}], "containers": [container], "terminationGracePeriodSeconds": -1,
            "securityContext": {"supplementalGroups": [1, 2]},
        },
    });
    assert_eq!(decoded(body), wanted);
}

#[test]
fn lists_in_maps_bytes_and_zeroes_behind_pointers_are_read() {
    let review = "azhzAAouChdhdXRob3JpemF0aW9uLms4cy5pby92MRITU3ViamVjdEFjY2Vzc1JldmlldxJNChAKABIAGgAiACoAMgA4AEIAEi8KFQoAEgNnZXQaACIAKgRwb2RzMgA6\
                  ABoBdSIBZyIBaCoLCgFrEgYKAWEKAWIyABoICAASABoAIAAaACIA";
    let secret = "azhzAAoMCgJ2MRIGU2VjcmV0EhwKEAoAEgAaACIAKgAyADgAQgASBgoBaxIBdhoAGgAiAA==";
    for (body, wanted) in [
        (
            review,
            json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": {
                    "resourceAttributes": {"verb": "get", "resource": "pods"}, "user": "u", "groups": ["g", "h"], "extra": {"k": ["a", "b"]},
                },
            }),
        ),
        (secret, json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "dg=="}})),
        (
            "azhzAAoYCgdhcHBzL3YxEg1EZWxldGVPcHRpb25zEgcIACoDQWxsGgAiAA==",
            json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "dryRun": ["All"]}),
        ),
    ] {
        assert_eq!(decoded(body), wanted);
    }
}

#[test]
fn what_is_no_object_is_refused() {
    assert_eq!(decode(b"{}"), Err(BadProtobuf::NoEnvelope));
    assert_eq!(decode(b"k8s\0\x0a\x7f"), Err(BadProtobuf::Malformed("unexpected EOF")));
    assert_eq!(decode(b"k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Err(BadProtobuf::Malformed("integer overflow")));
    assert!(matches!(decode(b"k8s\0"), Err(BadProtobuf::Unknown { .. })));
}
