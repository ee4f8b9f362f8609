use super::*;
use std::error::Error;
use std::os::unix::fs::symlink;
use std::sync::Arc;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any test: whoever waits it out has missed something.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn comments_blanks_and_patterns() {
    let listing = parse("\u{feff}# all\n\n  a:1  # one\r\nb[1:2]:1#two\n\tjunk\n#c:1\n");
    assert_eq!(listing.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b1:1", "b2:1"]);
    assert_eq!(listing.unreadable.len(), 1);
    assert_eq!(listing.unreadable[0].entry, "junk");
    assert!(listing.unreadable[0].why.starts_with("line 5: "), "{listing:?}");
}

#[tokio::test]
async fn a_file_is_read_and_never_written() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("nodes");
    let backend: &dyn Backend = &FileBackend::new(path.clone(), TIMEOUT);
    assert!(matches!(backend.list(Scope::Active).await, Err(BackendError::File { .. })));
    fs::write(&path, "a:1\n")?;
    assert_eq!(backend.list(Scope::All).await?.nodes.len(), 1);
    let node = "b:1".parse()?;
    assert!(matches!(backend.register(&Claim::new(&node, TIMEOUT)).await, Err(BackendError::ReadOnly { .. })));
    assert!(matches!(backend.deregister(&Release::new(&node, None)).await, Err(BackendError::ReadOnly { .. })));
    let marked = backend.mark_drained(&node, None, TIMEOUT).await;
    assert!(matches!(marked, Err(BackendError::ReadOnly { .. })));
    let folder = FileBackend::new(directory.path().to_owned(), TIMEOUT).watch(Scope::Active, None).await;
    assert!(folder.is_err_and(|error| error.to_string().ends_with("it is not a regular file")));
    Ok(())
}

/// A file that is watched, in a folder of its own.
struct Scene {
    directory: tempfile::TempDir,
    backend: Arc<FileBackend>,
}

impl Scene {
    fn new(name: &str) -> std::io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let backend = Arc::new(FileBackend::new(directory.path().join(name), TIMEOUT));
        Ok(Self { directory, backend })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn position(&self) -> Result<Position, Box<dyn Error>> {
        let sight = self.backend.watch(Scope::Active, None).await?;
        Ok(sight.position.ok_or("the temporary folder tells of changes")?)
    }

    /// What a watch sees that has waited for a while when `change` happens.
    async fn sees(&self, change: impl FnOnce() -> io::Result<()>) -> Result<Vec<String>, Box<dyn Error>> {
        let seen = Seen { position: self.position().await?, patience: LONG };
        let backend = Arc::clone(&self.backend);
        let watching = tokio::spawn(async move { backend.watch(Scope::Active, Some(&seen)).await });
        // long enough to look and to be waiting; if not, the change is found by the look
        sleep(Duration::from_millis(100)).await;
        assert!(!watching.is_finished(), "nothing has changed yet");
        change()?;
        let start = Instant::now();
        let sight = watching.await??;
        assert!(start.elapsed() < TIMEOUT, "it was told late: {:?}", start.elapsed());
        Ok(sight.listing.nodes.iter().map(ToString::to_string).collect())
    }
}

#[tokio::test]
async fn what_an_editor_does_is_seen() -> Result<(), Box<dyn Error>> {
    let scene = Scene::new("nodes")?;
    let (path, new, old) = (scene.path("nodes"), scene.path("nodes.new"), scene.path("nodes~"));
    fs::write(&path, "a:1\n")?;
    assert_eq!(scene.sees(|| fs::write(&path, "b:1\n")).await?, ["b:1"]);
    let replace = |text: &'static str| {
        let (path, new) = (&path, &new);
        move || fs::write(new, text).and_then(|()| fs::rename(new, path))
    };
    assert_eq!(scene.sees(replace("c:1\n")).await?, ["c:1"]);
    assert_eq!(scene.sees(replace("d:1\n")).await?, ["d:1"], "the new file is watched too");
    // away, and written anew: nobody sees that it was not there
    let anew = || fs::rename(&path, &old).and_then(|()| fs::write(&path, "e:1\n"));
    assert_eq!(scene.sees(anew).await?, ["e:1"]);
    fs::hard_link(&path, scene.path("other"))?;
    assert_eq!(scene.sees(|| fs::write(scene.path("other"), "f:1\n")).await?, ["f:1"], "by another name");
    Ok(())
}

