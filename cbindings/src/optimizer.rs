//! Optimizers
//!
//! The formulas are those of torch.optim, so settings can be carried over. p is a parameter, g its gradient, r the
//! learning rate; what an optimizer remembers starts at 0, is allocated at the first update, and fits networks of that
//! many parameters only. Settings are double, because 1 - 0.999 needs the digits. An optimizer belongs to the caller,
//! who gives it back with elman_optimizer_destroy().

use std::ffi::c_char;

use elman_engine::optimizer::Rule;

use crate::border::{self, call, flag, get, require};
use crate::status::{Result, Status};

/// An update rule, its settings, and what it remembers of the parameters that it has updated.
#[derive(Debug)]
pub struct Optimizer(pub(crate) elman_engine::optimizer::Optimizer<f32>);

/// Stochastic gradient descent: g' = g + weight_decay p; v = momentum v + g'; p -= r v, or with Nesterov's look-ahead
/// p -= r (g' + momentum v).
///
///   learning_rate   at least 0
///   momentum        at least 0 and below 1; 0 for none
///   nesterov        0 or 1; 1 needs a momentum
///   weight_decay    at least 0; 0 for none
///   out             receives the optimizer
///
/// Errors: NULL, OUT_OF_RANGE, UNKNOWN_CONSTANT.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_sgd_create(
    learning_rate: f64,
    momentum: f64,
    nesterov: u32,
    weight_decay: f64,
    out: *mut *mut Optimizer,
) -> Status {
    create(learning_rate, out, || {
        Ok(Rule::Sgd {
            momentum,
            nesterov: flag("nesterov", nesterov)?,
            weight_decay,
        })
    })
}

/// AdaGrad (Duchi et al. 2011): s += g^2; p -= r g / (sqrt(s) + epsilon).
///
///   learning_rate   at least 0; usually 0.01
///   epsilon         above 0; usually 1e-10
///   out             receives the optimizer
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_adagrad_create(
    learning_rate: f64,
    epsilon: f64,
    out: *mut *mut Optimizer,
) -> Status {
    create(learning_rate, out, || Ok(Rule::AdaGrad { epsilon }))
}

/// RMSprop (Tieleman & Hinton 2012): s = alpha s + (1 - alpha) g^2; v = momentum v + g / (sqrt(s) + epsilon); p -= r v.
///
///   learning_rate   at least 0; usually 0.01
///   alpha           at least 0 and below 1; usually 0.99
///   epsilon         above 0; usually 1e-8
///   momentum        at least 0 and below 1; 0 for none
///   out             receives the optimizer
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_rmsprop_create(
    learning_rate: f64,
    alpha: f64,
    epsilon: f64,
    momentum: f64,
    out: *mut *mut Optimizer,
) -> Status {
    create(learning_rate, out, || {
        Ok(Rule::RmsProp {
            alpha,
            epsilon,
            momentum,
        })
    })
}

/// Adam (Kingma & Ba 2015): g' = g + weight_decay p; m = beta1 m + (1 - beta1) g'; s = beta2 s + (1 - beta2) g'^2; in
/// step k, p -= r / (1 - beta1^k) m / (sqrt(s) / sqrt(1 - beta2^k) + epsilon).
///
///   learning_rate   at least 0; usually 0.001
///   beta1           at least 0 and below 1; usually 0.9
///   beta2           at least 0 and below 1; usually 0.999
///   epsilon         above 0; usually 1e-8
///   weight_decay    at least 0; 0 for none
///   out             receives the optimizer
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_adam_create(
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    out: *mut *mut Optimizer,
) -> Status {
    create(learning_rate, out, || {
        Ok(Rule::Adam {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        })
    })
}

/// AdamW (Loshchilov & Hutter 2019): p *= 1 - r weight_decay, then Adam without weight decay.
///
/// Arguments, errors and threads as with elman_adam_create(); weight_decay is usually 0.01. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_adamw_create(
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    out: *mut *mut Optimizer,
) -> Status {
    create(learning_rate, out, || {
        Ok(Rule::AdamW {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        })
    })
}

/// Rprop (Riedmiller & Braun 1993), for full batches: every parameter has its own step, multiplied by eta_plus where
/// the gradient has the sign of the last one and by eta_minus where it has the opposite sign, and kept in [min_step,
/// max_step]; then p -= sign(g) step. Where the sign turned, g counts as 0.
///
///   learning_rate   the first step, at least 0; usually 0.01
///   eta_minus       above 0 and below 1; usually 0.5
///   eta_plus        above 1; usually 1.2
///   min_step        at least 0; usually 1e-6
///   max_step        at least min_step; usually 50
///   out             receives the optimizer
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_rprop_create(
    learning_rate: f64,
    eta_minus: f64,
    eta_plus: f64,
    min_step: f64,
    max_step: f64,
    out: *mut *mut Optimizer,
) -> Status {
    create(learning_rate, out, || {
        Ok(Rule::Rprop {
            eta_minus,
            eta_plus,
            min_step,
            max_step,
        })
    })
}

