//! All batches: in the order in which they were planned, by id, and by host. Every rule and every
//! screen goes through them again and again, so none of that may cost a search.

use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::Arc;

use super::Batch;
use crate::types::{BatchId, HostName};

/// The batches of a window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batches {
    /// In the order in which they were planned.
    all: Vec<Arc<Batch>>,
    /// Where each stands in `all`.
    places: Arc<BTreeMap<BatchId, usize>>,
    /// Where those of each host stand in `all`, in order.
    hosts: Arc<BTreeMap<HostName, Vec<usize>>>,
}

impl Batches {
    /// The batch of that id.
    pub fn get(&self, id: &BatchId) -> Option<&Arc<Batch>> {
        self.all.get(*self.places.get(id)?)
    }

    /// Whether there is a batch of that id.
    pub fn contains_key(&self, id: &BatchId) -> bool {
        self.places.contains_key(id)
    }

    /// All, in the order in which they were planned.
    pub fn values(&self) -> std::slice::Iter<'_, Arc<Batch>> {
        self.all.iter()
    }

    /// Those of a host, in the order in which they were planned.
    pub fn of(&self, host: &HostName) -> impl DoubleEndedIterator<Item = &Arc<Batch>> {
        let places = self.hosts.get(host).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|place| self.all.get(*place))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get_mut(&mut self, id: &BatchId) -> Option<&mut Batch> {
        self.all.get_mut(*self.places.get(id)?).map(Arc::make_mut)
    }

    /// One that is there already keeps its place in the order.
    pub(super) fn insert(&mut self, batch: Batch) {
        match self.places.get(&batch.id).and_then(|place| self.all.get_mut(*place)) {
            Some(there) => {
                let moved = there.host != batch.host;
                *there = Arc::new(batch);
                // Only a recording from elsewhere says such a thing.
                if moved {
                    self.find_places();
                }
            }
            None => {
                let place = self.all.len();
                Arc::make_mut(&mut self.places).insert(batch.id.clone(), place);
                Arc::make_mut(&mut self.hosts).entry(batch.host.clone()).or_default().push(place);
                self.all.push(Arc::new(batch));
            }
        }
    }

    pub(super) fn remove(&mut self, id: &BatchId) {
        if let Some(place) = self.places.get(id) {
            self.all.remove(*place);
            self.find_places();
        }
    }

    fn find_places(&mut self) {
        let mut hosts: BTreeMap<HostName, Vec<usize>> = BTreeMap::new();
        for (place, batch) in self.all.iter().enumerate() {
            hosts.entry(batch.host.clone()).or_default().push(place);
        }
        self.hosts = Arc::new(hosts);
        self.places =
            Arc::new(self.all.iter().enumerate().map(|(at, batch)| (batch.id.clone(), at)).collect());
    }
}

impl Index<&BatchId> for Batches {
    type Output = Arc<Batch>;

    /// # Panics
    /// Where there is none of that id.
    fn index(&self, id: &BatchId) -> &Arc<Batch> {
        &self.all[self.places[id]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::state::Phase;

    fn batch(id: &str, host: &str, number: u32) -> Batch {
        let at = "2026-11-21T22:00:00Z".parse().expect("a moment");
        Batch::new(id.parse().expect("an id"), host.parse().expect("a name"), number, Vec::new(), at)
    }

    /// Each host's batches and all, by id.
    fn told(batches: &Batches) -> String {
        let ids = |found: Vec<&Arc<Batch>>| {
            found.iter().map(|batch| batch.id.to_string()).collect::<Vec<_>>().join(" ")
        };
        let of = |host: &str| ids(batches.of(&host.parse().expect("a name")).collect());
        let all = ids(batches.values().collect());
        for batch in batches.values() {
            assert!(Arc::ptr_eq(&batches[&batch.id], batch), "{}", batch.id);
        }
        assert_eq!(batches.len(), batches.values().count());
        format!("{all} | {} | {}", of("web1"), of("web2"))
    }

    #[test]
    fn the_order_is_kept_whatever_comes_and_goes() {
        let mut batches = Batches::default();
        assert!(batches.is_empty());
        for (id, host) in [("z-1", "web1"), ("b-1", "web2"), ("a-2", "web1"), ("c-2", "web2")] {
            batches.insert(batch(id, host, 1));
        }
        assert_eq!(told(&batches), "z-1 b-1 a-2 c-2 | z-1 a-2 | b-1 c-2");
        let before = batches.clone();
        let id = |id: &str| id.parse::<BatchId>().expect("an id");
        batches.get_mut(&id("b-1")).expect("there").phase = Phase::Staged;
        assert_eq!((batches[&id("b-1")].phase, before[&id("b-1")].phase), (Phase::Staged, Phase::Planned));
        batches.insert(batch("b-1", "web2", 7));
        assert_eq!(batches.get(&id("b-1")).map(|batch| batch.number), Some(7));
        assert_eq!(told(&batches), told(&before));
        batches.insert(batch("z-1", "web2", 1));
        assert_eq!(told(&batches), "z-1 b-1 a-2 c-2 | a-2 | z-1 b-1 c-2");
        batches.remove(&id("b-1"));
        batches.remove(&id("b-1"));
        assert_eq!(told(&batches), "z-1 a-2 c-2 | a-2 | z-1 c-2");
        assert!(batches.get(&id("b-1")).is_none() && !batches.contains_key(&id("b-1")));
        batches.insert(batch("b-1", "web1", 1));
        assert_eq!(told(&batches), "z-1 a-2 c-2 b-1 | a-2 b-1 | z-1 c-2");
    }
}
