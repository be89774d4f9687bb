//! `fe.conf`, `be.conf` and the broker's configuration.

use doris_api::cluster::Disk;
use doris_api::member::BE_STORAGE_DIR;
use doris_api::{Component, Process, names};
use indexmap::IndexMap;
use kube_quantity::ParsedQuantity;

use super::Context;
use super::short_hash;

/// Keys of a configuration file and the text that stands after each, in the order of the file.
pub type Contents = IndexMap<String, String>;

/// A rendered configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Every key and value, in the order of the file.
    pub keys: IndexMap<String, String>,
    /// Hash of what surely only a restart changes: what the name of a new revision is made from.
    pub revision: String,
}

impl Rendered {
    /// Values by key, and the name that follows from them.
    pub fn new(process: Process, keys: IndexMap<String, String>) -> Self {
        let fixed = keys.iter().filter(|(key, _)| !is_surely_live(process, key));
        let fixed: Contents = fixed.map(|(key, value)| (key.clone(), text_of(key, value))).collect();
        Self { revision: short_hash(&file_text(&fixed)), keys }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// What stands in the file.
    pub fn contents(&self) -> Contents {
        self.keys.iter().map(|(key, value)| (key.clone(), text_of(key, value))).collect()
    }

    /// The file.
    pub fn text(&self) -> String {
        file_text(&self.contents())
    }
}

/// A file with these contents.
pub fn file_text(contents: &Contents) -> String {
    contents.iter().flat_map(|(key, text)| [key.as_str(), " = ", text.as_str(), "\n"]).collect()
}

/// The contents of a file that was written by [`file_text`].
pub fn parse_file(text: &str) -> Contents {
    text.lines().filter_map(|line| line.split_once(" = ")).map(|(key, text)| (key.to_owned(), text.to_owned())).collect()
}

/// Name part of a revision whose usual name is taken by another one.
pub fn full_revision(contents: &Contents) -> String {
    short_hash(&file_text(contents))
}

/// Doris' start scripts evaluate upper-case keys as shell assignments.
pub fn is_script_variable(key: &str) -> bool {
    key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Frontend key without which no compute node gets a query.
pub const PREFER_COMPUTE_NODES: &str = "prefer_compute_node_for_external_table";

/// Frontend keys that every version takes over while it runs, if it has them. Only names of revisions are made with
/// it: whether a change needs a restart is Doris' word, see `plan::config`.
const LIVE_FE_KEYS: [&str; 31] = [
    "abort_txn_after_lost_heartbeat_time_second",
    "balance_load_score_threshold",
    "blacklist_duration_second",
    "catalog_trash_expire_second",
    "colocate_group_relocate_delay_second",
    "disable_backend_black_list",
    "disable_balance",
    "disable_colocate_balance",
    "disable_colocate_balance_between_groups",
    "disable_disk_balance",
    "disable_tablet_scheduler",
    "enable_query_queue",
    "enable_workload_group",
    "force_olap_table_replication_num",
    "max_backend_heartbeat_failure_tolerance_count",
    "max_clone_task_timeout_sec",
    "max_replication_num_per_tablet",
    "max_scheduling_tablets",
    "metadata_checkpoint_memory_threshold",
    "min_backend_num_for_external_table",
    "min_load_replica_num",
    "min_replication_num_per_tablet",
    "prefer_compute_node_for_external_table",
    "recover_with_empty_tablet",
    "schedule_batch_size",
    "schedule_slot_num_per_hdd_path",
    "schedule_slot_num_per_ssd_path",
    "storage_flood_stage_usage_percent",
    "storage_high_watermark_usage_percent",
    "tablet_repair_delay_factor_second",
    "be_exec_version",
];

/// Whether a key is known to start no new revision, whatever Doris is asked.
pub fn is_surely_live(process: Process, key: &str) -> bool {
    process == Process::Fe && LIVE_FE_KEYS.contains(&key)
}

/// The configuration of a component.
pub fn render(context: &Context<'_>, component: Component) -> Rendered {
    let process = component.process();
    let mut keys = match process {
        Process::Fe => frontend(context),
        Process::Be => backend(),
        Process::Broker => broker(context),
    };
    if let Some(member) = context.spec().member(component) {
        for (key, value) in &member.config {
            // A user's key stands last, in the place where it surely wins.
            keys.shift_remove(key);
            keys.insert(key.clone(), value.as_str().to_owned());
        }
    }
    keys.extend(owned(context, component));
    Rendered::new(process, keys)
}

/// Where a disk of a backend is mounted.
pub fn disk_path(name: &str) -> String {
    format!("{BE_STORAGE_DIR}/{name}")
}

/// Storage roots of a backend or compute node, as paths.
pub(super) fn storage_roots(context: &Context<'_>, component: Component) -> Vec<String> {
    match context.spec().disks(component) {
        [] if component == Component::Cn => vec![disk_path(names::SCRATCH_VOLUME)],
        disks => disks.iter().map(|disk| disk_path(&disk.name)).collect(),
    }
}

/// What stands after a key: values of script variables are quoted.
fn text_of(key: &str, value: &str) -> String {
    let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    if is_script_variable(key) && !quoted { format!("\"{value}\"") } else { value.to_owned() }
}

fn frontend(context: &Context<'_>) -> IndexMap<String, String> {
    let heap = heap_megabytes(context, Component::Fe, 8192);
    let common =
        format!("-Dfile.encoding=UTF-8 -Djavax.security.auth.useSubjectCredsOnly=false -Xss4m -Xms{heap}m -Xmx{heap}m -XX:+UseG1GC");
    let mut keys = pairs([
        ("LOG_DIR", "${DORIS_HOME}/log".to_owned()),
        ("JAVA_OPTS", format!("{common} -Dlog4j2.formatMsgNoLookups=true")),
        (
            "JAVA_OPTS_FOR_JDK_17",
            format!(
                "{common} --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/jdk.internal.ref=ALL-UNNAMED --add-opens=java.base/sun.nio.ch=ALL-UNNAMED"
            ),
        ),
        ("sys_log_level", "INFO".to_owned()),
    ]);
    if context.spec().cn.is_some() {
        // Else no query on external data would ever reach a compute node.
        keys.insert(PREFER_COMPUTE_NODES.into(), "true".into());
    }
    keys
}

fn backend() -> IndexMap<String, String> {
    let options = "-Dfile.encoding=UTF-8 -Xmx2048m -DlogPath=$LOG_DIR/jni.log -Djavax.security.auth.useSubjectCredsOnly=false";
    pairs([
        ("LOG_DIR", "${DORIS_HOME}/log".to_owned()),
        ("JAVA_OPTS", options.to_owned()),
        (
            "JAVA_OPTS_FOR_JDK_17",
            format!(
                "{options} --add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/java.net=ALL-UNNAMED --add-opens=java.base/sun.nio.ch=ALL-UNNAMED"
            ),
        ),
        ("sys_log_level", "INFO".to_owned()),
    ])
}

fn broker(context: &Context<'_>) -> IndexMap<String, String> {
    let heap = heap_megabytes(context, Component::Broker, 1024);
    pairs([("JAVA_OPTS", format!("-Xmx{heap}m -Dfile.encoding=UTF-8")), ("client_expire_seconds", "3600".to_owned())])
}

/// What no user sets.
fn owned(context: &Context<'_>, component: Component) -> IndexMap<String, String> {
    match component.process() {
        Process::Be => {
            let disks = context.spec().disks(component);
            let roots: Vec<String> = if disks.is_empty() { storage_roots(context, component) } else { disks.iter().map(root).collect() };
            pairs([("storage_root_path", roots.join(";")), ("be_node_role", component.role().to_owned())])
        }
        // The start script adds what a frontend needs; `meta_dir` is the image's own default.
        Process::Fe | Process::Broker => IndexMap::new(),
    }
}

fn root(disk: &Disk) -> String {
    format!("{},medium:{}", disk_path(&disk.name), disk.medium.name())
}

/// Three quarters of the memory that the container may have, or what Doris' own file says.
fn heap_megabytes(context: &Context<'_>, component: Component, unlimited: i128) -> i128 {
    let resources = context.spec().member(component).and_then(|member| member.resources.as_ref());
    let memory = resources.and_then(|resources| {
        let of = |map: &Option<std::collections::BTreeMap<String, _>>| map.as_ref().and_then(|map| map.get("memory")).cloned();
        of(&resources.limits).or_else(|| of(&resources.requests))
    });
    let bytes = memory.and_then(|memory| ParsedQuantity::try_from(&memory).ok()).and_then(|memory| memory.to_bytes_i128());
    bytes.map_or(unlimited, |bytes| (bytes / 4 * 3 / (1024 * 1024)).max(256))
}

fn pairs<const N: usize>(pairs: [(&str, String); N]) -> IndexMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
