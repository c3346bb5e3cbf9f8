//! Networks in files: nothing is lost, PyTorch's names are there, and no file does harm.

use std::fs;
use std::path::{Path, PathBuf};

use elman::dataset::Standardization;
use elman::init::{Initializer, Rng};
use elman::{Activation, Batch, Element, Error, Network, Output};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

/// 3 inputs and every kind of layer.
fn network<E: Element>() -> Network<E> {
    let mut network = Network::new(3).unwrap();
    network.add_rnn(5, Activation::Tanh).unwrap();
    network.add_dropout(0.3).unwrap();
    network.add_dense(4, Activation::Sigmoid).unwrap();
    network.add_rnn(2, Activation::Relu).unwrap();
    network.add_dense(6, Activation::Linear).unwrap();
    network.set_output(Output::All).unwrap();
    let numbers = |values: [f64; 3]| values.map(E::from_f64).to_vec();
    let standardization =
        Standardization::new(numbers([0.1, -0.0, 7.5]), numbers([0.3, 1e-9, 12.0]));
    network
        .set_standardization(Some(standardization.unwrap()))
        .unwrap();
    let initializer = Initializer::PyTorch { gain: 1.0 };
    network.initialize(initializer, 1).unwrap();
    network
}

/// A network of one recurrent layer with 3 inputs and 2 units, whose parameters are 1, 2, 3 and so on.
fn small<E: Element>() -> Network<E> {
    let mut network = Network::new(3).unwrap();
    network.add_rnn(2, Activation::Tanh).unwrap();
    let parameters: Vec<E> = (1..=12).map(|value| E::from_f64(value.into())).collect();
    network.set_parameters(&parameters).unwrap();
    network
}

fn bits<E: Element>(values: &[E]) -> Vec<u64> {
    values
        .iter()
        .map(|value| value.to_f64().to_bits())
        .collect()
}

/// Outputs of a prediction, and the gradients of a training pass.
fn results<E: Element>(network: &mut Network<E>) -> [Vec<u64>; 2] {
    let x: Vec<E> = (0..2 * 7 * 3)
        .map(|i| E::from_f64(f64::from(i).sin()))
        .collect();
    let batch = Batch {
        x: &x,
        batch: 2,
        steps: 7,
        lengths: None,
    };
    let mut y = vec![E::ZERO; 2 * 7 * 6];
    network.predict(batch, None, Some(&mut y), None).unwrap();
    let outputs = bits(&y);
    network.forward(batch, None, Some(&mut y), None).unwrap();
    network.backward(Some(&y), None, None, None).unwrap();
    [outputs, bits(network.gradients())]
}

fn round_trip<E: Element>() {
    let mut network = network::<E>();
    let bytes = network.to_bytes().unwrap();
    let mut loaded = Network::<E>::from_bytes(&bytes, "x").unwrap();
    assert_eq!(loaded.output(), Output::All);
    assert_eq!(loaded.standardization(), network.standardization());
    assert_eq!(bits(loaded.parameters()), bits(network.parameters()));
    assert!(loaded.to_bytes().unwrap() == bytes);
    assert_eq!(results(&mut loaded), results(&mut network));
    // The passes are counted.
    assert!(loaded.to_bytes().unwrap() == network.to_bytes().unwrap());

    let special = [-0.0, f64::INFINITY, f64::NAN, 1e-310, -1e-40, f64::MAX].map(E::from_f64);
    let count = network.parameter_count();
    let parameters: Vec<E> = special.into_iter().cycle().take(count).collect();
    network.set_parameters(&parameters).unwrap();
    let bytes = network.to_bytes().unwrap();
    let loaded = Network::<E>::from_bytes(&bytes, "x").unwrap();
    assert_eq!(bits(loaded.parameters()), bits(&parameters));
}

