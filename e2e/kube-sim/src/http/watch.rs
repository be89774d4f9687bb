//! Watches: streams of changes as lines of JSON.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handle::Exchange;
use super::negotiate::Form;
use super::options::Query;
use super::read::{self, ListOptions, matches};
use crate::call::Target;
use crate::cluster::Cluster;
use crate::convert::to_requested;
use crate::registry::Resource;
use crate::selector::Selector;
use crate::sim::Inner;
use crate::status::{ApiStatus, Cause};
use crate::store::{Change, Event, text};

/// A watch without a timeout of its own ends after this.
const LONGEST: Duration = Duration::from_hours(1);
/// Pause between bookmarks.
const BOOKMARKS: Duration = Duration::from_mins(1);
/// A last bookmark comes so long before the end.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// First minor version that streams lists.
const STREAMING_LISTS: u32 = 32;

/// Starts a watch.
pub(super) fn start(exchange: &Exchange<'_>, cluster: &mut Cluster, target: &Target, form: Form) -> Result<Response<Body>, ApiStatus> {
    let options = ListOptions::read(&exchange.query, target, true)?;
    let initial = exchange.query.find("sendInitialEvents").is_some();
    if initial && cluster.minor < STREAMING_LISTS {
        let text = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        return Err(ApiStatus::invalid_options("ListOptions", Cause::new("FieldValueForbidden", "sendInitialEvents", text)));
    }
    let timeout = exchange.query.number("timeoutSeconds").filter(|seconds| *seconds > 0).map_or(LONGEST, Duration::from_secs);
    let resource = &target.resource;
    let collection = cluster.store.collection_or_new(&resource.key);
    let mut stream = Stream {
        inner: exchange.inner.clone(),
        changed: collection.changed(),
        target: target.clone(),
        selector: options.selector,
        form,
        include: Query::parse(exchange.incoming.uri.query().unwrap_or_default()),
        position: options.version,
        lines: VecDeque::new(),
        deadline: Instant::now() + timeout,
        bookmarks: exchange.query.flag("allowWatchBookmarks"),
        next_bookmark: Instant::now() + BOOKMARKS.min(timeout.saturating_sub(LAST_BOOKMARK)),
        held: exchange.client.held.subscribe(),
        stopped: exchange.inner.stopped.clone(),
        ended: false,
    };
    let from_now = exchange.query.flag("sendInitialEvents") || (!initial && options.version == 0);
    if from_now {
        stream.send_current(cluster, exchange.query.flag("sendInitialEvents"));
    } else if initial && options.version == 0 {
        stream.position = cluster.store.revision();
    } else {
        stream.collect(cluster);
    }
    let body = Body::from_stream(futures::stream::unfold(stream, |mut stream| async move {
        let line = stream.next().await?;
        Some((Ok::<Bytes, io::Error>(line), stream))
    }));
    let mut response = Response::new(body);
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

struct Stream {
    inner: Arc<Inner>,
    changed: watch::Receiver<u64>,
    target: Target,
    selector: Selector,
    form: Form,
    include: Query,
    /// Changes up to this resource version have been looked at.
    position: u64,
    lines: VecDeque<Bytes>,
    deadline: Instant,
    bookmarks: bool,
    next_bookmark: Instant,
    held: watch::Receiver<bool>,
    stopped: CancellationToken,
    ended: bool,
}

impl Stream {
    /// The next line, or `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let held = *self.held.borrow_and_update();
            if !held {
                if let Some(line) = self.lines.pop_front() {
                    return Some(line);
                }
                if self.ended {
                    return None;
                }
                self.changed.borrow_and_update();
                let inner = self.inner.clone();
                self.collect(&inner.cluster());
                if !self.lines.is_empty() {
                    continue;
                }
            }
            let bookmark = self.bookmarks && !held;
            tokio::select! {
                biased;
                () = self.stopped.cancelled() => return None,
                changed = self.changed.changed(), if !held => self.ended = changed.is_err(),
                changed = self.held.changed() => if changed.is_err() { self.held = watch::channel(false).1 },
                () = tokio::time::sleep_until(self.next_bookmark), if bookmark => self.send_bookmark(),
                () = tokio::time::sleep_until(self.deadline) => return None,
            }
        }
    }

    /// What there is now, as if it were created.
    fn send_current(&mut self, cluster: &Cluster, marked: bool) {
        let resource = self.target.resource.clone();
        let namespace = Some(self.target.namespace.as_str()).filter(|namespace| !namespace.is_empty());
        let current: Vec<Arc<Value>> = cluster.store.list(&resource.key, namespace).cloned().collect();
        for object in &current {
            if self.selects(object) {
                self.push("ADDED", &self.shape(object));
            }
        }
        self.position = cluster.store.revision();
        if marked && self.bookmarks {
            let mut mark = self.bookmark();
            mark["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            self.push("BOOKMARK", &mark.to_string());
        }
    }

    /// Takes in the changes since the last time.
    fn collect(&mut self, cluster: &Cluster) {
        let Some(collection) = cluster.store.collection(&self.target.resource.key) else {
            self.ended = true;
            return;
        };
        let Some(events) = collection.since(self.position) else {
            let text = format!("too old resource version: {} ({})", self.position, cluster.store.revision());
            let refusal = ApiStatus::new(410, "Expired", text);
            self.push("ERROR", &refusal.to_value().to_string());
            self.ended = true;
            return;
        };
        let events: Vec<Arc<Event>> = events.cloned().collect();
        for event in events {
            self.take(&event);
        }
        self.position = self.position.max(cluster.store.revision());
    }

    fn take(&mut self, event: &Event) {
        let namespace = &self.target.namespace;
        if !namespace.is_empty() && text(&event.object, "namespace") != namespace {
            return;
        }
        let before = event.previous.as_ref().is_some_and(|previous| self.selects(previous));
        let after = event.change != Change::Deleted && self.selects(&event.object);
        match (before, after) {
            (false, true) => self.push("ADDED", &self.shape_event(event)),
            (true, true) => self.push("MODIFIED", &self.shape_event(event)),
            (true, false) if event.change == Change::Deleted => self.push("DELETED", &self.shape_event(event)),
            (true, false) => {
                // It left the selection: watchers see how it last was in it.
                let Some(previous) = &event.previous else { return };
                let mut last = (**previous).clone();
                last["metadata"]["resourceVersion"] = event.revision.to_string().into();
                self.push("DELETED", &self.shape(&last));
            }
            (false, false) => {}
        }
    }

    fn selects(&self, object: &Value) -> bool {
        (self.target.name.is_empty() || text(object, "name") == self.target.name)
            && (self.selector.is_everything() || matches(&self.target.resource, &self.selector, object))
    }

    fn shape_event(&self, event: &Event) -> Bytes {
        if self.form == Form::Plain && !self.target.resource.is_converted() {
            return event.json().clone();
        }
        Bytes::from(self.shape(&event.object))
    }

    fn shape(&self, object: &Value) -> String {
        let resource: &Resource = &self.target.resource;
        if self.form == Form::Plain && !resource.is_converted() {
            return object.to_string();
        }
        let object = to_requested(resource, object);
        read::shape(resource, &object, self.form, &self.include, self.inner.options.clock.now()).to_string()
    }

    fn bookmark(&self) -> Value {
        let resource = &self.target.resource;
        json!({
            "kind": &*resource.kind,
            "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": self.position.to_string(), "creationTimestamp": null},
        })
    }

    fn send_bookmark(&mut self) {
        let mark = self.bookmark().to_string();
        self.push("BOOKMARK", &mark);
        let last = self.deadline.checked_sub(LAST_BOOKMARK).filter(|last| *last > Instant::now());
        let next = Instant::now() + BOOKMARKS;
        self.next_bookmark = last.map_or(self.deadline + LAST_BOOKMARK, |last| next.min(last));
    }

    fn push(&mut self, change: &str, object: &(impl AsRef<[u8]> + ?Sized)) {
        let object = object.as_ref();
        let mut line = BytesMut::with_capacity(object.len() + 40);
        line.put_slice(b"{\"type\":\"");
        line.put_slice(change.as_bytes());
        line.put_slice(b"\",\"object\":");
        line.put_slice(object);
        line.put_slice(b"}\n");
        self.lines.push_back(line.freeze());
    }
}
