//! A bounded list that is cheap to share: chunks behind `Arc`, the oldest chunk dropped whole.

use std::collections::VecDeque;
use std::sync::Arc;

/// Items in one chunk: a clone of the ring copies at most this many when it is written to.
const CHUNK: usize = 256;

/// A list that keeps at least its newest `limit` items and at most one chunk more.
#[derive(Debug, Clone)]
pub struct Ring<T> {
    chunks: VecDeque<Arc<Vec<T>>>,
    limit: usize,
    len: usize,
    pushed: u64,
}

impl<T: Clone> Ring<T> {
    /// An empty ring of that many items.
    pub fn new(limit: usize) -> Self {
        Self { chunks: VecDeque::new(), limit, len: 0, pushed: 0 }
    }

    /// Takes one item in.
    pub fn push(&mut self, item: T) {
        match self.chunks.back_mut() {
            Some(chunk) if chunk.len() < CHUNK => Arc::make_mut(chunk).push(item),
            Some(_) | None => self.chunks.push_back(Arc::new(vec![item])),
        }
        self.len += 1;
        self.pushed += 1;
        if let Some(first) = self.chunks.front()
            && self.len - first.len() >= self.limit
        {
            self.len -= first.len();
            self.chunks.pop_front();
        }
    }

    /// The items, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many were ever pushed.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }
}

impl<T: PartialEq + Clone> PartialEq for Ring<T> {
    fn eq(&self, other: &Self) -> bool {
        self.pushed == other.pushed && self.len == other.len && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_a_clone_is_not_changed() {
        let mut ring = Ring::new(1_000);
        for n in 0..10_000 {
            ring.push(n);
        }
        let shared = ring.clone();
        ring.push(10_000);
        assert!(ring.len() >= 1_000 && ring.len() < 1_000 + CHUNK, "{}", ring.len());
        assert_eq!(ring.iter().next_back(), Some(&10_000));
        assert_eq!(shared.iter().next_back(), Some(&9_999));
        let items: Vec<_> = ring.iter().copied().collect();
        assert!(items.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!((items.len(), ring.pushed()), (ring.len(), 10_001));
    }
}
