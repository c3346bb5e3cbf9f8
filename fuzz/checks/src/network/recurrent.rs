//! Recurrent layers with options.

use std::mem::MaybeUninit;

use elman_abi::network::*;
use elman_abi::recurrent::*;
use elman_abi::status::*;

use crate::call::{Call, c, must};
use crate::source::Source;

/// A cell, with what only this one has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    Rnn { activation: u32 },
    Gru,
    Lstm,
}

/// A recurrent layer with options.
#[derive(Clone, Copy, Debug)]
pub struct Recurrent {
    pub cell: Cell,
    pub units: usize,
    pub options: RecurrentOptions,
}

impl Recurrent {
    /// One of usual sizes or, to `add`, one that may be wrong. In most of them most options are the defaults.
    pub fn draw(source: &mut Source<'_>, units: usize, is_right: bool) -> Self {
        let cell = match source.below(7) {
            0..3 => Cell::Lstm,
            3..5 => Cell::Gru,
            _ => Cell::Rnn {
                activation: source.below(13) as u32,
            },
        };
        let mut options = default_options();
        // An option that the cell has no use for is wrong.
        let misfits = !is_right && source.rarely(32);
        let constant = |source: &mut Source<'_>, known: u32| match is_right {
            true => source.below(known as usize) as u32,
            false => source.constant(known),
        };
        let rate = |source: &mut Source<'_>, usual: &[f64]| match is_right {
            true => source.pick(usual),
            false => source.double(usual),
        };
        if source.rarely(2) {
            options.direction = constant(source, 3);
            options.merge = constant(source, 4);
            options.last = constant(source, 2);
        }
        if source.rarely(2) {
            options.bias = constant(source, 2);
            options.initial_state = constant(source, 3);
            options.clip_sums = rate(source, &[0.0, 0.5, 3.0]);
        }
        if source.rarely(3) {
            options.recurrent_dropout = rate(source, &[0.0, 0.25, 0.5]);
            options.zoneout = rate(source, &[0.0, 0.25, 0.5]);
        }
        if cell == Cell::Gru || misfits {
            options.reset = constant(source, 2);
        }
        if !matches!(cell, Cell::Rnn { .. }) && source.rarely(3) || misfits {
            for way in 0..2 {
                options.gates[way] = constant(source, 13);
                options.candidate[way] = constant(source, 13);
                options.output[way] = constant(source, 13);
            }
        }
        if cell == Cell::Lstm && source.rarely(2) || misfits {
            options.peepholes = constant(source, 2);
            options.coupled = constant(source, 2);
            options.projection = source.pick(&[0, 1, 2, 3, 17]);
            options.clip_state = rate(source, &[0.0, 0.5, 3.0]);
            options.zoneout_cell = rate(source, &[0.0, 0.25]);
            if options.coupled == 0 && options.bias == 1 || misfits {
                options.forget_bias = rate(source, &[f64::NAN, 1.0]);
            }
        }
        if misfits {
            options.size = source.pick(&[options.size, 0, 8, options.size + 8]);
            options.projection = source.pick(&[0, 1 << 40, usize::MAX]);
        }
        Self {
            cell,
            units,
            options,
        }
    }

    /// Names what is wrong with it, given the options that the call reads.
    pub fn judge(&self, call: &mut Call, options: &RecurrentOptions) {
        let default = default_options();
        call.wrong(ELMAN_ERROR_ZERO_SIZE, self.units == 0);
        if let Cell::Rnn { activation } = self.cell {
            call.wrong(
                ELMAN_ERROR_UNKNOWN_CONSTANT,
                activation > ELMAN_THRESHOLDED_RELU,
            );
        }
        let functions = [options.gates, options.candidate, options.output];
        let unknown = options.direction > 2
            || options.merge > 3
            || options.initial_state > 2
            || [options.last, options.bias, options.reset]
                .iter()
                .any(|&value| value > 1)
            || [options.peepholes, options.coupled]
                .iter()
                .any(|&value| value > 1)
            || functions
                .iter()
                .flatten()
                .any(|&function| function > ELMAN_THRESHOLDED_RELU);
        call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, unknown);
        let rates = [
            options.recurrent_dropout,
            options.zoneout,
            options.zoneout_cell,
        ];
        let clips = [options.clip_sums, options.clip_state];
        let most = f64::from(f32::MAX);
        let out_of_range = rates.iter().any(|rate| !(0.0..1.0).contains(rate))
            || clips.iter().any(|clip| !(0.0..=most).contains(clip))
            || options.forget_bias.abs() > most;
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, out_of_range);
        let has_forget_bias = !options.forget_bias.is_nan();
        let lstm_only = options.peepholes != 0
            || options.coupled != 0
            || options.projection != 0
            || options.clip_state != 0.0
            || options.zoneout_cell != 0.0
            || has_forget_bias;
        let gated = functions != [default.gates, default.candidate, default.output];
        let misfits = match self.cell {
            Cell::Rnn { .. } => lstm_only || gated || options.reset != 0,
            Cell::Gru => lstm_only,
            Cell::Lstm => options.reset != 0,
        };
        let gate = options.coupled == 0 && options.bias != 0;
        call.wrong(
            ELMAN_ERROR_MISMATCH,
            options.size != default.size || misfits || has_forget_bias && !gate,
        );
    }

    /// Adds it, with its options at that place.
    pub fn add(&self, network: Option<&mut Network>, options: *const RecurrentOptions) -> Status {
        let units = self.units;
        match self.cell {
            Cell::Rnn { activation } => {
                c!(elman_add_recurrent(network, units, activation, options))
            }
            Cell::Gru => c!(elman_add_gru(network, units, options)),
            Cell::Lstm => c!(elman_add_lstm(network, units, options)),
        }
    }

    pub fn ways(&self) -> usize {
        if self.options.direction == ELMAN_BIDIRECTIONAL {
            2
        } else {
            1
        }
    }

    /// Elements of h.
    pub fn size(&self) -> usize {
        match self.options.projection {
            0 => self.units,
            size => size,
        }
    }

    pub fn outputs(&self) -> usize {
        match self.options.merge {
            ELMAN_MERGE_CONCAT => self.size().saturating_mul(self.ways()),
            _ => self.size(),
        }
    }

    pub fn state_size(&self) -> usize {
        let cells = if self.cell == Cell::Lstm {
            self.units
        } else {
            0
        };
        self.size()
            .saturating_add(cells)
            .saturating_mul(self.ways())
    }

    /// None where it is more than any number.
    pub fn parameter_count(&self, inputs: u128) -> Option<u128> {
        let options = &self.options;
        let gates = match self.cell {
            Cell::Rnn { .. } => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4 - u128::from(options.coupled != 0),
        };
        let (units, size) = (self.units as u128, self.size() as u128);
        let rows = inputs.checked_add(size)?.checked_add(options.bias.into())?;
        let mut count = rows.checked_mul(units.checked_mul(gates)?)?;
        let mut add = |rows: u128, columns: u128| {
            count = count.checked_add(rows.checked_mul(columns)?)?;
            Some(())
        };
        let after = self.cell == Cell::Gru && options.reset == ELMAN_RESET_AFTER;
        add(u128::from(after && options.bias == 1), units)?;
        add(u128::from(options.peepholes) * (gates - 1), units)?;
        if options.projection > 0 {
            add(units, size)?;
        }
        if options.initial_state != ELMAN_INITIAL_ZEROS {
            add(1, size)?;
            add(u128::from(self.cell == Cell::Lstm), units)?;
        }
        count.checked_mul(self.ways() as u128)
    }

    /// Whether its gradients are those of a smooth function.
    pub fn is_smooth(&self) -> bool {
        let options = &self.options;
        let smooth = |function: &u32| [ELMAN_TANH, ELMAN_SIGMOID].contains(function);
        let own = match &self.cell {
            Cell::Rnn { activation } => smooth(activation),
            Cell::Gru | Cell::Lstm => true,
        };
        let functions = [options.gates, options.candidate, options.output];
        let rates = [
            options.recurrent_dropout,
            options.zoneout,
            options.zoneout_cell,
        ];
        own && functions.iter().flatten().all(smooth)
            && [options.clip_sums, options.clip_state] == [0.0; 2]
            && rates.iter().all(|&rate| rate <= 0.5)
    }
}

