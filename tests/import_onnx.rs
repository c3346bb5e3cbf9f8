//! ONNX: what other systems write gives here what ONNX Runtime gives, and what elman writes comes back.

use std::path::{Path, PathBuf};

use elman::{
    Activation, Batch, CellActivations, Direction, Element, Error, ImportOptions, InitialState,
    LastOutput, LayerKind, Merge, Network, Output, RecurrentOptions, Reset, Result, Session,
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
    lengths: Option<Vec<usize>>,
    x: Vec<f64>,
    y: Vec<f64>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn cases() -> Vec<Case> {
    let json = std::fs::read_to_string(data().join("import_onnx.json")).unwrap();
    serde_json::from_str::<Cases>(&json).unwrap().cases
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(data().join("import").join(name)).unwrap()
}

fn import<E: Element>(bytes: &[u8]) -> Result<Network<E>> {
    Network::import_bytes(bytes, "it", &ImportOptions::default())
}

/// The largest difference from what ONNX Runtime gives, in parts of its largest value.
fn difference<E: Element>(case: &Case) -> f64 {
    let network =
        import::<E>(&file(&case.name)).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    assert_eq!(
        (network.input_size(), network.output_size()),
        (case.inputs, case.outputs),
        "{}",
        case.name
    );
    let x: Vec<E> = case.x.iter().map(|&x| E::from_f64(x)).collect();
    let batch = Batch {
        x: &x,
        batch: case.batch,
        steps: case.steps,
        lengths: case.lengths.as_deref(),
    };
    let mut y = vec![E::ZERO; case.y.len()];
    network.predict(batch, None, Some(&mut y), None).unwrap();
    let pairs = || case.y.iter().zip(&y);
    let most = pairs()
        .map(|(expected, _)| expected.abs())
        .fold(0.0, f64::max);
    assert!(y.iter().all(|y| y.to_f64().is_finite()), "{}", case.name);
    let worst = pairs().map(|(expected, y)| (y.to_f64() - expected).abs());
    worst.fold(0.0, f64::max) / most
}

#[test]
fn outputs_are_those_of_onnx_runtime() {
    for case in cases() {
        let (double, single) = (difference::<f64>(&case), difference::<f32>(&case));
        assert!(double < 1e-5, "{}: {double:e} in f64", case.name);
        assert!(single < 1e-5, "{}: {single:e} in f32", case.name);
    }
}

/// The kinds of a network's layers.
fn kinds(network: &Network<f32>) -> String {
    let kinds = network.layers().map(|layer| match layer.kind {
        LayerKind::Rnn { .. } => "rnn",
        LayerKind::Gru => "gru",
        LayerKind::Lstm => "lstm",
        LayerKind::Dense { .. } => "dense",
        LayerKind::Dropout { .. } => "dropout",
        LayerKind::Activation { .. } => "activation",
        LayerKind::LayerNorm { .. } => "norm",
        LayerKind::Embedding { .. } => "embedding",
        LayerKind::Concat { .. } => "concat",
        LayerKind::Residual { .. } => "residual",
    });
    kinds.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_only_puts_axes_in_order_is_no_layer() -> Result<()> {
    for (name, expected) in [
        ("torch_script_lstm.onnx", "lstm lstm dense"),
        ("torch_dynamo_lstm.onnx", "lstm lstm dense"),
        ("torch_script_gru.onnx", "gru gru dense"),
        ("torch_dynamo_fixed.onnx", "gru gru dense"),
        ("torch_script_both.onnx", "lstm lstm dense"),
        ("denoiser.onnx", "lstm lstm dense"),
        ("merge_sum.onnx", "lstm"),
        ("merge_mean.onnx", "lstm"),
        ("merge_product.onnx", "lstm"),
        ("indices.onnx", "embedding lstm"),
        ("column.onnx", "embedding gru"),
        ("lengths.onnx", "lstm dense"),
    ] {
        assert_eq!(kinds(&import(&file(name))?), expected, "{name}");
    }
    let denoiser = import::<f32>(&file("denoiser.onnx"))?;
    let sigmoid = Activation::Sigmoid;
    let last = denoiser.layers().last().unwrap();
    assert_eq!(
        last.kind,
        LayerKind::Dense {
            activation: sigmoid
        }
    );
    Ok(())
}

#[test]
fn states_of_the_graph_are_those_of_a_session() -> Result<()> {
    let network = import::<f32>(&file("denoiser.onnx"))?;
    let all = cases();
    let case = all
        .iter()
        .find(|case| case.name == "denoiser.onnx")
        .unwrap();
    let mut session = Session::new(&network)?;
    let x: Vec<f32> = case.x.iter().map(|&x| x as f32).collect();
    let mut y = vec![0.0; case.outputs];
    for step in 0..case.steps {
        session.step(&x[step * case.inputs..][..case.inputs], &mut y)?;
        let expected = &case.y[step * case.outputs..][..case.outputs];
        for (y, expected) in y.iter().zip(expected) {
            assert!((f64::from(*y) - expected).abs() < 1e-5);
        }
    }
    Ok(())
}

/// A message of Protocol Buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn integer(mut self, field: u8, value: u8) -> Self {
        self.0.extend([field << 3, value]);
        self
    }

    fn bytes(mut self, field: u8, bytes: &[u8]) -> Self {
        self.0.push(field << 3 | 2);
        let mut len = bytes.len();
        while len >= 0x80 {
            self.0.push(len as u8 | 0x80);
            len >>= 7;
        }
        self.0.push(len as u8);
        self.0.extend(bytes);
        self
    }
}