#[test]
fn a_network_comes_back_bit_for_bit() {
    round_trip::<f32>();
    round_trip::<f64>();
    let empty = Network::<f32>::new(3).unwrap();
    let loaded = Network::<f32>::from_bytes(&empty.to_bytes().unwrap(), "x").unwrap();
    assert_eq!((loaded.input_size(), loaded.output_size()), (3, 3));
    assert_eq!(loaded.output(), Output::Last);

    let mut rates = Network::<f32>::new(3).unwrap();
    let mut rng = Rng::new(5);
    for _ in 0..100 {
        rates.add_dropout(rng.uniform()).unwrap();
    }
    let bytes = rates.to_bytes().unwrap();
    let loaded = Network::<f32>::from_bytes(&bytes, "x").unwrap();
    assert!(loaded.to_bytes().unwrap() == bytes);
}

#[test]
fn other_software_finds_the_names_shapes_and_layout_of_pytorch() {
    let bytes = network::<f32>().to_bytes().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<(&str, Vec<usize>)> = file
        .iter()
        .map(|(name, view)| (name, view.shape().to_vec()))
        .collect();
    tensors.sort();
    let mut expected: Vec<(&str, Vec<usize>)> = vec![
        ("weight_ih_l0", vec![5, 3]),
        ("weight_hh_l0", vec![5, 5]),
        ("bias_ih_l0", vec![5]),
        ("bias_hh_l0", vec![5]),
        ("linear0.weight", vec![4, 5]),
        ("linear0.bias", vec![4]),
        ("weight_ih_l1", vec![2, 4]),
        ("weight_hh_l1", vec![2, 2]),
        ("bias_ih_l1", vec![2]),
        ("bias_hh_l1", vec![2]),
        ("linear1.weight", vec![6, 2]),
        ("linear1.bias", vec![6]),
        ("standardization.mean", vec![3]),
        ("standardization.deviation", vec![3]),
    ];
    expected.sort();
    assert_eq!(tensors, expected);

    let bytes = small::<f32>().to_bytes().unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let values = |name| {
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Dtype::F32);
        let chunks = view.data().as_chunks().0.iter();
        chunks.map(|&b| f32::from_le_bytes(b)).collect::<Vec<_>>()
    };
    assert_eq!(values("weight_ih_l0"), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    assert_eq!(values("weight_hh_l0"), [7.0, 9.0, 8.0, 10.0]);
    assert_eq!(values("bias_ih_l0"), [11.0, 12.0]);
    assert_eq!(values("bias_hh_l0"), [0.0, 0.0]);
    let double = small::<f64>().to_bytes().unwrap();
    let file = SafeTensors::deserialize(&double).unwrap();
    assert_eq!(file.tensor("bias_hh_l0").unwrap().dtype(), Dtype::F64);
}

#[test]
fn an_f64_network_takes_f32_tensors_and_not_the_other_way_round() {
    let single = network::<f32>();
    let double = Network::<f64>::from_bytes(&single.to_bytes().unwrap(), "x").unwrap();
    assert_eq!(bits(double.parameters()), bits(single.parameters()));
    assert_eq!(
        message::<f32>(&double.to_bytes().unwrap()),
        "x: weight_ih_l0 is of type F64, expected F32"
    );
}

#[test]
fn the_bias_is_the_sum_of_pytorchs_two() {
    let mut network = small::<f32>();
    let mut parameters = network.parameters().to_vec();
    parameters[10..].copy_from_slice(&[-0.0, 0.5]);
    network.set_parameters(&parameters).unwrap();
    let bytes = edit(&network, |header, data| {
        let place = &header["bias_hh_l0"]["data_offsets"];
        let start = place[0].as_u64().unwrap() as usize;
        data[start + 4..start + 8].copy_from_slice(&2.25_f32.to_le_bytes());
    });
    parameters[11] = 2.75;
    let loaded = Network::<f32>::from_bytes(&bytes, "x").unwrap();
    assert_eq!(bits(loaded.parameters()), bits(&parameters));
}

/// The file of a network with another header or data.
fn edit(network: &Network, change: impl FnOnce(&mut Value, &mut Vec<u8>)) -> Vec<u8> {
    let bytes = network.to_bytes().unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut data = bytes[8 + length..].to_vec();
    change(&mut header, &mut data);
    let header = header.to_string();
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        &data,
    ]
    .concat()
}

