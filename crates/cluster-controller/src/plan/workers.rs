//! Backends, compute nodes and brokers: who is registered next. The controller registers them; a
//! pod never does.

use crate::view::MemberPod;

/// A row of `SHOW BACKENDS` or `SHOW BROKER`, as far as registration goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerRow {
    /// Registered host.
    pub host: String,
    /// Registered port.
    pub port: u16,
}

/// Pods that run and are not registered yet, in the order of their ordinals: they are added by
/// one statement. An ordinal that is no longer wanted is never registered.
pub fn to_register<'a>(pods: &'a [MemberPod], rows: &[WorkerRow], wanted: u32, port: u16) -> Vec<&'a MemberPod> {
    pods.iter()
        .filter(|pod| pod.ordinal < wanted && !pod.deleting && pod.running && pod.ip.is_some())
        .filter(|pod| !rows.iter().any(|row| row.host == pod.fqdn && row.port == port))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{WorkerRow, to_register};
    use crate::view::fixtures::waiting_pod;

    fn row(host: &str) -> WorkerRow {
        WorkerRow { host: host.into(), port: 9050 }
    }

    #[test]
    fn running_pods_without_a_row_are_registered_together() {
        let pods = [waiting_pod(0), waiting_pod(1), waiting_pod(2)];
        let names: Vec<_> = to_register(&pods, &[row("c-fe-1.x")], 3, 9050).iter().map(|pod| pod.ordinal).collect();
        assert_eq!(names, [0, 2]);
    }

    #[test]
    fn pods_that_leave_or_do_not_run_or_are_surplus_are_not_registered() {
        let mut leaving = waiting_pod(0);
        leaving.deleting = true;
        let mut starting = waiting_pod(1);
        starting.running = false;
        let mut unaddressed = waiting_pod(2);
        unaddressed.ip = None;
        assert!(to_register(&[leaving, starting, unaddressed, waiting_pod(3)], &[], 3, 9050).is_empty());
    }

    #[test]
    fn a_row_on_another_port_is_another_member() {
        assert_eq!(to_register(&[waiting_pod(0)], &[WorkerRow { host: "c-fe-0.x".into(), port: 9051 }], 1, 9050).len(), 1);
    }
}
