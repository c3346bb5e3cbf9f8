//! What is seen of training, and how it is ended early.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use elman::Network;
use elman::train::{BatchProgress, Callbacks, Progress, Score};
use indicatif::{ProgressBar, ProgressStyle};

use super::scale::Scale;
use crate::failure::{Failure, Result};
use crate::output::count;

/// Shows how training goes, and ends it at Ctrl-C.
pub struct Watcher {
    pub bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
    /// Of each epoch, on what is held out or, without that, in training.
    scores: Vec<Score>,
}

impl Watcher {
    pub fn new(epochs: u32) -> Result<Self> {
        let style = ProgressStyle::with_template(
            "{bar:30} {pos}/{len} epochs, {msg}, {elapsed} of {duration}",
        );
        let bar = ProgressBar::new(epochs.into()).with_style(style.map_err(Failure::new)?);
        bar.set_message("the first one");
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = interrupted.clone();
        let handler = move || {
            // The second time somebody means it.
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        };
        ctrlc::set_handler(handler).map_err(Failure::new)?;
        Ok(Self {
            bar,
            interrupted,
            scores: Vec::new(),
        })
    }

    pub fn report(&self, progress: &Progress, seconds: f64, scale: Option<Scale>) -> String {
        let epochs = self.scores.len();
        let early = if progress.complete {
            ""
        } else {
            ", interrupted"
        };
        let mut text = format!("{} in {seconds:.1} s{early}", count(epochs, "epoch"));
        let shown = progress.best_epoch.unwrap_or(epochs);
        let Some(score) = shown
            .checked_sub(1)
            .and_then(|index| self.scores.get(index))
        else {
            return text;
        };
        text += &match progress.best_epoch {
            Some(best) => format!(", the best is {best}: "),
            None => ": ".to_owned(),
        };
        let prefix = if progress.best_epoch.is_some() {
            "validation"
        } else {
            "training"
        };
        text += &match score.accuracy {
            Some(accuracy) => format!("{prefix} loss {:.4}, accuracy {accuracy:.4}", score.loss),
            None => {
                let (unit, name) = match scale {
                    Some(scale) => (scale.deviation, ""),
                    None => (1.0, " of the deviation"),
                };
                format!("{prefix} RMSE {:.4}{name}", score.loss.sqrt() * unit)
            }
        };
        text
    }
}

impl Callbacks<f32> for Watcher {
    fn batch(&mut self, _: &mut BatchProgress<'_, f32>) -> ControlFlow<()> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn epoch(&mut self, progress: &mut Progress, _: &Network) -> ControlFlow<()> {
        let mut message = format!("loss {:.4}", progress.training.loss);
        if let Some(validation) = progress.validation {
            message += &format!(", validation {:.4}", validation.loss);
        }
        self.scores
            .push(progress.validation.unwrap_or(progress.training));
        self.bar.set_message(message);
        self.bar.set_position(progress.epoch as u64);
        ControlFlow::Continue(())
    }
}