/// Rprop as a bare sign rule, for full batches: every parameter has its own step, multiplied by eta_plus where the
/// gradient has the sign of the last one (0 before the first) and by eta_minus otherwise; then p -= sign(g) step.
/// Nothing bounds the steps.
///
///   learning_rate   the first step, at least 0; usually 0.001
///   eta_minus       above 0 and below 1; usually 0.5
///   eta_plus        above 1; usually 1.2
///   out             receives the optimizer
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_rprop_unbounded_create(
    learning_rate: f64,
    eta_minus: f64,
    eta_plus: f64,
    out: *mut *mut Optimizer,
) -> Status {
    create(learning_rate, out, || {
        Ok(Rule::RpropUnbounded {
            eta_minus,
            eta_plus,
        })
    })
}

/// Frees an optimizer; of NULL, does nothing.
///
/// Threads: needs the optimizer to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_optimizer_destroy(optimizer: Option<Box<Optimizer>>) {
    border::destroy(optimizer);
}

/// The learning rate; NAN for NULL.
///
/// Threads: any number on one optimizer. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_optimizer_get_learning_rate(optimizer: Option<&Optimizer>) -> f64 {
    get("optimizer", optimizer, f64::NAN, |optimizer| {
        optimizer.0.learning_rate()
    })
}

/// Changes the learning rate from the next update on. Of the two forms of Rprop it is the first step, so a change has
/// no effect between the first update and elman_optimizer_reset().
///
///   learning_rate   at least 0
///
/// Errors: NULL, OUT_OF_RANGE.
/// Threads: needs the optimizer to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_optimizer_set_learning_rate(
    optimizer: Option<&mut Optimizer>,
    learning_rate: f64,
) -> Status {
    call(|_| {
        let optimizer = require("optimizer", optimizer)?;
        Ok(optimizer.0.set_learning_rate(learning_rate)?)
    })
}

/// Forgets the parameters: the next update is a first one again, of any network.
///
/// Errors: NULL.
/// Threads: needs the optimizer to itself. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn elman_optimizer_reset(optimizer: Option<&mut Optimizer>) -> Status {
    call(|_| {
        require("optimizer", optimizer)?.0.reset();
        Ok(())
    })
}

/// Writes an optimizer to a file: its rule and settings, its learning rate and what it remembers of the parameters. With
/// the network's file, training goes on from there with the bits that it would have had without the stop.
///
///   path        of the file, ends with 0; UTF-8 on Windows
///
/// The file is a safetensors file with a tensor [parameter count] for each kind of what is remembered: velocity of SGD;
/// squares of AdaGrad; squares and velocity of RMSprop; mean and squares of Adam and AdamW; last_sign and step of the forms
/// of Rprop. One that is already there is replaced as elman_save() says. The same optimizer gives the same bytes.
///
/// Errors: NULL, IO; FORMAT where the path is something else than a file.
/// Threads: any number on one optimizer. Since 0.1.
///
/// # Safety
///
/// - `path` is NULL or ends with 0, and nobody writes to it during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_optimizer_save(
    optimizer: Option<&Optimizer>,
    path: *const c_char,
) -> Status {
    call(|caller| {
        let optimizer = require("optimizer", optimizer)?;
        let path = caller.path("path", path)?;
        Ok(optimizer.0.save(path)?)
    })
}

/// Reads an optimizer from a file that elman_optimizer_save() has written. It belongs to the caller, who gives it back with
/// elman_optimizer_destroy(). It fits networks of as many parameters as the one that it has updated.
///
///   path        of the file, ends with 0; UTF-8 on Windows
///   out         receives the optimizer
///
/// Everything in the file is checked before anything of the state's size is allocated; a damaged or hostile file is an
/// error and nothing else.
///
/// Errors: NULL, IO, OUT_OF_MEMORY; FORMAT where the file is damaged or no optimizer of this library.
/// Threads: any. Since 0.1.
///
/// # Safety
///
/// - `path` is NULL or ends with 0, and nobody writes to it during the call.
/// - `out` is NULL or has room for a result, which nobody else touches during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn elman_optimizer_load(
    path: *const c_char,
    out: *mut *mut Optimizer,
) -> Status {
    call(|caller| {
        let path = caller.path("path", path)?;
        let out = caller.result("out", out)?;
        let optimizer = elman_engine::optimizer::Optimizer::load(path)?;
        out.write(border::handle(Optimizer(optimizer)));
        Ok(())
    })
}

/// Makes an optimizer.
///
/// # Safety
///
/// As with [`Caller::result`](border::Caller::result).
unsafe fn create(
    learning_rate: f64,
    out: *mut *mut Optimizer,
    rule: impl FnOnce() -> Result<Rule>,
) -> Status {
    call(|caller| {
        let out = caller.result("out", out)?;
        let optimizer = elman_engine::optimizer::Optimizer::new(rule()?, learning_rate)?;
        out.write(border::handle(Optimizer(optimizer)));
        Ok(())
    })
}