/// A node with inputs and outputs.
fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let mut node = Message::default();
    for input in inputs {
        node = node.bytes(1, input.as_bytes());
    }
    for output in outputs {
        node = node.bytes(2, output.as_bytes());
    }
    node.bytes(3, format!("the {op}").as_bytes())
        .bytes(4, op.as_bytes())
}

/// A constant of 32-bit floats.
fn floats(name: &str, dims: &[u8], count: usize) -> Message {
    let dims = dims
        .iter()
        .fold(Message::default(), |tensor, &size| tensor.integer(1, size));
    dims.integer(2, 1)
        .bytes(8, name.as_bytes())
        .bytes(9, &vec![0; 4 * count])
}

/// A graph whose input `x` has the size 3 of three, and whose output is `y`.
fn model(nodes: &[Message], constants: &[Message]) -> Vec<u8> {
    let dim = |size| Message::default().integer(1, size);
    let open = Message::default().bytes(2, b"open");
    let shape = Message::default()
        .bytes(1, &open.0)
        .bytes(1, &open.0)
        .bytes(1, &dim(3).0);
    let tensor = Message::default().integer(1, 1).bytes(2, &shape.0);
    let kind = Message::default().bytes(1, &tensor.0);
    let value = |name: &[u8]| Message::default().bytes(1, name).bytes(2, &kind.0);
    let mut graph = Message::default();
    for node in nodes {
        graph = graph.bytes(1, &node.0);
    }
    for constant in constants {
        graph = graph.bytes(5, &constant.0);
    }
    let graph = graph.bytes(11, &value(b"x").0).bytes(12, &value(b"y").0);
    let operators = Message::default().bytes(1, b"").integer(2, 17);
    Message::default()
        .integer(1, 8)
        .bytes(2, b"test")
        .bytes(8, &operators.0)
        .bytes(7, &graph.0)
        .0
}

fn message(bytes: &[u8]) -> String {
    match import::<f32>(bytes) {
        Err(error @ Error::Format { .. }) => error.to_string(),
        other => panic!("expected an error about the format, got {other:?}"),
    }
}

