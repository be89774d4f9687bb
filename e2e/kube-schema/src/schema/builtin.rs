//! Kubernetes' own types.
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{ListType, Schema, Type};
use crate::Gvk;

static TYPES: LazyLock<Builtin> = LazyLock::new(Builtin::load);

/// Fields younger than the oldest Kubernetes that is played: type, field, first minor version.
const SINCE: &[(&str, &str, u32)] = &[
    ("apps.v1.StatefulSetSpec", "persistentVolumeClaimRetentionPolicy", 27),
    ("apps.v1.StatefulSetSpec", "ordinals", 26),
    ("apps.v1.StatefulSetSpec", "minReadySeconds", 22),
    ("apps.v1.StatefulSetStatus", "availableReplicas", 22),
    ("apps.v1.DeploymentStatus", "terminatingReplicas", 35),
    ("apps.v1.ReplicaSetStatus", "terminatingReplicas", 35),
    ("batch.v1.JobSpec", "podReplacementPolicy", 29),
    ("batch.v1.JobSpec", "podFailurePolicy", 26),
    ("batch.v1.JobSpec", "successPolicy", 31),
    ("batch.v1.JobSpec", "completionMode", 21),
    ("batch.v1.JobSpec", "suspend", 21),
    ("batch.v1.CronJobSpec", "timeZone", 25),
    ("core.v1.ServiceSpec", "internalTrafficPolicy", 21),
    ("core.v1.ServiceSpec", "ipFamilies", 20),
    ("core.v1.ServiceSpec", "ipFamilyPolicy", 20),
    ("core.v1.ServiceSpec", "clusterIPs", 20),
    ("core.v1.ServiceSpec", "allocateLoadBalancerNodePorts", 20),
    ("core.v1.ServiceSpec", "trafficDistribution", 30),
    ("core.v1.PodSpec", "resources", 34),
    ("core.v1.PodSpec", "schedulingGates", 27),
    ("core.v1.PodSpec", "os", 24),
    ("core.v1.Container", "restartPolicy", 28),
    ("core.v1.Container", "resizePolicy", 33),
    ("core.v1.Container", "startupProbe", 18),
    ("core.v1.PersistentVolumeClaimSpec", "volumeAttributesClassName", 31),
    ("core.v1.PersistentVolumeClaimSpec", "dataSourceRef", 22),
    ("core.v1.ConfigMap", "immutable", 19),
    ("core.v1.Secret", "immutable", 19),
    ("policy.v1.PodDisruptionBudgetSpec", "unhealthyPodEvictionPolicy", 27),
    ("apiextensions.v1.CustomResourceDefinitionVersion", "selectableFields", 31),
];

/// Fields behind a gate that is off on a default server: they are dropped on write.
const GATED: &[(&str, &str)] = &[("apps.v1.RollingUpdateStatefulSetStrategy", "maxUnavailable")];

struct Builtin {
    definitions: Map<String, Value>,
    /// Group, version and kind to definition.
    kinds: BTreeMap<Gvk, String>,
}

impl Builtin {
    fn load() -> Self {
        let definitions: Map<String, Value> = serde_json::from_str(include_str!("../../data/types.json")).unwrap_or_default();
        let mut kinds = BTreeMap::new();
        for (name, definition) in &definitions {
            for kind in definition.get("kinds").and_then(Value::as_array).into_iter().flatten() {
                let mut parts = kind.as_str().unwrap_or_default().split('/');
                if let (Some(group), Some(version), Some(kind)) = (parts.next(), parts.next(), parts.next()) {
                    kinds.insert(Gvk::new(group, version, kind), name.clone());
                }
            }
        }
        Self { definitions, kinds }
    }
}

/// The schema of a built-in type as Kubernetes 1.`minor` has it.
pub fn builtin(gvk: &Gvk, minor: u32) -> Option<Arc<Schema>> {
    let name = TYPES.kinds.get(gvk)?;
    Resolver { minor, done: BTreeMap::new(), open: Vec::new() }.definition(name)
}