/// The file of a network with other metadata.
fn edit_metadata(network: &Network, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    edit(network, |header, _| {
        let text = &mut header["__metadata__"]["elman"];
        let mut metadata = serde_json::from_str(text.as_str().unwrap()).unwrap();
        change(&mut metadata);
        *text = metadata.to_string().into();
    })
}

#[track_caller]
fn message<E: Element>(bytes: &[u8]) -> String {
    let error = Network::<E>::from_bytes(bytes, "x").unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    error.to_string()
}

#[track_caller]
fn assert_fault(bytes: &[u8], expected: &str) {
    let message = message::<f32>(bytes);
    assert!(message.starts_with(&format!("x: {expected}")), "{message}");
}

#[test]
fn every_fault_of_the_header_has_its_message() {
    let network = small();
    let bytes = network.to_bytes().unwrap();
    assert_fault(
        b"",
        "0 bytes, expected a safetensors file that elman has saved",
    );
    assert_fault(&[0; 8], "the header: EOF");
    assert_fault(
        b"\x01\x02\x03\x04\xff\xff\xff\xff{",
        "no safetensors file: it begins with the bytes [01, 02, 03, 04, ff, ff, ff, ff], which are no length of a \
         header, expected a safetensors file that elman has saved",
    );
    assert_fault(&bytes[..20], "12 bytes, expected ");
    let fault = |change: fn(&mut Value, &mut Vec<u8>), expected: &str| {
        assert_fault(&edit(&network, change), expected);
    };
    fault(
        |_, data| data.truncate(52),
        "52 bytes of tensors, expected 56",
    );
    fault(|_, data| data.push(0), "57 bytes of tensors, expected 56");
    fault(|header, _| *header = json!([]), "the header: ");
    fault(
        |header, _| *header = json!({}),
        "56 bytes of tensors, expected 0",
    );
    let endless =
        json!({"dtype": "U8", "shape": [u64::MAX / 8], "data_offsets": [0, u64::MAX / 8]});
    let header = json!({ "a": endless }).to_string();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    assert_fault(&file, "0 bytes of tensors, expected 2305843009213693951");

    fault(
        |header, _| header["bias_ih_l0"]["dtype"] = "F33".into(),
        "the header: ",
    );
    fault(
        |header, _| header["bias_ih_l0"]["shape"] = json!([1_u64 << 60]),
        "the header: ",
    );
    fault(
        |header, _| header["bias_ih_l0"]["data_offsets"] = json!([0, 8]),
        "the header: ",
    );
    fault(
        |header, _| header["bias_ih_l0"]["dtype"] = "I32".into(),
        "bias_ih_l0 is of type I32, expected F32",
    );
    fault(
        |header, _| header["weight_ih_l0"]["shape"] = json!([3, 2]),
        "weight_ih_l0 has shape [3, 2], expected [2, 3]",
    );
    fault(
        |header, _| {
            let tensor = header["weight_hh_l0"].take();
            header.as_object_mut().unwrap().remove("weight_hh_l0");
            header["weight_hh_l7"] = tensor;
        },
        "no tensor weight_hh_l0, expected one of [2, 2]",
    );
    fault(
        |header, _| {
            header["stray"] = json!({"dtype": "F32", "shape": [0], "data_offsets": [56, 56]})
        },
        "tensor stray, expected no such tensor",
    );
    fault(
        |header, _| {
            header.as_object_mut().unwrap().remove("__metadata__");
        },
        "no metadata 'elman'",
    );
    fault(
        |header, _| header["__metadata__"] = json!({"format": "pt"}),
        "no metadata 'elman'",
    );
    fault(
        |header, _| header["__metadata__"]["elman"] = "".into(),
        "the metadata: EOF",
    );
    let long = edit(&network, |header, _| {
        header["bias_ih_l0"]["dtype"] = "F".repeat(1 << 20).into();
    });
    assert!(message::<f32>(&long).len() < 500);
}

