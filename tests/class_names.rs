//! Classes have names: whatever order a data set has them in, they are the network's.

#[path = "common/training.rs"]
mod training;

use std::ops::ControlFlow;

use elman::dataset::{Dataset, Targets};
use elman::init::Initializer;
use elman::loss::{Loss, NO_LABEL};
use elman::optimizer::{Optimizer, Rule};
use elman::train::{Evaluation, FitOptions, evaluate, fit, predict};
use elman::{Activation, Network, Output, Result, Session};
use training::{CLASSES, numbers};

const NAMES: [&str; 3] = ["walk", "run", "sit"];
const LENGTHS: [usize; 9] = [3, 7, 1, 5, 5, 2, 6, 4, 2];
/// Of the sequences, or of the steps as often as needed.
const LABELS: [usize; 9] = [0, 1, 2, NO_LABEL, 0, 1, 2, 0, 1];

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// The same data set whatever the order of its names, one of the permutations of `NAMES` with any others.
fn dataset(output: Output, order: &[&str]) -> Dataset<f64> {
    let steps = LENGTHS.iter().sum();
    let renamed = |label: usize| match NAMES.get(label) {
        None => NO_LABEL,
        Some(name) => order.iter().position(|other| other == name).unwrap(),
    };
    let labels = LABELS.iter().cycle().map(|&label| renamed(label));
    let names = owned(order);
    let targets = match output {
        Output::Last => Targets::Classes {
            labels: labels.take(LENGTHS.len()).collect(),
            names,
        },
        Output::All => Targets::StepClasses {
            labels: labels.take(steps).collect(),
            names,
        },
    };
    Dataset::new(2, numbers(steps * 2), &LENGTHS, targets).unwrap()
}

/// As [`dataset`], of sequences whose classes are numbers.
fn numbered(labels: Vec<usize>, classes: usize) -> Dataset<f64> {
    let lengths = &LENGTHS[..labels.len()];
    let steps: usize = lengths.iter().sum();
    let targets = Targets::numbered_classes(labels, classes).unwrap();
    Dataset::new(2, numbers(steps * 2), lengths, targets).unwrap()
}

fn network(output: Output) -> Network<f64> {
    training::network(&[6], output)
}

/// Trains, and returns the losses and accuracies on the validation set.
fn train(
    network: &mut Network<f64>,
    dataset: &Dataset<f64>,
    validation: &Dataset<f64>,
) -> Result<Vec<(f64, Option<f64>)>> {
    let mut optimizer = Optimizer::new(Rule::ADAM, 0.01).unwrap();
    let options = FitOptions {
        epochs: 3,
        batch_size: 4,
        validation: Some(validation),
        ..FitOptions::new(CLASSES)
    };
    let mut seen = Vec::new();
    fit(
        network,
        dataset,
        &mut optimizer,
        &options,
        |progress, network| {
            let score = progress.validation.unwrap();
            assert_eq!(
                evaluate(network, validation, CLASSES, 4).unwrap().score,
                score
            );
            seen.push((score.loss, score.accuracy));
            ControlFlow::Continue(())
        },
    )?;
    Ok(seen)
}

fn names_of(network: &Network<f64>) -> Vec<&str> {
    network.class_names().iter().collect()
}

#[test]
fn the_order_of_the_names_changes_nothing() {
    for output in [Output::Last, Output::All] {
        let first = dataset(output, &NAMES);
        let mut expected = network(output);
        let progress = train(&mut expected, &first, &first).unwrap();
        let scores = evaluate(&expected, &first, CLASSES, 3).unwrap();
        assert_eq!(scores.confusion.len(), 9);
        let labelled = match output {
            Output::Last => 8,
            Output::All => LABELS
                .iter()
                .cycle()
                .take(first.total_steps())
                .filter(|&&label| label != NO_LABEL)
                .count(),
        };
        assert_eq!(scores.confusion.iter().sum::<usize>(), labelled);

        for order in [["sit", "walk", "run"], ["run", "walk", "sit"], NAMES] {
            let other = dataset(output, &order);
            assert_eq!(evaluate(&expected, &other, CLASSES, 3).unwrap(), scores);
            assert_eq!(
                predict(&expected, &other, 3).unwrap(),
                predict(&expected, &first, 3).unwrap()
            );
            // As the validation set of the first training, and as the training set of a network that knows its names.
            let mut validated = network(output);
            assert_eq!(train(&mut validated, &first, &other).unwrap(), progress);
            let mut named = network(output);
            named.set_class_names(&NAMES).unwrap();
            assert_eq!(train(&mut named, &other, &first).unwrap(), progress);
            for network in [&validated, &named] {
                assert_eq!(network.parameters(), expected.parameters());
                assert_eq!(names_of(network), NAMES);
            }
            // A network without names goes by numbers.
            named.set_class_names::<&str>(&[]).unwrap();
            let by_number = evaluate(&named, &other, CLASSES, 3).unwrap();
            assert_eq!(by_number == scores, order == NAMES);
        }
    }
}

