//! Optimizers: the ranges of their settings.

use elman_abi::optimizer::*;
use elman_abi::status::*;

use crate::call::{Call, Done, adopt, c, must, same_double};
use crate::network::made;
use crate::source::Source;
use crate::world::{World, few};

/// An optimizer and the one of its network's twin.
pub struct Trainer {
    pub handle: Box<Optimizer>,
    pub twin: Box<Optimizer>,
    pub rate: f64,
    pub seen: Seen,
}

/// The parameters that an optimizer has updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Nothing,
    Parameters(usize),
    Unknown,
}

impl Trainer {
    pub fn check(&self) {
        let rates =
            [&self.handle, &self.twin].map(|one| elman_optimizer_get_learning_rate(Some(one)));
        assert!(rates.iter().all(|&rate| same_double(rate, self.rate)));
    }

    pub fn destroy(self) {
        elman_optimizer_destroy(Some(self.handle));
        elman_optimizer_destroy(Some(self.twin));
    }

    /// Takes note of the rate that a callback may have set.
    pub fn adopt_rate(&mut self) {
        self.rate = elman_optimizer_get_learning_rate(Some(&self.handle));
        let status = elman_optimizer_set_learning_rate(Some(&mut self.twin), self.rate);
        must("elman_optimizer_set_learning_rate", status);
    }

    /// Makes both forget what they have seen.
    pub fn forget(&mut self) {
        for optimizer in [&mut self.handle, &mut self.twin] {
            must(
                "elman_optimizer_reset",
                elman_optimizer_reset(Some(optimizer)),
            );
        }
        self.seen = Seen::Nothing;
    }
}

/// Usual learning rates.
const RATES: [f64; 4] = [0.01, 0.1, 0.001, 0.0];

// Settings are used as float: there they must be in their range, too.

pub fn is_not_negative(value: f64) -> bool {
    value >= 0.0 && (value as f32).is_finite()
}

fn is_positive(value: f64) -> bool {
    value as f32 > 0.0 && (value as f32).is_finite()
}

fn is_fraction(value: f64) -> bool {
    (0.0..1.0).contains(&value)
}

fn are_factors(eta_minus: f64, eta_plus: f64) -> bool {
    eta_minus > 0.0 && eta_minus < 1.0 && eta_plus > 1.0 && (eta_plus as f32).is_finite()
}

/// An optimizer that is to be made.
struct Order {
    function: &'static str,
    in_range: bool,
    known: bool,
    create: Box<dyn Fn(*mut *mut Optimizer) -> Status>,
}

impl Order {
    fn new(
        function: &'static str,
        in_range: bool,
        create: impl Fn(*mut *mut Optimizer) -> Status + 'static,
    ) -> Self {
        Self {
            function,
            in_range,
            known: true,
            create: Box::new(create),
        }
    }

