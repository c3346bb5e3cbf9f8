//! Files from anywhere: saved networks and optimizers, and `.ts` files.

use elman::dataset::{self, Dataset, MissingValues, TsOptions};
use elman::optimizer::Optimizer;
use elman::{Batch, Element, Error, ImportOptions, Network};

use crate::dataset::{Content, Targets};
use crate::memory::limited;

/// No allocation for so small a file may be larger.
const MEMORY: usize = 64 << 20;

/// Loads a file: the first byte says what it is, the others are its content. Returns whether it was one.
///
/// - `t`: a `.ts` file.
/// - `s`: a safetensors file.
/// - `j`: JSON text of another system.
/// - `d`: the description of a state dict, which is always the same.
/// - `o`: an ONNX file.
/// - anything else: the header of a safetensors file up to a byte 0, and its data behind it, which is repeated or cut to
///   the length that the header gives it. So a fuzzer need not count bytes.
///
/// # Panics
/// Where the library does anything but load the file or refuse it.
pub fn loaders(bytes: &[u8]) -> bool {
    match bytes.split_first() {
        None => false,
        Some((b't', file)) => text(file),
        Some((b's', file)) => tensors(file),
        Some((b'j' | b'o', file)) => [imported::<f32>(file), imported::<f64>(file)].contains(&true),
        Some((b'd', json)) => described(json),
        Some((_, parts)) => tensors(&assembled(parts)),
    }
}

/// A network or an optimizer, of either type.
fn tensors(file: &[u8]) -> bool {
    let networks = [network::<f32>(file), network::<f64>(file)];
    let optimizers = [optimizer::<f32>(file), optimizer::<f64>(file)];
    let imported = [imported::<f32>(file), imported::<f64>(file)];
    [networks, optimizers, imported]
        .as_flattened()
        .contains(&true)
}

/// A module of each kind: an embedding, which may also be a dense layer, and one of each other.
const MODULES: &str = r#"{
    "e.weight":{"dtype":"F32","shape":[4,2],"data_offsets":[0,32]},
    "r.weight_ih_l0":{"dtype":"F32","shape":[3,2],"data_offsets":[32,56]},
    "r.weight_hh_l0":{"dtype":"F32","shape":[3,3],"data_offsets":[56,92]},
    "n.weight":{"dtype":"F32","shape":[3],"data_offsets":[92,104]},
    "x.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[104,128]},
    "x.bias":{"dtype":"F32","shape":[2],"data_offsets":[128,136]}
}"#;

/// A network of these modules as a description has it.
fn described(json: &[u8]) -> bool {
    // No text of C or Rust is anything but UTF-8.
    let Ok(json) = std::str::from_utf8(json) else {
        return false;
    };
    let file = assembled(MODULES.as_bytes());
    let options = ImportOptions {
        description: Some(json.to_owned()),
    };
    let together = file.len() + json.len();
    import::<f32>(&file, &options, together) | import::<f64>(&file, &options, together)
}

/// The file of a header and some data.
fn assembled(parts: &[u8]) -> Vec<u8> {
    let end = parts
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(parts.len());
    let (header, data) = (&parts[..end], parts.get(end + 1..).unwrap_or_default());
    let data = if data.is_empty() { &[0] } else { data };
    let wanted = data_len(&String::from_utf8_lossy(header)).min(1 << 16);
    let data = data.iter().copied().cycle().take(wanted);
    let len = (header.len() as u64).to_le_bytes();
    len.iter().chain(header).copied().chain(data).collect()
}

/// The largest end of a tensor that a header names.
fn data_len(header: &str) -> usize {
    let offsets = header.split("\"data_offsets\":[").skip(1);
    let ends = offsets.filter_map(|rest| {
        rest.split(']')
            .next()?
            .split(',')
            .nth(1)?
            .trim()
            .parse()
            .ok()
    });
    ends.max().unwrap_or(0)
}

/// Makes sure that memory follows the size of a file.
fn in_bounds<T>(size: usize, load: impl FnOnce() -> T) -> T {
    let (result, found) = limited(MEMORY, load);
    let most = 100 * size + (64 << 10);
    assert!(
        found.peak <= most,
        "{} bytes for a file of {size}",
        found.peak
    );
    result
}

/// What a file holds, unless it is refused.
fn loaded<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(object) => Some(object),
        Err(error) => {
            assert!(matches!(error, Error::Format { .. }), "{error}");
            assert!(error.to_string().chars().count() < 500);
            None
        }
    }
}

/// A network of another system's, or one of ours.
fn imported<E: Element>(file: &[u8]) -> bool {
    import::<E>(file, &ImportOptions::default(), file.len())
}

/// The same of a file with a description, which have so many bytes together.
fn import<E: Element>(file: &[u8], options: &ImportOptions, size: usize) -> bool {
    let load = || Network::<E>::import_bytes(file, "file", options);
    let Some(network) = loaded(in_bounds(size, load)) else {
        return false;
    };
    let saved = network.to_bytes().expect("what was imported can be saved");
    let again = Network::<E>::from_bytes(&saved, "saved").expect("what was saved can be loaded");
    assert!(
        again.to_bytes().is_ok_and(|bytes| bytes == saved),
        "the bytes are others"
    );
    true
}