#[test]
fn files_of_other_software_are_named() {
    let files: [(&[u8], &str); 20] = [
        (
            b"PK\x03\x04\x14\x00\x00\x08\x08\x00 model/data.pkl and so on",
            "a PyTorch checkpoint (a zip file of torch.save)",
        ),
        (
            b"PK\x03\x04\x14\x00\x00\x00 model.weights.h5",
            "a Keras model",
        ),
        (b"PK\x03\x04\x14\x00\x00\x00 arr_0.npy", "NumPy arrays"),
        (b"PK\x03\x04\x14\x00\x00\x00 readme.txt", "a zip file"),
        (b"PK\x05\x06\x00\x00\x00\x00\x00", "a zip file"),
        (
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
            "a PyTorch checkpoint in the format from before PyTorch 1.6",
        ),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00", "a Python pickle"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "an HDF5 file"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "a NumPy array"),
        // The time is 0, so that the first bytes would be the length of a header.
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "a gzip file"),
        (b"GGUF\x03\x00\x00\x00\x00", "a GGUF model"),
        (b"\x1c\x00\x00\x00TFL3\x14\x00", "a TensorFlow Lite model"),
        (b"\x08\x08\x12\x07pytorch\x1a\x05", "an ONNX model"),
        (b"\x08\x0a:\xf1\x02\x0a\x10\x0a\x01x", "an ONNX model"),
        (b"{\"layers\":{\"a\": 1}}", "a JSON text"),
        (b"\xef\xbb\xbf[1, 2, 3, 4]", "a JSON text"),
        (
            b"# Japanese Vowels\n%\n\n@problemName x\n",
            "a data set in the .ts format, not a network",
        ),
        (b"<!DOCTYPE html>", "an HTML or XML text"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a Git LFS pointer",
        ),
        (b"1.0,2.0,3.0\n", "a text"),
    ];
    for (bytes, kind) in files {
        assert_fault(bytes, kind);
        let message = Network::<f32>::from_bytes(bytes, "x")
            .unwrap_err()
            .to_string();
        assert!(
            message.ends_with(", expected a safetensors file that elman has saved"),
            "{message}"
        );
    }
    // Names are found at the end of a large file, too.
    let mut large = b"PK\x03\x04\x14\x00\x00\x00".to_vec();
    large.resize(1 << 20, 0);
    large.extend(b"archive/data.pkl");
    assert_fault(&large, "a PyTorch checkpoint");
}

#[test]
fn bytes_go_where_the_caller_has_room() {
    let network = network::<f32>();
    let expected = network.to_bytes().unwrap();
    let len = network.saved_len().unwrap();
    assert_eq!(len, expected.len());
    let mut room = vec![7; len + 3];
    assert_eq!(network.write_bytes(&mut room).unwrap(), len);
    assert!(room[..len] == expected && room[len..] == [7; 3]);
    let mut short = vec![7; len - 1];
    let error = network.write_bytes(&mut short).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("bytes has {} elements, expected {len}", len - 1)
    );
    assert!(short.iter().all(|&byte| byte == 7));
}

