//! The examples.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Language, Linkage, compile, package, run, run_with};
use serde_json::{Map, Value};

fn example(name: &str) -> PathBuf {
    package().join("examples").join(name)
}

/// The number that follows `label` in a program's output.
fn number_after(output: &str, label: &str) -> f64 {
    let (_, rest) = output.split_once(label).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

fn japanese_vowels() -> PathBuf {
    let source = example("japanese_vowels.c");
    compile(&source, Language::C11, Linkage::Static)
}

/// One run after the other: they write the same file.
#[test]
fn japanese_vowels_learns_and_streams_the_same_bits() {
    let data = package().join("../tests/data/japanese_vowels");
    let arguments = ["7", data.to_str().unwrap()];
    for (cell, direction, end) in [
        ("", "", "streamed"),
        ("rnn", "bidirectional", "run one by one"),
        ("gru", "reverse", "run one by one"),
        ("lstm", "forward", "streamed"),
        ("lstm", "bidirectional", "run one by one"),
    ] {
        let program = japanese_vowels();
        let mut command = Command::new(&program);
        command.env("CELL", cell).env("DIRECTION", direction);
        let output = run_with(&program, command.args(arguments));
        assert!(number_after(&output, "test accuracy: ") > 0.95, "{output}");
        let end = format!("loaded and {end}: 370 of 370 answers have the same bits\n");
        assert!(output.ends_with(&end), "{output}");
    }
}

#[test]
fn japanese_vowels_names_a_cell_and_a_direction_that_are_none() {
    for (variable, message) in [
        ("CELL", "CELL is 'lsmt', expected rnn, gru or lstm\n"),
        (
            "DIRECTION",
            "DIRECTION is 'lsmt', expected forward, reverse or bidirectional\n",
        ),
    ] {
        let program = japanese_vowels();
        let output = Command::new(&program)
            .env(variable, "lsmt")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), message);
        fs::remove_file(program).unwrap();
    }
}

#[test]
fn small_sequence_comes_to_its_target() {
    let source = example("small_sequence.c");
    let output = run(&compile(&source, Language::C11, Linkage::Shared), &[]);
    assert!(number_after(&output, "\nloss ") < 1e-6, "{output}");
}

#[test]
fn characters_learns_to_write_like_the_documents() {
    let documents = [
        "abi",
        "cpp",
        "format",
        "import",
        "install",
        "performance",
        "promises",
        "python",
    ];
    let documents = documents.map(|name| package().join(format!("../docs/{name}.md")));
    let program = compile(&example("characters.c"), Language::C11, Linkage::Static);
    let output = run_with(&program, Command::new(&program).args(documents));
    let last = output.rfind(": loss ").unwrap();
    assert!(number_after(&output[last..], ": loss ") < 1.9, "{output}");
    let held_out = number_after(&output[last..], "on the held-out tenth ");
    assert!(held_out < 2.2, "{output}");
    let (_, sample) = output.split_once("it writes:\n\n").unwrap();
    assert!(sample.split_whitespace().count() > 30, "{output}");
}

#[test]
fn forecast_is_better_than_as_yesterday() {
    let program = compile(&example("forecast.c"), Language::C11, Linkage::Shared);
    let output = run(&program, &["7"]);
    let (_, end) = output.split_once("all 24 hours").unwrap();
    let error = number_after(end, ": ");
    let naive = number_after(end, "by the network, ");
    assert!(error < 0.8 * naive, "{output}");
}

#[test]
fn tagger_needs_both_directions() {
    let program = compile(&example("tagger.c"), Language::C11, Linkage::Shared);
    let output = run(&program, &["7"]);
    let [forward, both] = ["\nforward", "\nbidirectional"]
        .map(|name| number_after(&output, &format!("{name}: accuracy ")));
    assert!(both > 0.99 && forward < 0.97, "{output}");
}

