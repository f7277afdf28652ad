//! Addresses that come and go.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::Mirror;
use crate::model::{Address, Scope};

impl Mirror {
    /// An address as it is now.
    pub fn address(&mut self, address: Address) {
        if !self.observed.links.contains_key(&address.link) {
            self.doubt(address.link);
            return;
        }
        if self.observed.addresses.contains(&address) {
            return;
        }
        let before: Vec<Address> = self.same_address(&address).cloned().collect();
        if !before.is_empty() {
            // Two that differ in what is not looked at, such as the peer, can be there.
            self.doubt(address.link);
        }
        self.add_address(address);
        for before in before {
            self.observed.addresses.remove(&before);
        }
    }

    /// An address was taken off. The label, the scope and the protocol that are given do not count.
    /// The link's routes can have gone with its last address, and the same address can still be
    /// there with another peer: all of the link is read again.
    pub fn address_gone(&mut self, address: &Address) {
        if self.observed.links.contains_key(&address.link) {
            self.doubt(address.link);
        }
        self.doubt_sourced(address.address.ip());
        let before: Vec<Address> = self.same_address(address).cloned().collect();
        before.iter().for_each(|before| self.remove_address(before));
    }

    /// All addresses of a link, as they were read.
    pub(super) fn addresses_read(&mut self, link: u32, now: &BTreeSet<Address>) {
        self.addresses_become(self.on_link(link).cloned().collect(), now);
    }

    pub(super) fn replace_addresses(&mut self, now: &BTreeSet<Address>) {
        self.addresses_become(self.observed.addresses.iter().cloned().collect(), now);
    }

    pub(super) fn on_link(&self, link: u32) -> impl Iterator<Item = &Address> {
        self.observed.addresses_on(link)
    }

    fn addresses_become(&mut self, mut before: BTreeSet<Address>, now: &BTreeSet<Address>) {
        for new in now.difference(&before) {
            self.add_address(new.clone());
        }
        before.retain(|address| !now.contains(address));
        for gone in &before {
            if self.same_address(gone).all(|address| address == gone) {
                self.doubt_sourced(gone.address.ip());
                self.remove_address(gone);
            } else {
                self.observed.addresses.remove(gone);
            }
        }
    }

    fn add_address(&mut self, address: Address) {
        let verb = if self.same_address(&address).next().is_some() { "changed on" } else { "added to" };
        self.doubt_paths_for(address.link, address.address.ip());
        self.tell(Some(address.link), |name| format!("address {} {verb} {name}", address.address));
        self.observed.addresses.insert(address);
    }

    fn remove_address(&mut self, address: &Address) {
        self.doubt_paths_for(address.link, address.address.ip());
        self.tell(Some(address.link), |name| format!("address {} deleted from {name}", address.address));
        self.observed.addresses.remove(address);
    }

    /// Routes that prefer this source, or stood on its link, may have gone without a word; also when
    /// the address itself was not known.
    fn doubt_sourced(&mut self, source: Ipv4Addr) {
        self.stale.sources.insert(source);
        self.doubt_unlinked();
    }

    /// What has the same link, address and length: to the kernel it is the same address.
    fn same_address(&self, address: &Address) -> impl Iterator<Item = &Address> {
        let from = self.observed.addresses.range(floor(address.link, address.address)..);
        let key = (address.link, address.address);
        from.take_while(move |other| (other.link, other.address) == key)
    }
}

/// The least address of this link and prefix.
fn floor(link: u32, address: Ipv4Network) -> Address {
    Address { link, address, scope: Scope::Global, label: String::new(), protocol: 0 }
}
