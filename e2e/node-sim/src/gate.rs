//! The start gate of a frontend as a pure function: the same decisions as the shell script's, held
//! to the same table of cases.

use doris_api::member::{Inspection, Marker, Ticket, exit};

/// What stands on a frontend's volume.
#[derive(Clone, Debug, Default)]
pub struct VolumeView {
    /// Files and marker as the inspection reports them.
    pub seen: Inspection,
    /// Nothing at all is in `image` and `bdb`.
    pub blank: bool,
    /// The marker; `None` if there is none.
    pub marker: Option<Marker>,
}

/// Who the pod is and what is expected of its metadata.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Uid of the pod.
    pub pod_uid: String,
    /// The member's own name.
    pub fqdn: String,
    /// Identity id of its cluster.
    pub identity: String,
    /// `FOLLOWER` or `OBSERVER`.
    pub role: String,
    /// Wanted epoch.
    pub epoch: u64,
    /// Expected cluster id.
    pub cluster_id: Option<String>,
    /// Names that this member was registered under before it left the group.
    pub left: Vec<String>,
}

/// What the gate does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Ends the container with a status and a sentence.
    Exit(i32, String),
    /// Waits; the sentence says for what.
    Wait(String),
    /// Starts Doris.
    Start {
        /// Moves `image` and `bdb` away first.
        aside: bool,
        /// How it is started.
        how: Start,
    },
}

/// How a frontend is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// On its own metadata, without helper.
    Metadata,
    /// Without helper on an empty volume: founds a cluster.
    Found(u32),
    /// With helpers.
    Join {
        /// Incarnation of the ticket.
        incarnation: String,
        /// Frontends to ask.
        helpers: Vec<String>,
    },
}

/// The ticket, if this member may use it now, and why not otherwise.
fn usable(ticket: &str, member: &Member) -> (Option<Start>, Option<String>) {
    if ticket.is_empty() {
        return (None, None);
    }
    let refused = |note: String| (None, Some(note));
    match ticket.parse::<Ticket>() {
        Err(_) => refused("the ticket has no known form".into()),
        Ok(Ticket::Found { pod_uid, .. } | Ticket::Join { pod_uid, .. } | Ticket::BlankOk { pod_uid }) if pod_uid != member.pod_uid => {
            refused(format!("the ticket is for another pod ({pod_uid})"))
        }
        Ok(Ticket::Found { attempt, .. }) => match &member.cluster_id {
            Some(id) => refused(format!("the cluster is founded already (cluster id {id})")),
            None if member.role != "FOLLOWER" => refused("only a FOLLOWER founds a cluster".into()),
            None => (Some(Start::Found(attempt)), None),
        },
        Ok(Ticket::Join { role, .. }) if role != member.role => {
            refused(format!("the ticket is for role {role}, this is a {}", member.role))
        }
        Ok(Ticket::Join { helpers, .. })
            if helpers.iter().any(|helper| helper.rsplit_once(':').is_some_and(|(host, _)| host == member.fqdn)) =>
        {
            refused("the ticket names this frontend as its own helper".into())
        }
        Ok(Ticket::Join { incarnation, helpers, .. }) => (Some(Start::Join { incarnation, helpers }), None),
        Ok(Ticket::BlankOk { .. }) => (None, None),
    }
}

/// Attempt of the founding that made what is on the volume; `None` if it came to be otherwise.
fn founding_attempt(incarnation: &str) -> Option<u32> {
    match incarnation.strip_prefix("found-") {
        Some(attempt) => attempt.parse().ok(),
        None => incarnation.is_empty().then_some(0),
    }
}

/// What the gate does with a volume and the text of a ticket.
pub fn gate(volume: &VolumeView, ticket: &str, member: &Member) -> Decision {
    let seen = &volume.seen;
    if !seen.mounted {
        return Decision::Exit(exit::VOLUME_MISSING, "volume missing: the metadata directory is not a mount".into());
    }
    if let Some(reason) = wrong_volume(volume, member) {
        return Decision::Exit(exit::WRONG_CLUSTER, format!("wrong volume: {reason}"));
    }
    let (start, note) = usable(ticket, member);
    let incarnation = volume.marker.as_ref().map_or("", |marker| marker.incarnation.as_str());
    let newer = match &start {
        Some(Start::Join { incarnation: fresh, .. }) => fresh != incarnation,
        Some(Start::Found(attempt)) => founding_attempt(incarnation).is_some_and(|made| *attempt > made),
        _ => false,
    };
    let joins = matches!(start, Some(Start::Join { .. }));
    if seen.role && seen.version {
        with_metadata(volume, member, start.filter(|_| newer && (joins || !incarnation.is_empty())), note)
    } else if volume.blank {
        let current = match &start {
            Some(Start::Found(attempt)) => founding_attempt(incarnation).is_some_and(|made| *attempt >= made),
            _ => true,
        };
        match start.filter(|_| current) {
            Some(how) => Decision::Start { aside: false, how },
            None if current => wait("the volume is empty and there is no ticket", note),
            None => wait("the volume is empty", Some(format!("the ticket is older than the marker ({incarnation})"))),
        }
    } else {
        match start.filter(|_| joins || newer) {
            Some(how) => Decision::Start { aside: true, how },
            None => wait("the metadata on the volume is incomplete (ROLE or VERSION is missing or empty)", note),
        }
    }
}