/// The schema of `metadata`.
pub(crate) fn object_meta() -> Arc<Schema> {
    static META: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let mut resolver = Resolver { minor: crate::kind::LATEST_MINOR, done: BTreeMap::new(), open: Vec::new() };
        resolver.definition("apis.meta.v1.ObjectMeta").unwrap_or_default()
    });
    Arc::clone(&META)
}

/// Turns definitions into shared schemas, each once.
struct Resolver {
    minor: u32,
    done: BTreeMap<String, Arc<Schema>>,
    open: Vec<String>,
}

impl Resolver {
    fn definition(&mut self, name: &str) -> Option<Arc<Schema>> {
        if let Some(schema) = self.done.get(name) {
            return Some(Arc::clone(schema));
        }
        if self.open.iter().any(|n| n == name) {
            // Only the schema of a CRD contains itself; below its first level anything goes.
            return Some(Arc::new(Schema { preserve_unknown: true, ..Schema::default() }));
        }
        let json = TYPES.definitions.get(name)?;
        self.open.push(name.to_owned());
        let mut schema = self.node(json, name);
        self.open.pop();
        if name == "apis.meta.v1.FieldsV1" || name == "pkg.runtime.RawExtension" || name == "runtime.RawExtension" {
            schema.preserve_unknown = true;
        }
        let schema = Arc::new(schema);
        self.done.insert(name.to_owned(), Arc::clone(&schema));
        Some(schema)
    }

    fn node(&mut self, json: &Value, owner: &str) -> Schema {
        let mut schema = match json.get("ref").and_then(Value::as_str) {
            Some(target) => self.definition(target).map(|s| Schema::clone(&s)).unwrap_or_default(),
            None => Schema { kind: kind_of(json), ..Schema::default() },
        };
        read_scalars(json, &mut schema);
        if let Some(items) = json.get("items") {
            schema.items = Some(Arc::new(self.node(items, owner)));
        }
        if let Some(values) = json.get("values") {
            schema.values = Some(Arc::new(self.node(values, owner)));
        }
        if let Some(fields) = json.get("fields").and_then(Value::as_object) {
            schema.properties = Arc::new(self.fields(fields, owner));
        }
        schema
    }

    fn fields(&mut self, fields: &Map<String, Value>, owner: &str) -> IndexMap<String, Arc<Schema>> {
        let minor = self.minor;
        fields
            .iter()
            .filter(|(name, _)| !SINCE.iter().any(|(o, f, since)| *o == owner && f == name && *since > minor))
            .filter(|(name, _)| !GATED.iter().any(|(o, f)| *o == owner && f == name))
            .map(|(name, json)| (name.clone(), Arc::new(self.node(json, &format!("{owner}.{name}")))))
            .collect()
    }
}

fn kind_of(json: &Value) -> Type {
    match json.get("type").and_then(Value::as_str) {
        Some("object") => Type::Object,
        Some("array") => Type::Array,
        Some("string") => Type::String,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        Some("intstr") => Type::IntOrString,
        Some("quantity") => Type::Quantity,
        _ => Type::Any,
    }
}

fn read_scalars(json: &Value, schema: &mut Schema) {
    let text = |key: &str| json.get(key).and_then(Value::as_str);
    let texts = |key: &str| -> Option<Vec<String>> {
        let list = json.get(key)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    if let Some(format) = text("format") {
        format.clone_into(&mut schema.format);
    }
    if let Some(default) = json.get("default") {
        schema.default = Some(default.clone());
    }
    if let Some(allowed) = json.get("enum").and_then(Value::as_array) {
        schema.allowed.clone_from(allowed);
    }
    if let Some(required) = texts("required") {
        schema.required = Arc::new(required);
    }
    match text("list") {
        Some("set") => schema.list = ListType::Set,
        Some("map") => schema.list = ListType::Map(texts("keys").unwrap_or_default()),
        _ => {}
    }
    match text("map") {
        Some("atomic") => schema.atomic = true,
        Some("granular") => schema.atomic = false,
        _ => {}
    }
    if let Some(key) = text("mergeKey") {
        schema.merge_key = Some(key.to_owned());
    }
    if let Some(strategy) = text("strategy") {
        schema.merge = strategy.split(',').any(|s| s == "merge");
        schema.retain_keys = strategy.split(',').any(|s| s == "retainKeys");
    }
}
