//! Files: what is saved comes back, and what is no such file is refused.

use std::ffi::{CString, c_char};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use elman_abi::dataset::*;
use elman_abi::file::*;
use elman_abi::import::*;
use elman_abi::layer::elman_layer_count;
use elman_abi::network::{Network, elman_destroy, elman_set_seed};
use elman_abi::optimizer::*;
use elman_abi::status::*;

use crate::call::{Call, Done, Record, adopt, c, must, same};
use crate::dataset::{Content, Series};
use crate::network::{Model, Net, made, parameters};
use crate::source::Source;
use crate::world::{World, few};

/// What a run has written to a file.
#[derive(Clone, Debug)]
pub enum File {
    Absent,
    Network(Model, Vec<f32>),
    Series(Content),
    /// Part of a network.
    Part,
    /// Whatever it is.
    Garbage,
}

/// The files of a run, in a directory of its own that is deleted in the end.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    pub files: [File; 3],
    /// The optimizer that was saved last, byte by byte.
    optimizer: Option<Vec<u8>>,
}

impl Files {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // In memory, where there is such a place: the library waits for the disk.
        let memory = Path::new("/dev/shm");
        let base = match memory.is_dir() {
            true => memory.to_path_buf(),
            false => std::env::temp_dir(),
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = base.join(format!("elman-checks-{}-{number}", process::id()));
        fs::create_dir_all(&directory).expect("a directory for files");
        Self {
            directory,
            files: [const { File::Absent }; 3],
            optimizer: None,
        }
    }

    fn optimizer_path(&self) -> PathBuf {
        self.directory.join("optimizer")
    }

    fn path(&self, index: usize) -> PathBuf {
        self.directory.join(index.to_string())
    }

