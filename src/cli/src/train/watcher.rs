//! What is seen of training, and how it is ended early.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use elman::Network;
use elman::train::{BatchProgress, Callbacks, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::{Failure, Result};

/// Shows how all trainings go, and ends them at Ctrl-C or where one fails.
pub struct Watcher {
    pub bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
    failed: AtomicBool,
    /// Epochs of a training, at most.
    epochs: usize,
    trainings: usize,
    /// How many of them have ended.
    ended: AtomicUsize,
    /// The least loss of all so far, of those that are compared.
    least: Mutex<f64>,
}

impl Watcher {
    pub fn new(trainings: usize, epochs: usize) -> Result<Self> {
        let style = ProgressStyle::with_template(
            "{bar:16} {pos}/{len} epochs, {msg}, {elapsed} of {duration}",
        );
        let bar =
            ProgressBar::new((trainings * epochs) as u64).with_style(style.map_err(Failure::new)?);
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
            failed: AtomicBool::new(false),
            epochs,
            trainings,
            ended: AtomicUsize::new(0),
            least: Mutex::new(f64::INFINITY),
        })
    }

    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// Takes note that a training has failed: no other one is needed any more.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether trainings are to end, and none to begin.
    pub fn is_over(&self) -> bool {
        self.is_interrupted() || self.failed.load(Ordering::Relaxed)
    }

    /// Begins to watch one training.
    pub fn watch(&self) -> Watch<'_> {
        Watch {
            watcher: self,
            epochs: Vec::new(),
        }
    }
}

/// Watches one training.
pub struct Watch<'a> {
    watcher: &'a Watcher,
    /// How each epoch went.
    pub epochs: Vec<Progress>,
}

impl Watch<'_> {
    /// Takes note that the training has ended: the epochs that it has not had are none to wait for.
    pub fn end(&self) {
        let Watcher {
            bar, epochs, ended, ..
        } = self.watcher;
        bar.dec_length((epochs - self.epochs.len()) as u64);
        ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Callbacks<f32> for Watch<'_> {
    fn batch(&mut self, _: &mut BatchProgress<'_, f32>) -> ControlFlow<()> {
        match self.watcher.is_over() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn epoch(&mut self, progress: &mut Progress, _: &Network) -> ControlFlow<()> {
        let watcher = self.watcher;
        self.epochs.push(*progress);
        let message = match (watcher.trainings, progress.validation) {
            (1, Some(validation)) => format!(
                "loss {:.4}, validation {:.4}",
                progress.training.loss, validation.loss
            ),
            (1, None) => format!("loss {:.4}", progress.training.loss),
            (trainings, validation) => {
                let score = validation.unwrap_or(progress.training);
                let mut least = watcher.least.lock().expect("nothing panics");
                *least = least.min(score.loss);
                let ended = watcher.ended.load(Ordering::Relaxed);
                format!("{ended} of {trainings} done, loss {least:.4} at best")
            }
        };
        watcher.bar.set_message(message);
        watcher.bar.inc(1);
        ControlFlow::Continue(())
    }
}
