//! Cutting a host's changes into batches: small, closed under dependencies, classes that want a
//! batch of their own alone.
//!
//! The closure here goes by what the host said of versioned dependencies and common sources; apt's
//! own simulation when the batch is staged has the last word.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use crate::plan::{Class, ListedBatch, Policy, Strategy};
use crate::types::{HostName, PackageName};

/// Cuts changes into batches in the order in which they are to be applied.
pub fn cut(host: &HostName, changes: &[Change], policy: &Policy, listed: &[ListedBatch]) -> Vec<Vec<Change>> {
    let clusters = clusters(changes);
    let mut batches = match policy.strategy {
        Strategy::Listed => by_list(host, clusters, listed),
        Strategy::All => vec![clusters],
        Strategy::OneByOne | Strategy::Source => clusters.into_iter().map(|cluster| vec![cluster]).collect(),
        Strategy::Class => by_key(clusters, class_of),
        Strategy::SecurityFirst => by_key(clusters, |cluster| !cluster.iter().any(|change| change.security)),
    };
    if !matches!(policy.strategy, Strategy::Listed | Strategy::All) {
        batches = batches.into_iter().flat_map(|batch| alone_and_small(batch, policy)).collect();
    }
    batches.into_iter().map(|clusters| clusters.concat()).filter(|batch| !batch.is_empty()).collect()
}

type Cluster = Vec<Change>;

/// Changes that have to go together: of one source, or one needs the other.
fn clusters(changes: &[Change]) -> Vec<Cluster> {
    let mut root: Vec<usize> = (0..changes.len()).collect();
    fn find(root: &mut [usize], mut at: usize) -> usize {
        while root[at] != at {
            root[at] = root[root[at]];
            at = root[at];
        }
        at
    }
    let mut by_name: BTreeMap<&PackageName, Vec<usize>> = BTreeMap::new();
    let mut by_source: BTreeMap<&PackageName, usize> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        by_name.entry(&change.package.name).or_default().push(at);
    }
    for (at, change) in changes.iter().enumerate() {
        let mut join = vec![*by_source.entry(&change.source).or_insert(at)];
        for name in change.needs.iter().chain([&change.package.name]) {
            join.extend(by_name.get(name).into_iter().flatten());
        }
        for other in join {
            let (a, b) = (find(&mut root, at), find(&mut root, other));
            // The smaller index is the root, so that clusters keep the order of the list.
            root[a.max(b)] = a.min(b);
        }
    }
    let mut clusters: BTreeMap<usize, Cluster> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        clusters.entry(find(&mut root, at)).or_default().push(change.clone());
    }
    clusters.into_values().collect()
}

/// A cluster is of the class that breaks most of what it holds: the first in the order of classes.
fn class_of(cluster: &Cluster) -> Class {
    cluster.iter().map(|change| change.class).min().unwrap_or(Class::Leaf)
}

fn by_key<K: Ord>(clusters: Vec<Cluster>, key: impl Fn(&Cluster) -> K) -> Vec<Vec<Cluster>> {
    let mut groups: BTreeMap<K, Vec<Cluster>> = BTreeMap::new();
    for cluster in clusters {
        groups.entry(key(&cluster)).or_default().push(cluster);
    }
    groups.into_values().collect()
}

/// Within one batch: classes of the policy's `alone` apart from all else (a class together, the
/// kernel last, since it wants a reboot), the others up to `max_changes`. A cluster is never torn,
/// also when it is larger: the size gate then says so.
fn alone_and_small(clusters: Vec<Cluster>, policy: &Policy) -> Vec<Vec<Cluster>> {
    let mut small: Vec<Vec<Cluster>> = Vec::new();
    let mut room = 0;
    let mut alone: BTreeMap<std::cmp::Reverse<Class>, Vec<Cluster>> = BTreeMap::new();
    for cluster in clusters {
        let class = class_of(&cluster);
        if policy.alone.contains(&class) {
            alone.entry(std::cmp::Reverse(class)).or_default().push(cluster);
            continue;
        }
        let size = cluster.len();
        match small.last_mut() {
            Some(batch) if size <= room => batch.push(cluster),
            Some(_) | None => {
                room = policy.max_changes as usize;
                small.push(vec![cluster]);
            }
        }
        room = room.saturating_sub(size);
    }
    small.into_iter().chain(alone.into_values()).collect()
}