fn optimizer<E: Element>(file: &[u8]) -> bool {
    let load = || Optimizer::<E>::from_bytes(file, "file");
    let Some(mut optimizer) = loaded(in_bounds(file.len(), load)) else {
        return false;
    };
    let saved = optimizer
        .to_bytes()
        .expect("an optimizer that was loaded can be saved");
    let mut again =
        Optimizer::<E>::from_bytes(&saved, "saved").expect("what was saved can be loaded");
    assert!(
        again.to_bytes().is_ok_and(|bytes| bytes == saved),
        "the bytes are others"
    );
    assert_eq!(again.rule(), optimizer.rule());
    // It belongs to some number of parameters, or to none yet.
    for count in 0..4 {
        let parameters = [&mut optimizer, &mut again].map(|optimizer| {
            let mut parameters = vec![E::ONE; count];
            let gradients = vec![E::ONE; count];
            let updated = optimizer.step(&mut parameters, &gradients).is_ok();
            (updated, parameters)
        });
        assert_eq!(parameters[0].0, parameters[1].0);
        assert!(same(&parameters[0].1, &parameters[1].1));
    }
    true
}

fn network<E: Element>(file: &[u8]) -> bool {
    let load = || Network::<E>::from_bytes(file, "file");
    let Some(network) = loaded(in_bounds(file.len(), load)) else {
        return false;
    };
    assert!(network.parameter_count() * 4 <= file.len());
    let saved = network
        .to_bytes()
        .expect("a network that was loaded can be saved");
    let again = Network::<E>::from_bytes(&saved, "saved").expect("what was saved can be loaded");
    assert!(
        again.to_bytes().is_ok_and(|bytes| bytes == saved),
        "the bytes are others"
    );
    assert_eq!(again.output(), network.output());
    let training = |network: &Network<E>| (network.seed(), network.epochs(), network.passes());
    assert_eq!(training(&again), training(&network));
    assert!(same(again.parameters(), network.parameters()));
    let columns = |network: &Network<E>| {
        let values = network.standardization()?;
        Some([values.mean().to_vec(), values.deviation().to_vec()])
    };
    match (columns(&again), columns(&network)) {
        (None, None) => (),
        (Some(one), Some(two)) => assert!(one.iter().zip(&two).all(|(one, two)| same(one, two))),
        _ => panic!("one network standardises, the other does not"),
    }
    if network.input_size() <= 1000 {
        assert!(same(&results(network), &results(again)));
    }
    true
}

/// The outputs and the gradients of a small batch.
fn results<E: Element>(mut network: Network<E>) -> Vec<E> {
    const SHAPE: (usize, usize) = (2, 3);
    let numbers = (0..6 * network.input_size()).map(|index| E::from_f64((index as f64).sin()));
    let x: Vec<_> = numbers.collect();
    let batch = Batch {
        x: &x,
        batch: SHAPE.0,
        steps: SHAPE.1,
        lengths: Some(&[3, 2]),
    };
    let outputs = network.output_len(SHAPE.0, SHAPE.1).expect("a small size");
    let mut y = vec![E::ZERO; outputs];
    network
        .forward(batch, None, Some(&mut y), None)
        .expect("a batch that fits");
    network
        .backward(Some(&y), None, None, None)
        .expect("a pass after another");
    y.extend_from_slice(network.gradients());
    y
}

fn same<E: Element>(one: &[E], two: &[E]) -> bool {
    let alike = |(a, b): (&E, &E)| {
        let (a, b) = (a.to_f64(), b.to_f64());
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    };
    one.len() == two.len() && one.iter().zip(two).all(alike)
}

fn text(file: &[u8]) -> bool {
    let rules = [
        MissingValues::Error,
        MissingValues::Carry,
        MissingValues::Linear,
    ];
    let mut loaded = false;
    for (rule, time_feature) in rules.into_iter().zip([false, true, false]) {
        let mut options = TsOptions::default();
        options.missing = rule;
        options.trim_padding = rule == MissingValues::Linear;
        options.time_feature = time_feature;
        loaded |= text_with(file, &options);
    }
    loaded
}

fn text_with(file: &[u8], options: &TsOptions) -> bool {
    let wide = in_bounds(file.len(), || {
        Dataset::<f64>::parse_ts_with(file, "file", options)
    });
    let data = match in_bounds(file.len(), || {
        Dataset::<f32>::parse_ts_with(file, "file", options)
    }) {
        Ok(data) => data,
        Err(error) => {
            assert!(matches!(error, Error::Parse { .. }), "{error}");
            return false;
        }
    };
    assert!(
        wide.is_ok(),
        "numbers that are finite as float are so as double"
    );
    assert!(data.total_steps() * data.input_size() <= file.len());
    let notes = data.notes().iter();
    assert!({ notes }.all(|note| note.starts_with("line ") && note.chars().count() < 500));
    let content = Content::of(&data);
    // Behind time stamps a class may have what joins the dimensions without them.
    if data.class_names().iter().any(|name| name.contains(':')) {
        return true;
    }
    let again = content.to_ts().expect("what came from a file fits in one");
    let again = Dataset::<f32>::parse_ts(again.as_bytes(), "again");
    let again = Content::of(&again.expect("what was written can be read"));
    assert_eq!(format!("{again:?}"), format!("{content:?}"));
    true
}

impl Content {
    fn of(data: &Dataset<f32>) -> Self {
        let indices = 0..data.len();
        Self {
            input: data.input_size(),
            x: indices
                .clone()
                .flat_map(|index| data.sequence(index))
                .copied()
                .collect(),
            lengths: indices.map(|index| data.length(index)).collect(),
            targets: match data.targets() {
                dataset::Targets::Classes { labels, names } => Targets::Classes {
                    labels: labels.clone(),
                    names: names.clone(),
                    per_step: false,
                },
                dataset::Targets::Values { values, .. } => Targets::Values {
                    values: values.clone(),
                    size: 1,
                    per_step: false,
                },
                _ => Targets::None,
            },
            named: true,
        }
    }
}
