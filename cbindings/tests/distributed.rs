//! Training on several processes, with MPI. Without it nothing is tested, unless `ELMAN_REQUIRE_COMPILERS` names it.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Compiler, Language, Linkage, compile_by, is_there, package};

/// A program that is linked with MPI. It is deleted in the end.
struct Program(PathBuf);

impl Program {
    /// None where there is no MPI.
    fn new(source: &str) -> Option<Self> {
        let is_complete = ["mpicc", "mpirun"].map(is_there) == [true, true];
        let source = package().join(source);
        let compile = || compile_by(Compiler::Mpi, &source, Language::C11, Linkage::Static);
        is_complete.then(|| Self(compile()))
    }

    fn command(&self, ranks: usize, arguments: &[&str]) -> Command {
        let mut command = Command::new("mpirun");
        command
            .args(["-n", &ranks.to_string()])
            .arg(&self.0)
            .args(arguments)
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            // Open MPI on one machine: as root, on any number of cores, with shared memory alone.
            .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
            .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
            .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
            .env("OMPI_MCA_btl", "self,vader");
        command
    }

    fn run(&self, ranks: usize, arguments: &[&str]) -> String {
        let output = self.command(ranks, arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{ranks} {arguments:?}\n{text}{errors}"
        );
        text
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.0);
    }
}

/// A directory for checkpoints. It is deleted in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("distributed-{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The files from after an epoch: network and optimizer.
    fn checkpoint(&self, epoch: usize) -> [Vec<u8>; 2] {
        ["network", "optimizer"].map(|what| {
            let name = format!("{what}-{epoch}.safetensors");
            fs::read(self.0.join(name)).unwrap()
        })
    }

    /// The parameters from after an epoch.
    fn parameters(&self, epoch: usize) -> Vec<f32> {
        let [network, _] = self.checkpoint(epoch);
        let start = 8 + u64::from_le_bytes(network[..8].try_into().unwrap()) as usize;
        let (numbers, rest) = network[start..].as_chunks();
        assert!(rest.is_empty());
        numbers
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

const EXAMPLE: &str = "examples/distributed.c";

#[test]
fn reduced_gradients_are_those_of_the_whole_batch() {
    let Some(program) = Program::new("tests/c/reduction.c") else {
        return;
    };
    for ranks in [1, 2, 4] {
        assert_eq!(program.run(ranks, &[]), "ok\n");
    }
}

#[test]
fn several_processes_learn_what_one_does() {
    let Some(program) = Program::new(EXAMPLE) else {
        return;
    };
    let mut one = None;
    for ranks in [1, 2, 4] {
        let [own, ready] = ["loop", "fit"].map(|way| {
            let directory = Directory::new(&format!("{way}-{ranks}"));
            let output = program.run(ranks, &[way, "6", "0", directory.name()]);
            assert!(
                output.ends_with("all ranks have the same bits\n"),
                "{output}"
            );
            directory.parameters(6)
        });
        assert!(own == ready, "{ranks} ranks");
        let one = one.get_or_insert_with(|| own.clone());
        let differences = one.iter().zip(&own).map(|(a, b)| (a - b).abs());
        let difference = differences.fold(0.0, f32::max);
        println!("{ranks} ranks: {difference:e}");
        assert!(difference <= 1e-5, "{ranks} ranks: {difference}");
    }
}

#[test]
fn training_goes_on_with_the_same_bits_also_where_a_rank_has_died() {
    let Some(program) = Program::new(EXAMPLE) else {
        return;
    };
    let whole = Directory::new("whole");
    program.run(2, &["loop", "5", "0.2", whole.name()]);
    let expected = whole.checkpoint(5);

    for way in ["loop", "fit"] {
        let directory = Directory::new(&format!("killed-{way}"));
        let mut command = program.command(2, &[way, "1000000", "0.2", directory.name()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut job = command.spawn().unwrap();
        let mut lines = BufReader::new(job.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let process =
            lines.find_map(|line| Some(line.strip_prefix("rank 1 is process ")?.to_string()));
        // What was written after the epoch before this line is complete.
        assert!(lines.any(|line| line.starts_with("epoch 4:")));
        let kill = Command::new("kill")
            .args(["-9", &process.unwrap()])
            .status();
        assert!(kill.unwrap().success());
        lines.for_each(drop);
        let mut message = String::new();
        job.stderr
            .take()
            .unwrap()
            .read_to_string(&mut message)
            .unwrap();
        assert!(!job.wait().unwrap().success());
        assert!(
            message.contains("process rank 1") && message.contains("signal 9"),
            "{message}"
        );

        program.run(2, &["loop", "5", "0.2", directory.name(), "3"]);
        assert!(directory.checkpoint(5) == expected, "{way}");
    }
}

#[test]
fn an_error_ends_all_ranks() {
    let Some(program) = Program::new(EXAMPLE) else {
        return;
    };
    for (arguments, message) in [
        (
            &["lop"][..],
            "'lop' on 2 ranks, expected loop or fit on at most 18\n",
        ),
        (
            &["fit", "2", "0", "/nowhere", "1"],
            "/nowhere/network-1.safetensors",
        ),
        // Rank 0 alone writes, while the other one waits for it.
        (
            &["loop", "2", "0", "/nowhere"],
            "/nowhere/optimizer-1.safetensors",
        ),
    ] {
        let output = program.command(2, arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains(message),
            "{errors}"
        );
    }
}

#[test]
fn allreduce_measures_each_size() {
    let Some(program) = Program::new("examples/allreduce.c") else {
        return;
    };
    let output = program.run(2, &["32"]);
    let rows = output.lines().filter(|line| line.ends_with('%'));
    let units = rows.map(|row| row.split_whitespace().next().unwrap());
    assert_eq!(units.collect::<Vec<_>>(), ["16", "32"], "{output}");
}