fn by_list(host: &HostName, clusters: Vec<Cluster>, listed: &[ListedBatch]) -> Vec<Vec<Cluster>> {
    let mut left: Vec<Option<Cluster>> = clusters.into_iter().map(Some).collect();
    let mut batches = Vec::new();
    for batch in listed.iter().filter(|batch| batch.host.as_ref().is_none_or(|name| name == host)) {
        let names: BTreeSet<&PackageName> = batch.packages.iter().collect();
        let mut taken = Vec::new();
        for slot in &mut left {
            if slot.as_ref().is_some_and(|c| c.iter().any(|change| names.contains(&change.package.name))) {
                taken.extend(slot.take());
            }
        }
        batches.push(taken);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::change::Standing;
    use crate::plan::Strategy;
    use proptest::prelude::*;

    fn change(name: &str, source: &str, security: bool, needs: &[&str]) -> Change {
        let name: PackageName = name.parse().expect(name);
        Change {
            class: crate::core::risk::class_of(&name),
            package: crate::types::PackageId::new(name, "amd64".parse().expect("arch")),
            from: Some("1".parse().expect("version")),
            to: "2".parse().expect("version"),
            sha256: None,
            rehearsed: None,
            standing: Standing::Same,
            security,
            source: source.parse().expect(source),
            size: None,
            needs: needs.iter().map(|n| n.parse().expect("name")).collect(),
            origin: "".into(),
        }
    }

    fn names(batches: &[Vec<Change>]) -> Vec<Vec<&str>> {
        batches.iter().map(|b| b.iter().map(|c| c.package.name.as_str()).collect()).collect()
    }

    fn host() -> HostName {
        "web1".parse().expect("name")
    }

    #[test]
    fn what_needs_each_other_goes_together_and_security_goes_first() {
        let list = [
            change("nginx", "nginx", false, &["nginx-common"]),
            change("nginx-common", "nginx", false, &[]),
            change("libssl3", "openssl", true, &[]),
            change("openssl", "openssl", true, &["libssl3"]),
            change("linux-image-6", "linux", true, &[]),
            change("vim", "vim", false, &[]),
        ];
        let policy = Policy { max_changes: 2, ..Policy::default() };
        let batches = cut(&host(), &list, &policy, &[]);
        assert_eq!(
            names(&batches),
            vec![
                vec!["libssl3", "openssl"],
                vec!["linux-image-6"],
                vec!["nginx", "nginx-common"],
                vec!["vim"]
            ]
        );
    }

    #[test]
    fn a_listed_batch_brings_what_it_needs_and_nothing_unlisted() {
        let list = [
            change("aa", "aa", false, &["bb"]),
            change("bb", "bb", false, &[]),
            change("cc", "cc", false, &[]),
        ];
        let policy = Policy { strategy: Strategy::Listed, ..Policy::default() };
        let listed = [ListedBatch { host: None, packages: vec!["bb".parse().expect("name")] }];
        assert_eq!(names(&cut(&host(), &list, &policy, &listed)), vec![vec!["aa", "bb"]]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_doubled_or_torn(
            edges in prop::collection::vec((0_usize..20, 0_usize..20, any::<bool>()), 0..40),
            max in 1_u32..8,
        ) {
            let mut list: Vec<Change> = (0..20).map(|n| change(&format!("pkg{n}"), &format!("src{n}"), n % 3 == 0, &[])).collect();
            for (a, b, source) in edges {
                if source {
                    list[a].source = list[b].source.clone();
                } else {
                    let name = list[b].package.name.clone();
                    list[a].needs.push(name);
                }
            }
            for strategy in [Strategy::SecurityFirst, Strategy::Class, Strategy::Source, Strategy::All, Strategy::OneByOne] {
                let policy = Policy { max_changes: max, strategy, ..Policy::default() };
                let batches = cut(&host(), &list, &policy, &[]);
                let mut all: Vec<&str> = names(&batches).concat();
                all.sort_unstable();
                let mut want: Vec<&str> = list.iter().map(|c| c.package.name.as_str()).collect();
                want.sort_unstable();
                prop_assert_eq!(all, want);
                for batch in &batches {
                    for change in batch {
                        for need in &change.needs {
                            prop_assert!(batch.iter().any(|c| c.package.name == *need));
                        }
                    }
                }
            }
        }
    }
}
