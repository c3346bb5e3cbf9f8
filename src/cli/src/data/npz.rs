//! NumPy's `.npz` files: x `[n][steps][features]` or `[n][steps]`, y `[n]`, and lengths `[n]` where they differ.

use std::io::{Cursor, Read};
use std::path::Path;

use npyz::npz::{array_name_from_file_name, file_name_from_array_name};
use npyz::{DType, NpyFile, Order, TypeChar};
use zip::ZipArchive;
use zip::result::ZipError;

use super::labels::{self, Label};
use super::{Sequences, Wanted, contents, fault, gaps};
use crate::failure::Result;
use crate::options::{DataOptions, Missing};

type Archive = ZipArchive<Cursor<Vec<u8>>>;

/// Reads an `.npz` file.
pub fn read(path: &Path, options: &DataOptions, wanted: Wanted) -> Result<Sequences> {
    let bytes = contents(path)?;
    let mut archive = Archive::new(Cursor::new(bytes)).map_err(|error| fault(path, error))?;
    let Some(x) = array(path, &mut archive, &["x", "X"])? else {
        let files = archive.file_names().flatten();
        let mut names: Vec<String> = files
            .filter_map(|file| array_name_from_file_name(&file).map(str::to_owned))
            .collect();
        names.sort_unstable();
        return Err(fault(
            path,
            format_args!("there is no array x, only {}", labels::List(&names)),
        ));
    };
    let (sequences, steps, features) = match x.shape[..] {
        [sequences, steps] => (sequences, steps, 1),
        [sequences, steps, features] => (sequences, steps, features),
        _ => {
            let message = format!(
                "x has the shape {:?}, expected [n][steps][features] or [n][steps]",
                x.shape
            );
            return Err(fault(path, message));
        }
    };
    let values = x.values.numbers(path, "x")?;
    if values.is_empty() {
        return Err(fault(
            path,
            format_args!("x has the shape {:?}, expected at least 1 of each", x.shape),
        ));
    }
    let lengths = match array(path, &mut archive, &["lengths"])? {
        None => vec![steps; sequences],
        Some(lengths) => {
            expect_one_each(path, "lengths", &lengths.shape, sequences)?;
            let length = |(index, &length): (usize, &f64)| match length {
                _ if length.fract() == 0.0 && (1.0..=steps as f64).contains(&length) => {
                    Ok(length as usize)
                }
                _ => Err(fault(
                    path,
                    format_args!("lengths[{index}] is {length}, expected 1 to {steps}"),
                )),
            };
            lengths
                .values
                .numbers(path, "lengths")?
                .iter()
                .enumerate()
                .map(length)
                .collect::<Result<_>>()?
        }
    };
    let mut rows = Vec::new();
    for (sequence, &length) in lengths.iter().enumerate() {
        let start = sequence * steps * features;
        let begin = rows.len();
        for (index, &value) in values[start..start + length * features].iter().enumerate() {
            let number = value as f32;
            if number.is_infinite() || (number.is_nan() && options.missing == Missing::Error) {
                let place = format!("x[{sequence}][{}][{}]", index / features, index % features);
                return Err(fault(
                    path,
                    format_args!("{place} is {value}, expected a finite number"),
                ));
            }
            rows.push(number);
        }
        if let Err(feature) = gaps::fill(&mut rows[begin..], features, options.missing) {
            let message =
                format!("x[{sequence}][..][{feature}] has no value, expected at least one");
            return Err(fault(path, message));
        }
    }
    let targets = match wanted {
        Wanted::Nothing | Wanted::Following => labels::targets(path, &[], wanted)?,
        _ => {
            let Some(y) = array(path, &mut archive, &["y", "Y"])? else {
                return Err(fault(
                    path,
                    "there is no array y, expected one with the targets",
                ));
            };
            expect_one_each(path, "y", &y.shape, sequences)?;
            let label = |(index, text): (usize, String)| {
                (text != "NaN").then(|| Label::of_item(text, index))
            };
            let labels: Vec<_> = y
                .values
                .texts()
                .into_iter()
                .enumerate()
                .map(label)
                .collect();
            labels::targets(path, &labels, wanted)?
        }
    };
    Ok(Sequences {
        path: path.to_owned(),
        ids: (0..sequences).map(|index| index.to_string()).collect(),
        features,
        x: rows,
        lengths,
        targets,
        notes: Vec::new(),
    })
}

