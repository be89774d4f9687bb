//! Environment, command and mounted files of a container, with their references resolved.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, Container, EnvVarSource, KeyToPath, ObjectFieldSelector, Pod, ResourceFieldSelector, SecretKeySelector, Volume,
};
use kube::ResourceExt;

use crate::shared::{Caches, Shared};
use crate::tokens;

/// Names and values of an object's data; `None` when the object is not there.
type Data = Option<BTreeMap<String, String>>;

fn config_map(caches: &Caches, namespace: &str, name: &str) -> Data {
    let object = caches.config_maps.get(namespace, name)?;
    let mut data = object.data.clone().unwrap_or_default();
    for (key, bytes) in object.binary_data.iter().flatten() {
        data.insert(key.clone(), String::from_utf8_lossy(&bytes.0).into_owned());
    }
    Some(data)
}

fn secret(caches: &Caches, namespace: &str, name: &str) -> Data {
    let object = caches.secrets.get(namespace, name)?;
    let data = object.data.iter().flatten();
    Some(data.map(|(key, bytes)| (key.clone(), String::from_utf8_lossy(&bytes.0).into_owned())).collect())
}

/// The resolved environment of a container, or why the kubelet cannot make it.
pub(crate) fn environment(
    shared: &Shared,
    pod: &Pod,
    container: &Container,
    address: Ipv4Addr,
) -> Result<BTreeMap<String, String>, String> {
    let namespace = pod.namespace().unwrap_or_default();
    let mut env = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.clone().unwrap_or_default();
        let (data, what, optional) = if let Some(from) = &source.config_map_ref {
            (config_map(&shared.caches, &namespace, &from.name), format!("configmap \"{}\"", from.name), from.optional)
        } else if let Some(from) = &source.secret_ref {
            (secret(&shared.caches, &namespace, &from.name), format!("secret \"{}\"", from.name), from.optional)
        } else {
            continue;
        };
        match data {
            Some(data) => env.extend(data.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value))),
            None if optional == Some(true) => {}
            None => return Err(format!("{what} not found")),
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (Some(value), _) => Some(expand(value, &env)),
            (None, Some(source)) => from_source(shared, pod, container, address, source)?,
            (None, None) => Some(String::new()),
        };
        if let Some(value) = value {
            env.insert(variable.name.clone(), value);
        }
    }
    Ok(env)
}

fn from_source(
    shared: &Shared,
    pod: &Pod,
    container: &Container,
    address: Ipv4Addr,
    source: &EnvVarSource,
) -> Result<Option<String>, String> {
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(ObjectFieldSelector { field_path, .. }) = &source.field_ref {
        return field(pod, address, field_path).map(Some);
    }
    if let Some(reference) = &source.resource_field_ref {
        return resource(pod, container, reference).map(Some);
    }
    let (data, what, key, optional) = if let Some(ConfigMapKeySelector { name, key, optional }) = &source.config_map_key_ref {
        (config_map(&shared.caches, &namespace, name), format!("configmap \"{name}\""), key, optional)
    } else if let Some(SecretKeySelector { name, key, optional }) = &source.secret_key_ref {
        (secret(&shared.caches, &namespace, name), format!("secret \"{name}\""), key, optional)
    } else {
        return Err("unsupported source of a variable".into());
    };
    let optional = *optional == Some(true);
    match data {
        None if optional => Ok(None),
        None => Err(format!("{what} not found")),
        Some(mut data) => match data.remove(key) {
            Some(value) => Ok(Some(value)),
            None if optional => Ok(None),
            None => Err(format!(
                "couldn't find key {key} in {} {namespace}/{}",
                if what.starts_with('c') { "ConfigMap" } else { "Secret" },
                name_of(&what)
            )),
        },
    }
}

fn name_of(quoted: &str) -> &str {
    quoted.split('"').nth(1).unwrap_or_default()
}

/// A field of the pod by its downward-API path.
fn field(pod: &Pod, address: Ipv4Addr, path: &str) -> Result<String, String> {
    let spec = pod.spec.as_ref();
    let keyed = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.strip_suffix("']"));
    if let Some(key) = keyed("metadata.annotations['") {
        return Ok(pod.annotations().get(key).cloned().unwrap_or_default());
    }
    if let Some(key) = keyed("metadata.labels['") {
        return Ok(pod.labels().get(key).cloned().unwrap_or_default());
    }
    let lines = |map: &BTreeMap<String, String>| map.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n");
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.annotations" => lines(pod.annotations()),
        "metadata.labels" => lines(pod.labels()),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => "127.0.0.1".into(),
        "status.podIP" | "status.podIPs" => address.to_string(),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// A container's limit or request as the downward API writes it: rounded up to its divisor.
fn resource(pod: &Pod, container: &Container, reference: &ResourceFieldSelector) -> Result<String, String> {
    let named = |name: &String| pod.spec.iter().flat_map(|spec| &spec.containers).find(|other| &other.name == name);
    let container = reference.container_name.as_ref().map_or(Some(container), named);
    let (kind, name) = reference.resource.split_once('.').ok_or_else(|| format!("unsupported resource: {}", reference.resource))?;
    let resources = container.and_then(|container| container.resources.as_ref());
    let map = resources.and_then(|resources| if kind == "limits" { resources.limits.as_ref() } else { resources.requests.as_ref() });
    let amount = map.and_then(|map| map.get(name)).map_or(0.0, crate::storage::bytes);
    let divisor = reference.divisor.as_ref().map(crate::storage::bytes).filter(|divisor| *divisor > 0.0).unwrap_or(1.0);
    Ok(format!("{:.0}", (amount / divisor).ceil()))
}

