//! Volumes of a member's pod: claims, what the operator mounts, what the user mounts.

use std::collections::BTreeMap;

use doris_api::member::{CONFIG_DIR, FE_META_DIR, GATE_DIR, POD_INFO_DIR, ROOT_HASH_DIR, RUN_DIR, SCRIPT_DIR, TICKET_ANNOTATION};
use doris_api::{Component, Process, labels, names};
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, KeyToPath,
    ObjectFieldSelector, PersistentVolumeClaim, PersistentVolumeClaimSpec, ProjectedVolumeSource, SecretVolumeSource, Volume, VolumeMount,
    VolumeProjection, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Context;
use super::claim::{ClaimShape, wanted_claims};
use super::config::disk_path;

/// Everyone may read and execute a script.
const EXECUTABLE: i32 = 0o555;
/// Only the owner and the group may read a secret.
const SECRET: i32 = 0o440;
const KRB5_FILE: &str = "krb5.conf";

/// Claim templates of a component: those of a set that stands, or else the spec's.
pub(super) fn claims(context: &Context<'_>, component: Component, standing: &[ClaimShape]) -> Vec<PersistentVolumeClaim> {
    let wanted = if standing.is_empty() { wanted_claims(context.spec(), component) } else { standing.to_vec() };
    wanted.iter().map(|shape| claim(context, component, shape)).collect()
}

fn claim(context: &Context<'_>, component: Component, shape: &ClaimShape) -> PersistentVolumeClaim {
    // The claim outlives the cluster and says whose data it holds, should the Secret be lost.
    let mut annotations = BTreeMap::from([(labels::IDENTITY.to_owned(), context.identity.id.clone())]);
    annotations.extend(shape.medium.map(|medium| (labels::MEDIUM.to_owned(), medium.name().to_owned())));
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(shape.name.clone()),
            labels: Some(labels::of_component(&context.name, component)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), shape.size.clone())].into()),
                limits: None,
            }),
            storage_class_name: shape.class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// A volume of a pod and where the Doris container mounts it.
struct Mounted {
    volume: Option<Volume>,
    mount: VolumeMount,
}

/// Volumes that are not claims, and every mount of the Doris container.
pub(super) fn volumes(context: &Context<'_>, component: Component, set: &super::SetInput) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut all = data(context, component);
    all.extend(own(context, component, set));
    all.extend(kerberos(context));
    let (volumes, mut mounts): (Vec<_>, Vec<_>) = all.into_iter().map(|mounted| (mounted.volume, mounted.mount)).unzip();
    let mut volumes: Vec<Volume> = volumes.into_iter().flatten().collect();
    if let Some(member) = context.spec().member(component) {
        volumes.extend(member.volumes.iter().cloned());
        mounts.extend(member.volume_mounts.iter().cloned());
    }
    (volumes, mounts)
}

fn data(context: &Context<'_>, component: Component) -> Vec<Mounted> {
    let claimed = |name: &str, path: String| Mounted { volume: None, mount: mount(name, path, false) };
    let disks = context.spec().disks(component);
    match component.process() {
        Process::Fe => vec![claimed(names::FE_META_VOLUME, FE_META_DIR.to_owned())],
        Process::Be if disks.is_empty() => {
            let scratch = names::SCRATCH_VOLUME;
            vec![Mounted { volume: Some(empty_dir(scratch)), mount: mount(scratch, disk_path(scratch), false) }]
        }
        Process::Be => disks.iter().map(|disk| claimed(&disk.name, disk_path(&disk.name))).collect(),
        Process::Broker => Vec::new(),
    }
}

