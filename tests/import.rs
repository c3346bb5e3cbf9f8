//! Networks of other systems: what they give here is what they give there, and what cannot be taken is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use elman::{
    Activation, Batch, Direction, Element, Error, ImportOptions, InitialState, Merge, Network,
    RecurrentOptions, Reset, Result,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    inputs: usize,
    outputs: usize,
    batch: usize,
    steps: usize,
    description: Option<String>,
    x: Vec<f64>,
    y: Vec<f64>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn cases(file: &str) -> Vec<Case> {
    let json = std::fs::read_to_string(data().join(file)).unwrap();
    serde_json::from_str::<Cases>(&json).unwrap().cases
}

fn import<E: Element>(name: &str, description: Option<&str>) -> Result<Network<E>> {
    let options = ImportOptions {
        description: description.map(str::to_owned),
    };
    Network::import(data().join("import").join(name), &options)
}

/// The largest difference from what the other system gives, in parts of its largest value.
fn difference<E: Element>(case: &Case) -> f64 {
    let network = import::<E>(&case.name, case.description.as_deref()).unwrap();
    assert_eq!(
        (network.input_size(), network.output_size()),
        (case.inputs, case.outputs)
    );
    let x: Vec<E> = case.x.iter().map(|&x| E::from_f64(x)).collect();
    let batch = Batch {
        x: &x,
        batch: case.batch,
        steps: case.steps,
        lengths: None,
    };
    let mut y = vec![E::ZERO; case.y.len()];
    network.predict(batch, None, Some(&mut y), None).unwrap();
    let pairs = || case.y.iter().zip(&y);
    let most = pairs()
        .map(|(expected, _)| expected.abs())
        .fold(0.0, f64::max);
    let worst = pairs().map(|(expected, y)| (y.to_f64() - expected).abs());
    worst.fold(0.0, f64::max) / most
}

fn outputs_are_those_of(file: &str) {
    for case in cases(file) {
        let (double, single) = (difference::<f64>(&case), difference::<f32>(&case));
        assert!(double < 1e-12, "{}: {double:e} in f64", case.name);
        assert!(single < 1e-5, "{}: {single:e} in f32", case.name);
    }
}

#[test]
fn state_dicts_of_pytorch_give_its_outputs() {
    outputs_are_those_of("import_torch.json");
}

#[test]
fn json_models_give_the_outputs_of_their_formulas() {
    outputs_are_those_of("import_json.json");
}

#[test]
fn an_imported_network_is_one_like_any_other() -> Result<()> {
    let network = import::<f32>("lstm.safetensors", None)?;
    let bytes = network.to_bytes()?;
    // What elman has saved is imported, too.
    let again = Network::<f32>::import_bytes(&bytes, "saved", &ImportOptions::default())?;
    assert_eq!(again.to_bytes()?, bytes);
    assert_eq!(again.layer_count(), 3);
    Ok(())
}

/// The names and shapes of a safetensors file.
fn tensors_of(bytes: &[u8]) -> BTreeMap<String, Vec<usize>> {
    #[derive(Deserialize)]
    struct Info {
        shape: Vec<usize>,
    }
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&bytes[8..end]).unwrap();
    header.remove("__metadata__");
    let info = |value| serde_json::from_value::<Info>(value).unwrap().shape;
    header
        .into_iter()
        .map(|(name, value)| (name, info(value)))
        .collect()
}

#[test]
fn what_was_imported_goes_out_under_the_same_names_and_comes_back_bit_for_bit() -> Result<()> {
    let modules: [(&str, &[&str]); 8] = [
        (
            "lstm",
            &["model.encoder.lstm", "model.encoder.lstm", "behind.0"],
        ),
        ("gru", &["rnn", "rnn"]),
        ("gru_without_bias", &["gru"]),
        ("bare", &[""]),
        ("relu", &["rnn"]),
        ("projected", &["lstm", "lstm", "behind.0"]),
        (
            "embedding",
            &[
                "before.embedding",
                "lstm",
                "behind.0",
                "behind.1",
                "behind.3",
                "behind.5",
            ],
        ),
        ("cell", &["cell", "out"]),
    ];
    let all = cases("import_torch.json");
    for (name, modules) in modules {
        let file = format!("{name}.safetensors");
        let case = all.iter().find(|case| case.name == file).unwrap();
        let description = case.description.as_deref();
        let network = import::<f32>(&file, description)?;
        let bytes = network.state_dict(modules)?;
        let options = ImportOptions {
            description: description.map(str::to_owned),
        };
        let again = Network::<f32>::import_bytes(&bytes, "it", &options)?;
        assert_eq!(again.to_bytes()?, network.to_bytes()?, "{name}");
        let mut expected = tensors_of(&std::fs::read(data().join("import").join(&file)).unwrap());
        match name {
            // elman's dense layers have biases.
            "embedding" => _ = expected.insert("behind.3.bias".to_owned(), vec![5]),
            // What has run step by step comes out as a module that runs by itself.
            "cell" => {
                let shapes = std::mem::take(&mut expected).into_iter();
                expected = shapes
                    .map(|(name, shape)| match name.starts_with("cell") {
                        true => (format!("{name}_l0"), shape),
                        false => (name, shape),
                    })
                    .collect();
            }
            _ => {}
        }
        assert_eq!(tensors_of(&bytes), expected, "{name}");
    }
    Ok(())
}

