//! Present mode: names and addresses become stable pseudonyms, wherever they stand. The same name
//! is the same pseudonym in every pane and for the whole window.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::core::State;
use crate::plan::ProbeTarget;

/// What is put in the place of what.
#[derive(Debug, Clone, Default)]
pub(in crate::tui) struct Mask {
    names: BTreeMap<String, String>,
    addresses: BTreeMap<IpAddr, String>,
}

impl Mask {
    pub(super) fn of(state: &State) -> Self {
        let mut mask = Self::default();
        let Some(plan) = &state.plan else { return mask };
        for (at, (host, _)) in plan.reached().enumerate() {
            mask.names.insert(host.to_string(), format!("host{}", at + 1));
        }
        for (at, vantage) in plan.vantages.iter().enumerate() {
            mask.names.insert(vantage.name.to_string(), format!("place{}", at + 1));
        }
        for (at, customer) in plan.customers.iter().enumerate() {
            mask.names.insert(customer.name.to_string(), format!("cust{}", at + 1));
            if let Some(address) = customer.address {
                mask.addresses.insert(address, format!("addr{}", at + 1));
            }
            for probe in &customer.probes {
                if let ProbeTarget::Http { host, .. } = &probe.target {
                    mask.names.insert(host.clone(), format!("site{}", at + 1));
                }
            }
        }
        mask
    }

    /// The text with every known name, and every address, replaced.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut word = String::new();
        for c in text.chars() {
            if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '~') {
                word.push(c);
            } else {
                self.flush(&mut word, &mut out);
                out.push(c);
            }
        }
        self.flush(&mut word, &mut out);
        out
    }

    fn flush(&self, word: &mut String, out: &mut String) {
        let bare = word.trim_end_matches(['.', ':', '-']);
        let (head, tail) = word.split_at(bare.len());
        if head.is_empty() {
            out.push_str(word);
        } else {
            out.push_str(&self.one(head));
            out.push_str(tail);
        }
        word.clear();
    }

    fn one(&self, word: &str) -> String {
        if let Some(name) = self.names.get(word) {
            return name.clone();
        }
        // A name that was cut to its column is still that name.
        if let Some(head) = word.strip_suffix('~').filter(|head| !head.is_empty()) {
            let whole = self.names.range(head.to_owned()..).next();
            if let Some((_, name)) = whole.filter(|(name, _)| name.starts_with(head)) {
                return name.clone();
            }
            if head.matches('.').count() > 1 && head.chars().all(|c| c.is_ascii_digit() || c == '.') {
                return "addr?".to_owned();
            }
        }
        if let Ok(address) = word.parse::<IpAddr>() {
            return self.address(address);
        }
        if let Ok(socket) = word.parse::<SocketAddr>() {
            return format!("{}:{}", self.address(socket.ip()), socket.port());
        }
        if word.contains(':') {
            return word.split(':').map(|part| self.one(part)).collect::<Vec<_>>().join(":");
        }
        word.to_owned()
    }

    fn address(&self, address: IpAddr) -> String {
        self.addresses.get(&address).cloned().unwrap_or_else(|| "addr?".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_masked_wherever_they_stand() {
        let mut mask = Mask::default();
        mask.names.insert("web1".to_owned(), "host1".to_owned());
        mask.names.insert("www.acme.example".to_owned(), "site1".to_owned());
        mask.addresses.insert("192.0.2.21".parse().expect("address"), "addr1".to_owned());
        for (text, shown) in [
            ("web1: lost.", "host1: lost."),
            ("web10 web1", "web10 host1"),
            ("http://www.acme.example:80/x", "http://site1:80/x"),
            ("to 192.0.2.21:443, 2001:db8::1.", "to addr1:443, addr?."),
            ("(198.51.100.9)", "(addr?)"),
            ("at 02:41:07Z", "at 02:41:07Z"),
            ("www.acm~ wine~", "site1 wine~"),
            (" ... ", " ... "),
        ] {
            assert_eq!(mask.apply(text), shown);
        }
    }
}
