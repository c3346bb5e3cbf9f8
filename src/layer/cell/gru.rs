//! The gated recurrent unit (K. Cho and others, "Learning Phrase Representations using RNN Encoder-Decoder", 2014):
//! r, z = s(x_t W_x + h_{t-1} W_h + b), h_t = (1 - z)∘n + z∘h_{t-1}, where the candidate n is
//! tanh(x_t W_xn + b_n + r∘(h_{t-1} W_hn + q)) with the reset after the product, as PyTorch has it, and
//! tanh(x_t W_xn + (r∘h_{t-1}) W_hn + b_n) with the reset before it.
//!
//! Gates lie as r, z, n. After the product, a unit has four sums, n's part of x apart from that of h; before it, there are two
//! dependent products: the second one meets r∘h_{t-1}, which a sequence has once.

use super::*;
use crate::layer::options::Reset;

/// See the module's documentation.
#[derive(Debug)]
pub struct Gru {
    plan: CellPlan,
    gates: Activation,
    candidate: Activation,
    clip: f64,
    noise: Noise,
    reset: Reset,
    /// Whether it is PyTorch's cell, or that with the reset before the product.
    is_usual: bool,
}

/// What a stage reads forward, by index. With the reset after the product there is one stage; before it, the first one makes r,
/// z and r∘h of h.
mod reads {
    pub const H: usize = 0;
    pub const STAYS: usize = 1;
    pub const MASK: usize = 2;
    /// In the second stage.
    pub const Z: usize = 3;
}

/// What it writes with the reset after the product; the last is h masked.
mod writes {
    pub const H: usize = 0;
    pub const R: usize = 1;
    pub const Z: usize = 2;
    pub const N: usize = 3;
    pub const M: usize = 4;
    pub const MASKED: usize = 5;
}

/// What the two stages write with the reset before it.
mod writes_before {
    pub const R: usize = 0;
    pub const Z: usize = 1;
    pub const RESET_H: usize = 2;
    pub const H: usize = 0;
    pub const N: usize = 1;
    pub const MASKED: usize = 2;
}

/// What the stage that makes the gradient of n reads backward, by index: the first one of two where the reset is before the
/// product.
mod back {
    pub const GIVEN: usize = 0;
    pub const CARRY: usize = 1;
    pub const H: usize = 2;
    pub const R: usize = 3;
    pub const Z: usize = 4;
    pub const N: usize = 5;
    pub const M: usize = 6;
    pub const STAYS: usize = 7;
    pub const MASK: usize = 8;
}

/// What the second one reads, whose sum is the gradient of r∘h.
mod back_reset {
    /// Masked, where it is.
    pub const H: usize = 0;
    pub const R: usize = 1;
    pub const CARRY: usize = 2;
    pub const MASK: usize = 3;
}

/// What is written backward: the gradients of the sums, and what is added to that of h.
mod sums {
    pub const R: usize = 0;
    pub const Z: usize = 1;
    pub const N: usize = 2;
    pub const M: usize = 3;
    pub const CARRY: usize = 4;
}

/// The same with the reset before the product, of both stages.
mod sums_before {
    pub const Z: usize = 0;
    pub const N: usize = 1;
    pub const R: usize = 0;
    pub const RESET_H: usize = 1;
    pub const CARRY: usize = 2;
}

