//! Resource tags: what the spec says of members that are registered already.
//!
//! The tag `location` decides where tablets may lie. It is given with the registration; later it moves data, or leaves tables with too
//! few places for their replicas. So a backend's is told and never changed; a compute node has no tablets, and gets the one it should have.

use std::collections::BTreeMap;

/// The tag that decides where tablets lie, and whose queries a compute node takes.
pub const LOCATION: &str = "location";
/// What a member without a tag is registered with.
const DEFAULT: &str = "default";
/// So many members are named.
const NAMED: usize = 5;

/// A registered member with its location, as Doris has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// Host that it is registered with.
    pub host: String,
    /// Port that it is registered with.
    pub port: u16,
    /// Value of the tag.
    pub location: String,
}

/// The location in a member's tags.
pub fn location(tags: &BTreeMap<String, String>) -> &str {
    tags.get(LOCATION).map_or(DEFAULT, String::as_str)
}

/// Members that are registered with another location than the spec asks for. Where it asks for none, whoever tagged them decides.
pub fn elsewhere<'a>(members: &'a [Tagged], wanted: Option<&str>) -> Vec<&'a Tagged> {
    let Some(wanted) = wanted else { return Vec::new() };
    members.iter().filter(|member| member.location != wanted).collect()
}

/// What a person reads of backends that are registered with another location than `be.tags` asks for; nothing if there are none.
pub fn kept(elsewhere: &[&Tagged], wanted: &str) -> Option<String> {
    let first = elsewhere.first()?;
    let name = |member: &&&Tagged| format!("{} ({})", member.host.split('.').next().unwrap_or(&member.host), member.location);
    let mut names: Vec<String> = elsewhere.iter().take(NAMED).map(|member| name(&member)).collect();
    let more = elsewhere.len().saturating_sub(NAMED);
    names.extend((more > 0).then(|| format!("{more} more")));
    Some(format!(
        "be.tags.location is {wanted}, and with another one are registered: {}. A registered backend keeps its location, for tables whose \
         replication_allocation asks for it would have nowhere to be; the spec counts for backends that are yet to come. Put be.tags.location \
         back; or change the tables' replication_allocation as backends allow it, and then each of them by hand, such as ALTER SYSTEM MODIFY \
         BACKEND \"{}:{}\" SET (\"tag.location\" = \"{wanted}\"), the next one when its tablets are healthy",
        names.join(", "),
        first.host,
        first.port
    ))
}

/// Tags of the spec that nobody is registered with.
pub fn unheeded(component: &str, tags: &BTreeMap<String, String>) -> Option<String> {
    let names: Vec<&str> = tags.keys().map(String::as_str).filter(|tag| *tag != LOCATION).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{component}.tags has {}, and members are registered with location alone: take the others out of the spec",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Tagged, elsewhere, kept, location, unheeded};

    fn member(ordinal: usize, location: &str) -> Tagged {
        Tagged { host: format!("c-be-{ordinal}.c-be-members"), port: 9050, location: location.to_owned() }
    }

    #[test]
    fn backends_with_another_location_are_named_with_the_statement_that_changes_it() {
        let members = [member(0, "default"), member(1, "hot"), member(2, "cold")];
        let sentence = kept(&elsewhere(&members, Some("hot")), "hot").expect("two are elsewhere");
        assert!(sentence.contains("c-be-0 (default), c-be-2 (cold). "), "{sentence}");
        assert!(sentence.contains("MODIFY BACKEND \"c-be-0.c-be-members:9050\" SET (\"tag.location\" = \"hot\")"), "{sentence}");
        let many: Vec<Tagged> = (0..9).map(|ordinal| member(ordinal, "default")).collect();
        assert!(kept(&elsewhere(&many, Some("hot")), "hot").is_some_and(|sentence| sentence.contains("c-be-4 (default), 4 more. ")));
    }

    #[test]
    fn a_spec_without_a_location_has_nothing_against_any() {
        let members = [member(0, "default"), member(1, "hot")];
        assert!(elsewhere(&members, None).is_empty() && kept(&[], "hot").is_none());
        assert_eq!(elsewhere(&members, Some("default")), [&members[1]]);
    }

    #[test]
    fn a_member_without_a_tag_is_in_the_default_location() {
        let tags = |pairs: &[(&str, &str)]| pairs.iter().map(|(tag, value)| ((*tag).into(), (*value).into())).collect::<BTreeMap<_, _>>();
        assert_eq!((location(&tags(&[])), location(&tags(&[("location", "hot")]))), ("default", "hot"));
        assert_eq!(unheeded("be", &tags(&[("location", "hot")])), None);
        assert!(unheeded("cn", &tags(&[("location", "hot"), ("rack", "r1")])).is_some_and(|told| told.starts_with("cn.tags has rack, ")));
    }
}