    fn draw(source: &mut Source<'_>, rate: f64) -> Self {
        let kind = source.below(7);
        let mut number = |usual: &[f64]| source.double(usual);
        match kind {
            0 => {
                let (momentum, decay) = (number(&[0.0, 0.9]), number(&[0.0, 0.01]));
                let nesterov = source.constant(2);
                let in_range = is_fraction(momentum) && is_not_negative(decay);
                let ahead = nesterov != 1 || momentum > 0.0;
                Self {
                    known: nesterov < 2,
                    ..Self::new("elman_sgd_create", in_range && ahead, move |out| {
                        c!(elman_sgd_create(rate, momentum, nesterov, decay, out))
                    })
                }
            }
            1 => {
                let epsilon = number(&[1e-10, 1e-8]);
                Self::new("elman_adagrad_create", is_positive(epsilon), move |out| {
                    c!(elman_adagrad_create(rate, epsilon, out))
                })
            }
            2 => {
                let (alpha, momentum) = (number(&[0.99, 0.5]), number(&[0.0, 0.9]));
                let epsilon = number(&[1e-8]);
                let in_range = is_fraction(alpha) && is_positive(epsilon) && is_fraction(momentum);
                Self::new("elman_rmsprop_create", in_range, move |out| {
                    c!(elman_rmsprop_create(rate, alpha, epsilon, momentum, out))
                })
            }
            3 | 4 => {
                let (beta1, beta2) = (number(&[0.9, 0.0]), number(&[0.999, 0.0]));
                let (epsilon, decay) = (number(&[1e-8]), number(&[0.0, 0.01]));
                let fractions = is_fraction(beta1) && is_fraction(beta2);
                let in_range = fractions && is_positive(epsilon) && is_not_negative(decay);
                match kind {
                    3 => Self::new("elman_adam_create", in_range, move |out| {
                        c!(elman_adam_create(rate, beta1, beta2, epsilon, decay, out))
                    }),
                    _ => Self::new("elman_adamw_create", in_range, move |out| {
                        c!(elman_adamw_create(rate, beta1, beta2, epsilon, decay, out))
                    }),
                }
            }
            5 => {
                let (minus, plus) = (number(&[0.5, 0.9]), number(&[1.2, 2.0]));
                let (min, max) = (number(&[1e-6, 0.0]), number(&[50.0, 1.0]));
                let bounds = is_not_negative(min) && is_not_negative(max) && max >= min;
                let in_range = are_factors(minus, plus) && bounds;
                Self::new("elman_rprop_create", in_range, move |out| {
                    c!(elman_rprop_create(rate, minus, plus, min, max, out))
                })
            }
            _ => {
                let (minus, plus) = (number(&[0.5, 0.9]), number(&[1.2, 2.0]));
                let in_range = are_factors(minus, plus);
                Self::new("elman_rprop_unbounded_create", in_range, move |out| {
                    c!(elman_rprop_unbounded_create(rate, minus, plus, out))
                })
            }
        }
    }
}

pub fn make(world: &mut World, source: &mut Source<'_>) {
    let slot = few(source);
    make_in(world, source, slot);
}

pub fn make_in(world: &mut World, source: &mut Source<'_>, slot: usize) {
    let rate = source.double(&RATES);
    let order = Order::draw(source, rate);
    let mut call = Call::new(order.function, source);
    call.wrong(
        ELMAN_ERROR_OUT_OF_RANGE,
        !order.in_range || !is_not_negative(rate),
    );
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, !order.known);
    let out = call.write(1);
    let done = call.run(&mut world.record, |p| (order.create)(p.get(out)));
    if let Some(handle) = done.and_then(|done| made(&done, out)) {
        let mut twin = std::ptr::null_mut();
        must(order.function, (order.create)(&raw mut twin));
        let trainer = Trainer {
            handle,
            twin: adopt(twin),
            rate,
            seen: Seen::Nothing,
        };
        world.put_optimizer(slot, Some(trainer));
    }
}

pub fn set_rate(world: &mut World, source: &mut Source<'_>) {
    let slot = world.optimizer_slot(source);
    let rate = source.double(&RATES);
    let mut call = Call::new("elman_optimizer_set_learning_rate", source);
    let mut trainer = world.optimizers[slot].as_mut();
    call.handle(trainer.as_ref());
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !is_not_negative(rate));
    let handle = trainer.as_mut().map(|trainer| &mut *trainer.handle);
    let set =
        |optimizer: Option<&mut Optimizer>| elman_optimizer_set_learning_rate(optimizer, rate);
    let done = call.run(&mut world.record, |_| set(handle));
    if let (Some(trainer), Some(_)) = (trainer, done.filter(Done::is_ok)) {
        must(
            "elman_optimizer_set_learning_rate",
            set(Some(&mut trainer.twin)),
        );
        trainer.rate = rate;
    }
}

pub fn reset(world: &mut World, source: &mut Source<'_>) {
    let slot = world.optimizer_slot(source);
    let mut call = Call::new("elman_optimizer_reset", source);
    let mut trainer = world.optimizers[slot].as_mut();
    call.handle(trainer.as_ref());
    let handle = trainer.as_mut().map(|trainer| &mut *trainer.handle);
    let done = call.run(&mut world.record, |_| elman_optimizer_reset(handle));
    if let (Some(trainer), Some(_)) = (trainer, done.filter(Done::is_ok)) {
        trainer.forget();
    }
}

/// What there is to know of no optimizer.
pub fn ask_nothing() {
    assert!(elman_optimizer_get_learning_rate(None).is_nan());
    elman_optimizer_destroy(None);
}
