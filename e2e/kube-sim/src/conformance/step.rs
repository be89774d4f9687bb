//! One step of a case.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::Trouble;
use super::client::{Call, Server};
use super::compare::sorted_text;
use super::normalise::normalise;

/// How often a step that waits looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A watch in the background.
struct Watching {
    task: JoinHandle<Result<(u16, Value), Trouble>>,
    /// Asks for what it has seen.
    ask: oneshot::Sender<()>,
    step: Value,
}

/// A case that is running: what it remembers, what it watches.
pub(super) struct Run {
    server: Server,
    known: BTreeMap<String, Value>,
    watches: BTreeMap<String, Watching>,
    namespace: String,
}

impl Run {
    pub fn new(server: Server, namespace: &str) -> Self {
        let known = BTreeMap::from([("ns".to_owned(), Value::from(namespace))]);
        Self { server, known, watches: BTreeMap::new(), namespace: namespace.to_owned() }
    }

    pub async fn create_namespace(&self) -> Result<(), Trouble> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        let call = Call { method: "POST", path: "/api/v1/namespaces", body: Some(&body), ..Call::default() };
        match self.server.call(&call).await?.0 {
            201 | 409 => Ok(()),
            code => Err(Trouble::Case(format!("status {code}"))),
        }
    }

    pub async fn delete_namespace(&self) -> Result<(), Trouble> {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        self.server.call(&Call { method: "DELETE", path: &path, ..Call::default() }).await.map(|_| ())
    }

    /// Runs a step; the answer is what a recording holds of it.
    pub async fn step(&mut self, step: &Value) -> Result<Value, Trouble> {
        let step = self.substitute(step)?;
        if let Some(seconds) = step["sleep"].as_f64() {
            sleep(Duration::from_secs_f64(seconds)).await;
            return Ok(Value::Null);
        }
        if let Some(path) = step["wait"].as_str() {
            return self.wait(path, &step).await;
        }
        if let Some(path) = step["watch"].as_str() {
            return self.watch(path, &step).await;
        }
        if let Some(name) = step["collect"].as_str() {
            let Watching { task, ask, step } = self.watches.remove(name).ok_or_else(|| Trouble::Case(format!("no watch {name}")))?;
            // A watch that has seen enough no longer listens.
            let _ = ask.send(());
            let (code, events) = task.await.map_err(|error| Trouble::Case(error.to_string()))??;
            return Ok(project(code, &events, &step));
        }
        self.request(&step).await
    }

    fn substitute(&self, value: &Value) -> Result<Value, Trouble> {
        Ok(match value {
            Value::Object(fields) => {
                let mut out = Map::new();
                for (key, value) in fields {
                    out.insert(self.fill(key)?, self.substitute(value)?);
                }
                out.into()
            }
            Value::Array(items) => items.iter().map(|item| self.substitute(item)).collect::<Result<Vec<_>, _>>()?.into(),
            Value::String(text) => match text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
                Some(name) if !name.contains('{') => self.known(name)?.clone(),
                _ => self.fill(text)?.into(),
            },
            other => other.clone(),
        })
    }

    fn known(&self, name: &str) -> Result<&Value, Trouble> {
        self.known.get(name).ok_or_else(|| Trouble::Case(format!("nothing is known as {name}")))
    }

    fn fill(&self, text: &str) -> Result<String, Trouble> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| Trouble::Case(format!("unclosed braces in {text}")))?;
            let value = self.known(name)?;
            out.push_str(before);
            out.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn save(&mut self, step: &Value, body: &Value) {
        for (name, path) in step["save"].as_object().into_iter().flatten() {
            self.known.insert(name.clone(), dig(body, path.as_str().unwrap_or_default()).clone());
        }
    }

    async fn wait(&mut self, path: &str, step: &Value) -> Result<Value, Trouble> {
        let end = Instant::now() + Duration::from_secs_f64(step["timeout"].as_f64().unwrap_or(60.0));
        let field = step["until"][0].as_str().unwrap_or_default();
        loop {
            let (code, body, _) = self.server.call(&Call { method: "GET", path, ..Call::default() }).await?;
            let got = match (field, code) {
                ("$code", code) => Value::from(code),
                (field, 200) => dig(&body, field).clone(),
                _ => Value::Null,
            };
            if got == step["until"][1] {
                self.save(step, &body);
                return Ok(json!({"waited": true}));
            }
            if Instant::now() > end {
                return Ok(json!({"waited": false, "last": normalise(&got, "")}));
            }
            sleep(PAUSE).await;
        }
    }

    async fn watch(&mut self, path: &str, step: &Value) -> Result<Value, Trouble> {
        let time = Duration::from_secs_f64(step["seconds"].as_f64().unwrap_or(5.0));
        let enough = step["events"].as_u64().and_then(|enough| usize::try_from(enough).ok()).unwrap_or(999);
        // What the next steps do has to be seen: the server has begun before they run.
        let watch = self.server.open(path).await?;
        if let Some(name) = step["background"].as_str() {
            let (ask, asked) = oneshot::channel();
            let task = tokio::spawn(watch.events_until(asked, enough));
            self.watches.insert(name.to_owned(), Watching { task, ask, step: step.clone() });
            return Ok(Value::Null);
        }
        let (code, events) = watch.events(time, enough).await?;
        Ok(project(code, &events, step))
    }

    async fn request(&mut self, step: &Value) -> Result<Value, Trouble> {
        let text = |field: &str| step[field].as_str();
        let call = Call {
            method: text("do").ok_or_else(|| Trouble::Case("a step does nothing".to_owned()))?,
            path: text("path").unwrap_or_default(),
            body: step.get("body"),
            content: text("content"),
            accept: text("accept"),
            token: text("token"),
        };
        let (code, mut body, warnings) = self.server.call(&call).await?;
        self.save(step, &body);
        if let Some(keep) = step["keep"].as_array().filter(|_| code < 400) {
            let paths = keep.iter().filter_map(Value::as_str);
            body = paths.map(|path| (path.to_owned(), dig(&body, path).clone())).collect::<Map<_, _>>().into();
        }
        tidy(&mut body, step);
        let mut answer = json!({"code": code, "body": normalise(&body, "")});
        if !warnings.is_empty() {
            let texts: Vec<&str> = warnings.iter().map(|warning| warning.strip_prefix("299 - ").unwrap_or(warning)).collect();
            answer["warnings"] = json!(texts);
        }
        Ok(answer)
    }
}

