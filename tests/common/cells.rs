//! Recurrent cells with options, as cases have them.

use elman::{
    Activation, CellActivations, Direction, Element, InitialState, LastOutput, Merge, Network,
    RecurrentOptions, Reset, Result,
};

/// What a cell is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Rnn(Activation),
    Gru,
    Lstm,
}

/// A recurrent layer with options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub kind: Kind,
    pub units: usize,
    /// Those of the bits below that are set. A bit that the cell has no use for means nothing.
    pub options: u32,
}

pub const REVERSE: u32 = 1 << 0;
pub const BOTH: u32 = 1 << 1;
/// Two bits: which merge.
const MERGE: u32 = 1 << 2;
const LAST_STEP: u32 = 1 << 4;
const NO_BIAS: u32 = 1 << 5;
pub const BEFORE: u32 = 1 << 6;
const FUNCTIONS: u32 = 1 << 7;
const PEEPHOLES: u32 = 1 << 8;
const PROJECTION: u32 = 1 << 9;
const COUPLED: u32 = 1 << 10;
const CLIP_SUMS: u32 = 1 << 11;
const CLIP_STATE: u32 = 1 << 12;
const TRAINABLE_START: u32 = 1 << 13;
const DROPOUT: u32 = 1 << 14;
const ZONEOUT: u32 = 1 << 15;
const CELL_ZONEOUT: u32 = 1 << 16;
/// Those that draw numbers in training.
const NOISE: u32 = DROPOUT | ZONEOUT | CELL_ZONEOUT;
const BITS: u32 = 17;

impl Cell {
    /// Each option with a probability of a quarter, of what draws numbers or looks ahead less.
    pub fn random(units: usize, mut below: impl FnMut(usize) -> usize) -> Self {
        let functions = Activation::ALL;
        let kind = match below(3) {
            0 => Kind::Rnn(functions[below(functions.len())]),
            1 => Kind::Gru,
            _ => Kind::Lstm,
        };
        // Half of them are as they are by default, or almost.
        let rare = if below(2) == 0 { 4 } else { 16 };
        let options = (0..BITS)
            .map(|bit| 1_u32 << bit)
            .filter(|bit| match bit & (NOISE | REVERSE | BOTH) {
                0 => below(rare) == 0,
                _ => below(2 * rare) == 0,
            })
            .sum();
        Self {
            kind,
            units,
            options,
        }
    }

    fn has(&self, option: u32) -> bool {
        self.options & option != 0
    }

    fn is_lstm(&self) -> bool {
        self.kind == Kind::Lstm
    }

    /// Elements of h.
    pub fn h_size(&self) -> usize {
        match self.is_lstm() && self.has(PROJECTION) {
            true => self.units.div_ceil(2),
            false => self.units,
        }
    }

    pub fn directions(&self) -> usize {
        if self.has(BOTH) { 2 } else { 1 }
    }

    pub fn outputs(&self) -> usize {
        match self.options().merge {
            Merge::Concat => self.directions() * self.h_size(),
            _ => self.h_size(),
        }
    }

    pub fn state_size(&self) -> usize {
        let cell = if self.is_lstm() { self.units } else { 0 };
        self.directions() * (self.h_size() + cell)
    }

    /// Rows times columns of what meets the input or h.
    pub fn work(&self, inputs: usize) -> usize {
        self.directions() * 4 * self.units * (inputs + self.h_size())
    }

    pub fn looks_ahead(&self) -> bool {
        self.has(REVERSE | BOTH)
    }

    /// Whether training draws numbers.
    pub fn draws(&self) -> bool {
        let cell = if self.is_lstm() { CELL_ZONEOUT } else { 0 };
        self.has(DROPOUT | ZONEOUT | cell)
    }

    /// The same cell, which draws nothing.
    pub fn without_noise(self) -> Self {
        Self {
            options: self.options & !NOISE,
            ..self
        }
    }

    /// The same with one option less, for each that it has.
    pub fn simpler(self) -> impl Iterator<Item = Self> {
        (0..BITS).map(move |bit| Self {
            options: self.options & !(1 << bit),
            ..self
        })
    }

    pub fn options(&self) -> RecurrentOptions {
        let lstm = self.is_lstm();
        let rate = |option, rate| if self.has(option) { rate } else { 0.0 };
        let merges = [Merge::Concat, Merge::Sum, Merge::Mean, Merge::Product];
        RecurrentOptions {
            direction: match (self.has(BOTH), self.has(REVERSE)) {
                (true, _) => Direction::Bidirectional,
                (_, true) => Direction::Reverse,
                _ => Direction::Forward,
            },
            merge: match self.has(BOTH) {
                true => merges[(self.options / MERGE % 4) as usize],
                false => Merge::Concat,
            },
            last: match self.looks_ahead() && self.has(LAST_STEP) {
                true => LastOutput::LastStep,
                false => LastOutput::FinalState,
            },
            bias: !self.has(NO_BIAS),
            reset: match self.kind == Kind::Gru && self.has(BEFORE) {
                true => Reset::Before,
                false => Reset::After,
            },
            activations: self.activations(),
            peepholes: lstm && self.has(PEEPHOLES),
            projection: match lstm && self.has(PROJECTION) {
                true => self.h_size(),
                false => 0,
            },
            coupled: lstm && self.has(COUPLED),
            clip_sums: rate(CLIP_SUMS, 0.5),
            clip_state: if lstm { rate(CLIP_STATE, 0.4) } else { 0.0 },
            forget_bias: None,
            recurrent_dropout: rate(DROPOUT, 0.25),
            zoneout: rate(ZONEOUT, 0.25),
            zoneout_cell: if lstm { rate(CELL_ZONEOUT, 0.25) } else { 0.0 },
            initial_state: match self.has(TRAINABLE_START) {
                true => InitialState::Trainable,
                false => InitialState::Zeros,
            },
        }
    }

    /// With the option, functions that follow from the number of units.
    fn activations(&self) -> [CellActivations; 2] {
        let function = |index: usize| Activation::ALL[(self.units + index) % Activation::ALL.len()];
        let of_direction = |first| CellActivations {
            gates: function(first),
            candidate: function(first + 1),
            output: match self.is_lstm() {
                true => function(first + 2),
                false => Activation::Tanh,
            },
        };
        match (self.kind, self.has(FUNCTIONS), self.has(BOTH)) {
            (Kind::Rnn(_), ..) | (_, false, _) => Default::default(),
            (.., true) => [of_direction(0), of_direction(4)],
            _ => [of_direction(0), Default::default()],
        }
    }

    pub fn add<E: Element>(&self, network: &mut Network<E>) -> Result<()> {
        let options = self.options();
        match self.kind {
            Kind::Rnn(activation) => network.add_recurrent(self.units, activation, &options),
            Kind::Gru => network.add_gru(self.units, &options),
            Kind::Lstm => network.add_lstm(self.units, &options),
        }
    }
}