/// The options that a caller has not changed.
pub fn default_options() -> RecurrentOptions {
    let mut options = MaybeUninit::<RecurrentOptions>::uninit();
    let status = c!(elman_recurrent_options_init(
        options.as_mut_ptr(),
        size_of::<RecurrentOptions>()
    ));
    must("elman_recurrent_options_init", status);
    // SAFETY: the call says that it has written it.
    unsafe { options.assume_init() }
}

/// The numbers of options, to compare.
pub fn numbers_of(options: &RecurrentOptions) -> ([usize; 2], [u32; 14], [u64; 6]) {
    let [gates, candidate, output] = [options.gates, options.candidate, options.output];
    (
        [options.size, options.projection],
        [
            options.direction,
            options.merge,
            options.last,
            options.bias,
            options.reset,
            options.peepholes,
            options.coupled,
            options.initial_state,
            gates[0],
            gates[1],
            candidate[0],
            candidate[1],
            output[0],
            output[1],
        ],
        [
            options.clip_sums,
            options.clip_state,
            options.forget_bias,
            options.recurrent_dropout,
            options.zoneout,
            options.zoneout_cell,
        ]
        // 0 is 0, with a sign or without.
        .map(|number| {
            if number.is_nan() {
                f64::NAN
            } else {
                number + 0.0
            }
            .to_bits()
        }),
    )
}

/// The options of a layer of a network.
pub fn options_of(network: &Network, layer: usize) -> RecurrentOptions {
    let mut options = default_options();
    let status = c!(elman_get_recurrent_options(
        Some(network),
        layer,
        &raw mut options,
        size_of::<RecurrentOptions>()
    ));
    must("elman_get_recurrent_options", status);
    options
}