/// Removes what the step does not look at.
fn tidy(body: &mut Value, step: &Value) {
    if !body.is_object() {
        return;
    }
    let managed = step["managed"] == true;
    let strip = |object: &mut Value| {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        if !managed {
            metadata.shift_remove("managedFields");
        } else if let Some(entries) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
            for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                entry.shift_remove("time");
            }
            entries.sort_by_key(sorted_text);
        }
    };
    strip(body);
    for item in body.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        strip(item);
    }
    for path in step["drop"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let (head, last) = path.rsplit_once('.').unwrap_or(("", path));
        if let Some(fields) = dig_mut(body, head).and_then(Value::as_object_mut) {
            fields.shift_remove(&last.replace('~', "."));
        }
    }
}

/// The value at a path of names and numbers; `~` stands for a dot in a name.
fn dig<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, part| match value {
        Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)).unwrap_or(&Value::Null),
        other => &other[part.replace('~', ".").as_str()],
    })
}

fn dig_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(value, |value, part| match value {
        Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
        other => other.get_mut(part.replace('~', ".").as_str()),
    })
}

/// The rows of a watch that the step looks at.
fn project(code: u16, events: &Value, step: &Value) -> Value {
    let Some(events) = events.as_array().filter(|_| code == 200) else { return json!({"code": code, "body": normalise(events, "")}) };
    let default = json!(["metadata.name"]);
    let fields = step["fields"].as_array().or(default.as_array()).into_iter().flatten().filter_map(Value::as_str);
    let fields: Vec<&str> = fields.collect();
    let mut rows: Vec<Value> = Vec::new();
    for event in events {
        let mut row = vec![event["type"].clone()];
        for field in &fields {
            row.push(normalise(dig(&event["object"], field), field.rsplit('.').next().unwrap_or_default()));
        }
        let row = Value::from(row);
        let wanted = step["types"].as_array().is_none_or(|types| types.contains(&event["type"]));
        if wanted && !(step["squeeze"] == true && rows.last() == Some(&row)) {
            rows.push(row);
        }
    }
    json!({"code": 200, "events": rows})
}