fn wait(reason: &str, note: Option<String>) -> Decision {
    Decision::Wait(note.map_or_else(|| reason.to_owned(), |note| format!("{reason}; {note}")))
}

fn wrong_volume(volume: &VolumeView, member: &Member) -> Option<String> {
    let marker = volume.marker.clone().unwrap_or_default();
    if !marker.identity.is_empty() && marker.identity != member.identity {
        return Some(format!("it belongs to cluster identity {}, not to {}", marker.identity, member.identity));
    }
    if !marker.fqdn.is_empty() && marker.fqdn != member.fqdn {
        return Some(format!("it belongs to {}", marker.fqdn));
    }
    let found = &volume.seen.cluster_id;
    let wanted = member.cluster_id.as_ref().filter(|wanted| !found.is_empty() && *wanted != found)?;
    Some(format!("it holds metadata of cluster id {found}, not of {wanted}"))
}

/// ROLE and VERSION are there; `newer` is a ticket that may replace them.
fn with_metadata(volume: &VolumeView, member: &Member, newer: Option<Start>, note: Option<String>) -> Decision {
    if let Some(how) = newer {
        return Decision::Start { aside: true, how };
    }
    let epoch = volume.marker.as_ref().map_or(0, |marker| marker.epoch);
    if epoch < member.epoch {
        return Decision::Exit(exit::PARKED, format!("parked at epoch {epoch}: epoch {} is wanted", member.epoch));
    }
    if !volume.seen.bdb {
        return Decision::Exit(exit::BDB_LOST, "bdb lost: ROLE and VERSION are there, but no journal file bdb/*.jdb".into());
    }
    let incarnation = volume.marker.as_ref().map_or("", |marker| marker.incarnation.as_str());
    let never_joined = incarnation.is_empty() || incarnation == "adopted" || incarnation.starts_with("found-");
    if let Some(name) = member.left.iter().find(|name| never_joined || *name == incarnation) {
        return wait(&format!("the metadata on the volume is of a member that left the group ({name}): it joins anew with a ticket"), note);
    }
    Decision::Start { aside: false, how: Start::Metadata }
}

#[cfg(test)]
mod tests {
    use doris_api::member::{Inspection, Marker};

    use super::{Decision, Member, Start, VolumeView, gate};

    const TABLE: &str = include_str!("../../../crates/cluster-controller/tests/script/gate-cases.txt");

    fn named(decision: &Decision) -> String {
        match decision {
            Decision::Exit(code, _) => format!("exit {code}"),
            Decision::Wait(_) => "wait".into(),
            Decision::Start { aside, how } => {
                let how = match how {
                    Start::Metadata => "start",
                    Start::Found(_) => "found",
                    Start::Join { .. } => "join",
                };
                format!("{}{how}", if *aside { "aside+" } else { "" })
            }
        }
    }

    #[test]
    fn the_model_decides_as_the_shell_script_is_tested_to() {
        let mut count = 0;
        for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [name, mounted, role, cluster, bdb, marker, epoch, wanted, left, member_role, ticket, decision] = cells[..] else {
                panic!("not a case: {line}")
            };
            let there = |cell: &str| cell != "-" && cell != "empty";
            let text = |cell: &str| if there(cell) { cell.to_owned() } else { String::new() };
            let marker: Vec<&str> = marker.split('/').collect();
            let marker = (marker.len() >= 3).then(|| Marker {
                identity: marker[0].into(),
                fqdn: (*marker.get(3).unwrap_or(&"fe-0.svc")).into(),
                role: member_role.into(),
                incarnation: marker[1].into(),
                epoch: marker[2].parse().expect("an epoch"),
            });
            let seen = Inspection {
                mounted: mounted == "yes",
                role: there(role),
                version: there(cluster),
                bdb: there(bdb),
                cluster_id: text(cluster),
                ..Inspection::default()
            };
            let view = VolumeView { seen, blank: [role, cluster, bdb] == ["-"; 3], marker };
            let member = Member {
                pod_uid: "u1".into(),
                fqdn: "fe-0.svc".into(),
                identity: "id1".into(),
                role: member_role.into(),
                epoch: text(epoch).parse().unwrap_or(0),
                cluster_id: Some(text(wanted)).filter(|wanted| !wanted.is_empty()),
                left: left.split(',').filter_map(|one| one.strip_prefix("fe-0.svc ")).map(str::to_owned).collect(),
            };
            let made = gate(&view, if ticket == "-" { "" } else { ticket }, &member);
            assert_eq!(named(&made), decision, "{name}: {made:?}");
            count += 1;
        }
        assert!(count > 50, "the table was read");
    }
}