#[test]
fn every_fault_of_the_metadata_has_its_message() {
    let network = small();
    let fault = |key: &str, value: Value, expected: &str| {
        let bytes = edit_metadata(&network, |metadata| {
            *metadata.pointer_mut(key).unwrap() = value;
        });
        assert_fault(&bytes, expected);
    };
    fault("/version", json!(2), "a file of version 2, expected 1");
    fault("/version", json!("1"), "the metadata: invalid type");
    fault(
        "/output",
        json!("first"),
        "the metadata: unknown variant `first`",
    );
    fault(
        "/standardized",
        json!(true),
        "no tensor standardization.mean",
    );
    fault("/layers", json!([]), "tensor ");
    fault(
        "/layers/0/kind",
        json!("gru9"),
        "the metadata: unknown variant `gru9`",
    );
    fault(
        "/layers/0/activation",
        json!("swish"),
        "the metadata: unknown variant `swish`",
    );
    fault("/layers/0/units", json!(-1), "the metadata: invalid value");
    fault(
        "/layers/0/units",
        json!(1e300),
        "the metadata: invalid type",
    );
    fault(
        "/layers/0/units",
        json!(0),
        "the metadata: layers[0]: units is 0",
    );
    fault(
        "/layers/0/units",
        json!(1_u64 << 60),
        "weight_ih_l0 has shape [2, 3], expected [1152921504606846976, 3]",
    );
    fault(
        "/input_size",
        json!(u64::MAX),
        "weight_ih_l0 has shape [2, 3], expected [2, 18446744073709551615]",
    );
    for rate in [json!(1.0), json!(-0.5), json!(1e300)] {
        let dropout = json!({"kind": "dropout", "rate": rate});
        fault("/layers/0", dropout, "the metadata: layers[0]: rate is ");
    }
    fault(
        "/layers/0",
        json!({"kind": "dropout", "rate": null}),
        "the metadata: invalid type: null",
    );
    fault(
        "/layers/0",
        json!({"kind": "dropout", "rate": 0.5, "p": 1}),
        "the metadata: unknown field `p`",
    );
    let swish = edit_metadata(&network, |metadata| {
        metadata["layers"][0]["activation"] = "swish".into();
    });
    let message = message::<f32>(&swish);
    assert!(message.contains("at line 1 column "), "{message}");
    let extra = edit_metadata(&network, |metadata| metadata["bits"] = json!(8));
    assert_fault(&extra, "the metadata: unknown field `bits`");
    let missing = edit_metadata(&network, |metadata| {
        metadata.as_object_mut().unwrap().remove("version");
    });
    assert_fault(&missing, "the metadata: missing field `version`");
    let infinite = edit(&network, |header, _| {
        let text = r#"{"version": 1, "layers": [{"kind": "dropout", "rate": 1e999}]}"#;
        header["__metadata__"]["elman"] = text.into();
    });
    assert_fault(&infinite, "the metadata: number out of range");

    let empty = Network::new(3).unwrap();
    for size in [0, u64::MAX] {
        let bytes = edit_metadata(&empty, |metadata| metadata["input_size"] = json!(size));
        assert_fault(&bytes, "the metadata: ");
    }
    let deviation = edit(&self::network(), |_, data| {
        let start = data.len() - 4;
        data[start..].fill(0);
    });
    assert_fault(
        &deviation,
        "the standardization: deviation is 0, expected a number above 0",
    );
}

