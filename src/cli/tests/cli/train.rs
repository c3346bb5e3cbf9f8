//! Training, and what is done with the network.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use elman::Network;

use crate::run::{command, directory, json, run, slopes, succeed, ts, vowels, wide};

#[test]
fn a_network_is_trained_measured_and_run() {
    let directory = directory("whole");
    let (train, test) = (vowels("TRAIN"), vowels("TEST"));
    let said = succeed(
        &directory,
        &format!("train {train} --test {test} -o model --epochs 20 --units 24"),
    );
    assert!(
        said.contains("270 sequences of 7 to 26 steps, 12 features, 9 classes"),
        "{said}"
    );

    let measured = json(&directory, &format!("evaluate model {test} --json"));
    let accuracy = measured["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    assert!(said.contains(&format!("accuracy {accuracy:.4}")), "{said}");
    assert_eq!(measured["sequences"], 370);
    assert_eq!(measured["classes"][8], "9");
    let text = succeed(&directory, &format!("evaluate model {test}"));
    assert!(
        text.starts_with(&format!("accuracy {accuracy:.4}")),
        "{text}"
    );

    // The predictions tell the same, and their classes are the most probable ones.
    let csv = succeed(&directory, &format!("predict model {test}"));
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..3], ["id", "class", "p(1)"]);
    let labels: Vec<String> = fs::read_to_string(&test)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with(['#', '@']))
        .map(|line| line.rsplit(':').next().unwrap().trim().to_owned())
        .collect();
    assert_eq!(rows.len(), 1 + labels.len());
    let mut right = 0;
    for (row, label) in rows[1..].iter().zip(&labels) {
        let p: Vec<f64> = row[2..].iter().map(|p| p.parse().unwrap()).collect();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-5);
        let largest = (0..9).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
        assert_eq!(row[1], (largest + 1).to_string());
        right += usize::from(row[1] == label);
    }
    assert!((right as f64 / 370.0 - accuracy).abs() < 1e-9);
    let lines = succeed(&directory, &format!("predict model {test} --json"));
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["class"], rows[1][1]);
    assert_eq!(
        first["probabilities"]["1"]
            .to_string()
            .parse::<f32>()
            .unwrap(),
        rows[1][2].parse::<f32>().unwrap()
    );

    let info = json(&directory, "info model --json");
    assert_eq!(info["layers"][0]["kind"], "gru");
    assert_eq!(info["classes"].as_array().unwrap().len(), 9);
    assert_eq!(info["standardized"], true);
    assert!(succeed(&directory, "info model").contains("1, 2, 3, 4, 5, 6, 7, 8, 9"));

    let times = succeed(&directory, "bench model --batch 2 --steps 3");
    assert!(
        times.contains("inference, 2 sequences of 3 steps"),
        "{times}"
    );
}

#[test]
fn a_seed_gives_a_file_bit_for_bit_on_any_number_of_threads() {
    let directory = directory("seeds");
    fs::write(directory.join("slopes.ts"), ts(&slopes())).unwrap();
    let options = "--epochs 3 --validation 0.2 --dropout 0.1 --layers 2 --cell lstm --direction bidirectional";
    let model = |name: &str, more: &str| {
        succeed(
            &directory,
            &format!("train slopes.ts -o {name} {options} {more}"),
        );
        fs::read(directory.join(name)).unwrap()
    };
    for tries in [1, 5] {
        let model = |name: &str, more: &str| model(name, &format!("--tries {tries} {more}"));
        let first = model("first", "--seed 5 --threads 1");
        assert!(first == model("second", "--seed 5 --threads 2"));
        assert!(first == model("second", "--seed 5 --threads 16"));
        assert!(first != model("third", "--seed 6 --threads 1"));
    }
}