#[test]
fn what_pytorch_has_not_does_not_go_out() -> Result<()> {
    let refused = |add: &dyn Fn(&mut Network<f32>) -> Result<()>, modules: &[&str]| {
        let mut network = Network::<f32>::new(2).unwrap();
        add(&mut network).unwrap();
        network.state_dict(modules).unwrap_err().to_string()
    };
    let plain = RecurrentOptions::default();
    let before = RecurrentOptions {
        reset: Reset::Before,
        ..plain.clone()
    };
    let reverse = RecurrentOptions {
        direction: Direction::Reverse,
        ..plain.clone()
    };
    let text = refused(&|network| network.add_gru(3, &before), &["a"]);
    assert!(
        text.contains("number 0, a GRU whose reset gate acts before"),
        "{text}"
    );
    let text = refused(&|network| network.add_lstm(3, &reverse), &["a"]);
    assert!(text.contains("from the last step to the first"), "{text}");
    let text = refused(&|network| network.add_rnn(3, Activation::Sigmoid), &["a"]);
    assert!(text.contains("neither tanh nor ReLU"), "{text}");
    // Each option by itself, of a layer that is not the first.
    let options = |change: fn(&mut RecurrentOptions)| {
        let mut options = RecurrentOptions::default();
        change(&mut options);
        options
    };
    let both = Direction::Bidirectional;
    let own = [
        (options(|it| it.peepholes = true), "with peepholes"),
        (options(|it| it.coupled = true), "with coupled gates"),
        (options(|it| it.clip_sums = 1.0), "with a limit of its sums"),
        (
            options(|it| it.clip_state = 1.0),
            "with a limit of its cell state",
        ),
        (options(|it| it.zoneout = 0.1), "with zoneout"),
        (options(|it| it.zoneout_cell = 0.1), "with zoneout"),
        (
            options(|it| it.initial_state = InitialState::Trainable),
            "with an initial state of its own",
        ),
        (
            options(|it| it.activations[0].gates = Activation::Relu),
            "with other activations than sigmoid and tanh",
        ),
        (
            RecurrentOptions {
                direction: both,
                ..options(|it| it.merge = Merge::Sum)
            },
            "whose two outputs do not lie side by side",
        ),
    ];
    for (options, what) in own {
        let second = |network: &mut Network<f32>| {
            network.add_dense(3, Activation::Tanh)?;
            network.add_dropout(0.5)?;
            network.add_lstm(3, &options)
        };
        let text = refused(&second, &["a", "b"]);
        let expected =
            format!("a layer is number 2, an LSTM {what}, expected one that PyTorch has");
        assert_eq!(text, expected);
    }
    // A reverse layer beside others, and a stack of them.
    let stack = |network: &mut Network<f32>| {
        network.add_lstm(3, &plain)?;
        network.add_gru(3, &reverse)?;
        network.add_gru(3, &reverse)
    };
    let text = refused(&stack, &["a", "b", "b"]);
    assert!(
        text.contains("number 1, a GRU that only goes from the last step"),
        "{text}"
    );
    // What is only about training goes out.
    let mut network = Network::<f32>::new(2)?;
    network.add_lstm(
        3,
        &RecurrentOptions {
            forget_bias: Some(1.0),
            ..options(|it| it.recurrent_dropout = 0.5)
        },
    )?;
    network.state_dict(&["a"])?;
    let text = refused(&|network| network.add_lstm(3, &plain), &[]);
    assert!(
        text.contains("modules has 0 elements, expected 1"),
        "{text}"
    );
    let apart = |network: &mut Network<f32>| {
        network.add_lstm(3, &plain)?;
        network.add_activation(Activation::Relu)?;
        network.add_lstm(3, &plain)
    };
    let text = refused(&apart, &["a", "a"]);
    assert!(
        text.contains("\"a\" again for layer 2, which is none of the same module"),
        "{text}"
    );
    Ok(())
}

