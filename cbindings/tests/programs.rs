//! C programs that use the library: with the reference numbers, in all its parts, and wrongly.

mod common;

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use common::{Language, Linkage, compile, package, read, run, run_with};
use serde_json::Value;

/// Compiles and runs a program of `tests/c` with both libraries.
fn check(name: &str, arguments: &[&str]) {
    for linkage in [Linkage::Shared, Linkage::Static] {
        let source = package().join("tests/c").join(name);
        let output = run(&compile(&source, Language::C11, linkage), arguments);
        assert_eq!(output, "ok\n", "{name} {linkage:?}");
    }
}

#[test]
fn reference_numbers_come_out_of_the_c_abi() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference_data.h");
    std::fs::write(path, reference_data().unwrap()).unwrap();
    check("reference.c", &[]);
}

#[test]
fn wrong_input_is_refused_and_changes_nothing() {
    check("wrong_input.c", &[]);
}

#[test]
fn every_part_works() {
    let data = package().join("../tests/data/japanese_vowels");
    check("every_part.c", &[data.to_str().unwrap()]);
}

#[test]
fn every_cell_gives_the_same_bits_in_every_way() {
    check("cells.c", &[]);
}

#[cfg(target_os = "linux")]
#[test]
fn threads_that_do_not_start_are_an_error_and_leave_nothing_behind() {
    check("threads.c", &[]);
}

#[cfg(unix)]
#[test]
fn a_file_is_the_old_one_or_the_new_one() {
    check("saving.c", &[]);
}

