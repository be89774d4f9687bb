//! `/metrics` of a frontend.

use std::fmt::Write;

use crate::process::ProcessId;
use crate::state::State;

/// The Prometheus text.
pub(super) fn text(state: &State, id: ProcessId) -> String {
    let mut out = String::new();
    let Some(fe) = state.fe(id) else { return out };
    let mut put = |name: &str, kind: &str, lines: &[(&str, u64)]| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# TYPE {name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let backends = &fe.catalog.backends;
    put("doris_fe_max_journal_id", "gauge", &[("", fe.applied)]);
    put("doris_fe_connection_total", "gauge", &[("", fe.sessions.len() as u64)]);
    put("doris_fe_query_total", "counter", &[("", fe.queries)]);
    put("doris_fe_query_err", "counter", &[("", fe.workload.failed)]);
    put("doris_fe_query_instance_num", "gauge", &[("", fe.workload.running as u64)]);
    let running = fe.catalog.transactions.values().filter(|txn| txn.is_running()).count() as u64;
    put("doris_fe_txn_num", "gauge", &[("", running)]);
    put("doris_fe_qps", "gauge", &[("", 0)]);
    let scheduled = (fe.scheduler.pending.len() + fe.scheduler.running.len()) as u64;
    put("doris_fe_scheduled_tablet_num", "gauge", &[("", scheduled)]);
    put("jvm_heap_size_bytes", "gauge", &[("{type=\"max\"}", 8 << 30), ("{type=\"committed\"}", 1 << 30), ("{type=\"used\"}", 512 << 20)]);
    if fe.version.from_line(2, 1) {
        for name in fe.catalog.workload_groups.keys() {
            let (running, waiting) =
                (format!("{{name=\"{name}\", type=\"running_query_num\"}}"), format!("{{name=\"{name}\", type=\"waiting_query_num\"}}"));
            put(
                "doris_workload_group_query_detail",
                "counter",
                &[(&running, if name == "normal" { fe.workload.running as u64 } else { 0 }), (&waiting, 0)],
            );
        }
    }
    let alive = backends.values().filter(|backend| backend.alive).count() as u64;
    let leaving = backends.values().filter(|backend| backend.decommissioned).count() as u64;
    let brokers = fe.catalog.brokers.values().flatten().filter(|broker| !broker.alive).count() as u64;
    let mut nodes = vec![
        ("{type=\"fe_node_num\", state=\"total\"}", fe.catalog.frontends.len() as u64),
        ("{type=\"be_node_num\", state=\"total\"}", backends.len() as u64),
        ("{type=\"be_node_num\", state=\"alive\"}", alive),
        ("{type=\"be_node_num\", state=\"decommissioned\"}", leaving),
        ("{type=\"broker_node_num\", state=\"dead\"}", brokers),
    ];
    if fe.is_master() {
        nodes.push(("{type=\"is_master\"}", 1));
    }
    put("node_info", "gauge", &nodes);
    out
}