fn expect_one_each(path: &Path, name: &str, shape: &[usize], sequences: usize) -> Result<()> {
    match *shape {
        [count] | [count, 1] if count == sequences => Ok(()),
        _ => Err(fault(
            path,
            format_args!(
                "{name} has the shape {shape:?}, expected [{sequences}], one for each of x"
            ),
        )),
    }
}

/// An array, row-major.
struct Array {
    shape: Vec<usize>,
    values: Values,
}

/// What an array is of.
enum Values {
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

impl Values {
    fn numbers(self, path: &Path, name: &str) -> Result<Vec<f64>> {
        match self {
            Self::Numbers(numbers) => Ok(numbers),
            Self::Texts(_) => Err(fault(
                path,
                format_args!("{name} is of text, expected numbers"),
            )),
        }
    }

    fn texts(self) -> Vec<String> {
        match self {
            Self::Numbers(numbers) => numbers.iter().map(f64::to_string).collect(),
            Self::Texts(texts) => texts,
        }
    }
}

/// The first array that has one of these names.
fn array(path: &Path, archive: &mut Archive, names: &[&str]) -> Result<Option<Array>> {
    for name in names {
        let fault = |message: String| fault(path, format_args!("{name}: {message}"));
        let file = match archive.by_name(&file_name_from_array_name(name)) {
            Ok(file) => NpyFile::new(file).map_err(|error| fault(error.to_string()))?,
            Err(ZipError::FileNotFound) => continue,
            Err(error) => return Err(fault(error.to_string())),
        };
        return read_array(file).map(Some).map_err(fault);
    }
    Ok(None)
}

fn read_array<R: Read>(file: NpyFile<R>) -> std::result::Result<Array, String> {
    let shape: Vec<usize> = file.shape().iter().map(|&size| size as usize).collect();
    let order = file.order();
    let dtype = file.dtype();
    let unknown = format!("the type is {}, expected numbers or text", dtype.descr());
    let DType::Plain(plain) = dtype else {
        return Err(unknown);
    };
    macro_rules! numbers {
        ($kind:ty) => {
            file.into_vec::<$kind>()
                .map(|values| values.into_iter().map(|value| value as f64).collect())
        };
    }
    let numbers: std::io::Result<Vec<f64>> = match (plain.type_char(), plain.size_field()) {
        (TypeChar::Float, 4) => numbers!(f32),
        (TypeChar::Float, 8) => numbers!(f64),
        (TypeChar::Int, 1) => numbers!(i8),
        (TypeChar::Int, 2) => numbers!(i16),
        (TypeChar::Int, 4) => numbers!(i32),
        (TypeChar::Int, 8) => numbers!(i64),
        (TypeChar::Uint, 1) => numbers!(u8),
        (TypeChar::Uint, 2) => numbers!(u16),
        (TypeChar::Uint, 4) => numbers!(u32),
        (TypeChar::Uint, 8) => numbers!(u64),
        (TypeChar::Bool, _) => file.into_vec::<bool>().map(|values| {
            values
                .into_iter()
                .map(|value| f64::from(u8::from(value)))
                .collect()
        }),
        (TypeChar::UnicodeStr, _) => {
            let texts = file
                .into_vec::<String>()
                .map_err(|error| error.to_string())?;
            let values = Values::Texts(row_major(texts, &shape, order));
            return Ok(Array { shape, values });
        }
        _ => return Err(unknown),
    };
    let numbers = numbers.map_err(|error| error.to_string())?;
    let values = Values::Numbers(row_major(numbers, &shape, order));
    Ok(Array { shape, values })
}

/// Puts what may be column-major, as transposed arrays are, in the order of rows.
fn row_major<T: Clone>(values: Vec<T>, shape: &[usize], order: Order) -> Vec<T> {
    if order == Order::C || shape.len() < 2 {
        return values;
    }
    let place = |mut index: usize| {
        let (mut place, mut stride) = (0, values.len());
        for &size in shape.iter().rev() {
            stride /= size;
            place += index % size * stride;
            index /= size;
        }
        place
    };
    (0..values.len())
        .map(|index| values[place(index)].clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        let rows: Vec<usize> = (0..24).collect();
        // The element [i][j][k] of [2][3][4] is at i + 2 j + 6 k where columns come first.
        let mut columns = vec![0; 24];
        for (row, &value) in rows.iter().enumerate() {
            columns[row / 12 + 2 * (row / 4 % 3) + 6 * (row % 4)] = value;
        }
        assert_eq!(row_major(columns, &[2, 3, 4], Order::Fortran), rows);
    }
}