#[test]
fn what_is_held_out_is_a_share_of_every_class_and_ends_training() {
    let directory = directory("held");
    // A class of noise: nothing can be learned, so that training ends early.
    let noise = |index: usize| {
        vec![
            ((index * 37 % 101) as f32).sin(),
            ((index * 53 % 89) as f32).cos(),
        ]
    };
    let sequences: Vec<_> = (0..120)
        .map(|index| (["up", "down"][index % 2], noise(index)))
        .collect();
    fs::write(directory.join("noise.ts"), ts(&sequences)).unwrap();
    let said = succeed(
        &directory,
        "train noise.ts -o model --patience 3 --epochs 100 --units 8",
    );
    assert!(said.contains("validation loss"), "{said}");
    let epochs = json(&directory, "info model --json")["epochs"]
        .as_u64()
        .unwrap();
    assert!(epochs < 100, "{epochs}");
    // Nothing is held out where somebody wants that, or there is only one of each class.
    let said = succeed(
        &directory,
        "train noise.ts -o model --epochs 2 --units 8 --validation 0",
    );
    assert!(
        said.contains("1 training in") && said.contains("epoch 2 of 2, training loss"),
        "{said}"
    );
    fs::write(directory.join("two.ts"), ts(&sequences[..2])).unwrap();
    let said = succeed(&directory, "train two.ts -o model --epochs 2 --units 8");
    assert!(said.contains("training loss"), "{said}");
}

/// The loss that the training tells.
fn loss(said: &str) -> f64 {
    let (_, rest) = said.split_once("validation loss ").unwrap();
    rest.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn the_best_of_several_trainings_is_saved() {
    let directory = directory("tries");
    fs::write(directory.join("slopes.ts"), ts(&slopes())).unwrap();
    let train = |options: &str| {
        let options = format!("train slopes.ts -o model --epochs 2 --units 8 {options}");
        let said = succeed(&directory, &options);
        (said, fs::read(directory.join("model")).unwrap())
    };
    // Three trainings are one with each rate; means of parameters are not what they are compared by.
    let each = ["0.003", "0.01", "0.001"].map(|rate| {
        let options = format!("--tries 1 --rate {rate}");
        let (said, file) = train(&options);
        assert!(
            said.contains("1 training in") && said.contains(&format!(" s; rate {rate}, epoch ")),
            "{said}"
        );
        let loss = loss(&train(&format!("{options} --no-average")).0);
        (rate, loss, file)
    });
    let best = each
        .iter()
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .unwrap();
    let (said, file) = train("--tries 3");
    assert!(
        said.contains("3 trainings in") && said.contains(&format!("; the best: rate {}, ", best.0)),
        "{said}"
    );
    assert!(file == best.2);
    assert_eq!(loss(&train("--tries 3 --no-average").0), best.1);
    assert!(train("--tries 1").1 == each[0].2);
    // With one rate they begin with other parameters, which are better sooner or later.
    let gains = (0..4).map(|seed| {
        let options = format!("--rate 0.003 --seed {seed} --no-average");
        let [one, best] = [1, 4].map(|tries| loss(&train(&format!("{options} --tries {tries}")).0));
        assert!(best <= one, "{options}: {best} {one}");
        one - best
    });
    assert!(gains.sum::<f64>() > 0.0);
    assert!(train("").0.contains("9 trainings in"));
}

#[test]
fn a_mean_over_the_epochs_is_measured_and_saved() {
    let directory = directory("mean");
    fs::write(directory.join("slopes.ts"), ts(&slopes())).unwrap();
    for held in ["--validation 0", "--validation 0.2"] {
        let train = |epochs: u32, options: &str| {
            let options = format!("--tries 1 --units 4 {held} --epochs {epochs} {options}");
            let said = succeed(&directory, &format!("train slopes.ts -o model {options}"));
            assert!(
                said.contains(&format!("epoch {epochs} of {epochs},")),
                "{said}"
            );
            let network: Network = Network::load(directory.join("model")).unwrap();
            (said, network.parameters().to_vec())
        };
        let each = [1, 2, 3].map(|epochs| train(epochs, "--no-average").1);
        let (said, mean) = train(3, "");
        for (index, mean) in mean.iter().enumerate() {
            // Epoch t counts for t (t + 1) ... (t + 7).
            let [first, second, third] = [0, 1, 2].map(|epoch: usize| each[epoch][index]);
            let expected = (first + 9.0 * second + 45.0 * third) / 55.0;
            assert!(
                (mean - expected).abs() < 1e-6,
                "{held}: {index}: {mean} {expected}"
            );
        }
        let last = train(3, "--no-average").0;
        let is_measured = said.split(" loss ").nth(1) != last.split(" loss ").nth(1);
        assert_eq!(is_measured, held != "--validation 0", "{said}{last}");
        assert_eq!(train(1, "").1, each[0]);
    }
}

#[test]
fn numbers_are_learned_in_their_own_units() {
    let directory = directory("regression");
    let mut text = "id,time,x,target\n".to_owned();
    for sequence in 0..60 {
        let level = (sequence as f32 * 0.7).sin();
        for step in 0..6 {
            let x = level + 0.1 * ((sequence + step) as f32).cos();
            text += &format!("{sequence},{step},{x},{}\n", 5000.0 + 300.0 * level);
        }
    }
    fs::write(directory.join("levels.csv"), text).unwrap();
    let said = succeed(
        &directory,
        "train levels.csv --regression -o model --epochs 60 --units 16 --validation 0.2",
    );
    assert!(said.contains("validation RMSE"), "{said}");
    let measured = json(&directory, "evaluate model levels.csv --json");
    assert!(measured["r2"].as_f64().unwrap() > 0.95, "{measured}");
    let (rmse, mae) = (
        measured["rmse"].as_f64().unwrap(),
        measured["mae"].as_f64().unwrap(),
    );
    assert!(mae <= rmse && rmse < 60.0, "{measured}");
    let csv = succeed(&directory, "predict model levels.csv");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("id,value"));
    for (sequence, line) in lines.enumerate() {
        let (id, value) = line.split_once(',').unwrap();
        assert_eq!(id, sequence.to_string());
        let expected = 5000.0 + 300.0 * (sequence as f32 * 0.7).sin();
        assert!(
            (value.parse::<f32>().unwrap() - expected).abs() < 250.0,
            "{line}"
        );
    }
}

