use super::{Allocation, PartitionKind, PlacedPartition, TabletMap, TabletMapBuilder};

fn partition(name: &str, copies: u16) -> PlacedPartition {
    PlacedPartition {
        name: name.to_owned(),
        kind: PartitionKind::Regular,
        allocation: Allocation::new([("default", copies)]),
        medium: None,
    }
}

#[test]
fn tablets_with_the_same_replicas_are_counted_together() {
    let mut builder = TabletMapBuilder::new();
    builder.table("d", "t", None);
    let rows = [(7, 1, true), (7, 2, true), (8, 2, true), (8, 1, true), (9, 1, true), (9, 2, false)];
    builder.placed(partition("p", 2), rows.map(|(tablet, backend, good)| (tablet, Some(backend), good)));
    let map = builder.finish();
    let groups: Vec<_> = map.placed(&map.tables()[0].partitions[0]).map(|(p, count, example)| (p.good.to_vec(), count, example)).collect();
    assert_eq!(groups, [(vec![1, 2], 2, 7), (vec![1], 1, 9)]);
    assert_eq!((map.tablets(), map.replicas_on(2), map.placements.len()), (3, 3, 2));
}

#[test]
fn a_tablet_without_any_replica_is_still_a_tablet() {
    let mut builder = TabletMapBuilder::new();
    builder.table("d", "t", None);
    builder.placed(partition("p", 1), [(7, None, false)]);
    let map = builder.finish();
    let groups: Vec<_> = map.placed(&map.tables()[0].partitions[0]).collect();
    assert_eq!((groups.len(), map.tablets()), (1, 1));
    assert!(groups[0].0.good.is_empty());
}

#[test]
fn half_a_million_tablets_take_little_memory() {
    let mut builder = TabletMapBuilder::new();
    let (backends, mut tablet) = (40, 0u64);
    for table in 0..50 {
        builder.table("sales", &format!("orders_{table}"), None);
        for day in 0..100 {
            let rows = (0..100u64).flat_map(|bucket| {
                let first = (table + bucket * 7 + day) % backends;
                (0..3u64).map(move |copy| (bucket, Some((first + copy * (1 + bucket % 5)) % backends), true))
            });
            let start = tablet;
            builder
                .placed(partition(&format!("p202601{day:02}"), 3), rows.map(|(bucket, backend, good)| (start + bucket * 4, backend, good)));
            tablet += 400;
        }
    }
    let map = builder.finish();
    assert_eq!(map.tablets(), 500_000);
    let mebibytes = map.memory() >> 20;
    assert!(mebibytes < 10, "{mebibytes} MiB, {} placements", map.placements.len());
}

#[test]
fn a_closer_look_is_spared_where_enough_replicas_are_left_in_any_case() {
    let cases =
        [(3, None, 1, false), (3, None, 2, true), (2, None, 1, true), (1, None, 1, true), (3, Some(1), 2, false), (5, None, 2, false)];
    for (copies, min_load, away, needed) in cases {
        let allocation = Allocation::new([("default", copies)]);
        assert_eq!(TabletMap::needs_placing(&allocation, min_load, away), needed, "{copies} {min_load:?} {away}");
    }
}

#[test]
fn an_allocation_is_written_as_doris_takes_it() {
    let allocation = Allocation::new([("hot", 2), ("default", 1), ("none", 0)]);
    assert_eq!(allocation.to_string(), "tag.location.default: 1, tag.location.hot: 2");
    assert_eq!((allocation.replicas(), allocation.load_quorum(None), allocation.load_quorum(Some(1))), (3, 2, 1));
}