impl Gru {
    pub fn new(inputs: usize, units: usize, options: &RecurrentOptions, is_reverse: bool) -> Self {
        let noise = Noise::new(options);
        let after = options.reset == Reset::After;
        let time = Time { is_reverse };
        let mut tensors = main_tensors(inputs, units, units, 3, options.bias);
        let bias = len(&tensors[..2]);
        let q = len(&tensors);
        if after && options.bias {
            tensors.push(Tensor::new(TensorRole::CandidateBias, 1, units));
        }
        let of = |count: usize| units.saturating_mul(count);
        let start = |first: usize| {
            if options.bias {
                Start::Parameters(first)
            } else {
                Start::Zero
            }
        };
        let masked = if noise.masks_state { units } else { 0 };
        let zones = noise.zoneout > 0.0;
        // What is kept: r, z, n and, after the product, m = h W_hn + q; then which units stay.
        let kept = if after { of(4) } else { of(3) };
        // What a sequence has once: the mask of h, and r∘h.
        let scratch = masked;
        let sequence = masked.saturating_add(if after { 0 } else { units });

        let mut packs = if after {
            let part = |tensor, first_group| PackPart {
                tensor,
                columns: 0..of(3),
                first_group,
            };
            // The sums of n come first of x and last of h.
            vec![
                Pack {
                    parts: vec![part(0, 2), part(1, 0)],
                    groups: 3,
                    is_transposed: false,
                    meets_input: false,
                },
                Pack::transposed(1, 0..of(3), false),
            ]
        } else {
            vec![
                both_weights(0..of(2), 2),
                both_weights(of(2)..of(3), 1),
                Pack::transposed(1, 0..of(2), false),
                Pack::transposed(1, of(2)..of(3), false),
            ]
        };
        packs.push(Pack::transposed(0, 0..of(3), true));
        let shapes = shapes(&packs, &tensors);

        let stages = |is_training: bool| {
            use forward::{INPUT, KEPT, SEQUENCE, STATE};
            let masks = is_training && noise.masks_state;
            let before = if masks { units } else { 0 };
            let h = slot(STATE, time.before(), 0);
            let keep = |index: usize| slot(KEPT, RowOf::This, of(index));
            let x = input(INPUT, RowOf::This, 0, inputs);
            let state = input(STATE, time.before(), before, units);
            let stays = if is_training && zones {
                slot(KEPT, RowOf::This, kept)
            } else {
                h
            };
            let mask = if masks {
                slot(SEQUENCE, RowOf::Sequence, 0)
            } else {
                h
            };
            let mut ends = vec![slot(STATE, RowOf::This, 0)];
            if after {
                if is_training {
                    ends.extend([0, 1, 2, 3].map(keep));
                }
                if masks {
                    ends.push(slot(STATE, RowOf::This, units));
                }
                let piece = |input, depth, first_sum| Piece {
                    inputs: vec![input],
                    depth,
                    first_sum,
                    is_recurrent: true,
                };
                return vec![Stage {
                    weights: 0,
                    pieces: vec![piece(x, 0, 0), piece(state, inputs, 1)],
                    // n of x, r, z, n of h.
                    starts: vec![
                        start(bias.saturating_add(of(2))),
                        start(bias),
                        start(bias.saturating_add(units)),
                        start(q),
                    ],
                    reads: if zones || masks {
                        vec![h, stays, mask]
                    } else {
                        vec![h]
                    },
                    writes: ends,
                    fused: None,
                }];
            }
            let reset = input(SEQUENCE, RowOf::Sequence, scratch, units);
            let piece = |inputs| Piece {
                inputs,
                depth: 0,
                first_sum: 0,
                is_recurrent: true,
            };
            ends.push(keep(2));
            if masks {
                ends.push(slot(STATE, RowOf::This, units));
            }
            vec![
                Stage {
                    weights: 0,
                    pieces: vec![piece(vec![x, state])],
                    starts: vec![start(bias), start(bias.saturating_add(units))],
                    reads: vec![slot(STATE, time.before(), before)],
                    writes: vec![keep(0), keep(1), slot(SEQUENCE, RowOf::Sequence, scratch)],
                    fused: None,
                },
                Stage {
                    weights: 1,
                    pieces: vec![piece(vec![x, reset])],
                    starts: vec![start(bias.saturating_add(of(2)))],
                    reads: vec![h, stays, mask, keep(1)],
                    writes: ends,
                    fused: None,
                },
            ]
        };
        let stored = {
            let keep = |index: usize| slot(forward::KEPT, RowOf::This, of(index));
            if after {
                vec![vec![keep(2), keep(0), keep(1)]]
            } else {
                vec![vec![keep(0), keep(1)], vec![keep(2)]]
            }
        };
        let forward =
            [false, true].map(|training| Direct::new(stages(training), &stored, &shapes[0]));

        // A row of gradients: r, z, n; after the product that of m, before it r∘h; then what is added to that of h.
        let carry = of(4);
        let backward = {
            use backward::{DELTA, KEPT, OUTPUT, SEQUENCE, STATE};
            let delta = |index: usize| slot(DELTA, RowOf::This, of(index));
            let keep = |index: usize| slot(KEPT, RowOf::This, of(index));
            let h = slot(STATE, time.before(), 0);
            let stays = if zones {
                slot(KEPT, RowOf::This, kept)
            } else {
                h
            };
            let mask = if noise.masks_state {
                slot(SEQUENCE, RowOf::Sequence, 0)
            } else {
                h
            };
            let behind =
                |first: usize, count: usize| input(DELTA, time.behind(), of(first), of(count));
            let mut reads = vec![
                slot(OUTPUT, RowOf::This, 0),
                slot(DELTA, time.behind(), carry),
                h,
                keep(0),
                keep(1),
                keep(2),
                // Before the product there is no m.
                if after { keep(3) } else { h },
            ];
            if zones || noise.masks_state {
                reads.extend([stays, mask]);
            }
            let start = if noise.masks_state {
                Start::Zero
            } else {
                Start::Read(0)
            };
            let piece = |inputs| Piece {
                inputs,
                depth: 0,
                first_sum: 0,
                is_recurrent: true,
            };
            let crossing = slot(DELTA, RowOf::This, carry);
            if after {
                vec![Stage {
                    weights: 0,
                    pieces: vec![piece(vec![behind(0, 2), behind(3, 1)])],
                    starts: vec![start],
                    reads,
                    writes: vec![delta(0), delta(1), delta(2), delta(3), crossing],
                    fused: None,
                }]
            } else {
                let masked_h = slot(STATE, time.before(), masked);
                vec![
                    Stage {
                        weights: 0,
                        pieces: vec![piece(vec![behind(0, 2)])],
                        starts: vec![start],
                        reads,
                        writes: vec![delta(1), delta(2), crossing],
                        fused: None,
                    },
                    Stage {
                        weights: 1,
                        pieces: vec![Piece {
                            is_recurrent: false,
                            ..piece(vec![input(DELTA, RowOf::This, of(2), units)])
                        }],
                        starts: vec![Start::Zero],
                        reads: vec![masked_h, keep(0), crossing, mask],
                        writes: vec![delta(0), delta(3), crossing],
                        fused: None,
                    },
                ]
            }
        };

        let product = |tensor, columns, delta, left| GradientProduct {
            tensor,
            columns,
            delta,
            left,
        };
        let state = time.left(0, masked);
        let mut products = vec![
            product(0, 0..of(3), 0, Left::Input),
            product(1, 0..of(2), 0, state),
        ];
        products.push(if after {
            product(1, of(2)..of(3), of(3), state)
        } else {
            product(1, of(2)..of(3), of(2), Left::Delta(1, of(3)))
        });
        let sum = |tensor, delta| GradientSum {
            tensor,
            delta,
            times: None,
        };
        let mut sums = Vec::new();
        if options.bias {
            sums.push(sum(2, 0));
            if after {
                sums.push(sum(3, of(3)));
            }
        }
        let mut masks = Vec::new();
        if noise.masks_state {
            masks.push(state_mask(options, units, 0));
        }
        if zones {
            masks.push(stay_mask(noise.zoneout, units, kept));
        }
        let plan = CellPlan {
            inputs,
            outputs: units,
            state: units,
            state_row: units.saturating_add(masked),
            kept: kept.saturating_add(if zones { units } else { 0 }),
            sequence,
            delta: of(5),
            packs,
            input_pack: if after { 1 } else { 2 },
            forward,
            backward: Stages::new(backward, &shapes[1]),
            carries: vec![Carry {
                delta: carry,
                width: units,
                state: None,
            }],
            masked_state: noise.masks_state.then_some((units, 0)),
            masks,
            products,
            sums,
            tensors,
        };
        let activations =
            options.activations[usize::from(is_reverse && options.is_bidirectional())];
        let is_usual = activations.gates == Activation::Sigmoid
            && activations.candidate == Activation::Tanh
            && options.clip_sums == 0.0
            && noise.zoneout == 0.0
            && !noise.masks_state;
        Self {
            plan,
            gates: activations.gates,
            candidate: activations.candidate,
            clip: options.clip_sums,
            noise,
            reset: options.reset,
            is_usual,
        }
    }

