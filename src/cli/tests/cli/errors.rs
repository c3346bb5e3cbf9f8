//! What is said of wrong input.

use std::fs;

use crate::run::{data, directory, fail, run, slopes, succeed, ts, vowels};

#[test]
fn a_wrong_csv_file_is_named_with_line_and_column() {
    let directory = directory("csv");
    let cases = [
        (
            "a,b,label\n1,2,up\n1,x,down\n",
            "",
            "file.csv:3: column 2 (b) is \"x\", expected a finite number",
        ),
        (
            "a,b,label\n1,inf,up\n",
            "",
            "file.csv:2: column 2 (b) is \"inf\", expected a finite number",
        ),
        (
            "a,b,label\n,2,up\n",
            "",
            "file.csv:2: column 1 (a) is missing, expected a number (--missing says what takes its place)",
        ),
        (
            "a,b,label\n,,up\n",
            "",
            "file.csv:2: the series has no value, expected at least one",
        ),
        (
            "a,b,label\n1,2,up,4\n",
            "",
            "file.csv:2: there are 4 fields, expected 3, as in the first line",
        ),
        (
            "a,b\n1,2\n",
            "",
            "file.csv:1: there is no column \"label\", \"target\" or \"class\" (--target names another one), only a, b",
        ),
        (
            "a,b\n1,2\n",
            "--target kind",
            "file.csv:1: there is no column \"kind\", only a, b",
        ),
        (
            "a,b,label\n",
            "",
            "file.csv: there are no rows, expected some below the header",
        ),
        (
            "",
            "",
            "file.csv: the file is empty, expected a header and rows",
        ),
        (
            "a,b,label\n1,2,0.5\n",
            "",
            "file.csv:2: the target is \"0.5\", expected the name or the number of a class (--regression is for numbers)",
        ),
        (
            "a,b,label\n1,2,up\n",
            "--regression",
            "file.csv:2: the target is \"up\", expected a number",
        ),
        (
            "a,b,label\n1,2,\n",
            "",
            "file.csv: no sequence has a target, expected classes",
        ),
        (
            "id,x,label\na,1,up\na,2\n",
            "",
            "file.csv:3: there are 2 fields, expected 3, as in the first line",
        ),
        (
            "id,x,label\na,1,up\na,2,down\n",
            "",
            "file.csv:3: the target of \"a\" is \"down\", expected \"up\" as above",
        ),
        (
            "id,time,x,label\na,,1,up\n",
            "",
            "file.csv:2: column 2 (time) is \"\", expected a time",
        ),
        (
            "id,label\na,up\n",
            "",
            "file.csv:1: there is no column of a feature, expected at least one",
        ),
        (
            "x,label\n1,up\n",
            "--layout long",
            "file.csv:1: there is no column \"id\", only x, label",
        ),
        (
            "id,x,label\na,,up\n",
            "--missing carry",
            "file.csv: column 2 (x) of \"a\" has no value, expected at least one",
        ),
    ];
    for (text, options, expected) in cases {
        fs::write(directory.join("file.csv"), text).unwrap();
        assert_eq!(
            fail(&directory, &format!("train file.csv -o model {options}")),
            expected,
            "{text}"
        );
    }
    assert!(!directory.join("model").exists());
}

