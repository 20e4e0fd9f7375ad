//! The table of client objects: sharded sets, a word and a bit for each client.

use std::{hash::BuildHasher, sync::Arc};

use parking_lot::RwLock;

use crate::{
    ClientId,
    client::{ById, Client},
    client_id::AnyId,
    quick::{Quick, Set},
};

/// Look-ups of the beat path lock one of so many shards for reading; writers are registrations of new clients.
const SHARDS: usize = 256;

#[derive(Debug)]
pub(crate) struct Clients {
    hasher: Quick,
    shards: Box<[RwLock<Set<ById>>]>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { hasher: Quick::default(), shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Clients {
    fn shard(&self, id: &dyn AnyId) -> &RwLock<Set<ById>> {
        &self.shards[self.hasher.hash_one(id) as usize % SHARDS]
    }

    pub fn get(&self, id: &dyn AnyId) -> Option<Arc<Client>> {
        self.shard(id).read().get(id).map(|held| Arc::clone(&held.0))
    }

    /// The client of this id, made by `make` if there is none; true when it was made.
    pub fn get_or_insert(&self, id: &ClientId, make: impl FnOnce() -> Client) -> (Arc<Client>, bool) {
        let mut shard = self.shard(id).write();
        if let Some(held) = shard.get(id as &dyn AnyId) {
            return (Arc::clone(&held.0), false);
        }
        let client = Arc::new(make());
        shard.insert(ById(Arc::clone(&client)));
        (client, true)
    }

    /// Removes this very object; false when another one took its place, or none is there.
    pub fn remove(&self, client: &Arc<Client>) -> bool {
        let id: &dyn AnyId = &client.id;
        let mut shard = self.shard(id).write();
        let held = shard.get(id).is_some_and(|held| Arc::ptr_eq(&held.0, client));
        held && shard.remove(id)
    }

    /// All clients there are while it looks.
    pub fn all(&self) -> Vec<Arc<Client>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.read().iter().map(|held| Arc::clone(&held.0)));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_id::Address;

    #[test]
    fn borrowed_ids_find_owned_ones() {
        let table = Clients::default();
        let add = |id: ClientId| table.get_or_insert(&id.clone(), || Client::new(id, None, 0)).1;
        assert!(add(ClientId::ephemeral("10.0.0.1", 80)) && add(ClientId::persistent("10.0.0.1", 80)));
        assert!(!add(ClientId::ephemeral("10.0.0.1", 80)), "once");
        let find = |port, ephemeral| table.get(&Address { ip: "10.0.0.1", port, ephemeral }).map(|c| c.id.to_string());
        assert_eq!(find(80, true).as_deref(), Some("10.0.0.1:80#true"));
        assert_eq!(find(80, false).as_deref(), Some("10.0.0.1:80#false"));
        assert_eq!(find(81, true), None);
        assert_eq!(table.all().len(), 2);
    }

    #[test]
    fn only_the_very_object_is_removed() {
        let table = Clients::default();
        let id = ClientId::connection("1_a_1");
        let make = || Client::new(id.clone(), None, 0);
        let (first, _) = table.get_or_insert(&id, make);
        assert!(table.remove(&first));
        let (second, _) = table.get_or_insert(&id, make);
        assert!(!table.remove(&first) && table.get(&id).is_some());
        assert!(table.remove(&second) && table.get(&id).is_none());
    }
}
