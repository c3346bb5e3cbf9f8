//! The program, run on files.

mod convert;
mod errors;
mod forecast;
mod formats;
mod run;
mod train;