#[cfg(target_os = "linux")]
#[test]
fn callers_may_have_threads_and_fork() {
    check("hosts.c", &[]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_message_is_that_of_its_call() {
    check("moving.c", &[]);
    // The same program would notice: all its calls that fail are asked about on another thread.
    let program = package().join("tests/c/moving.c");
    let program = compile(&program, Language::C11, Linkage::Static);
    let output = run(&program, &["last_error"]);
    assert_eq!(output, "2400 messages are not those of their calls\n");
}

#[cfg(target_os = "linux")]
#[test]
fn networks_come_and_go_and_memory_does_not_grow() {
    check("soak.c", &["3"]);
}

/// Compiles and runs a program of `tests/c` with the archive and further flags for the compiler.
#[cfg(target_os = "linux")]
fn check_with(name: &str, flags: &[&str]) {
    let library = common::library();
    let archive = [library.archive.to_str().unwrap().to_string()];
    let flags: Vec<_> = flags.iter().map(ToString::to_string).collect();
    let include = [format!("-I{}", package().join("../include").display())];
    let program = common::compile_with(
        &package().join("tests/c").join(name),
        Language::C11,
        &[&flags[..], &include].concat(),
        &[&archive, &library.native[..], &flags].concat(),
    );
    assert_eq!(run(&program, &[]), "ok\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_may_use_openmp() {
    check_with("openmp.c", &["-fopenmp"]);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn memory_that_runs_out_is_a_status() {
    const WRAP: &str =
        "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=posix_memalign,--wrap=free";
    check_with("memory.c", &[WRAP]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_library_can_be_loaded_twice_and_unloaded() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let copies = ["copy-1.so", "copy-2.so"].map(|name| directory.join(name));
    for copy in &copies {
        std::fs::copy(&common::library().shared, copy).unwrap();
    }
    let paths = copies.each_ref().map(|copy| copy.to_str().unwrap());
    let program = compile(
        &package().join("tests/c/loading.c"),
        Language::C11,
        Linkage::Shared,
    );
    assert_eq!(run(&program, &paths), "ok\n");
}

#[test]
fn no_mode_of_the_caller_changes_a_bit_and_no_call_changes_the_mode() {
    check("floating_point_mode.c", &[]);
}

/// A tier of other processors.
const MISSING_TIER: &str = if cfg!(target_arch = "aarch64") {
    "avx2"
} else {
    "neon"
};

#[test]
fn a_wrong_tier_is_an_error() {
    let output = |tier| {
        let program = compile(
            &package().join("tests/c/tier.c"),
            Language::C11,
            Linkage::Shared,
        );
        run_with(&program, Command::new(&program).env("ELMAN_TIER", tier))
    };
    let tiers = [
        (
            "sse9",
            "14 '' ELMAN_TIER is 'sse9', expected portable, neon, avx2 or avx512\n",
        ),
        (
            "",
            "14 '' ELMAN_TIER is '', expected portable, neon, avx2 or avx512\n",
        ),
        ("portable", "0 'portable' \n"),
    ];
    for (tier, expected) in tiers {
        assert_eq!(output(tier), expected);
    }
    let missing = output(MISSING_TIER);
    let expected =
        format!("14 '' tier '{MISSING_TIER}' is not available on this CPU; the best that is: ");
    assert!(missing.starts_with(&expected), "{missing}");
}

fn load(name: &str) -> Value {
    serde_json::from_str(&read(&format!("../tests/data/{name}"))).unwrap()
}

/// All numbers of a nested array, in order.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

/// The same of some members of an object, one after the other.
fn joined(object: &Value, names: &[&str]) -> Vec<f64> {
    names
        .iter()
        .flat_map(|name| numbers(&object[*name]))
        .collect()
}

/// `[outer][inner][width]` as `[inner][outer][width]`.
fn transposed(values: &[f64], outer: usize, inner: usize, width: usize) -> Vec<f64> {
    let row = |inner_index: usize| {
        (0..outer).flat_map(move |index| &values[(index * inner + inner_index) * width..][..width])
    };
    (0..inner).flat_map(row).copied().collect()
}

/// A list of numbers in C.
fn list(values: &[f64]) -> String {
    let literals = values.iter().map(|value| match value {
        value if value.is_nan() => "NAN".to_string(),
        value => format!("(float){value:e}"),
    });
    format!("{{{}}}", literals.collect::<Vec<_>>().join(", "))
}

/// The files of `tests/data` as C arrays.
fn reference_data() -> Result<String, std::fmt::Error> {
    let mut c = String::new();
    let mut array =
        |name: &str, values: &[f64]| writeln!(c, "static const float {name}[] = {};", list(values));

    let small = load("small_sequence.json");
    array("small_x", &numbers(&small["x"]))?;
    array("small_parameters", &joined(&small, &["W_x", "W_h", "B"]))?;
    array("small_states", &numbers(&small["states"]))?;
    array(
        "small_states_continued",
        &numbers(&small["states_continued"]),
    )?;
    for which in ["last", "all"] {
        let gradients = &small[format!("grad_{which}")];
        let parameters = joined(gradients, &["dW_x", "dW_h", "dB"]);
        array(&format!("small_gradients_{which}"), &parameters)?;
        array(&format!("small_dx_{which}"), &numbers(&gradients["dX"]))?;
        array(
            &format!("small_dstate_{which}"),
            &numbers(&gradients["dh0"]),
        )?;
    }

    let sum = load("binary_sum.json");
    array("sum_x", &numbers(&sum["X"]))?;
    array("sum_targets", &numbers(&sum["targets"]))?;
    array("sum_gradients", &numbers(&sum["grad_at_1_2"]))?;
    array("sum_trajectory", &numbers(&sum["rprop_trajectory"]))?;

    const UPDATES: [&str; 5] = ["1", "2", "3", "10", "50"];
    let optimizers = load("optimizer_reference.json");
    array("optimizer_start", &numbers(&optimizers["start"]))?;
    for (name, optimizer) in optimizers["optimizers"].as_object().unwrap() {
        array(
            &format!("optimizer_{name}"),
            &joined(&optimizer["after"], &UPDATES),
        )?;
    }

    let classifier = load("classifier_demo.json");
    let layers = ["W_x", "W_h", "B", "W_out", "b_out"];
    array("classifier_x", &numbers(&classifier["x"]))?;
    array(
        "classifier_parameters",
        &joined(&classifier["init"], &layers),
    )?;
    array("classifier_losses", &numbers(&classifier["losses"])[..12])?;

    let labels: Vec<_> = numbers(&classifier["labels"])
        .iter()
        .map(f64::to_string)
        .collect();
    writeln!(
        c,
        "static const size_t classifier_labels[] = {{{}}};",
        labels.join(", ")
    )?;
    writeln!(
        c,
        "static const size_t optimizer_updates[] = {{{}}};",
        UPDATES.join(", ")
    )?;
    writeln!(c, "static const double sum_cost = {};", sum["cost_at_1_2"])?;
    c.push_str(&recurrent_cases()?);
    Ok(c)
}

fn recurrent_cases() -> Result<String, std::fmt::Error> {
    const BUFFERS: [&str; 10] = [
        "parameters",
        "gradients",
        "x",
        "dx",
        "y",
        "dy",
        "state_in",
        "state_out",
        "dstate_in",
        "dstate_out",
    ];
    let mut c = String::from(
        "struct recurrent_case {\n    size_t steps, batch, input, units, layers;\n    uint32_t activation;\n    \
         const size_t *lengths;\n    const float ",
    );
    writeln!(c, "*{};\n}};", BUFFERS.join(", *"))?;
    let mut cases = String::new();
    for (index, case) in load("rnn_reference.json")["cases"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let sizes = ["steps", "batch", "input", "hidden", "layers"]
            .map(|name| usize::try_from(case[name].as_u64().unwrap()).unwrap());
        let [_, batch, _, units, layers] = sizes;
        let by_sequence = |name: &str| transposed(&numbers(&case[name]), layers, batch, units);
        let (mut parameters, mut gradients) = (Vec::new(), Vec::new());
        for layer in case["params"].as_array().unwrap() {
            for (name, gradient) in [("W_x", "dW_x"), ("W_h", "dW_h"), ("B", "dB")] {
                // A layer without a bias is one whose bias is 0, and whose gradient of the bias nobody gave.
                let given = !layer[name].is_null();
                let of = |name: &str, default| match given {
                    true => numbers(&layer[name]),
                    false => vec![default; units],
                };
                parameters.extend(of(name, 0.0));
                gradients.extend(of(gradient, f64::NAN));
            }
        }
        let values = [
            parameters,
            gradients,
            numbers(&case["x"]),
            numbers(&case["dx"]),
            numbers(&case["y"]),
            numbers(&case["dy"]),
            by_sequence("h0"),
            by_sequence("h_last"),
            by_sequence("dh0"),
            by_sequence("dh_last"),
        ];
        for (name, values) in BUFFERS.iter().zip(&values) {
            writeln!(
                c,
                "static const float case{index}_{name}[] = {};",
                list(values)
            )?;
        }
        let lengths = match case["lengths"].as_array() {
            None => "NULL".to_string(),
            Some(lengths) => {
                let lengths: Vec<_> = lengths.iter().map(Value::to_string).collect();
                let list = lengths.join(", ");
                writeln!(c, "static const size_t case{index}_lengths[] = {{{list}}};")?;
                format!("case{index}_lengths")
            }
        };
        let activation = case["activation"].as_str().unwrap().to_uppercase();
        let buffers = BUFFERS.map(|name| format!("case{index}_{name}")).join(", ");
        let sizes = sizes.map(|size| size.to_string()).join(", ");
        writeln!(
            cases,
            "    {{{sizes}, ELMAN_{activation}, {lengths}, {buffers}}},"
        )?;
    }
    writeln!(
        c,
        "static const struct recurrent_case recurrent_cases[] = {{\n{cases}}};"
    )?;
    Ok(c)
}