/// Replaces `$(NAME)` by the variable's value; unknown ones stay, `$$` is a dollar sign.
pub(crate) fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('$') {
        result.push_str(&rest[..position]);
        let after = &rest[position + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            result.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match env.get(name) {
                Some(value) => result.push_str(value),
                None => result.push_str(&rest[position..position + name.len() + 3]),
            }
            rest = tail;
        } else {
            result.push('$');
            rest = after;
        }
    }
    result.push_str(rest);
    result
}

/// The files that a container sees from objects of the API, by absolute path.
pub(crate) fn files(shared: &Shared, pod: &Pod, container: &Container, address: Ipv4Addr) -> Result<BTreeMap<String, String>, String> {
    let mut files = BTreeMap::new();
    let volumes: Vec<&Volume> = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).collect();
    for mount in container.volume_mounts.iter().flatten() {
        let Some(volume) = volumes.iter().find(|volume| volume.name == mount.name) else { continue };
        let Some(content) = volume_files(shared, pod, container, address, volume)? else { continue };
        let base = mount.mount_path.trim_end_matches('/');
        match mount.sub_path.as_deref().filter(|path| !path.is_empty()) {
            None => files.extend(content.into_iter().map(|(name, text)| (format!("{base}/{name}"), text))),
            Some(path) => files.extend(content.get(path).map(|text| (base.to_owned(), text.clone()))),
        }
    }
    Ok(files)
}

/// Files of one volume; `None` when it is not filled from the API.
fn volume_files(shared: &Shared, pod: &Pod, container: &Container, address: Ipv4Addr, volume: &Volume) -> Result<Data, String> {
    let namespace = pod.namespace().unwrap_or_default();
    let failed = |what: String| format!("MountVolume.SetUp failed for volume \"{}\" : {what}", volume.name);
    if let Some(source) = &volume.config_map {
        let data = config_map(&shared.caches, &namespace, &source.name);
        return picked(data, source.items.as_ref(), source.optional, &format!("configmap \"{}\"", source.name)).map(Some).map_err(failed);
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.clone().unwrap_or_default();
        let data = secret(&shared.caches, &namespace, &name);
        return picked(data, source.items.as_ref(), source.optional, &format!("secret \"{name}\"")).map(Some).map_err(failed);
    }
    if let Some(source) = &volume.downward_api {
        let mut files = BTreeMap::new();
        for item in source.items.iter().flatten() {
            let text = match (&item.field_ref, &item.resource_field_ref) {
                (Some(reference), _) => field(pod, address, &reference.field_path),
                (None, Some(reference)) => resource(pod, container, reference),
                (None, None) => Ok(String::new()),
            };
            files.insert(item.path.clone(), text.map_err(failed)?);
        }
        return Ok(Some(files));
    }
    if let Some(source) = &volume.projected {
        let mut files = BTreeMap::new();
        for part in source.sources.iter().flatten() {
            if let Some(from) = &part.config_map {
                let data = config_map(&shared.caches, &namespace, &from.name);
                files.extend(picked(data, from.items.as_ref(), from.optional, &format!("configmap \"{}\"", from.name)).map_err(failed)?);
            }
            if let Some(from) = &part.secret {
                let data = secret(&shared.caches, &namespace, &from.name);
                files.extend(picked(data, from.items.as_ref(), from.optional, &format!("secret \"{}\"", from.name)).map_err(failed)?);
            }
            if let Some(from) = &part.service_account_token {
                files.insert(from.path.clone(), tokens::find(shared, pod, from).map_err(failed)?);
            }
            for item in part.downward_api.iter().flat_map(|source| source.items.iter().flatten()) {
                if let Some(reference) = &item.field_ref {
                    files.insert(item.path.clone(), field(pod, address, &reference.field_path).map_err(failed)?);
                }
            }
        }
        return Ok(Some(files));
    }
    Ok(None)
}

fn picked(data: Data, items: Option<&Vec<KeyToPath>>, optional: Option<bool>, what: &str) -> Result<BTreeMap<String, String>, String> {
    let optional = optional == Some(true);
    let Some(data) = data else {
        return if optional { Ok(BTreeMap::new()) } else { Err(format!("{what} not found")) };
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else { return Ok(data) };
    let mut files = BTreeMap::new();
    for item in items {
        match data.get(&item.key) {
            Some(text) => drop(files.insert(item.path.clone(), text.clone())),
            None if optional => {}
            None => return Err(format!("references non-existent config key: {}", item.key)),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::expand;

    #[test]
    fn references_to_variables_are_expanded_as_a_kubelet_does() {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, expected) in [("x$(A)y", "x1y"), ("$(B)", "$(B)"), ("$$(A)", "$(A)"), ("$A $", "$A $"), ("$(A", "$(A")] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }
}