#[test]
fn a_file_of_numbers_by_its_header_is_learned_without_a_flag() {
    let directory = directory("header");
    let file = crate::run::data("ts/aeon_targets.ts");
    succeed(
        &directory,
        &format!("train {file} -o model --epochs 2 --units 4"),
    );
    assert!(json(&directory, &format!("evaluate model {file} --json"))["rmse"].is_number());
}

#[test]
fn rare_classes_count_for_more_where_balanced() {
    let directory = directory("balanced");
    let constant = |index: usize| (if index < 4 { "up" } else { "down" }, vec![1.0_f32, 1.0]);
    let sequences: Vec<_> = (0..40).map(constant).collect();
    fs::write(directory.join("same.ts"), ts(&sequences)).unwrap();
    let probability = |flag: &str| {
        succeed(
            &directory,
            &format!("train same.ts -o model --epochs 60 --units 4 --validation 0 {flag}"),
        );
        let row = succeed(&directory, "predict model same.ts")
            .lines()
            .nth(1)
            .unwrap()
            .to_owned();
        row.rsplit(',').next().unwrap().parse::<f32>().unwrap()
    };
    // All series are the same: the network can learn how frequent classes are, and no more.
    let (plain, balanced) = (probability(""), probability("--balanced"));
    assert!(
        (plain - 0.1).abs() < 0.05 && (balanced - 0.5).abs() < 0.1,
        "{plain} {balanced}"
    );
}

#[test]
fn a_pipe_that_is_closed_early_is_no_fault() {
    let directory = directory("pipe");
    let many: Vec<_> = (0..200).flat_map(|_| slopes()).collect();
    fs::write(directory.join("slopes.csv"), wide(&many)).unwrap();
    succeed(&directory, "train slopes.csv -o model --epochs 1 --units 4");
    let mut child = command(&directory, "predict model slopes.csv")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
#[cfg(unix)]
fn ctrl_c_saves_the_best_network_so_far() {
    let directory = directory("interrupt");
    fs::write(directory.join("slopes.ts"), ts(&slopes())).unwrap();
    let mut child = command(
        &directory,
        "train slopes.ts -o model --epochs 1000000 --validation 0.2 --patience 1000000",
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Then comes the training.
    assert!(lines.nth(1).unwrap().unwrap().starts_with("network"));
    std::thread::sleep(Duration::from_millis(500));
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let report = lines.next().unwrap().unwrap();
    assert!(report.contains("interrupted; the best: "), "{report}");
    assert!(child.wait().unwrap().success());
    assert!(run(&directory, "evaluate model slopes.ts").status.success());
}
