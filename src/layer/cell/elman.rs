//! The Elman network: h_t = f(x_t W_x + h_{t-1} W_h + b) (J. L. Elman, "Finding Structure in Time", 1990).

use super::*;

/// See the module's documentation.
#[derive(Debug)]
pub struct Elman {
    plan: CellPlan,
    activation: Activation,
    clip: f64,
    noise: Noise,
}

impl Elman {
    pub fn new(
        inputs: usize,
        units: usize,
        activation: Activation,
        options: &RecurrentOptions,
        is_reverse: bool,
    ) -> Self {
        let time = Time { is_reverse };
        let noise = Noise::new(options);
        let zones = noise.zoneout > 0.0;
        // Without options the register tile does all there is to do.
        let is_plain = !zones && !noise.masks_state && options.clip_sums == 0.0;
        let tensors = main_tensors(inputs, units, units, 1, options.bias);
        let bias = len(&tensors[..2]);

        let packs = vec![
            both_weights(0..units, 1),
            Pack::transposed(1, 0..units, false),
            Pack::transposed(0, 0..units, true),
        ];
        let shapes = shapes(&packs, &tensors);

        let stage = |is_training: bool| {
            use forward::{INPUT, KEPT, SEQUENCE, STATE};
            let masked = is_training && noise.masks_state;
            let before = if masked { units } else { 0 };
            let mut writes = vec![slot(STATE, RowOf::This, 0)];
            let mut reads = Vec::new();
            if !is_plain {
                reads.push(slot(STATE, time.before(), 0));
                let stays = slot(KEPT, RowOf::This, 0);
                reads.push(if is_training && zones {
                    stays
                } else {
                    reads[0]
                });
                if masked {
                    reads.push(slot(SEQUENCE, RowOf::Sequence, 0));
                    writes.push(slot(STATE, RowOf::This, units));
                }
            }
            let inputs = vec![
                input(INPUT, RowOf::This, 0, inputs),
                input(STATE, time.before(), before, units),
            ];
            let start = if options.bias {
                Start::Parameters(bias)
            } else {
                Start::Zero
            };
            Stage {
                weights: 0,
                pieces: vec![Piece {
                    inputs,
                    depth: 0,
                    first_sum: 0,
                    is_recurrent: true,
                }],
                starts: vec![start],
                reads,
                writes,
                fused: is_plain.then_some(Fused::Activate(activation)),
            }
        };
        let stored = vec![vec![slot(forward::STATE, RowOf::This, 0)]];
        let forward =
            [false, true].map(|training| Direct::new(vec![stage(training)], &stored, &shapes[0]));

        use backward::{DELTA, KEPT, OUTPUT, SEQUENCE, STATE};
        let delta = if zones {
            units.saturating_mul(2)
        } else {
            units
        };
        // Of a plain cell the gradients of the sums take the place of those of the outputs.
        let given = if zones { OUTPUT } else { DELTA };
        let mut reads = vec![slot(STATE, RowOf::This, 0), slot(given, RowOf::This, 0)];
        let mut writes = vec![slot(DELTA, RowOf::This, 0)];
        if !is_plain {
            let none = reads[0];
            reads.push(if noise.masks_state {
                slot(SEQUENCE, RowOf::Sequence, 0)
            } else {
                none
            });
            if zones {
                reads.push(slot(KEPT, RowOf::This, 0));
                reads.push(slot(DELTA, time.behind(), units));
                writes.push(slot(DELTA, RowOf::This, units));
            }
        }
        let backward = Stage {
            weights: 0,
            pieces: vec![Piece {
                inputs: vec![input(DELTA, time.behind(), 0, units)],
                depth: 0,
                first_sum: 0,
                is_recurrent: true,
            }],
            starts: vec![if noise.masks_state {
                Start::Zero
            } else {
                Start::Read(1)
            }],
            reads,
            writes,
            fused: is_plain.then_some(Fused::TimesDerivative(activation)),
        };
        let masked = if noise.masks_state { units } else { 0 };
        let mut masks = Vec::new();
        if noise.masks_state {
            masks.push(state_mask(options, units, 0));
        }
        if zones {
            masks.push(stay_mask(noise.zoneout, units, 0));
        }
        let product = |tensor, left| GradientProduct {
            tensor,
            columns: 0..units,
            delta: 0,
            left,
        };
        let plan = CellPlan {
            inputs,
            outputs: units,
            state: units,
            state_row: units.saturating_add(masked),
            kept: if zones { units } else { 0 },
            sequence: masked,
            delta,
            packs,
            input_pack: 1,
            forward,
            backward: Stages::new(vec![backward], &shapes[1]),
            carries: Vec::from_iter(zones.then_some(Carry {
                delta: units,
                width: units,
                state: None,
            })),
            masked_state: noise.masks_state.then_some((units, 0)),
            masks,
            products: vec![product(0, Left::Input), product(1, time.left(0, masked))],
            sums: Vec::from_iter(options.bias.then_some(GradientSum {
                tensor: 2,
                delta: 0,
                times: None,
            })),
            tensors,
        };
        Self {
            plan,
            activation,
            clip: options.clip_sums,
            noise,
        }
    }
}