#[test]
fn a_class_that_is_ignored_is_the_networks() {
    let (first, other) = (
        dataset(Output::Last, &NAMES),
        dataset(Output::Last, &["sit", "walk", "run"]),
    );
    let mut network = network(Output::Last);
    network.set_class_names(&NAMES).unwrap();
    let measure = |dataset| -> Evaluation {
        let loss = Loss::SoftmaxCrossEntropy { ignored: Some(1) };
        evaluate(&network, dataset, loss, 4).unwrap()
    };
    let found = measure(&first);
    assert_eq!(found.confusion[3..6], [0; 3]);
    assert_eq!(found.confusion.iter().sum::<usize>(), 5);
    assert_eq!(found, measure(&other));
}

#[test]
fn a_data_set_may_lack_classes_and_have_none_that_is_unknown() {
    let mut network = network(Output::Last);
    network.set_class_names(&NAMES).unwrap();
    let before = network.parameters().to_vec();
    let some = |names: &[&str]| {
        let targets = Targets::Classes {
            labels: vec![0, 1, 1],
            names: owned(names),
        };
        Dataset::new(2, numbers(22), &[3, 7, 1], targets).unwrap()
    };
    let found = evaluate(&network, &some(&["sit", "walk"]), CLASSES, 2).unwrap();
    assert_eq!(found.confusion.len(), 9);
    assert_eq!(found.confusion[6..].iter().sum::<usize>(), 1);
    assert_eq!(found.confusion[..3].iter().sum::<usize>(), 2);
    let all = dataset(Output::Last, &NAMES);
    train(&mut network, &some(&["sit", "walk"]), &all).unwrap();
    assert_ne!(network.parameters(), before);

    let before = network.parameters().to_vec();
    let message = "a class of the data set is 'fly', expected one that the network knows: 'walk', 'run', 'sit'";
    let unknown = some(&["sit", "fly"]);
    let errors = [
        evaluate(&network, &unknown, CLASSES, 2).unwrap_err(),
        train(&mut network, &unknown, &all).unwrap_err(),
        train(&mut network, &all, &unknown).unwrap_err(),
        train(
            &mut network,
            &dataset(Output::Last, &["fly", "walk", "run", "sit"]),
            &all,
        )
        .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(network.parameters(), before);
    // A network without names cannot tell which ones are missing.
    network.set_class_names::<&str>(&[]).unwrap();
    let error = evaluate(&network, &some(&["sit", "walk"]), CLASSES, 2).unwrap_err();
    assert!(error.to_string().contains("is a class of 2"), "{error}");
    let error = train(&mut network, &some(&["sit", "walk"]), &all).unwrap_err();
    assert!(error.to_string().contains("is a class of 2"), "{error}");
    assert!(network.class_names().is_empty());
}

#[test]
fn classes_that_are_numbers_go_by_the_outputs() {
    let labels = vec![0, 1, 2, 0, 2];
    let all = numbered(labels.clone(), 3);
    let mut network = network(Output::Last);
    train(&mut network, &all, &all).unwrap();
    assert!(network.class_names().is_empty());
    let expected = evaluate(&network, &all, CLASSES, 2).unwrap();

    network.set_class_names(&["1", "2", "0"]).unwrap();
    assert_eq!(evaluate(&network, &all, CLASSES, 2).unwrap(), expected);
    let fewer = numbered(vec![0, 1, 1], 2);
    assert_eq!(
        evaluate(&network, &fewer, CLASSES, 2)
            .unwrap()
            .confusion
            .len(),
        9
    );
    let more = numbered(vec![0, 1, 3], 4);
    let error = evaluate(&network, &more, CLASSES, 2).unwrap_err();
    assert!(error.to_string().contains("is a class of 4"), "{error}");
    // Other spellings of numbers are names, and so is what a file names its classes.
    for names in [["00", "1", "2"], ["0", "+1", "2"], ["0", "2", "1"]] {
        let targets = Targets::Classes {
            labels: labels.clone(),
            names: owned(&names),
        };
        let named = Dataset::new(2, numbers(42), &LENGTHS[..5], targets).unwrap();
        let mut other = self::network(Output::Last);
        train(&mut other, &named, &named).unwrap();
        assert_eq!(names_of(&other), names);
    }
    let file = b"@classLabel true 0 1 2\n@data\n1:2:0\n3:4:1\n5:6:2\n7:8:2\n".as_slice();
    let read = Dataset::<f64>::parse_ts(file, "x.ts").unwrap();
    let mut other = self::network(Output::Last);
    train(&mut other, &read, &read).unwrap();
    assert_eq!(names_of(&other), ["0", "1", "2"]);
    let expected = evaluate(&other, &read, CLASSES, 2).unwrap();
    let file = b"@classLabel true 2 0 1\n@data\n1:2:0\n3:4:1\n5:6:2\n7:8:2\n".as_slice();
    let shifted = Dataset::<f64>::parse_ts(file, "x.ts").unwrap();
    assert_eq!(evaluate(&other, &shifted, CLASSES, 2).unwrap(), expected);
}

#[test]
fn names_are_kept() {
    let mut network = network(Output::Last);
    let bytes = network.to_bytes().unwrap();
    let without = Network::<f64>::from_bytes(&bytes, "network").unwrap();
    assert!(without.class_names().is_empty());

    let names = ["a b", "\u{e9}t\u{e9} \"x\"", ""];
    network.set_class_names(&names).unwrap();
    let bytes = network.to_bytes().unwrap();
    let loaded = Network::<f64>::from_bytes(&bytes, "network").unwrap();
    assert_eq!(names_of(&loaded), names);
    assert_eq!(loaded.to_bytes().unwrap(), bytes);
    assert_eq!(names_of(&network.to_f64().unwrap()), names);
    assert_eq!(names_of(&network.try_clone().unwrap()), names);

    // Where they lie, too, while a session shares the parameters and they change.
    let at = network.class_names().c_str(1).unwrap().as_ptr();
    assert_eq!(
        network.class_names().c_str(1).unwrap().to_str().unwrap(),
        names[1]
    );
    assert_eq!(network.class_names().c_str(3), None);
    let session = Session::new(&network).unwrap();
    network
        .initialize(Initializer::PyTorch { gain: 1.0 }, 1)
        .unwrap();
    network
        .update(&mut Optimizer::new(Rule::SGD, 0.1).unwrap())
        .unwrap();
    assert_eq!(network.class_names().c_str(1).unwrap().as_ptr(), at);
    drop(session);
    assert_eq!(network.class_names().get(2), Some(""));
    assert_eq!(network.class_names().get(3), None);

    network.add_dropout(0.5).unwrap();
    network.add_dense(3, Activation::Linear).unwrap();
    assert_eq!(names_of(&network), names);
    network.add_dense(2, Activation::Linear).unwrap();
    assert!(network.class_names().is_empty());
}

#[test]
fn names_leave_passes_and_gradients_alone() {
    let mut network = network(Output::Last);
    let batch = elman::Batch {
        x: &[0.5; 6],
        batch: 1,
        steps: 3,
        lengths: None,
    };
    network.forward(batch, None, None, None).unwrap();
    network.gradients_mut().fill(0.5);
    network.set_class_names(&NAMES).unwrap();
    assert!(network.gradients().iter().all(|&value| value == 0.5));
    network.backward(Some(&[1.0; 3]), None, None, None).unwrap();
}

#[test]
fn wrong_names_are_refused_and_change_nothing() {
    let mut network = network(Output::Last);
    network.set_class_names(&NAMES).unwrap();
    let many: Vec<String> = (0..20).map(|index| format!("class {index}")).collect();
    for (names, message) in [
        (
            &["a", "b"][..],
            "the class names has 2 elements, expected 3",
        ),
        (
            &["a", "b", "a"],
            "a class name is 'a' twice, expected one name for each class",
        ),
        (
            &["a", "b\0", "c"],
            "a class name is 'b\\0', expected one without a byte 0",
        ),
    ] {
        let error = network.set_class_names(names).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(names_of(&network), NAMES);
    }
    let mut wide = Network::<f64>::new(2).unwrap();
    wide.add_dense(20, Activation::Linear).unwrap();
    wide.set_class_names(&many).unwrap();
    let error = evaluate(&wide, &dataset(Output::Last, &NAMES), CLASSES, 2).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with(
        "a class of the data set is 'walk', expected one that the network knows: 'class 0', "
    ));
    assert!(message.ends_with("'class 7' and 12 more"), "{message}");

    // A data set may have what a network can't take over.
    let mut plain = self::network(Output::Last);
    let targets = Targets::Classes {
        labels: vec![0, 1, 2],
        names: owned(&["a", "b", "a"]),
    };
    let twice = Dataset::new(2, numbers(22), &[3, 7, 1], targets).unwrap();
    let error = train(&mut plain, &twice, &twice).unwrap_err();
    assert!(error.to_string().contains("'a' twice"), "{error}");

    // Nor does a file with such names load.
    let bytes = network.to_bytes().unwrap();
    for (from, to, message) in [
        ("run", "sit", "a class name is 'sit' twice"),
        (
            "\\\"run\\\",",
            "       ",
            "the class names has 2 elements, expected 3",
        ),
    ] {
        let mut windows = bytes.windows(from.len());
        let at = windows.position(|part| part == from.as_bytes()).unwrap();
        let mut damaged = bytes.clone();
        damaged[at..at + from.len()].copy_from_slice(format!("{to:w$}", w = from.len()).as_bytes());
        let error = Network::<f64>::from_bytes(&damaged, "network").unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}
