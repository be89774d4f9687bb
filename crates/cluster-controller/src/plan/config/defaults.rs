//! Values that settings have in a process whose file does not name them.

use doris_api::Process;
use doris_api::version::{DorisVersion, Line};

/// Live frontend keys whose default is the same in every version that has them.
const FRONTEND: [(&str, &str); 32] = [
    ("abort_txn_after_lost_heartbeat_time_second", "300"),
    ("balance_load_score_threshold", "0.1"),
    ("blacklist_duration_second", "120"),
    ("catalog_trash_expire_second", "86400"),
    ("colocate_group_relocate_delay_second", "1800"),
    ("disable_backend_black_list", "false"),
    ("disable_balance", "false"),
    ("disable_colocate_balance", "false"),
    ("disable_colocate_balance_between_groups", "false"),
    ("disable_disk_balance", "false"),
    ("disable_tablet_scheduler", "false"),
    ("enable_all_http_auth", "false"),
    ("enable_query_queue", "true"),
    ("force_olap_table_replication_num", "0"),
    ("ignore_backup_not_support_table_type", "false"),
    ("max_backend_heartbeat_failure_tolerance_count", "1"),
    ("max_backup_restore_job_num_per_db", "10"),
    ("max_backup_tablets_per_job", "300000"),
    ("max_clone_task_timeout_sec", "7200"),
    ("max_replication_num_per_tablet", "32767"),
    ("max_scheduling_tablets", "2000"),
    ("metadata_checkpoint_memory_threshold", "70"),
    ("min_load_replica_num", "-1"),
    ("min_replication_num_per_tablet", "1"),
    ("prefer_compute_node_for_external_table", "false"),
    ("recover_with_empty_tablet", "false"),
    ("schedule_batch_size", "50"),
    ("schedule_slot_num_per_hdd_path", "4"),
    ("schedule_slot_num_per_ssd_path", "8"),
    ("storage_flood_stage_usage_percent", "95"),
    ("storage_high_watermark_usage_percent", "85"),
    ("tablet_repair_delay_factor_second", "60"),
];

/// What a key is when its file does not have it, where that is certain.
pub fn default_of(process: Process, version: &str, key: &str) -> Option<&'static str> {
    let version: Option<DorisVersion> = version.parse().ok();
    match (process, key) {
        (Process::Fe, "enable_workload_group") => Some(if version?.line() == Line::V2_0 { "false" } else { "true" }),
        (Process::Fe, key) => FRONTEND.iter().find(|(name, _)| *name == key).map(|(_, value)| *value),
        (Process::Be, "disable_auto_compaction") => Some("false"),
        (Process::Be | Process::Broker, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use doris_api::Process;

    use super::default_of;

    #[test]
    fn only_what_is_certain_is_told() {
        assert_eq!(default_of(Process::Fe, "2.1.7", "disable_balance"), Some("false"));
        assert_eq!(default_of(Process::Fe, "2.0.15", "enable_workload_group"), Some("false"));
        assert_eq!(default_of(Process::Fe, "2.1.7", "enable_workload_group"), Some("true"));
        assert_eq!(default_of(Process::Fe, "2.1.7", "qe_max_connection"), None);
        assert_eq!(default_of(Process::Be, "2.1.7", "max_tablet_version_num"), None);
    }
}