impl<E: Element> Cell<E> for Elman {
    type Forward<'a> = Forward<E>;
    type Backward<'a> = Backward<E>;

    fn plan(&self) -> &CellPlan {
        &self.plan
    }

    fn forward(&self, _: &[E], is_training: bool) -> Forward<E> {
        Forward {
            function: Clipped::new(self.activation, self.clip),
            masks_state: is_training && self.noise.masks_state,
            zoneout: Zoneout::new(self.noise.zoneout, is_training),
        }
    }

    fn backward(&self, _: &[E]) -> Backward<E> {
        Backward {
            function: Clipped::new(self.activation, self.clip),
            masks_state: self.noise.masks_state,
            zones: self.noise.zoneout > 0.0,
        }
    }
}

/// Of a cell with options: h_{t-1}, which units stay, the mask of h.
#[derive(Debug)]
pub struct Forward<E> {
    function: Clipped<E>,
    masks_state: bool,
    zoneout: Zoneout<E>,
}

impl<E: Element> Units<E> for Forward<E> {
    type Usual = Self;
    const HAS_USUAL: bool = false;

    #[inline(always)]
    fn apply<S: Math<E>>(
        &self,
        token: S,
        _: usize,
        [sum, ..]: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        let mut h = self.function.value(token, sum);
        h = self
            .zoneout
            .apply(token, || unit.read(1), || unit.read(0), h);
        unit.write(0, h);
        if self.masks_state {
            unit.write(1, token.mul(h, unit.read(2)));
        }
    }
}

/// The same backward: h, the gradient of h, the mask of h, which units stay, what the step behind has left.
#[derive(Debug)]
pub struct Backward<E> {
    function: Clipped<E>,
    masks_state: bool,
    zones: bool,
}

impl<E: Element> Units<E> for Backward<E> {
    type Usual = Self;
    const HAS_USUAL: bool = false;
    const IS_FORWARD: bool = false;

    #[inline(always)]
    fn apply<S: Math<E>>(
        &self,
        token: S,
        _: usize,
        [sum, ..]: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        let mut dh = sum;
        if self.masks_state {
            dh = token.mul_add(sum, unit.read(2), unit.read(1));
        }
        if self.zones {
            // Where a unit stays, h is not the function's value; its gradient is 0 then.
            let stays = unit.read(3);
            dh = token.add(dh, unit.read(4));
            unit.write(1, token.mul(dh, stays));
            dh = token.mul(dh, token.sub(token.splat(E::ONE), stays));
        }
        unit.write(0, self.function.gradient(token, dh, unit.read(0)));
    }
}