/// The message about a file.
fn message(result: Result<Network<f32>>) -> String {
    match result {
        Err(error @ Error::Format { .. }) => error.to_string(),
        other => panic!("expected an error about the format, got {other:?}"),
    }
}

/// Names and shapes.
type Tensors<'a> = &'a [(&'a str, &'a [usize])];

/// A state dict of F32 zeros with these tensors.
fn state_dict(tensors: Tensors<'_>) -> Vec<u8> {
    let mut end = 0;
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, shape)| {
            let start = end;
            end += 4 * shape.iter().product::<usize>();
            format!(
                r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + end, 0);
    bytes
}

#[test]
fn what_a_state_dict_leaves_open_is_said_with_what_was_understood() {
    let two_linears: Tensors = &[
        ("rnn.weight_ih_l0", &[4, 3]),
        ("rnn.weight_hh_l0", &[4, 4]),
        ("a.weight", &[4, 4]),
        ("a.bias", &[4]),
        ("b.weight", &[2, 4]),
        ("b.bias", &[2]),
    ];
    let open = |tensors: Tensors, description: Option<&str>| {
        let options = ImportOptions {
            description: description.map(str::to_owned),
        };
        message(Network::import_bytes(&state_dict(tensors), "it", &options))
    };
    let text = open(two_linears, None);
    for part in ["a Linear(4, 4)", "b Linear(4, 2)", "rnn RNN(3, 4)"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("which function follows a is open"), "{text}");

    let same = &[
        ("x.weight", &[3, 3][..]),
        ("x.bias", &[3]),
        ("y.weight", &[3, 3]),
        ("y.bias", &[3]),
    ];
    assert!(open(same, None).contains("which function follows x is open"));
    let norms = &[
        ("rnn.weight_ih_l0", &[3, 3][..]),
        ("rnn.weight_hh_l0", &[3, 3]),
        ("n.weight", &[3]),
    ];
    assert!(open(norms, None).contains("there are several orders"));
    let far = &[
        ("x.weight", &[3, 2][..]),
        ("x.bias", &[3]),
        ("y.weight", &[5, 4]),
        ("y.bias", &[5]),
    ];
    assert!(open(far, None).contains("no order"));
    let described = r#"{"layers": [{"module": "x"}, {"module": "y"}]}"#;
    assert!(
        open(far, Some(described)).contains("module y is Linear(4, 5), expected one that takes 3")
    );
    assert!(
        open(far, Some(r#"{"layers": [{"module": "x"}]}"#)).contains("module \"y\" is missing")
    );
    let twice = r#"{"layers": [{"module": "x"}, {"module": "x"}]}"#;
    assert!(open(far, Some(twice)).contains("twice"));
    let unknown = r#"{"layers": [{"module": "z"}]}"#;
    assert!(open(far, Some(unknown)).contains("which the file has not"));
    let made = r#"{"layers": [{"module": "x"}, {"kind": "dense", "units": 4, "activation": "tanh"}, {"module": "y"}]}"#;
    let unused = r#"{"layers": [{"module": "x", "epsilon": 0.1}, {"module": "y"}]}"#;
    assert!(open(far, Some(unused)).contains("an epsilon of x, a Linear(2, 3)"));
    assert!(open(far, Some(made)).contains("layer 1 without a module, which needs weights"));
    let epsilons = r#"{"layers": [{"module": "x", "epsilon": 1, "epsilon": 2}]}"#;
    assert!(
        open(far, Some(epsilons))
            .contains("the description: duplicate field `epsilon` at line 1 column ")
    );
    assert!(open(far, Some("{")).contains("the description"));
    assert!(open(far, Some(r#"{"layer": []}"#)).contains("the description"));
}

/// A state dict that leaves open which module is first, in a directory of the test's own.
fn open_file(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-{test}"));
    _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("model.safetensors");
    let tensors: Tensors = &[
        ("x.weight", &[3, 3]),
        ("x.bias", &[3]),
        ("y.weight", &[3, 3]),
        ("y.bias", &[3]),
    ];
    std::fs::write(&path, state_dict(tensors)).unwrap();
    path
}

#[test]
fn a_description_may_lie_beside_the_file() -> Result<()> {
    let path = open_file("beside");
    let none = ImportOptions::default();
    let text = message(Network::import(&path, &none));
    assert!(text.contains("which function follows x is open"), "{text}");

    let beside = path.with_file_name("model.safetensors.description.json");
    let described = r#"{"layers": [{"module": "y", "activation": "relu"}, {"module": "x"}]}"#;
    std::fs::write(&beside, described).unwrap();
    let network = Network::<f32>::import(&path, &none)?;
    let options = ImportOptions {
        description: Some(described.to_owned()),
    };
    let expected = Network::<f32>::import(&path, &options)?;
    assert_eq!(network.to_bytes()?, expected.to_bytes()?);
    std::fs::write(&beside, ["\u{feff}", described].concat()).unwrap();
    assert_eq!(Network::<f32>::import(&path, &none)?.layer_count(), 2);

    // Not of bytes, whatever they are called.
    let bytes = std::fs::read(&path).unwrap();
    let text = message(Network::import_bytes(&bytes, &path, &none));
    assert!(text.contains("which function follows x is open"), "{text}");
    Ok(())
}

#[test]
fn a_wrong_description_beside_the_file_is_named() -> Result<()> {
    let path = open_file("wrong");
    let beside = path.with_file_name("model.safetensors.description.json");
    let none = ImportOptions::default();
    let refused = [
        (&b"{"[..], "EOF while parsing"),
        (br#"{"layer": []}"#, "unknown field `layer`"),
        (b"\xff\xfe{}", "expected value at line 1"),
        (
            &[b' '; (4 << 20) + 1],
            "4194305 bytes, expected at most 4194304",
        ),
    ];
    for (text, part) in refused {
        std::fs::write(&beside, text).unwrap();
        let text = message(Network::import(&path, &none));
        let name = beside.to_str().unwrap();
        assert!(
            text.starts_with(name) && text.contains(part),
            "{part}: {text}"
        );
    }
    // What is said takes its place, and it is not looked at.
    let options = ImportOptions {
        description: Some(r#"{"layers": [{"module": "x"}, {"module": "y"}]}"#.to_owned()),
    };
    assert_eq!(Network::<f32>::import(&path, &options)?.layer_count(), 2);
    std::fs::remove_file(&beside).unwrap();
    std::fs::create_dir(&beside).unwrap();
    let text = message(Network::import(&path, &none));
    assert!(
        text.contains(".description.json: not a regular file"),
        "{text}"
    );
    Ok(())
}

/// Where the name is as long as names can be, nothing lies beside the file.
#[cfg(unix)]
#[test]
fn a_long_name_has_nothing_beside_it() -> Result<()> {
    let path = open_file("long").with_file_name("x".repeat(250));
    std::fs::copy(data().join("import/lstm.safetensors"), &path).unwrap();
    let network = Network::<f32>::import(&path, &ImportOptions::default())?;
    assert_eq!(network.layer_count(), 3);
    Ok(())
}

#[test]
fn what_is_none_of_the_formats_is_told_which_there_are() {
    let taken = "expected a state dict of PyTorch as safetensors or JSON, an ONNX graph, a model of RTNeural, AIDA-X, GuitarML \
                 or Neural Amp Modeler as JSON, or a file that elman has saved";
    let files: [(&[u8], &str); 7] = [
        (b"", "it: 0 bytes, "),
        (
            b"PK\x03\x04\x14\0\0\0archive/data.pkl",
            "it: a PyTorch checkpoint (a zip file of torch.save), ",
        ),
        (
            b"\x89HDF\r\n\x1a\n\0\0",
            "it: an HDF5 file, as Keras writes .h5 files, ",
        ),
        (
            b"\x01\x02\x03\x04\xff\xff\xff\xff\0",
            "it: no safetensors file: it begins with the bytes [01, ",
        ),
        (b"[1, 2, 3]", "it: a JSON text, "),
        (br#"{"nodes": 3}"#, r#"it: JSON with ["nodes"], "#),
        (b"<html>", "it: an HTML or XML text, "),
    ];
    for (bytes, start) in files {
        let read = Network::import_bytes(bytes, "it", &ImportOptions::default());
        let text = message(read);
        assert!(text.starts_with(start) && text.ends_with(taken), "{text}");
    }
}

#[test]
fn modules_that_cannot_be_taken_are_named() {
    let refused: [(Tensors, &str); 7] = [
        (&[("conv.weight", &[4, 3, 5])], "module conv: weight"),
        (
            &[("bn.weight", &[4]), ("bn.running_mean", &[4])],
            "running_mean",
        ),
        (
            &[("r.weight_ih_l0", &[8, 3]), ("r.weight_hh_l0", &[8, 4])],
            "8 rows for 4 units",
        ),
        (
            &[("r.weight_ih_l0", &[4, 3]), ("r.weight_hh_l0", &[5, 4])],
            "5 rows for 4 units",
        ),
        (&[("r.weight_ih_l0", &[4, 3])], "no matrices"),
        (
            &[
                ("r.weight_ih_l0", &[4, 3]),
                ("r.weight_hh_l0", &[4, 4]),
                ("r.weight_ih_l2", &[4, 4]),
                ("r.weight_hh_l2", &[4, 4]),
            ],
            "4 tensors, expected 6",
        ),
        (
            &[
                ("r.weight_ih_l0", &[4, 3]),
                ("r.weight_hh_l0", &[4, 4]),
                ("r.bias_ih_l0", &[3]),
            ],
            "bias_ih_l0 has shape [3], expected [4]",
        ),
    ];
    for (tensors, part) in refused {
        let bytes = state_dict(tensors);
        let text = message(Network::import_bytes(
            &bytes,
            "it",
            &ImportOptions::default(),
        ));
        assert!(text.contains(part), "{part}: {text}");
    }
    // As many tensors as two layers have, but one of the second is the first's again, under another name.
    for twice in ["r.weight_ih", "r.weight_ih_l00"] {
        let bytes = state_dict(&[
            ("r.weight_ih_l0", &[4, 3]),
            ("r.weight_hh_l0", &[4, 4]),
            ("r.weight_hh_l1", &[4, 4]),
            (twice, &[4, 3]),
        ]);
        let read = Network::import_bytes(&bytes, "it", &ImportOptions::default());
        let text = message(read);
        let known = [
            "under the names of a cell and of a layer",
            "which such a module has not",
        ];
        assert!(known.iter().any(|part| text.contains(part)), "{text}");
    }
    // Sizes that nothing in the file has elements of.
    let huge = &[("x.weight", &[0, usize::MAX][..]), ("x.bias", &[0])];
    let bytes = state_dict(huge);
    assert!(Network::<f32>::import_bytes(&bytes, "it", &ImportOptions::default()).is_err());
    let far = &[("r.weight_ih_l18446744073709551615", &[4, 3][..])];
    message(Network::import_bytes(
        &state_dict(far),
        "it",
        &ImportOptions::default(),
    ));
    message(Network::import_bytes(
        &state_dict(&[]),
        "it",
        &ImportOptions::default(),
    ));
}

#[test]
fn json_that_cannot_be_taken_is_named() {
    let dense = r#"{"type": "dense", "activation": "ACT", "shape": [null, 1], "weights": [[[1.0]], [0.5]]}"#;
    let keras = |layers: &str, more: &str| {
        format!(r#"{{"in_shape": [null, null, 1], "layers": [{layers}]{more}}}"#)
    };
    let two = dense.replace("ACT", "").replace("[null, 1]", "[null, 2]");
    let two_outputs = two
        .replace("[[1.0]]", "[[1.0, 2.0]]")
        .replace("[0.5]", "[0.5, 1]");
    let refused = [
        ("{}".to_owned(), "no layers"),
        (r#"{"a": 1, "b": [2]}"#.to_owned(), r#"JSON with ["a", "b"]"#),
        (r#"{"a.weight": [[1, 2], [3]]}"#.to_owned(), "a.weight is no array of numbers"),
        (r#"{"a.weight": [["x"]]}"#.to_owned(), "a.weight is no array of numbers"),
        (r#"{"a": [}"#.to_owned(), "the JSON: "),
        (
            r#"{"a.weight": [[1]], "a.weight": [[2]]}"#.to_owned(),
            "the JSON: duplicate field `a.weight` at line 1 column 30",
        ),
        (
            keras(r#"{"type": "activation", "activation": "relu", "activation": "tanh"}"#, ""),
            "the JSON: duplicate field `activation` at line 1 column ",
        ),
        (
            r#"{"architecture": "WaveNet", "config": {}, "weights": [1]}"#.to_owned(),
            "a model of the architecture WaveNet, expected LSTM",
        ),
        (
            r#"{"architecture": "LSTM", "config": {"input_size": 1}, "weights": [1]}"#.to_owned(),
            "config.hidden_size is missing",
        ),
        (
            r#"{"architecture": "LSTM", "config": {"input_size": "one"}, "weights": [1]}"#.to_owned(),
            "config.input_size is no whole number from 1 on",
        ),
        (
            r#"{"architecture": "LSTM", "config": {"input_size": 1, "hidden_size": 3, "num_layers": 2}, "weights": [1, 2]}"#
                .to_owned(),
            "2 weights, expected more of 2 layers of 3 units",
        ),
        (
            r#"{"architecture": "LSTM", "config": {"input_size": 1, "hidden_size": 1, "num_layers": 1}, "weights":
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]}"#
                .to_owned(),
            "3 weights for the head, expected 2 or a multiple",
        ),
        (keras(r#"{"type": "conv1d"}"#, ""), "layers[0]: type conv1d, expected dense"),
        (keras(r#"{"activation": "tanh"}"#, ""), "layers[0]: no type"),
        (keras(&dense.replace("ACT", "softmax"), ""), "activation softmax, which elman has not"),
        (
            keras(&two, ""),
            "weights[0] has shape [1, 1], expected [1, 2]",
        ),
        (
            keras(r#"{"type": "activation", "shape": [2]}"#, ""),
            "layers[0]: 2 outputs of 1 inputs",
        ),
        (
            r#"{"model_data": {"skip": 1}, "state_dict": {"lin.weight": [[1, 2], [3, 4]], "lin.bias": [1, 2]}}"#.to_owned(),
            "a skip to 2 outputs",
        ),
        (
            keras(r#"{"type": "lstm", "shape": [2], "weights": []}"#, ""),
            "layers[0]: no weights[0]",
        ),
        (
            keras(&dense.replace("ACT", ""), r#", "in_skip": 2"#),
            "in_skip is 2, expected 0 or 1",
        ),
        (
            keras(&dense.replace("ACT", ""), r#", "in_skip": 0.5"#),
            "in_skip is 0.5, expected 0 or 1",
        ),
        (keras(&dense.replace("ACT", ""), r#", "in_skip": true"#), "in_skip is no number"),
        (keras(&dense.replace("ACT", ""), r#", "out_gain": "6""#), "out_gain is no number"),
        (
            r#"{"model_data": {"skip": -1}, "state_dict": {"lin.weight": [[1]], "lin.bias": [1]}}"#.to_owned(),
            "model_data.skip is -1, expected 0 or 1",
        ),
        (keras(&two_outputs, r#", "in_skip": 1"#), "a skip to 2 outputs"),
        (keras(&two_outputs, r#", "in_skip": 1.0"#), "a skip to 2 outputs"),
        (r#"{"in_shape": [], "layers": []}"#.to_owned(), "in_shape has no last element"),
        (r#"{"in_shape": [1], "layers": 3}"#.to_owned(), "layers is no array"),
    ];
    for (text, part) in refused {
        let read = Network::import_bytes(text.as_bytes(), "it", &ImportOptions::default());
        let text = message(read);
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// What a file of somebody's amp is followed by in training: the sums that only mix signals stay as they are.
#[test]
fn what_mixes_signals_is_not_trained() -> Result<()> {
    let network = import::<f32>("aidax_two.json", None)?;
    let trainable: Vec<bool> = network.layers().map(|layer| layer.trainable).collect();
    assert_eq!(trainable, [false, true, true, true, false]);
    Ok(())
}

#[test]
fn damaged_files_are_errors() {
    for name in ["aidax.json", "stacked.nam", "guitarml.json"] {
        let bytes = std::fs::read(data().join("import").join(name)).unwrap();
        for len in 0..bytes.len() - 2 {
            message(Network::import_bytes(
                &bytes[..len],
                "it",
                &ImportOptions::default(),
            ));
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            _ = Network::<f32>::import_bytes(&damaged, "it", &ImportOptions::default());
        }
    }
    let bytes = std::fs::read(data().join("import/lstm.safetensors")).unwrap();
    for len in 0..bytes.len() {
        message(Network::import_bytes(
            &bytes[..len],
            "it",
            &ImportOptions::default(),
        ));
    }
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for at in 0..header {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            // Names may change without a fault.
            _ = Network::<f32>::import_bytes(&damaged, "it", &ImportOptions::default());
        }
    }
}