    fn functions<E: Element>(&self) -> Functions<E> {
        Functions {
            gates: Clipped::new(self.gates, self.clip),
            candidate: Clipped::new(self.candidate, self.clip),
            reset: self.reset,
        }
    }
}

impl<E: Element> Cell<E> for Gru {
    type Forward<'a> = AnyOptions<Forward<E>>;
    type Backward<'a> = AnyOptions<Backward<E>>;

    fn plan(&self) -> &CellPlan {
        &self.plan
    }

    fn forward(&self, _: &[E], is_training: bool) -> AnyOptions<Forward<E>> {
        // A stream comes here at every step.
        if self.is_usual {
            return AnyOptions(Forward::plain(is_training, self.reset));
        }
        AnyOptions(Forward {
            is_usual: false,
            is_training,
            functions: self.functions(),
            masks_state: is_training && self.noise.masks_state,
            zoneout: Zoneout::new(self.noise.zoneout, is_training),
        })
    }

    fn backward(&self, _: &[E]) -> AnyOptions<Backward<E>> {
        AnyOptions(Backward {
            is_usual: self.is_usual,
            functions: self.functions(),
            masks_state: self.noise.masks_state,
            zones: self.noise.zoneout > 0.0,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Functions<E> {
    gates: Clipped<E>,
    candidate: Clipped<E>,
    reset: Reset,
}

impl<E: Element> Functions<E> {
    /// PyTorch's.
    #[inline(always)]
    fn usual(reset: Reset) -> Self {
        Self {
            gates: Clipped::unlimited(Activation::Sigmoid),
            candidate: Clipped::unlimited(Activation::Tanh),
            reset,
        }
    }
}

/// What the cell makes of sums.
#[derive(Clone, Copy, Debug)]
pub struct Forward<E> {
    is_usual: bool,
    is_training: bool,
    functions: Functions<E>,
    masks_state: bool,
    zoneout: Zoneout<E>,
}

impl<E: Element> Gated<E> for Forward<E> {
    /// Where the reset is after the product.
    const SUMS: Option<(usize, usize)> = Some((4, 3));
    const IS_FORWARD: bool = true;

    fn is_usual(&self) -> bool {
        self.is_usual
    }

    #[inline(always)]
    fn usual(self) -> Self {
        Self::plain(self.is_training, self.functions.reset)
    }

    #[inline(always)]
    fn activations(&self, stage: usize) -> [Activation; MAX_SUMS] {
        use Activation::{Linear, Sigmoid};
        match (self.functions.reset, stage) {
            (Reset::After, _) => [Linear, Sigmoid, Sigmoid, Linear],
            (Reset::Before, 0) => [Sigmoid, Sigmoid, Linear, Linear],
            (Reset::Before, _) => [Linear; MAX_SUMS],
        }
    }

    #[inline(always)]
    fn step<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        let Functions {
            gates,
            candidate,
            reset,
        } = self.functions;
        if reset == Reset::After {
            let [n, r, z, m] = sums;
            let r = gates.value(token, r);
            let z = gates.value(token, z);
            let n = candidate.value(token, token.mul_add(r, m, n));
            if self.is_training {
                unit.write(writes::R, r);
                unit.write(writes::Z, z);
                unit.write(writes::N, n);
                unit.write(writes::M, m);
            }
            self.end(token, (z, n), (writes::H, writes::MASKED), unit);
        } else if stage == 0 {
            let [r, z, ..] = sums;
            let r = gates.value(token, r);
            if self.is_training {
                unit.write(writes_before::R, r);
            }
            unit.write(writes_before::Z, gates.value(token, z));
            let h = unit.read(reads::H);
            unit.write(writes_before::RESET_H, token.mul(r, h));
        } else {
            let n = candidate.value(token, sums[0]);
            if self.is_training {
                unit.write(writes_before::N, n);
            }
            let ends = (writes_before::H, writes_before::MASKED);
            self.end(token, (unit.read(reads::Z), n), ends, unit);
        }
    }
}

impl<E: Element> Forward<E> {
    /// PyTorch's cell, or that with the reset before the product; the sums of gates arrive as their values.
    #[inline(always)]
    fn plain(is_training: bool, reset: Reset) -> Self {
        Self {
            is_usual: true,
            is_training,
            functions: Functions {
                gates: Clipped::NONE,
                ..Functions::usual(reset)
            },
            masks_state: false,
            zoneout: Zoneout::Off,
        }
    }

    /// h = n + z∘(h_{t-1} - n), stored in a slot, and in another one masked.
    #[inline(always)]
    fn end<S: Math<E>>(
        &self,
        token: S,
        (z, n): (S::Vector, S::Vector),
        (to, masked): (usize, usize),
        unit: &Unit<'_, E, S>,
    ) {
        let old = unit.read(reads::H);
        let h = token.mul_add(z, token.sub(old, n), n);
        let h = self
            .zoneout
            .apply(token, || unit.read(reads::STAYS), || old, h);
        unit.write(to, h);
        if self.masks_state {
            unit.write(masked, token.mul(h, unit.read(reads::MASK)));
        }
    }
}

/// The same backward.
#[derive(Clone, Copy, Debug)]
pub struct Backward<E> {
    is_usual: bool,
    functions: Functions<E>,
    masks_state: bool,
    zones: bool,
}

impl<E: Element> Gated<E> for Backward<E> {
    const IS_FORWARD: bool = false;

    fn is_usual(&self) -> bool {
        self.is_usual
    }

    #[inline(always)]
    fn usual(self) -> Self {
        Self {
            functions: Functions::usual(self.functions.reset),
            masks_state: false,
            zones: false,
            ..self
        }
    }

    #[inline(always)]
    fn activations(&self, _: usize) -> [Activation; MAX_SUMS] {
        [Activation::Linear; MAX_SUMS]
    }

    #[inline(always)]
    fn step<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        [sum, ..]: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        let Functions {
            gates,
            candidate,
            reset,
        } = self.functions;
        let one = token.splat(E::ONE);
        if stage == 1 {
            // Reset before the product.
            let (h, r) = (unit.read(back_reset::H), unit.read(back_reset::R));
            let dr = gates.gradient(token, token.mul(sum, h), r);
            unit.write(sums_before::R, dr);
            unit.write(sums_before::RESET_H, token.mul(r, h));
            let mut added = token.mul(sum, r);
            if self.masks_state {
                added = token.mul(added, unit.read(back_reset::MASK));
            }
            let carry = unit.read(back_reset::CARRY);
            unit.write(sums_before::CARRY, token.add(carry, added));
            return;
        }
        let mut dh = sum;
        if self.masks_state {
            dh = token.mul_add(sum, unit.read(back::MASK), unit.read(back::GIVEN));
        }
        dh = token.add(dh, unit.read(back::CARRY));
        let mut carry = token.splat(E::ZERO);
        if self.zones {
            let stays = unit.read(back::STAYS);
            carry = token.mul(dh, stays);
            dh = token.mul(dh, token.sub(one, stays));
        }
        let (h, r) = (unit.read(back::H), unit.read(back::R));
        let (z, n) = (unit.read(back::Z), unit.read(back::N));
        let dz = gates.gradient(token, token.mul(dh, token.sub(h, n)), z);
        let dn = candidate.gradient(token, token.mul(dh, token.sub(one, z)), n);
        carry = token.mul_add(dh, z, carry);
        if reset == Reset::After {
            let dr = gates.gradient(token, token.mul(dn, unit.read(back::M)), r);
            unit.write(sums::R, dr);
            unit.write(sums::Z, dz);
            unit.write(sums::N, dn);
            unit.write(sums::M, token.mul(dn, r));
            unit.write(sums::CARRY, carry);
        } else {
            unit.write(sums_before::Z, dz);
            unit.write(sums_before::N, dn);
            unit.write(sums_before::CARRY, carry);
        }
    }
}
