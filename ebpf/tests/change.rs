//! What the programs say of changed names and metadata. Needs root.

mod observe;

use agentsight_ebpf::{Change, ChangeKind, Event, FileId, Object};
use observe::on_both;

/// Kind, path and new path below the working directory, value, error.
type Said = (ChangeKind, String, String, u64, u32);

fn changes(events: &[Event]) -> Vec<&Change> {
    events.iter().filter_map(|event| if let Event::Change(it) = event { Some(&**it) } else { None }).collect()
}

/// Between the two marks that the program sets: what Python does for itself is not meant.
fn said(events: &[Event]) -> Vec<Said> {
    let changes = changes(events);
    let text = |change: &Change| String::from_utf8_lossy(&change.path.bytes).into_owned();
    let begin = changes.iter().position(|it| text(it).ends_with("/begin")).expect("the first mark");
    let folder = text(changes[begin]).trim_end_matches("/begin").to_owned();
    let below = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&folder, "~");
    let said = changes[begin + 1..]
        .iter()
        .map(|it| (it.kind, below(&it.path.bytes), below(&it.new_path.bytes), it.value, it.error));
    said.take_while(|(_, path, ..)| path != "~/end").collect()
}

fn expected(rows: &[(ChangeKind, &str, &str, u64, u32)]) -> Vec<Said> {
    rows.iter().map(|(kind, path, new, value, error)| (*kind, (*path).into(), (*new).into(), *value, *error)).collect()
}

const PRELUDE: &str = "
import os, tempfile
os.chdir(tempfile.mkdtemp())
os.mkdir('begin')
";
const END: &str = "
os.mkdir('end')
";

#[test]
fn every_change_of_a_name_has_its_paths_made_absolute() {
    let program = format!(
        "{PRELUDE}
os.mkdir('d', 0o700)
os.rename('d', 'e')
directory = os.open('e', os.O_RDONLY)
os.mknod('e/f', 0o100600)
os.link('e/f', 'g')
os.symlink('../target', 'e/s')
os.rename('f', '../h', src_dir_fd=directory, dst_dir_fd=directory)
os.chdir('e')
os.unlink('../h')
os.unlink('s', dir_fd=directory)
os.mkdir('x', dir_fd=directory)
os.rmdir('x', dir_fd=directory)
os.rmdir(os.path.abspath('../begin'))
os.chdir('..')
os.mkdir('begin')
try: os.unlink('./missing')
except FileNotFoundError: pass
try: os.mkdir('e')
except FileExistsError: pass
{END}"
    );
    on_both(&program, |events| {
        use ChangeKind::{Link, Mkdir, Mknod, Rename, Rmdir, Symlink, Unlink};
        assert_eq!(
            said(events),
            expected(&[
                (Mkdir, "~/d", "", 0o700, 0),
                (Rename, "~/d", "~/e", 0, 0),
                (Mknod, "~/e/f", "", 0o100_600, 0),
                (Link, "~/e/f", "~/g", 0, 0),
                (Symlink, "~/e/s", "../target", 0, 0),
                (Rename, "~/e/f", "~/h", 0, 0),
                (Unlink, "~/h", "", 0, 0),
                (Unlink, "~/e/s", "", 0, 0),
                (Mkdir, "~/e/x", "", 0o777, 0),
                (Rmdir, "~/e/x", "", 0, 0),
                (Rmdir, "~/begin", "", 0, 0),
                (Mkdir, "~/begin", "", 0o777, 0),
                (Unlink, "~/missing", "", 0, 2),
                (Mkdir, "~/e", "", 0o777, 17),
            ])
        );
    });
}

#[test]
fn changes_of_a_files_size_mode_and_owner_say_the_new_one() {
    let program = format!(
        "{PRELUDE}
f = os.open('f', os.O_RDWR | os.O_CREAT)
os.ftruncate(f, 70000)
os.truncate('f', 5)
os.posix_fallocate(f, 10, 20)
os.chmod('f', 0o640)
os.fchmod(f, 0o600)
os.chown('f', 7, 8)
os.fchown(f, -1, 9)
os.chown('f', 1, 2, follow_symlinks=False)
try: os.setxattr('f', 'user.a', b'1')
except OSError: pass
{END}"
    );
    on_both(&program, |events| {
        use ChangeKind::{Chmod, Chown, Fallocate, Truncate};
        let said = said(events);
        let (last, said) = said.split_last().expect("there are some");
        assert_eq!((last.0, last.1.as_str()), (ChangeKind::Setxattr, "~/f"));
        assert_eq!(
            said,
            expected(&[
                (Truncate, "~/f", "", 70_000, 0),
                (Truncate, "~/f", "", 5, 0),
                (Fallocate, "~/f", "", 30, 0),
                (Chmod, "~/f", "", 0o640, 0),
                (Chmod, "~/f", "", 0o600, 0),
                (Chown, "~/f", "", 7 << 32 | 8, 0),
                (Chown, "~/f", "", 0xffff_ffff << 32 | 9, 0),
                (Chown, "~/f", "", 1 << 32 | 2, 0),
            ])
        );
        // By descriptor it is the file itself.
        let opened = events.iter().find_map(|event| match event {
            Event::Open(open) => match &open.object {
                Object::File(file) if file.created && file.path.bytes.ends_with(b"/f") => Some(file.id),
                _ => None,
            },
            _ => None,
        });
        let named: Vec<FileId> = changes(events).iter().filter_map(|change| change.file).collect();
        assert_eq!(named, vec![opened.expect("its creation was seen"); 4]);
    });
}

#[test]
fn long_paths_are_cut_and_say_so() {
    let program = format!(
        "{PRELUDE}
for n in range(45):
    os.mkdir('deep')
    os.chdir('deep')
try: os.mkdir('x/' * 2100)
except OSError: pass
"
    );
    on_both(&program, |events| {
        let changes = changes(events);
        let [.., before, last] = changes.as_slice() else { panic!("there are some") };
        assert_eq!((last.path.gap.is_some(), last.error), (true, 36), "ENAMETOOLONG");
        // A walk ends after 40 components: what is nearer to the root is missing.
        assert!(before.path.gap.is_some() && before.path.bytes.starts_with("…/deep".as_bytes()));
        assert!(before.path.bytes.ends_with(b"/deep/deep"));
    });
}