    /// Makes sure that nothing is left but the files themselves.
    pub fn check(&self) {
        let entries = fs::read_dir(&self.directory).expect("a directory for files");
        for entry in entries {
            let name = entry.expect("an entry of a directory").file_name();
            assert!(
                ["0", "1", "2", "optimizer"]
                    .map(AsRef::as_ref)
                    .contains(&&*name),
                "{name:?} is left behind"
            );
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // What can't be deleted does no harm.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where a call is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    File(usize),
    Optimizer,
    Directory,
    Nowhere,
    Null,
}

impl Where {
    fn draw(source: &mut Source<'_>) -> Self {
        match source.below(32) {
            29 => Self::Directory,
            30 => Self::Nowhere,
            31 => Self::Null,
            choice => Self::File(choice % 3),
        }
    }

    fn path(self, files: &Files) -> Option<CString> {
        let path = match self {
            Self::File(index) => files.path(index),
            Self::Optimizer => files.optimizer_path(),
            Self::Directory => files.directory.clone(),
            Self::Nowhere => files.directory.join("no/such"),
            Self::Null => return None,
        };
        Some(CString::new(path.as_os_str().as_bytes()).expect("a path holds no 0"))
    }

    fn file(self, files: &Files) -> Option<&File> {
        match self {
            Self::File(index) => Some(&files.files[index]),
            _ => None,
        }
    }
}

pub fn save(world: &mut World, source: &mut Source<'_>) {
    keep_optimizer(world, &mut source.ahead());
    let (slot, to) = (world.network_slot(source), Where::draw(source));
    let mut call = Call::new("elman_save", source);
    let net = world.networks[slot].as_ref();
    let network = call.handle(net.map(|net| &*net.handle));
    let path = call.handle(to.path(world.files.get_or_insert_with(Files::new)));
    call.wrong(ELMAN_ERROR_FORMAT, to == Where::Directory);
    call.wrong(ELMAN_ERROR_IO, to == Where::Nowhere);
    let pointer = path.as_ref().map_or(ptr::null(), |path| path.as_ptr());
    let done = call.run(&mut world.record, |_| c!(elman_save(network, pointer)));
    if let (Some(net), Some(files), Where::File(index)) = (net, &mut world.files, to)
        && done.is_some_and(|done| done.is_ok())
    {
        let model = Model {
            time_major: false,
            ..net.model.clone()
        };
        files.files[index] = File::Network(model, parameters(&net.twin));
        check_memory(
            &net.handle,
            &fs::read(files.path(index)).expect("a file that was written"),
        );
        check_import(&net.handle, files, index, &mut world.record);
        let nothing = ptr::null_mut();
        world.record.extend([
            ("elman_save_memory", ELMAN_OK),
            ("elman_load_memory", ELMAN_OK),
            (
                "elman_save_memory",
                c!(elman_save_memory(None, nothing, 0, ptr::null_mut())),
            ),
            (
                "elman_load_memory",
                c!(elman_load_memory(nothing, 0, ptr::null_mut())),
            ),
        ]);
    }
}

/// Makes sure that what was saved is imported as it is loaded, and that a state dict is one where PyTorch has such layers.
fn check_import(network: &Network, files: &Files, index: usize, record: &mut Record) {
    let size = size_of::<ImportOptions>();
    let mut options = ImportOptions {
        size,
        description: ptr::null(),
    };
    must(
        "elman_import_options_init",
        c!(elman_import_options_init(&raw mut options, size)),
    );
    let path = |name: &Path| {
        CString::new(files.directory.join(name).as_os_str().as_bytes()).expect("a path holds no 0")
    };
    let bytes = fs::read(files.path(index)).expect("a file that was written");
    let mut imported = [ptr::null_mut(); 2];
    let [first, second] = &mut imported;
    let saved = path(Path::new(&index.to_string()));
    must(
        "elman_import",
        c!(elman_import(saved.as_ptr(), ptr::null(), &raw mut *first)),
    );
    must(
        "elman_import_memory",
        c!(elman_import_memory(
            bytes.as_ptr(),
            bytes.len(),
            &raw const options,
            &raw mut *second
        )),
    );
    for imported in imported {
        let imported = adopt(imported);
        assert!(same(&parameters(&imported), &parameters(network)));
        elman_destroy(Some(imported));
    }

    let layers = elman_layer_count(Some(network));
    let names: Vec<CString> = (0..layers)
        .map(|layer| CString::new(format!("m{layer}")).expect("a name holds no 0"))
        .collect();
    let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let state = path(Path::new("state"));
    // One count is that of the layers with parameters.
    let status = (0..=layers)
        .map(|count| {
            let (to, names) = (state.as_ptr(), names.as_ptr());
            c!(elman_save_state_dict(Some(network), to, names, count))
        })
        .find(|&status| status != ELMAN_ERROR_LENGTH)
        .expect("a name for each layer");
    record.push(("elman_save_state_dict", status));
    assert!([ELMAN_OK, ELMAN_ERROR_MISMATCH].contains(&status));
    if status == ELMAN_OK {
        let mut back = ptr::null_mut();
        // The order of its modules may be open.
        let status = c!(elman_import(state.as_ptr(), ptr::null(), &raw mut back));
        record.push(("elman_import", status));
        assert!([ELMAN_OK, ELMAN_ERROR_FORMAT].contains(&status));
        if status == ELMAN_OK {
            elman_destroy(Some(adopt(back)));
        }
        fs::remove_file(files.directory.join("state")).expect("a file that was written");
    }
    let onnx = path(Path::new("onnx"));
    let status = c!(elman_save_onnx(Some(network), onnx.as_ptr()));
    record.push(("elman_save_onnx", status));
    assert!([ELMAN_OK, ELMAN_ERROR_MISMATCH].contains(&status));
    if status == ELMAN_OK {
        let mut back = ptr::null_mut();
        let status = c!(elman_import(onnx.as_ptr(), ptr::null(), &raw mut back));
        record.push(("elman_import", status));
        // An embedding behind standardised inputs.
        assert!([ELMAN_OK, ELMAN_ERROR_FORMAT].contains(&status));
        if status == ELMAN_OK {
            elman_destroy(Some(adopt(back)));
        }
        fs::remove_file(files.directory.join("onnx")).expect("a file that was written");
    }
    let nothing = ptr::null_mut();
    record.extend([
        ("elman_import_options_init", ELMAN_OK),
        ("elman_import", ELMAN_OK),
        ("elman_import_memory", ELMAN_OK),
        (
            "elman_import_options_init",
            c!(elman_import_options_init(ptr::null_mut(), size)),
        ),
        (
            "elman_import_memory",
            c!(elman_import_memory(ptr::null(), 0, ptr::null(), nothing)),
        ),
        (
            "elman_import",
            c!(elman_import(ptr::null(), ptr::null(), nothing)),
        ),
        ("elman_save_onnx", c!(elman_save_onnx(None, ptr::null()))),
        (
            "elman_save_state_dict",
            c!(elman_save_state_dict(None, ptr::null(), ptr::null(), 0)),
        ),
    ]);
}

/// Makes sure that a network in memory is the one in its file.
fn check_memory(network: &Network, file: &[u8]) {
    let mut size = 0;
    must(
        "elman_save_memory",
        c!(elman_save_memory(
            Some(network),
            ptr::null_mut(),
            0,
            &raw mut size
        )),
    );
    let mut bytes = vec![0; size];
    must(
        "elman_save_memory",
        c!(elman_save_memory(
            Some(network),
            bytes.as_mut_ptr(),
            size,
            ptr::null_mut()
        )),
    );
    assert!(
        bytes == file,
        "a network in memory is not the one in its file"
    );
    let mut loaded = ptr::null_mut();
    must(
        "elman_load_memory",
        c!(elman_load_memory(bytes.as_ptr(), size, &raw mut loaded)),
    );
    let loaded = adopt(loaded);
    assert!(same(&parameters(&loaded), &parameters(network)));
    elman_destroy(Some(loaded));
}

/// Saves an optimizer, takes it back from its file, and loads another file as one.
fn keep_optimizer(world: &mut World, source: &mut Source<'_>) {
    let slot = few(source);
    let to = match source.below(8) {
        5 => Where::Directory,
        6 => Where::Nowhere,
        7 => Where::Null,
        _ => Where::Optimizer,
    };
    let mut call = Call::new("elman_optimizer_save", source);
    let files = world.files.get_or_insert_with(Files::new);
    let path = call.handle(to.path(files));
    let mut trainer = world.optimizers[slot].as_mut();
    let optimizer = call.handle(trainer.as_ref().map(|trainer| &*trainer.handle));
    call.wrong(ELMAN_ERROR_FORMAT, to == Where::Directory);
    call.wrong(ELMAN_ERROR_IO, to == Where::Nowhere);
    let pointer = path.as_ref().map_or(ptr::null(), |path| path.as_ptr());
    let done = call.run(&mut world.record, |_| {
        c!(elman_optimizer_save(optimizer, pointer))
    });
    if let (Some(trainer), Some(_)) = (&mut trainer, done.filter(Done::is_ok)) {
        let saved = fs::read(files.optimizer_path()).expect("a file that was written");
        assert!(
            saved == saved_again(files, &trainer.twin),
            "an optimizer is not its twin"
        );
        files.optimizer = Some(saved);
        // From here on the loaded one has to do what the twin does.
        let mut loaded = ptr::null_mut();
        must(
            "elman_optimizer_load",
            c!(elman_optimizer_load(pointer, &raw mut loaded)),
        );
        let old = std::mem::replace(&mut trainer.handle, adopt(loaded));
        elman_optimizer_destroy(Some(old));
    }
    load_optimizer(world, source);
}

/// The file of an optimizer; it is the one of the optimizer that was saved last.
fn saved_again(files: &Files, optimizer: &Optimizer) -> Vec<u8> {
    let path = CString::new(files.optimizer_path().as_os_str().as_bytes());
    let path = path.expect("a path holds no 0");
    must(
        "elman_optimizer_save",
        c!(elman_optimizer_save(Some(optimizer), path.as_ptr())),
    );
    fs::read(files.optimizer_path()).expect("a file that was written")
}

/// Loads an optimizer from any file, or from part of its own.
fn load_optimizer(world: &mut World, source: &mut Source<'_>) {
    let from = match source.rarely(2) {
        true => Where::draw(source),
        false => Where::Optimizer,
    };
    let cut = source.rarely(4);
    let mut call = Call::new("elman_optimizer_load", source);
    call.starve(source);
    let files = world.files.get_or_insert_with(Files::new);
    let path = call.handle(from.path(files));
    let file = from.file(files);
    let absent = match from {
        Where::Optimizer => files.optimizer.is_none(),
        Where::File(_) => matches!(file, Some(File::Absent)),
        other => other == Where::Nowhere,
    };
    call.wrong(ELMAN_ERROR_IO, absent);
    let part = match (&files.optimizer, from) {
        (Some(whole), Where::Optimizer) if cut => Some(&whole[..source.below(whole.len())]),
        _ => None,
    };
    if let Some(part) = part {
        fs::write(files.optimizer_path(), part).expect("a file to write to");
    }
    let other = file.is_some() && !absent;
    call.wrong(
        ELMAN_ERROR_FORMAT,
        from == Where::Directory || other || part.is_some(),
    );
    let out = call.write(1);
    let pointer = path.as_ref().map_or(ptr::null(), |path| path.as_ptr());
    let done = call.run(&mut world.record, |p| {
        c!(elman_optimizer_load(pointer, p.get(out)))
    });
    if let (Some(_), Some(whole)) = (part, &files.optimizer) {
        fs::write(files.optimizer_path(), whole).expect("a file to write to");
    }
    if let Some(loaded) = done.and_then(|done| made(&done, out)) {
        let again = saved_again(files, &loaded);
        assert!(
            files.optimizer == Some(again),
            "an optimizer is not what its file holds"
        );
        elman_optimizer_destroy(Some(loaded));
    }
}

pub fn load(world: &mut World, source: &mut Source<'_>) {
    keep_optimizer(world, &mut source.ahead());
    let (slot, from) = (few(source), Where::draw(source));
    let mut call = Call::new("elman_load", source);
    let files = world.files.get_or_insert_with(Files::new);
    let path = call.handle(from.path(files));
    let file = from.file(files).cloned();
    call.wrong(
        ELMAN_ERROR_IO,
        from == Where::Nowhere || matches!(file, Some(File::Absent)),
    );
    let other = matches!(file, Some(File::Series(_) | File::Part));
    call.wrong(ELMAN_ERROR_FORMAT, from == Where::Directory || other);
    call.possible(ELMAN_ERROR_FORMAT, matches!(file, Some(File::Garbage)));
    let out = call.write(1);
    let pointer = path.as_ref().map_or(ptr::null(), |path| path.as_ptr());
    let done = call.run(&mut world.record, |p| c!(elman_load(pointer, p.get(out))));
    if let Some(network) = done.and_then(|done| made(&done, out)) {
        match file {
            Some(File::Network(model, parameters)) => {
                // The twin has trained nothing yet.
                let mut network = network;
                must("elman_set_seed", elman_set_seed(Some(&mut network), 0));
                world.put_network(slot, Net::new(network, model, &parameters));
            }
            _ => elman_destroy(Some(network)),
        }
    }
}

/// Reads a file without options, and then with some.
pub fn read_ts(world: &mut World, source: &mut Source<'_>) {
    let (slot, from) = (few(source), Where::draw(source));
    if let (Where::File(index), true) = (from, source.rarely(2)) {
        let with = world.dataset_slot(source);
        write_to(world, source, index, with, 0);
    }
    let call = Call::new("elman_dataset_read_ts", source);
    read_ts_by(world, slot, from, false, call, |path, out| {
        c!(elman_dataset_read_ts(path, out))
    });

    let mut call = Call::new("elman_dataset_read_ts_with", source);
    let mut options = ts_options(world, source);
    options.missing = source.constant(3);
    options.trim_padding = source.constant(2);
    options.time_feature = match source.below(8) {
        choice @ 6.. => choice as u32 - 5,
        _ => 0,
    };
    call.wrong(
        ELMAN_ERROR_UNKNOWN_CONSTANT,
        options.missing > ELMAN_MISSING_LINEAR
            || options.trim_padding > 1
            || options.time_feature > 1,
    );
    if source.rarely(16) {
        options.size += 8;
        call.wrong(ELMAN_ERROR_MISMATCH, true);
    }
    // What was written has no time stamps.
    let fails = options.time_feature == 1;
    read_ts_by(world, slot, from, fails, call, |path, out| {
        c!(elman_dataset_read_ts_with(path, &raw const options, out))
    });
}

fn read_ts_by(
    world: &mut World,
    slot: usize,
    from: Where,
    fails: bool,
    mut call: Call,
    read: impl FnOnce(*const c_char, *mut *mut Dataset) -> Status,
) {
    let files = world.files.get_or_insert_with(Files::new);
    let path = call.handle(from.path(files));
    let file = from.file(files).cloned();
    let nothing = matches!(from, Where::Nowhere | Where::Directory);
    call.wrong(
        ELMAN_ERROR_IO,
        nothing || matches!(file, Some(File::Absent)),
    );
    call.wrong(
        ELMAN_ERROR_PARSE,
        matches!(file, Some(File::Network(..) | File::Part))
            || fails && matches!(file, Some(File::Series(_))),
    );
    call.possible(ELMAN_ERROR_PARSE, matches!(file, Some(File::Garbage)));
    let out = call.write(1);
    let pointer = path.as_ref().map_or(ptr::null(), |path| path.as_ptr());
    let done = call.run(&mut world.record, |p| read(pointer, p.get(out)));
    if let Some(handle) = done.and_then(|done| made(&done, out)) {
        match file {
            Some(File::Series(mut content)) => {
                content.named = true;
                let handle = Some(handle);
                assert_eq!(elman_dataset_get_note_count(handle.as_deref()), 1);
                world.put_dataset(slot, handle.map(|handle| Series { handle, content }));
            }
            _ => elman_dataset_destroy(Some(handle)),
        }
    }
}

/// The options of the reader as they are by default.
fn ts_options(world: &mut World, source: &mut Source<'_>) -> TsOptions {
    let right = size_of::<TsOptions>();
    let size = match source.below(4) {
        3 => source.size(&[right - 1, right + 8, 0, 4]),
        _ => right,
    };
    let mut call = Call::new("elman_ts_options_init", source);
    call.wrong(ELMAN_ERROR_MISMATCH, size != right);
    let options = call.write_structure();
    let done = call.run(&mut world.record, |p| {
        c!(elman_ts_options_init(p.get(options), size))
    });
    let expected = TsOptions {
        size: right,
        missing: ELMAN_MISSING_ERROR,
        trim_padding: 0,
        time_feature: 0,
        reserved: 0,
    };
    if let Some(done) = done.filter(Done::is_ok) {
        let options: TsOptions = done.structure(options);
        assert_eq!(format!("{options:?}"), format!("{expected:?}"));
    }
    expected
}

/// Writes a file that is no saved network.
pub fn write(world: &mut World, source: &mut Source<'_>) {
    let (index, with) = (source.below(3), world.dataset_slot(source));
    let kind = source.below(4);
    write_to(world, source, index, with, kind);
}

fn write_to(world: &mut World, source: &mut Source<'_>, index: usize, with: usize, kind: usize) {
    let files = world.files.get_or_insert_with(Files::new);
    let path = files.path(index);
    let (file, bytes) = match (kind, &files.files[index], &world.datasets[with]) {
        (0..2, _, Some(series)) => match series.content.to_ts() {
            Some(text) => (File::Series(series.content.clone()), text.into_bytes()),
            None => return,
        },
        (2, File::Network(..), _) => {
            let whole = fs::read(&path).expect("a file that was written");
            let len = source.below(whole.len());
            (File::Part, whole[..len].to_vec())
        }
        _ => (File::Garbage, source.bytes(64).to_vec()),
    };
    fs::write(path, bytes).expect("a file to write to");
    files.files[index] = file;
}
