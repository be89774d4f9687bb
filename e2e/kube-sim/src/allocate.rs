//! Cluster addresses and node ports of Services.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::registry::Resource;
use crate::status::{ApiStatus, Cause};
use crate::store::text;

const SERVICES: &str = "services.";
/// Node ports.
const PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

/// An update that leaves out what was allocated keeps it.
pub fn keep_addresses(resource: &Resource, live: &Value, object: &mut Value) {
    if !resource.is_core("services") || object["spec"]["type"] == "ExternalName" || live["spec"]["type"] == "ExternalName" {
        return;
    }
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if object["spec"][field].as_str().unwrap_or_default().is_empty()
            && object["spec"][field].as_array().is_none_or(Vec::is_empty)
            && !live["spec"][field].is_null()
        {
            object["spec"][field] = live["spec"][field].clone();
        }
    }
    if !has_node_ports(object) {
        return;
    }
    for port in object["spec"]["ports"].as_array_mut().into_iter().flatten() {
        let same = |old: &&Value| old["port"] == port["port"] && old["protocol"] == port["protocol"];
        let old = live["spec"]["ports"].as_array().into_iter().flatten().find(same);
        if port["nodePort"].as_i64().unwrap_or_default() == 0
            && let Some(number) = old.map(|old| &old["nodePort"]).filter(|number| number.is_i64() || number.is_u64())
        {
            port["nodePort"] = number.clone();
        }
    }
    let check = &live["spec"]["healthCheckNodePort"];
    if needs_health_check(object) && object["spec"]["healthCheckNodePort"].is_null() && !check.is_null() {
        object["spec"]["healthCheckNodePort"] = check.clone();
    }
}

fn has_node_ports(service: &Value) -> bool {
    match service["spec"]["type"].as_str() {
        Some("NodePort") => true,
        Some("LoadBalancer") => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

fn needs_health_check(service: &Value) -> bool {
    service["spec"]["type"] == "LoadBalancer" && service["spec"]["externalTrafficPolicy"] == "Local"
}

impl Cluster {
    /// Gives a Service its addresses and ports.
    pub(crate) fn allocate(&mut self, resource: &Resource, live: Option<&Value>, object: &mut Value) -> Result<(), ApiStatus> {
        if !resource.is_core("services") {
            return Ok(());
        }
        if object["spec"]["type"] != "ExternalName" {
            self.allocate_address(live, object)?;
        }
        if has_node_ports(object) {
            self.allocate_ports(live, object)?;
        } else if live.is_some() {
            for port in object["spec"]["ports"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                port.remove("nodePort");
            }
        }
        if live.is_some_and(needs_health_check)
            && !needs_health_check(object)
            && let Some(spec) = object["spec"].as_object_mut()
        {
            spec.remove("healthCheckNodePort");
        }
        Ok(())
    }

    fn others<'a>(&'a self, service: &'a Value) -> impl Iterator<Item = &'a Value> {
        let uid = text(service, "uid");
        self.store.list(SERVICES, None).map(|other| &**other).filter(move |other| text(other, "uid") != uid)
    }

    fn allocate_address(&mut self, live: Option<&Value>, object: &mut Value) -> Result<(), ApiStatus> {
        let address = object["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
        let taken: BTreeSet<&str> = self.others(object).filter_map(|other| other["spec"]["clusterIP"].as_str()).collect();
        let settled = if address.is_empty() {
            let free = (1_u32..65_000)
                .map(|number| format!("10.96.{}.{}", number / 250, number % 250 + 1))
                .find(|free| !taken.contains(free.as_str()));
            free.ok_or_else(|| {
                ApiStatus::new(500, "InternalError", "Internal error occurred: failed to allocate a serviceIP: range is full")
            })?
        } else {
            if address != "None" && taken.contains(address.as_str()) && live.is_none() {
                let text = format!("Invalid value: [\"{address}\"]: failed to allocate IP {address}: provided IP is already allocated");
                let cause = Cause::new("FieldValueInvalid", "spec.clusterIPs", text);
                return Err(ApiStatus::invalid("", "Service", text_of(object), vec![cause]));
            }
            address
        };
        object["spec"]["clusterIP"] = settled.clone().into();
        if self.minor >= 20 {
            object["spec"]["clusterIPs"] = json!([settled]);
            if object["spec"]["ipFamilies"].as_array().is_none_or(Vec::is_empty) {
                object["spec"]["ipFamilies"] = json!(["IPv4"]);
            }
            if object["spec"]["ipFamilyPolicy"].is_null() {
                object["spec"]["ipFamilyPolicy"] = "SingleStack".into();
            }
        }
        Ok(())
    }

    fn allocate_ports(&mut self, live: Option<&Value>, object: &mut Value) -> Result<(), ApiStatus> {
        let mut taken: BTreeSet<i64> = self.others(object).flat_map(node_ports).collect();
        let own: BTreeSet<i64> = live.into_iter().flat_map(node_ports).collect();
        let name = text_of(object).to_owned();
        for (index, port) in object["spec"]["ports"].as_array_mut().into_iter().flatten().enumerate() {
            let wanted = port["nodePort"].as_i64().unwrap_or_default();
            let field = format!("spec.ports[{index}].nodePort");
            let mut number = wanted;
            if wanted == 0 {
                number = next_free(&taken, &own);
                port["nodePort"] = number.into();
            } else if !PORTS.contains(&wanted) {
                let text =
                    format!("Invalid value: {wanted}: provided port is not in the valid range. The range of valid ports is 30000-32767");
                return Err(ApiStatus::invalid("", "Service", &name, vec![Cause::new("FieldValueInvalid", &field, text)]));
            } else if taken.contains(&wanted) {
                let text = format!("Invalid value: {wanted}: provided port is already allocated");
                return Err(ApiStatus::invalid("", "Service", &name, vec![Cause::new("FieldValueInvalid", &field, text)]));
            }
            taken.insert(number);
        }
        if needs_health_check(object) && object["spec"]["healthCheckNodePort"].as_i64().unwrap_or_default() == 0 {
            object["spec"]["healthCheckNodePort"] = next_free(&taken, &own).into();
        }
        Ok(())
    }
}

fn next_free(taken: &BTreeSet<i64>, own: &BTreeSet<i64>) -> i64 {
    PORTS.clone().find(|port| !taken.contains(port) && !own.contains(port)).unwrap_or(*PORTS.end())
}

fn node_ports(service: &Value) -> impl Iterator<Item = i64> + '_ {
    let check = service["spec"]["healthCheckNodePort"].as_i64();
    let ports = service["spec"]["ports"].as_array().into_iter().flatten().filter_map(|port| port["nodePort"].as_i64());
    ports.chain(check)
}

fn text_of(service: &Value) -> &str {
    text(service, "name")
}
