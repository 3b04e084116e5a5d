use super::*;
use crate::store::tests::Node;
use crate::store::{DATABASE_FILE, Store, VoteStanding};

#[test]
fn a_copy_made_while_the_node_commits_holds_one_moment_and_opens() {
    let mut node = Node::new();
    let (mut store, _) = node.lived(5);
    let archive = Archive::open(&node.folder()).unwrap();
    let to = node.folder().join("copy.sqlite");
    let mut told = Vec::new();
    let copied = archive
        .back_up(&to, |progress| {
            told.push(progress);
            let next = node.close(Vec::new());
            store.commit(&next).unwrap();
        })
        .unwrap();
    // The node had closed five ledgers after genesis when the copy began.
    assert_eq!(copied.last_ledger, 6);
    assert_eq!(copied.bytes, std::fs::metadata(&to).unwrap().len());
    assert!(told.last().is_some_and(|last| last.done == last.total && last.total > 0));
    assert_eq!(store.reader().totals().unwrap().last_ledger, 6 + told.len() as u64);

    let copy = Archive::open(&to).unwrap();
    assert_eq!((copy.network(), copy.node()), (archive.network(), archive.node()));
    assert_eq!(copy.state().unwrap().unwrap().header.sequence, 6);
    assert!(copy.reader().proof(6).unwrap().is_some());
    let partial = |entry: io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().contains("partial"))
    };
    assert!(!std::fs::read_dir(node.folder()).unwrap().any(partial), "nothing is left over");
}

#[test]
fn a_copy_never_overwrites_and_never_half_appears() {
    let mut node = Node::new();
    let (_store, _) = node.lived(1);
    let archive = Archive::open(&node.folder().join(DATABASE_FILE)).unwrap();
    let to = node.folder().join("copy.sqlite");
    std::fs::write(&to, b"precious").unwrap();
    assert!(matches!(archive.back_up(&to, |_| ()), Err(StoreError::Exists { .. })));
    assert_eq!(std::fs::read(&to).unwrap(), b"precious");
    // Somebody else puts a file there meanwhile.
    std::fs::remove_file(&to).unwrap();
    let refused = archive.back_up(&to, |_| std::fs::write(&to, b"theirs").unwrap());
    assert!(matches!(refused, Err(StoreError::Exists { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&to).unwrap(), b"theirs");
    let nowhere = archive.back_up(&node.folder().join("no/such/folder"), |_| ());
    assert!(matches!(nowhere, Err(StoreError::Io { .. })), "{nowhere:?}");
}

#[test]
fn a_copy_restored_under_a_used_key_does_not_vote() {
    let mut node = Node::new();
    let (mut store, _) = node.lived(3);
    let copy = node.folder().with_file_name("copy.sqlite");
    Archive::open(&node.folder()).unwrap().back_up(&copy, |_| ()).unwrap();
    let next = node.close(Vec::new());
    store.commit(&next).unwrap();
    drop(store);
    let standing = |folder: &Path| {
        let (_, restored) = Store::open(folder, node.network(), node.key.node_id(), &node.mark()).unwrap();
        restored.standing
    };
    // In a new folder, as on another host, and in place of the newer database.
    let elsewhere = node.folder().with_file_name("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::copy(&copy, elsewhere.join(DATABASE_FILE)).unwrap();
    assert!(standing(&elsewhere).is_lost());
    assert_eq!(standing(&node.folder()), VoteStanding::Intact);
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal"), format!("{DATABASE_FILE}-shm")] {
        let _ = std::fs::remove_file(node.folder().join(name));
    }
    std::fs::copy(&copy, node.folder().join(DATABASE_FILE)).unwrap();
    assert!(standing(&node.folder()).is_lost());
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Archive::open(folder.path()), Err(StoreError::Io { .. })));
    let empty = folder.path().join("empty.sqlite");
    std::fs::write(&empty, b"").unwrap();
    assert!(matches!(Archive::open(&empty), Err(StoreError::NotOurs { .. })));
    assert_eq!(std::fs::read(&empty).unwrap(), b"");
    let text = folder.path().join("text");
    std::fs::write(&text, [b'x'; 5000]).unwrap();
    assert!(matches!(Archive::open(&text), Err(StoreError::Sqlite { .. })));
}