#[test]
fn a_key_that_is_there_twice_is_named_with_its_place() {
    let network = small();
    let twice = |first: &str, both: &str, key: &str| {
        let mut column = 0;
        let bytes = edit(&network, |header, _| {
            let text = &mut header["__metadata__"]["elman"];
            let description = text.as_str().unwrap();
            let (before, behind) = description.split_once(first).unwrap();
            let key = format!("\"{key}\"");
            column = before.len() + both.rfind(&key).unwrap() + key.len();
            *text = [before, both, behind].concat().into();
        });
        let expected = format!("duplicate field `{key}` at line 1 column {column}");
        assert_fault(&bytes, &format!("the metadata: {expected}"));
    };
    let units = r#""units":2"#;
    let with = |more: &str| format!("{units},{more}");
    twice(units, &with(r#""units":2"#), "units");
    twice(units, &with(r#""kind":"gru""#), "kind");
    let options = with(r#""options":{"bias":true,"merge":"sum","bias":false}"#);
    twice(units, &options, "bias");
    let alpha = r#""activation":{"elu":{"alpha":1,"alpha":1}}"#;
    twice(r#""activation":"tanh""#, alpha, "alpha");
    twice(
        r#""layers":"#,
        r#""layers":[],"frozen":[],"layers":"#,
        "layers",
    );
    twice(r#""version":1"#, r#""version":2,"version":1"#, "version");
    twice(r#""seed":"#, r#""seed":1,"seed":"#, "seed");
}

#[test]
fn a_tensor_that_is_there_twice_is_named() {
    let bytes = small::<f32>().to_bytes().unwrap();
    let (len, rest) = bytes.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
    let header = std::str::from_utf8(header).unwrap();
    // The first tensor again, with the same data: only its name tells.
    let (before, tensors) = header.split_once("},").unwrap();
    let first = tensors.split_inclusive('}').next().unwrap();
    let header = format!("{before}}},{first},{tensors}");
    let mut twice = (header.len() as u64).to_le_bytes().to_vec();
    twice.extend_from_slice(header.as_bytes());
    twice.extend_from_slice(data);
    let name = first.split('"').nth(1).unwrap();
    assert_fault(
        &twice,
        &format!("the header: duplicate field `{name}` at line 1 column "),
    );
}

#[test]
fn damaged_files_are_errors_or_networks_and_never_panics() {
    let bytes = network::<f32>().to_bytes().unwrap();
    for length in 0..bytes.len() {
        message::<f32>(&bytes[..length]);
    }
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut rng = Rng::new(3);
    let mut below = |count: usize| (rng.uniform() * count as f64) as usize;
    let mut loaded = 0;
    for round in 0..20_000 {
        let mut damaged = bytes.clone();
        let range = if round % 4 == 0 { bytes.len() } else { header };
        for _ in 0..1 + below(3) {
            let place = below(range);
            damaged[place] = match below(3) {
                0 => damaged[place] ^ (1 << below(8)),
                1 => below(256) as u8,
                _ => b"0123456789-.e\"\\[]{},:"[below(21)],
            };
        }
        match Network::<f32>::from_bytes(&damaged, "x") {
            Ok(mut network) => {
                loaded += 1;
                if network.input_size() == 3 && network.output_size() == 6 {
                    results(&mut network);
                }
            }
            Err(error) => assert!(matches!(error, Error::Format { .. }), "{error:?}"),
        }
    }
    assert!(loaded > 100, "{loaded}");
}

/// An empty directory.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    path
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn saving_replaces_the_file_and_leaves_nothing_else() {
    let directory = directory("saving");
    let path = directory.join("network.safetensors");
    for network in [network::<f32>(), small()] {
        network.save(&path).unwrap();
        assert!(fs::read(&path).unwrap() == network.to_bytes().unwrap());
        let loaded = Network::<f32>::load(&path).unwrap();
        assert_eq!(bits(loaded.parameters()), bits(network.parameters()));
        assert_eq!(names(&directory), ["network.safetensors"]);
    }
}

#[cfg(unix)]
#[test]
fn saving_follows_links_and_keeps_permissions() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let directory = directory("links");
    let (path, link) = (directory.join("network"), directory.join("link"));
    small::<f32>().save(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("network", &link).unwrap();
    let network = network::<f32>();
    network.save(&link).unwrap();
    assert!(fs::read(&path).unwrap() == network.to_bytes().unwrap());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn a_file_that_cannot_be_written_or_read_is_an_error_that_names_it() {
    let directory = directory("faults");
    let network = small::<f32>();
    let saved = |path: &Path| network.save(path).unwrap_err();
    let loaded = |path: &Path| Network::<f32>::load(path).unwrap_err();
    let not_a_file = format!("{}: not a regular file, expected one", directory.display());
    assert_eq!(saved(&directory).to_string(), not_a_file);
    assert_eq!(loaded(&directory).to_string(), not_a_file);
    let missing = directory.join("missing");
    for error in [saved(&missing.join("file")), loaded(&missing)] {
        assert!(matches!(&error, Error::Io { path, .. } if path.starts_with(&missing)));
    }
    // The temporary file can be written, and then not get a name that ends in a slash.
    assert!(matches!(saved(&missing.join("")), Error::Io { .. }));
    assert_eq!(names(&directory), [""; 0]);
}

#[test]
fn many_threads_may_save_to_one_file_while_others_load_it() {
    let directory = directory("threads");
    let path = directory.join("network");
    let networks = [network::<f32>(), small()];
    networks[0].save(&path).unwrap();
    let save = |network: &Network| (0..50).for_each(|_| network.save(&path).unwrap());
    std::thread::scope(|scope| {
        let savers = networks.each_ref().map(|n| scope.spawn(|| save(n)));
        while savers.iter().any(|saver| !saver.is_finished()) {
            Network::<f32>::load(&path).unwrap();
        }
    });
    assert_eq!(names(&directory), ["network"]);
}

#[test]
fn a_network_whose_description_is_too_long_is_not_saved() {
    let mut network = Network::<f32>::new(1).unwrap();
    for _ in 0..120_000 {
        network.add_dropout(0.25).unwrap();
    }
    let message = network.to_bytes().unwrap_err().to_string();
    assert!(
        message.ends_with("expected at most 4 MiB: fewer layers"),
        "{message}"
    );
}