#[test]
fn amp_models_are_swapped_without_a_click() {
    let program = compile(&example("amp.c"), Language::C11, Linkage::Static);
    let models = ["lstm.nam", "aidax.json"];
    let models = models.map(|name| package().join("../tests/data/import").join(name));
    let models = models.each_ref().map(|path| path.to_str().unwrap());
    let output = run(&program, &models);
    let [fading, elsewhere] =
        ["sample to sample is ", "into the other, "].map(|label| number_after(&output, label));
    assert!(fading < 1.5 * elsewhere + 0.01, "{output}");
}

/// Names, types and shapes of the tensors of a safetensors file.
fn tensors(path: &Path) -> Map<String, Value> {
    let bytes = fs::read(path).unwrap();
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Map<String, Value> = serde_json::from_slice(&bytes[8..end]).unwrap();
    header.remove("__metadata__");
    for (_, tensor) in &mut header {
        tensor.as_object_mut().unwrap().remove("data_offsets");
    }
    header
}

#[test]
fn a_network_of_pytorch_learns_about_another_motor() {
    let program = compile(&example("finetune.c"), Language::C11, Linkage::Static);
    let model = package().join("../tests/data/import/motor.safetensors");
    let tuned =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tuned-{}", std::process::id()));
    let output = run(
        &program,
        &[model.to_str().unwrap(), tuned.to_str().unwrap()],
    );
    for layer in [
        " 0  gru            16      2     16         928  yes      forward\n",
        " 1  dense           8     16      8         136  yes      relu\n",
        " 2  dense           1      8      1           9  yes      linear\n",
    ] {
        assert!(output.contains(layer), "{output}");
    }
    let (_, errors) = output.split_once("off by").unwrap();
    let errors: Vec<f64> = errors
        .lines()
        .filter_map(|line| line.split_once(" K "))
        .map(|(error, _)| error.trim().parse().unwrap())
        .collect();
    let [before, head, all] = errors[..] else {
        panic!("{output}");
    };
    assert!(head < 0.7 * before && all < 0.7 * head, "{output}");
    assert_eq!(tensors(&tuned), tensors(&model));
    fs::remove_file(tuned).unwrap();
}

#[test]
fn denoiser_gives_the_same_mask_at_once_and_block_by_block() {
    let program = compile(&example("denoiser.c"), Language::C11, Linkage::Static);
    let network = package().join("../tests/data/import/denoiser.onnx");
    let output = run(&program, &[network.to_str().unwrap()]);
    let [before, behind] = ["magnitudes: ", "before, "].map(|label| number_after(&output, label));
    assert!(behind < 0.5 * before, "{output}");
    assert!(output.ends_with("have the same bits\n"), "{output}");
}

#[test]
fn stream_goes_on_with_the_wave() {
    let output = run(
        &compile(&example("stream.cpp"), Language::Cpp17, Linkage::Shared),
        &[],
    );
    assert!(number_after(&output, "of its own: ") < 0.3, "{output}");
}

#[test]
fn latency_measures_every_step() {
    let program = compile(&example("latency.c"), Language::C11, Linkage::Shared);
    let output = run(&program, &["1000"]);
    for network in ["I 1, H 16 ", "I 64, H 128 "] {
        let (_, figures) = output.split_once(network).unwrap();
        let (figures, histogram) = figures.split_once('\n').unwrap();
        let times: Vec<u64> = figures
            .split_whitespace()
            .map(|time| time.parse().unwrap())
            .collect();
        assert!(
            times[0] > 0 && times.is_sorted() && times.len() == 6,
            "{output}"
        );
        let rows = histogram
            .lines()
            .map_while(|line| line.strip_prefix("    "));
        let steps = rows.map(|row| number_after(row, " ns "));
        assert_eq!(steps.sum::<f64>(), 1000.0, "{output}");
    }
    for cell in ["LSTM  64 ", "GRU   64 ", "RNN   16 "] {
        assert!(number_after(&output, cell) > 0.0, "{output}");
    }
}