#[tokio::test]
async fn a_change_behind_a_link_or_a_folder_is_seen() -> Result<(), Box<dyn Error>> {
    // as Kubernetes mounts a ConfigMap: nodes -> ..data/nodes, ..data -> a folder, and ..data is replaced
    let scene = Scene::new("mount/nodes")?;
    for (folder, text) in [("mount/..1", "a:1\n"), ("mount/..2", "b:1\n"), ("moved", "c:1\n")] {
        fs::create_dir_all(scene.path(folder))?;
        fs::write(scene.path(folder).join("nodes"), text)?;
    }
    symlink("..1", scene.path("mount/..data"))?;
    symlink("..data/../..data/nodes", scene.path("mount/nodes"))?;
    let swap = || {
        symlink("..2", scene.path("mount/..tmp"))?;
        fs::rename(scene.path("mount/..tmp"), scene.path("mount/..data"))
    };
    assert_eq!(scene.sees(swap).await?, ["b:1"]);
    assert_eq!(scene.sees(|| fs::write(scene.path("mount/..2/nodes"), "d:1\n")).await?, ["d:1"]);
    let exchange = || {
        fs::rename(scene.path("mount"), scene.path("old"))?;
        fs::rename(scene.path("moved"), scene.path("mount"))
    };
    assert_eq!(scene.sees(exchange).await?, ["c:1"]);
    Ok(())
}

#[tokio::test]
async fn a_file_that_goes_is_an_error_and_no_change_is_missed_between_two_calls() -> Result<(), Box<dyn Error>> {
    let scene = Scene::new("nodes")?;
    let path = scene.path("nodes");
    fs::write(&path, "a:1\n")?;
    let seen = Seen { position: scene.position().await?, patience: LONG };
    fs::write(&path, "b:1\n")?;
    let sight = scene.backend.watch(Scope::Active, Some(&seen)).await?;
    assert_eq!(sight.listing.nodes.len(), 1);
    assert_ne!(sight.position.as_ref(), Some(&seen.position));
    let gone = scene.sees(|| fs::remove_file(&path)).await;
    assert!(gone.is_err_and(|error| error.to_string().contains("can't be read")));
    assert!(scene.backend.watch(Scope::Active, Some(&seen)).await.is_err());
    fs::write(&path, "a:1\n")?;
    assert_eq!(scene.position().await?, seen.position, "a position is of the content");
    Ok(())
}

#[tokio::test]
async fn patience_ends_with_the_list_as_it_is_and_neighbours_are_no_news() -> Result<(), Box<dyn Error>> {
    let scene = Scene::new("nodes")?;
    fs::write(scene.path("nodes"), "a:1\n")?;
    let seen = Seen { position: scene.position().await?, patience: Duration::from_millis(300) };
    let start = Instant::now();
    let (sight, written) = tokio::join!(scene.backend.watch(Scope::Active, Some(&seen)), async {
        sleep(Duration::from_millis(100)).await;
        fs::write(scene.path("neighbour"), "b:1\n")
    });
    written?;
    assert!(start.elapsed() >= seen.patience, "{:?}", start.elapsed());
    assert_eq!(sight?.position, Some(seen.position));
    Ok(())
}

#[tokio::test]
async fn a_file_system_that_tells_nothing_is_for_reading_again_and_again() -> Result<(), Box<dyn Error>> {
    let backend = FileBackend::new(PathBuf::from("/proc/version"), TIMEOUT);
    assert_eq!(backend.watch(Scope::Active, None).await?.position, None);
    let seen = Seen { position: Position("0".into()), patience: LONG };
    let start = Instant::now();
    backend.watch(Scope::Active, Some(&seen)).await?;
    assert!(start.elapsed() < TIMEOUT, "there is nothing to wait for");
    Ok(())
}