#[test]
fn other_files_are_named_too() {
    let directory = directory("files");
    let expect =
        |arguments: &str, expected: &str| assert_eq!(fail(&directory, arguments), expected);
    expect(
        "train none.ts -o model",
        "none.ts: No such file or directory (os error 2)",
    );
    expect(
        "train none.csv -o model",
        "none.csv: No such file or directory (os error 2)",
    );
    let message = "a file of this kind can't be read, expected .ts, .csv, .tsv or .npz";
    expect("train data.arff -o model", &format!("data.arff: {message}"));
    fs::write(
        directory.join("bad.ts"),
        "@classLabel true a b\n@data\n1,2:a\n1,z:b\n",
    )
    .unwrap();
    let said = fail(&directory, "train bad.ts -o model");
    assert!(said.starts_with("bad.ts:4: "), "{said}");
    fs::write(directory.join("bad.npz"), "no archive").unwrap();
    let said = fail(&directory, "train bad.npz -o model");
    assert!(said.starts_with("bad.npz: "), "{said}");
    fs::write(directory.join("bad"), "no model").unwrap();
    for command in [
        "evaluate bad data.ts",
        "predict bad data.ts",
        "info bad",
        "export bad -o x",
        "import bad -o x",
        "bench bad",
    ] {
        let said = fail(&directory, command);
        assert!(said.starts_with("bad: "), "{said}");
    }
    fs::write(directory.join("slopes.ts"), ts(&slopes())).unwrap();
    expect(
        "train slopes.ts -o no/model",
        "no/model: there is no directory no, expected one",
    );
    expect(
        "train slopes.ts -o model --regression",
        "slopes.ts: the targets are classes, expected numbers",
    );
    expect(
        "train slopes.ts -o model --validation 0 --tries 2",
        "slopes.ts: nothing is held out to compare 2 trainings by, expected --tries 1 or --validation above 0",
    );
    fs::write(directory.join("one.ts"), ts(&slopes()[..2])).unwrap();
    expect(
        "train one.ts -o model --validation 0.5",
        "one.ts: no class has 2 sequences, expected one to train on and one to hold out",
    );
}

#[test]
fn data_that_do_not_fit_a_network_are_refused() {
    let directory = directory("misfits");
    fs::write(directory.join("slopes.ts"), ts(&slopes())).unwrap();
    succeed(&directory, "train slopes.ts -o model --epochs 1 --units 4");
    let before = fs::read(directory.join("model")).unwrap();
    let vowels = vowels("TEST");
    for command in ["evaluate", "predict"] {
        let said = fail(&directory, &format!("{command} model {vowels}"));
        let expected = match command {
            "evaluate" => format!(
                "{vowels}: the target of sequence 0 is \"1\", expected one of the classes down, up"
            ),
            _ => format!("{vowels}: there are 12 features, expected 1"),
        };
        assert_eq!(said, expected);
    }
    fs::write(directory.join("other.csv"), "a,b,class\n1,2,up\n2,1,left\n").unwrap();
    let expected = "other.csv:3: the target is \"left\", expected one of the classes down, up";
    assert_eq!(fail(&directory, "evaluate model other.csv"), expected);
    // What is to be tested on is looked at before training, and the file of before is still there.
    assert_eq!(
        fail(&directory, "train slopes.ts --test other.csv -o model"),
        expected
    );
    assert!(fs::read(directory.join("model")).unwrap() == before);

    succeed(
        &directory,
        &format!("import {} -o motor", data("import/motor.safetensors")),
    );
    let said = fail(&directory, "evaluate motor slopes.ts");
    assert!(said.contains("expected those of the last one"), "{said}");
    let said = fail(
        &directory,
        &format!(
            "import {} -o motor --classes a,a,a,a,a,a,a",
            data("import/motor.safetensors")
        ),
    );
    assert!(said.contains("--classes"), "{said}");
}

#[test]
fn training_that_explodes_says_so() {
    let directory = directory("explodes");
    fs::write(directory.join("slopes.ts"), ts(&slopes())).unwrap();
    let said = fail(
        &directory,
        "train slopes.ts -o model --rate 1e38 --clip 0 --epochs 50 --units 4",
    );
    assert!(
        said.starts_with("training explodes") && said.contains("--rate"),
        "{said}"
    );
    assert!(!directory.join("model").exists());
}

#[test]
fn usage_errors_have_a_status_of_their_own() {
    let directory = directory("usage");
    let cases = [
        "",
        "trian",
        "train data.ts",
        "train data.ts -o model --epochs 0",
        "train data.ts -o model --tries 0",
        "train data.ts -o model --validation 1",
        "train data.ts -o model --rate -1",
        "train data.ts -o model --cell transformer",
        "train data.ts -o model --regression --balanced",
    ];
    for arguments in cases {
        assert_eq!(
            run(&directory, arguments).status.code(),
            Some(2),
            "{arguments}"
        );
    }
}