fn own(context: &Context<'_>, component: Component, set: &super::SetInput) -> Vec<Mounted> {
    let mounted = |volume: Volume, path: &str, read_only: bool| Mounted {
        mount: mount(&volume.name, path.to_owned(), read_only),
        volume: Some(volume),
    };
    let scripts = ConfigMapVolumeSource { name: set.scripts.clone(), default_mode: Some(EXECUTABLE), ..ConfigMapVolumeSource::default() };
    let gate = ConfigMapVolumeSource { name: names::gate(&context.name), optional: Some(true), ..ConfigMapVolumeSource::default() };
    let mut all = vec![
        mounted(config_map(names::SCRIPTS_VOLUME, scripts), SCRIPT_DIR, true),
        mounted(configuration(context, component, &set.config), CONFIG_DIR, true),
        mounted(config_map(names::GATE_VOLUME, gate), GATE_DIR, true),
        mounted(pod_info(), POD_INFO_DIR, true),
        mounted(empty_dir(names::RUN_VOLUME), RUN_DIR, false),
    ];
    if component == Component::Fe {
        all.push(mounted(root_hash(context), ROOT_HASH_DIR, true));
    }
    all
}

/// The rendered configuration, the user's further files and Hadoop's in one directory.
fn configuration(context: &Context<'_>, component: Component, config: &str) -> Volume {
    let spec = context.spec();
    let user = spec.member(component).and_then(|member| member.config_files.as_ref());
    let hadoop = spec.hadoop.as_ref().and_then(|hadoop| hadoop.config.as_ref());
    let names = hadoop.into_iter().chain(user).map(|reference| reference.name.clone()).chain([config.to_owned()]);
    let source = |name: String| VolumeProjection {
        config_map: Some(ConfigMapProjection { name, ..ConfigMapProjection::default() }),
        ..VolumeProjection::default()
    };
    Volume {
        name: names::CONFIG_VOLUME.to_owned(),
        // Later sources win over earlier ones.
        projected: Some(ProjectedVolumeSource { sources: Some(names.map(source).collect()), ..ProjectedVolumeSource::default() }),
        ..Volume::default()
    }
}

fn pod_info() -> Volume {
    let ticket = DownwardAPIVolumeFile {
        path: "ticket".to_owned(),
        field_ref: Some(ObjectFieldSelector { field_path: format!("metadata.annotations['{TICKET_ANNOTATION}']"), api_version: None }),
        ..DownwardAPIVolumeFile::default()
    };
    Volume {
        name: names::POD_VOLUME.to_owned(),
        downward_api: Some(DownwardAPIVolumeSource { items: Some(vec![ticket]), ..DownwardAPIVolumeSource::default() }),
        ..Volume::default()
    }
}

/// The hash only: of the identity Secret this one key is in the pod, and no password. Optional,
/// since only founding needs it, and the start gate refuses to found without.
fn root_hash(context: &Context<'_>) -> Volume {
    Volume {
        name: names::ROOT_VOLUME.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(names::identity(&context.name)),
            default_mode: Some(SECRET),
            items: Some(vec![KeyToPath { key: names::INITIAL_ROOT_KEY.to_owned(), path: names::INITIAL_ROOT_KEY.to_owned(), mode: None }]),
            optional: Some(true),
        }),
        ..Volume::default()
    }
}

fn kerberos(context: &Context<'_>) -> Vec<Mounted> {
    let Some(kerberos) = &context.spec().kerberos else { return Vec::new() };
    let krb5 =
        config_map(names::KRB5_VOLUME, ConfigMapVolumeSource { name: kerberos.krb5.name.clone(), ..ConfigMapVolumeSource::default() });
    let keytab = Volume {
        name: names::KEYTAB_VOLUME.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(kerberos.keytab.name.clone()),
            default_mode: Some(SECRET),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let krb5_mount = VolumeMount { sub_path: Some(KRB5_FILE.to_owned()), ..mount(names::KRB5_VOLUME, format!("/etc/{KRB5_FILE}"), true) };
    vec![
        Mounted { volume: Some(krb5), mount: krb5_mount },
        Mounted { volume: Some(keytab), mount: mount(names::KEYTAB_VOLUME, kerberos.keytab_path.clone(), true) },
    ]
}

fn config_map(name: &str, source: ConfigMapVolumeSource) -> Volume {
    Volume { name: name.to_owned(), config_map: Some(source), ..Volume::default() }
}

fn empty_dir(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

fn mount(name: &str, path: String, read_only: bool) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path, read_only: read_only.then_some(true), ..VolumeMount::default() }
}
