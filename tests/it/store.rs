//! The backends: each passes the conformance suite, and sled keeps its promises across restarts and damage.

mod memory {
    use anteroom::store::memory::MemoryStore;

    anteroom::store_conformance!(MemoryStore::default());
}

mod sled {
    use anteroom::store::sled::SledStore;
    use tempfile::tempdir;

    anteroom::store_conformance!(in tempdir().unwrap() => |directory| SledStore::open(directory.path()).unwrap());
}
