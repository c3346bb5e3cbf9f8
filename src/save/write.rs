//! How a network or an optimizer becomes a file.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use safetensors::tensor::{Metadata, TensorInfo};
use serde::Serialize;

use super::{Architecture, Entry, HEADER_LIMIT, KEY, WHAT, dtype};
use crate::buffer::try_vec;
use crate::model::Model;
use crate::network::Position;
use crate::{Element, Error, Result};

/// A file that is to be written.
pub(super) struct Image<'a, E: Element> {
    model: &'a Model<E>,
    entries: Vec<Entry>,
    /// All that comes before the tensors.
    header: Vec<u8>,
    /// Bytes of all tensors.
    data_len: usize,
}

impl<'a, E: Element> Image<'a, E> {
    pub(super) fn new(model: &'a Model<E>, training: Position) -> Result<Self> {
        let architecture = Architecture::new(model, training);
        let entries = architecture.entries::<E>();
        Self::with(model, entries, KEY, json(&architecture))
    }

    /// The parameters alone, as these tensors.
    pub(super) fn state_dict(model: &'a Model<E>, entries: Vec<Entry>) -> Result<Self> {
        // So says the file that PyTorch's users write.
        Self::with(model, entries, "format", "pt".to_owned())
    }

    fn with(
        model: &'a Model<E>,
        entries: Vec<Entry>,
        key: &str,
        description: String,
    ) -> Result<Self> {
        let tensors = entries.iter().flat_map(Entry::tensors);
        let (header, data_len) = encode::<E>(key, description, tensors)?;
        Ok(Self {
            model,
            entries,
            header,
            data_len,
        })
    }

    /// All of it.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = try_vec(WHAT, self.len())?;
        match self.write(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(_) => unreachable!("a vector takes everything"),
        }
    }

    /// Number of bytes.
    pub(super) fn len(&self) -> usize {
        self.header.len() + self.data_len
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.header)?;
        let parameters = self.model.places.iter().flat_map(|place| {
            let mut rest = &self.model.parameters[place.parameters()];
            place.tensors.iter().map(move |tensor| {
                let values;
                (values, rest) = rest.split_at(tensor.len());
                values
            })
        });
        let standardization = self.model.standardization.iter();
        let standardization = standardization.flat_map(|s| [s.mean(), s.deviation()]);
        for (entry, values) in self.entries.iter().zip(parameters.chain(standardization)) {
            (0..entry.padding).try_for_each(|_| put(out, E::ZERO))?;
            let units = entry.columns();
            let mut rows = (0..units).flat_map(|unit| values[unit..].iter().step_by(units));
            rows.try_for_each(|&value| put(out, value))?;
            if entry.addend.is_some() {
                values.iter().try_for_each(|_| put(out, E::ZERO))?;
            }
        }
        Ok(())
    }
}

/// A description as text.
pub(super) fn json(description: &impl Serialize) -> String {
    serde_json::to_string(description).expect(PLAIN)
}

const PLAIN: &str = "names and numbers have a JSON form, and the tensors lie end to end";

/// All that comes before the tensors, which have these names and shapes, and the number of bytes of these. The description
/// is metadata under that key.
pub(super) fn encode<'t, E: Element>(
    key: &str,
    description: String,
    tensors: impl Iterator<Item = (&'t str, &'t [usize])>,
) -> Result<(Vec<u8>, usize)> {
    let mut end = 0;
    let tensors = tensors.map(|(name, shape)| {
        let start = end;
        end += shape.iter().product::<usize>() * size_of::<E>();
        let info = TensorInfo {
            dtype: dtype::<E>(),
            shape: shape.to_vec(),
            data_offsets: (start, end),
        };
        (name.to_owned(), info)
    });
    let tensors = tensors.collect();
    let metadata = HashMap::from([(key.to_owned(), description)]);
    let metadata = Metadata::new(Some(metadata), tensors).expect(PLAIN);
    let mut json = serde_json::to_vec(&metadata).expect(PLAIN);
    json.resize(json.len().next_multiple_of(8), b' ');
    if json.len() > HEADER_LIMIT {
        return Err(Error::OutOfRange {
            name: "the length of the header",
            value: json.len() as f64,
            expected: "at most 4 MiB: fewer layers",
        });
    }
    let mut header = (json.len() as u64).to_le_bytes().to_vec();
    header.extend(json);
    Ok((header, end))
}

/// Writes an element of a tensor.
pub(super) fn put<E: Element>(out: &mut impl Write, value: E) -> io::Result<()> {
    out.write_all(&value.to_bits_u64().to_le_bytes()[..size_of::<E>()])
}

/// Writes a file next to `path` and moves it there.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    // Where it is a link, what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let (temporary, file) = create_beside(&path)?;
    let result = (|| {
        if let Ok(replaced) = fs::metadata(&path) {
            file.set_permissions(replaced.permissions())?;
        }
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        // On the disk before its name is: otherwise a power failure could leave the name of an empty file.
        file.into_inner()?.sync_all()?;
        fs::rename(&temporary, &path)
    })();
    match result {
        // The first error is the one to report.
        Err(_) => _ = fs::remove_file(&temporary),
        Ok(()) => sync_directory(&path),
    }
    result
}

/// Puts the name of a file on the disk, where the system has a way to.
fn sync_directory(path: &Path) {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    if let Ok(directory) = File::open(directory.unwrap_or(Path::new("."))) {
        // The file is there, whatever comes of this.
        _ = directory.sync_all();
    }
}

/// A new file in the directory of `path`, of a name that no other thread or process has.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = path.with_file_name(format!(".elman-{}-{number}.tmp", process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(file) => return Ok((name, file)),
            // Left behind by a process of the same number, or made by one of another machine.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
