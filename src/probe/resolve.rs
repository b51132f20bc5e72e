//! Names to addresses, by this machine's own resolver.
//!
//! A lookup is a blocked thread that can't be called off, and a resolver that is down blocks each
//! for half a minute. So a name is looked up once at a time for all who ask, an attempt that gives
//! up leaves its lookup to the next one, and there are never many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::Semaphore;

/// Lookups at a time; tokio has 512 threads for all that blocks, and others need them too.
const AT_ONCE: usize = 32;

type Lookup = Shared<BoxFuture<'static, Result<Vec<IpAddr>, String>>>;

pub(super) struct Resolver {
    free: Arc<Semaphore>,
    under_way: Mutex<HashMap<String, Lookup>>,
}

impl Resolver {
    pub(super) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(AT_ONCE)), under_way: Mutex::default() }
    }

    /// The addresses of a name, in the order in which the system would try them, or why there are
    /// none. An address stands for itself.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let lookup = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.entry(host.to_owned()).or_insert_with(|| self.lookup(host.to_owned())).clone()
        };
        let found = lookup.clone().await;
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // Another may have begun meanwhile.
        if under_way.get(host).is_some_and(|other| other.ptr_eq(&lookup)) {
            under_way.remove(host);
        }
        found
    }

    fn lookup(&self, host: String) -> Lookup {
        let free = Arc::clone(&self.free);
        let looking = async move {
            let _permit = free.acquire_owned().await.map_err(|e| e.to_string())?;
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map_err(|e| e.to_string())?;
            let addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
        };
        looking.boxed().shared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Resolver {
        /// A resolver to which the next question for this name is answered so.
        pub(in crate::probe) fn knowing(host: &str, addresses: Vec<IpAddr>) -> Self {
            let known = std::future::ready(Ok(addresses)).boxed().shared();
            let under_way = Mutex::new(HashMap::from([(host.to_owned(), known)]));
            Self { under_way, ..Self::new() }
        }
    }

    #[tokio::test]
    async fn an_address_is_its_own_and_localhost_is_this_machine() {
        let resolver = Resolver::new();
        assert_eq!(resolver.addresses("2001:db8::1").await, Ok(vec!["2001:db8::1".parse().unwrap()]));
        let found = resolver.addresses("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
        assert!(resolver.under_way.lock().unwrap().is_empty(), "the next one asks anew");
    }

    #[tokio::test]
    async fn an_attempt_that_gives_up_leaves_its_lookup_to_the_next() {
        let resolver = Resolver::new();
        let all = resolver.free.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
        let wait = std::time::Duration::from_millis(20);
        let mut first: Option<Lookup> = None;
        for _ in 0..3 {
            let gave_up = tokio::time::timeout(wait, resolver.addresses("localhost")).await;
            assert!(gave_up.is_err(), "no thread is free");
            let lookup = resolver.under_way.lock().unwrap()["localhost"].clone();
            assert!(first.get_or_insert(lookup.clone()).ptr_eq(&lookup), "one lookup, not three");
        }
        drop(all);
        assert!(resolver.addresses("localhost").await.is_ok());
    }
}
