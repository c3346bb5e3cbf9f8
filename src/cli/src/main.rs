//! The command line of elman: trains recurrent networks on files of sequences, measures them, and runs them.

mod bench;
mod convert;
mod data;
mod evaluate;
mod failure;
mod forecast;
mod info;
mod machine;
mod options;
mod output;
mod predict;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::{Failure, Result};

/// Trains, measures and runs recurrent neural networks on files of sequences.
#[derive(Parser)]
#[command(name = "elman", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Arguments),
    Evaluate(evaluate::Arguments),
    Predict(predict::Arguments),
    Info(info::Arguments),
    Import(convert::ImportArguments),
    Export(convert::ExportArguments),
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        // Whoever has closed a pipe has seen enough.
        Ok(()) | Err(Failure::PipeClosed) => ExitCode::SUCCESS,
        Err(Failure::Message(message)) => {
            eprintln!("elman: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
        Command::Import(arguments) => convert::import(&arguments),
        Command::Export(arguments) => convert::export(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    }
}