#[test]
fn the_first_node_that_cannot_be_taken_is_named() {
    let text = message(&model(
        &[
            node("Tanh", &["x"], &["a"]),
            node("Conv", &["a", "w"], &["y"]),
        ],
        &[floats("w", &[2, 3, 1], 6)],
    ));
    assert!(
        text.contains(r#"node "the Conv" (Conv): which elman has no layer for"#),
        "{text}"
    );
    let text = message(&model(&[node("Softmax", &["x"], &["y"])], &[]));
    assert!(
        text.contains(r#"node "the Softmax" (Softmax): elman's softmax is part of its loss"#),
        "{text}"
    );
    let own = node("Fused", &["x"], &["y"]).bytes(7, b"com.example");
    let text = message(&model(&[own], &[]));
    assert!(
        text.contains("(com.example.Fused): an operator that is not of the standard"),
        "{text}"
    );
    let text = message(&model(
        &[node("MatMul", &["x", "w"], &["y"])],
        &[floats("w", &[4, 2], 8)],
    ));
    assert!(
        text.contains("weights of shape [4, 2] for 3 features"),
        "{text}"
    );
    let text = message(&model(
        &[node("MatMul", &["x", "w"], &["y"])],
        &[floats("w", &[3, 2], 5)],
    ));
    assert!(
        text.contains("constant \"w\": fewer elements than its shape says"),
        "{text}"
    );
    let external = Message::default()
        .integer(1, 3)
        .integer(1, 2)
        .integer(2, 1)
        .bytes(8, b"w")
        .integer(14, 1);
    let text = message(&model(&[node("MatMul", &["x", "w"], &["y"])], &[external]));
    assert!(
        text.contains("the numbers of \"w\" are in another file"),
        "{text}"
    );
    let text = message(&model(&[node("Mul", &["x", "x"], &["y"])], &[]));
    assert!(
        text.contains("which elman has no layer for, of two outputs of layers"),
        "{text}"
    );
    let text = message(&model(&[node("Tanh", &["other"], &["y"])], &[]));
    assert!(
        text.contains("input \"other\" comes from no node before it"),
        "{text}"
    );
    let text = message(&model(
        &[node("LSTM", &["x", "w", "r"], &["y"])],
        &[floats("w", &[1, 8, 3], 24), floats("r", &[1, 4, 2], 8)],
    ));
    assert!(
        text.contains("R of shape [1, 4, 2], expected [1, 8, 2]"),
        "{text}"
    );
    let wrong = |node: Message, constants: &[Message], expected: &str| {
        let text = message(&model(&[node], constants));
        assert!(text.contains(expected), "{text}");
    };
    wrong(
        node("LayerNormalization", &["x", "g", "b"], &["y"]),
        &[floats("g", &[3], 3), floats("b", &[4], 4)],
        "a bias of shape [4] for 3 features",
    );
    wrong(
        node("Gemm", &["x", "w"], &["y"]),
        &[floats("w", &[3, 2], 6)],
        "A of 3 axes and B of shape [3, 2], expected matrices",
    );
    wrong(
        node("Add", &["a", "b"], &["y"]),
        &[floats("a", &[3], 3), floats("b", &[3, 1], 3)],
        "constants of the shapes [3] and [3, 1], expected the same",
    );
    let text = message(&model(&[], &[]));
    assert!(
        text.contains("none of the graph's outputs is computed from its input"),
        "{text}"
    );
}

#[test]
fn damaged_files_are_refused_or_read_but_never_more() {
    for name in [
        "lstm.onnx",
        "shapes.onnx",
        "torch_script_both.onnx",
        "column.onnx",
    ] {
        let bytes = file(name);
        for len in 0..bytes.len() {
            assert!(import::<f32>(&bytes[..len]).is_err(), "{name} cut at {len}");
        }
        let mut state = 1_u64;
        for _ in 0..3000 {
            let mut damaged = bytes.clone();
            for _ in 0..3 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let place = (state >> 33) as usize % damaged.len();
                damaged[place] = (state >> 20) as u8;
            }
            _ = import::<f32>(&damaged);
        }
    }
}

#[test]
fn files_that_nest_or_claim_much_are_refused() {
    // Messages in messages.
    let mut inner = Vec::new();
    for _ in 0..2000 {
        inner = Message::default().bytes(6, &inner).bytes(1, b"body").0;
        inner = Message::default()
            .bytes(5, &inner)
            .bytes(4, b"If")
            .bytes(2, b"y")
            .0;
        inner = Message::default().bytes(1, &inner).0;
    }
    let deep = Message::default().integer(1, 8).bytes(7, &inner).0;
    assert!(
        message(&deep).contains("the graph has the inputs []")
            || message(&deep).contains("operators")
    );
    // A length beyond the end.
    let text = message(&[
        0x08, 0x08, 0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ]);
    assert!(text.contains("a damaged ONNX file"), "{text}");
    // Features side by side, again and again.
    let mut nodes = vec![
        node("Concat", &["x", "x"], &["a0"])
            .bytes(5, &Message::default().bytes(1, b"axis").integer(3, 2).0),
    ];
    for index in 0..60 {
        let (from, to) = (format!("a{index}"), format!("a{}", index + 1));
        let axis = Message::default().bytes(1, b"axis").integer(3, 2);
        nodes.push(node("Concat", &[&from, &from], &[&to]).bytes(5, &axis.0));
    }
    nodes.push(node("Tanh", &["a60"], &["y"]));
    assert!(message(&model(&nodes, &[])).contains("(Concat)"));
    // The same integers in one tensor after the other.
    let axis = Message::default().bytes(1, b"axis").integer(3, 0);
    let sizes = Message::default()
        .bytes(1, &[0x80, 0x20])
        .integer(2, 3)
        .bytes(8, b"sizes")
        .bytes(9, &[1; 4096]);
    let copies =
        (0..100).map(|index| node("Concat", &["sizes"], &[&format!("c{index}")]).bytes(5, &axis.0));
    let names: Vec<String> = (0..100).map(|index| format!("c{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut nodes: Vec<Message> = copies.collect();
    nodes.push(node("Concat", &names, &["all"]).bytes(5, &axis.0));
    nodes.push(node("Reshape", &["x", "all"], &["y"]));
    let text = message(&model(&nodes, &[sizes]));
    assert!(
        text.contains("(Concat): it makes values that are much larger than the file"),
        "{text}"
    );
    // Sizes of which no computer has as many elements, beside none at all.
    let empty = (0..2).fold(Message::default().integer(1, 0), |tensor, _| {
        tensor.bytes(1, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40])
    });
    let empty = empty.integer(2, 1).bytes(8, b"w");
    let text = message(&model(&[node("MatMul", &["x", "w"], &["y"])], &[empty]));
    assert!(text.contains("constant \"w\": no elements"), "{text}");
}

/// Networks of every layer and option that ONNX has.
fn networks() -> Vec<(&'static str, Network<f32>)> {
    let mut all = Vec::new();
    let mut add = |name, inputs, output, build: &dyn Fn(&mut Network<f32>) -> Result<()>| {
        let mut network = Network::<f32>::new(inputs).unwrap();
        build(&mut network).unwrap();
        network.set_output(output).unwrap();
        all.push((name, network));
    };
    let plain = RecurrentOptions::default();
    let both = RecurrentOptions {
        direction: Direction::Bidirectional,
        ..plain.clone()
    };
    add("stack", 3, Output::All, &|network| {
        network.add_lstm(4, &plain)?;
        network.add_dropout(0.25)?;
        network.add_gru(5, &both)?;
        network.add_layer_norm(1e-3)?;
        network.add_dense(2, Activation::Tanh)
    });
    add("last", 3, Output::Last, &|network| {
        network.add_gru(4, &plain)?;
        network.add_lstm(3, &both)?;
        network.add_dense(5, Activation::LEAKY_RELU)?;
        network.add_dense(2, Activation::Linear)
    });
    add("the last index, one feature", 1, Output::Last, &|network| {
        network.add_embedding(&[0], 5, 1)?;
        network.add_dense(2, Activation::Tanh)
    });
    add("the last index", 1, Output::Last, &|network| {
        network.add_embedding(&[0], 5, 3)?;
        network.add_dense(2, Activation::Tanh)
    });
    add("last step", 2, Output::Last, &|network| {
        let options = RecurrentOptions {
            last: LastOutput::LastStep,
            ..both.clone()
        };
        network.add_lstm(3, &options)?;
        network.add_concat(&[0, 1])?;
        network.add_dense(2, Activation::Relu)
    });
    for merge in [Merge::Sum, Merge::Mean, Merge::Product] {
        add("merged", 2, Output::All, &|network| {
            let options = RecurrentOptions {
                merge,
                ..both.clone()
            };
            network.add_recurrent(3, Activation::Tanh, &options)
        });
    }
    add("options", 2, Output::All, &|network| {
        network.add_lstm(
            3,
            &RecurrentOptions {
                peepholes: true,
                coupled: true,
                clip_sums: 1.5,
                direction: Direction::Reverse,
                activations: [CellActivations {
                    gates: Activation::HARD_SIGMOID,
                    candidate: Activation::Softsign,
                    output: Activation::ScaledTanh {
                        alpha: 0.9,
                        beta: 1.1,
                    },
                }; 2],
                ..plain.clone()
            },
        )?;
        network.add_lstm(
            3,
            &RecurrentOptions {
                peepholes: true,
                bias: false,
                initial_state: InitialState::Trainable,
                ..both.clone()
            },
        )?;
        network.add_gru(
            4,
            &RecurrentOptions {
                reset: Reset::Before,
                initial_state: InitialState::Trainable,
                ..plain.clone()
            },
        )?;
        network.add_recurrent(1, Activation::ELU, &plain)?;
        network.add_recurrent(2, Activation::Linear, &plain)
    });
    add("embedding", 3, Output::All, &|network| {
        network.add_embedding(&[0, 2], 5, 2)?;
        network.add_gru(3, &plain)?;
        network
            .add_residual(0)
            .or_else(|_| network.add_concat(&[1, 2]))?;
        network.add_activation(Activation::HardTanh)?;
        network.add_activation(Activation::Softplus)
    });
    add(
        "indices between others, last",
        5,
        Output::Last,
        &|network| {
            network.add_embedding(&[3, 1], 5, 2)?;
            network.add_dense(3, Activation::Tanh)
        },
    );
    add("dense, last", 2, Output::Last, &|network| {
        network.add_dense(3, Activation::Tanh)
    });
    add("dropout, last", 2, Output::Last, &|network| {
        network.add_dropout(0.5)
    });
    for last in [LastOutput::FinalState, LastOutput::LastStep] {
        for direction in [Direction::Reverse, Direction::Bidirectional] {
            add("merged, last", 2, Output::Last, &|network| {
                network.add_gru(
                    3,
                    &RecurrentOptions {
                        direction,
                        last,
                        merge: match direction {
                            Direction::Bidirectional => Merge::Mean,
                            _ => Merge::Concat,
                        },
                        initial_state: InitialState::Trainable,
                        ..plain.clone()
                    },
                )?;
                network.add_concat(&[1, 0])
            });
        }
    }
    add("dense", 4, Output::All, &|network| {
        network.add_dense(4, Activation::Sigmoid)?;
        network.add_residual(0)?;
        network.add_dense(3, Activation::HARD_SIGMOID)?;
        network.add_dense(3, Activation::ThresholdedRelu { alpha: 0.1 })
    });
    for (_, network) in &mut all {
        network
            .initialize(elman::init::Initializer::Gaussian { sigma: 0.5 }, 7)
            .unwrap();
        // Initial states and biases that are not 0.
        let mut parameters = network.parameters().to_vec();
        for (index, parameter) in parameters
            .iter_mut()
            .enumerate()
            .filter(|(_, it)| **it == 0.0)
        {
            *parameter = 0.01 * (index % 50) as f32 - 0.2;
        }
        network.set_parameters(&parameters).unwrap();
    }
    all
}

#[test]
fn what_goes_out_comes_back() -> Result<()> {
    for (name, network) in networks() {
        let bytes = network.to_onnx()?;
        assert!(bytes.windows(5).any(|window| window == b"elman"));
        let back = import::<f32>(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            back.parameters(),
            network.parameters(),
            "{name}: {}",
            kinds(&back)
        );
        let (batch, steps) = (3, 4);
        let count = batch * steps * network.input_size();
        // Numbers that are indices, too.
        let x: Vec<f32> = (0..count).map(|index| (index * 7 % 5) as f32).collect();
        let lengths = [4, 1, 3];
        for lengths in [None, Some(&lengths[..])] {
            let outputs = [&network, &back].map(|network| {
                let batch = Batch {
                    x: &x,
                    batch,
                    steps,
                    lengths,
                };
                let mut y = vec![0.0; 3 * 4 * network.output_size()];
                let len = match network.output() {
                    Output::All => y.len(),
                    Output::Last => y.len() / 4,
                };
                network
                    .predict(batch, None, Some(&mut y[..len]), None)
                    .unwrap();
                y
            });
            assert_eq!(outputs[0], outputs[1], "{name}");
        }
    }
    Ok(())
}

#[test]
fn what_onnx_has_not_does_not_go_out() {
    let plain = RecurrentOptions::default();
    let refused = |options: &RecurrentOptions| {
        let mut network = Network::<f32>::new(2).unwrap();
        network.add_lstm(3, options).unwrap();
        network.to_onnx().unwrap_err().to_string()
    };
    for (options, expected) in [
        (
            RecurrentOptions {
                projection: 2,
                ..plain.clone()
            },
            "an LSTM with a projection",
        ),
        (
            RecurrentOptions {
                projection: 9,
                ..plain.clone()
            },
            "an LSTM with a projection",
        ),
        (
            RecurrentOptions {
                clip_state: 1.0,
                ..plain.clone()
            },
            "an LSTM whose cell state is clipped",
        ),
        (
            RecurrentOptions {
                zoneout: 0.1,
                ..plain.clone()
            },
            "a recurrent layer with zoneout",
        ),
    ] {
        let text = refused(&options);
        assert!(text.contains(expected), "{text}");
    }
}
