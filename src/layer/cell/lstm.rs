//! Long short-term memory (S. Hochreiter and J. Schmidhuber 1997, with the forget gate of F. Gers and others 2000):
//! i, f, o = s(a), g = tanh(a), c_t = f∘c_{t-1} + i∘g, h_t = o∘tanh(c_t), where a = x_t W_x + h_{t-1} W_h + b.
//!
//! With peepholes i and f also see p_i∘c_{t-1} and p_f∘c_{t-1}, and o sees p_o∘c_t. Coupled, f is 1 - i and has no weights.
//! With a projection, h_t is (o∘tanh(c_t)) R: a second product, of m = o∘tanh(c_t), which a sequence has once.
//!
//! Gates lie as i, f, g, o; tanh(c) and m are computed again in the backward pass.

use super::*;

/// See the module's documentation.
#[derive(Debug)]
pub struct Lstm {
    plan: CellPlan,
    gates: Activation,
    candidate: Activation,
    output: Activation,
    clip_sums: f64,
    clip_state: f64,
    noise: Noise,
    coupled: bool,
    projects: bool,
    units: usize,
    /// Index of the first peephole among the parameters.
    peepholes: Option<usize>,
    /// Whether it is PyTorch's cell, with or without projection.
    is_usual: bool,
}

/// What the stage of the gates reads forward, by index.
mod reads {
    pub const C: usize = 0;
    pub const H: usize = 1;
    pub const STAYS: usize = 2;
    pub const CELL_STAYS: usize = 3;
    pub const MASK: usize = 4;
}

/// What it writes: the output (h, or m to be projected), c, the gates, and h masked.
mod writes {
    pub const OUTPUT: usize = 0;
    pub const C: usize = 1;
    pub const I: usize = 2;
    pub const F: usize = 3;
    pub const G: usize = 4;
    pub const O: usize = 5;
    pub const MASKED: usize = 6;
}

/// What the stage of the gates reads backward, by index.
mod back {
    pub const GIVEN: usize = 0;
    pub const DC: usize = 1;
    pub const I: usize = 2;
    pub const F: usize = 3;
    pub const G: usize = 4;
    pub const O: usize = 5;
    pub const OLD: usize = 6;
    pub const C: usize = 7;
    pub const CELL_STAYS: usize = 8;
    /// Those of the gradient of h, in the stage that makes it.
    pub const STAYS: usize = 9;
    pub const DH: usize = 10;
    pub const MASK: usize = 11;
}

/// What it writes: the gradients of the sums of i, f, g and o, that of c, and m or what is added to the gradient of h.
mod sums {
    pub const I: usize = 0;
    pub const F: usize = 1;
    pub const G: usize = 2;
    pub const O: usize = 3;
    pub const DC: usize = 4;
    pub const REST: usize = 5;
}

impl Lstm {
    pub fn new(inputs: usize, units: usize, options: &RecurrentOptions, is_reverse: bool) -> Self {
        let noise = Noise::new(options);
        let time = Time { is_reverse };
        let projects = options.projection > 0;
        let outputs = if projects { options.projection } else { units };
        let coupled = options.coupled;
        let gates = if coupled { 3 } else { 4 };
        let of = |count: usize| units.saturating_mul(count);
        // Where a gate lies among the gates; a coupled f, which has none, where i does.
        let [i, f, g, o] = if coupled { [0, 0, 1, 2] } else { [0, 1, 2, 3] };

        let mut tensors = main_tensors(inputs, outputs, units, gates, options.bias);
        let bias = len(&tensors[..2]);
        let mut peepholes = None;
        if options.peepholes {
            peepholes = Some((tensors.len(), len(&tensors)));
            tensors.push(Tensor::new(TensorRole::Peephole, gates - 1, units));
        }
        let projection = tensors.len();
        if projects {
            tensors.push(Tensor::new(TensorRole::Projection, units, outputs));
        }

        let (zones, zones_cell) = (noise.zoneout > 0.0, noise.zoneout_cell > 0.0);
        let masked = if noise.masks_state { outputs } else { 0 };
        // A row of states: h, c, h masked. What is kept: the gates, which units of h stay, and of c. What a sequence has once:
        // the mask of h, and m.
        let (c, masked_h) = (outputs, outputs.saturating_add(units));
        let stays = of(gates);
        let cell_stays = stays.saturating_add(if zones { outputs } else { 0 });
        let kept = cell_stays.saturating_add(if zones_cell { units } else { 0 });
        let sequence = masked.saturating_add(if projects { units } else { 0 });

        let mut packs = vec![both_weights(0..of(gates), gates)];
        if projects {
            packs.push(Pack {
                parts: vec![PackPart {
                    tensor: projection,
                    columns: 0..outputs,
                    first_group: 0,
                }],
                groups: 1,
                is_transposed: false,
                meets_input: false,
            });
        }
        packs.push(Pack::transposed(1, 0..of(gates), false));
        if projects {
            packs.push(Pack::transposed(projection, 0..outputs, false));
        }
        packs.push(Pack::transposed(0, 0..of(gates), true));
        let shapes = shapes(&packs, &tensors);

        let stages = |is_training: bool| {
            use forward::{INPUT, KEPT, SEQUENCE, STATE};
            let masks = is_training && noise.masks_state;
            let before = if masks { masked_h } else { 0 };
            let keep = |first: usize| slot(KEPT, RowOf::This, first);
            let old_c = slot(STATE, time.before(), c);
            let old_h = slot(STATE, time.before(), 0);
            let or_old = |there: bool, slot: Slot| if there { slot } else { old_h };
            let h = slot(STATE, RowOf::This, 0);
            let m = slot(SEQUENCE, RowOf::Sequence, masked);
            let mask = or_old(masks, slot(SEQUENCE, RowOf::Sequence, 0));
            let stays = or_old(is_training && zones, keep(stays));
            let cell_stays = if is_training && zones_cell {
                keep(cell_stays)
            } else {
                old_c
            };
            let ends = Vec::from_iter(masks.then_some(slot(STATE, RowOf::This, masked_h)));
            let start = |gate: usize| {
                if options.bias {
                    Start::Parameters(bias.saturating_add(of(gate)))
                } else {
                    Start::Zero
                }
            };
            let piece = |inputs| Piece {
                inputs,
                depth: 0,
                first_sum: 0,
                is_recurrent: true,
            };
            let mut first = Stage {
                weights: 0,
                pieces: vec![piece(vec![
                    input(INPUT, RowOf::This, 0, inputs),
                    input(STATE, time.before(), before, outputs),
                ])],
                starts: (0..gates).map(start).collect(),
                reads: vec![old_c],
                writes: vec![if projects { m } else { h }, slot(STATE, RowOf::This, c)],
                fused: None,
            };
            first.writes.extend([i, f, g, o].map(|gate| keep(of(gate))));
            if coupled {
                // It is not written: o again, so that no slot is named twice.
                first.writes.remove(writes::F);
            }
            if !is_training {
                first.writes.truncate(writes::I);
            }
            let has_noise = zones || zones_cell || masks;
            if !projects {
                if has_noise {
                    first.reads.extend([old_h, stays, cell_stays, mask]);
                    first.writes.extend(ends);
                }
                return vec![first];
            }
            if has_noise {
                first.reads.extend([old_c, old_c, cell_stays]);
            }
            let is_plain = !zones && !masks;
            let mut ends_of_h = vec![h];
            ends_of_h.extend(ends);
            vec![
                first,
                Stage {
                    weights: 1,
                    pieces: vec![piece(vec![input(SEQUENCE, RowOf::Sequence, masked, units)])],
                    starts: vec![Start::Zero],
                    reads: vec![old_h, stays, mask],
                    writes: ends_of_h,
                    fused: is_plain.then_some(Fused::Activate(Activation::Linear)),
                },
            ]
        };
        let keep = |gate: usize| slot(forward::KEPT, RowOf::This, of(gate));
        let stored = [(0..gates).map(keep).collect(), Vec::new()];
        let forward =
            [false, true].map(|training| Direct::new(stages(training), &stored, &shapes[0]));

        // A row of gradients: the sums, that of c, what is added to that of h, that of h, m.
        let dc = of(gates);
        let carried = dc.saturating_add(units);
        let dh = carried.saturating_add(if zones { outputs } else { 0 });
        let m = dh.saturating_add(if projects { outputs } else { 0 });
        let delta = m.saturating_add(if projects { units } else { 0 });
        let backward = {
            use backward::{DELTA, KEPT, OUTPUT, SEQUENCE, STATE};
            let keep = |first: usize| slot(KEPT, RowOf::This, first);
            let gate = |gate: usize| keep(of(gate));
            let this = |first: usize| slot(DELTA, RowOf::This, first);
            let given = slot(OUTPUT, RowOf::This, 0);
            let crossing = slot(DELTA, time.behind(), dc);
            let stays = if zones { keep(stays) } else { given };
            let h_behind = if zones {
                slot(DELTA, time.behind(), carried)
            } else {
                given
            };
            let mask = if noise.masks_state {
                slot(SEQUENCE, RowOf::Sequence, 0)
            } else {
                given
            };
            let piece = |input, is_recurrent| Piece {
                inputs: vec![input],
                depth: 0,
                first_sum: 0,
                is_recurrent,
            };
            let recurrent = piece(input(DELTA, time.behind(), 0, of(gates)), true);
            let start = if noise.masks_state {
                Start::Zero
            } else {
                Start::Read(0)
            };
            let mut gates_stage = Stage {
                weights: 0,
                pieces: vec![recurrent.clone()],
                starts: vec![start],
                reads: vec![
                    given,
                    crossing,
                    gate(i),
                    gate(f),
                    gate(g),
                    gate(o),
                    slot(STATE, time.before(), c),
                    slot(STATE, RowOf::This, c),
                ],
                writes: Vec::from_iter((0..gates).map(|gate| this(of(gate)))),
                fused: None,
            };
            gates_stage.writes.push(this(dc));
            let has_noise = zones || zones_cell || noise.masks_state;
            if has_noise {
                gates_stage.reads.push(if zones_cell {
                    keep(cell_stays)
                } else {
                    gate(i)
                });
            }
            if projects {
                gates_stage.weights = 1;
                gates_stage.pieces = vec![piece(input(DELTA, RowOf::This, dh, outputs), false)];
                gates_stage.starts = vec![Start::Zero];
                // The outputs may be fewer than the units.
                gates_stage.reads[back::GIVEN] = gate(i);
                gates_stage.writes.push(this(m));
                let is_plain = !zones && !noise.masks_state;
                let mut writes = vec![this(dh)];
                if zones {
                    writes.push(this(carried));
                }
                vec![
                    Stage {
                        weights: 0,
                        pieces: vec![recurrent],
                        starts: vec![start],
                        reads: vec![given, stays, h_behind, mask],
                        writes,
                        fused: is_plain.then_some(Fused::Activate(Activation::Linear)),
                    },
                    gates_stage,
                ]
            } else {
                if has_noise {
                    gates_stage.reads.extend([stays, h_behind, mask]);
                }
                if zones {
                    gates_stage.writes.push(this(carried));
                }
                vec![gates_stage]
            }
        };

        let product = |tensor, columns: usize, delta, left| GradientProduct {
            tensor,
            columns: 0..columns,
            delta,
            left,
        };
        let before = if noise.masks_state { masked_h } else { 0 };
        let mut products = vec![
            product(0, of(gates), 0, Left::Input),
            product(1, of(gates), 0, time.left(0, before)),
        ];
        if projects {
            products.push(product(projection, outputs, dh, Left::Delta(1, m)));
        }
        let mut gradient_sums = Vec::new();
        if options.bias {
            gradient_sums.push(GradientSum {
                tensor: 2,
                delta: 0,
                times: None,
            });
        }
        if let Some((tensor, _)) = peepholes {
            let (old, new) = (time.left(0, c), Left::This(0, c));
            let mut times = vec![(of(i), old)];
            if !coupled {
                times.push((of(f), old));
            }
            times.push((of(o), new));
            gradient_sums.push(GradientSum {
                tensor,
                delta: 0,
                times: Some(times),
            });
        }
        let mut masks = Vec::new();
        if noise.masks_state {
            masks.push(state_mask(options, outputs, 0));
        }
        if zones {
            masks.push(stay_mask(noise.zoneout, outputs, stays));
        }
        if zones_cell {
            masks.push(stay_mask(noise.zoneout_cell, units, cell_stays));
        }
        let mut carries = vec![Carry {
            delta: dc,
            width: units,
            state: Some(outputs),
        }];
        if zones {
            carries.push(Carry {
                delta: carried,
                width: outputs,
                state: None,
            });
        }
        let plan = CellPlan {
            inputs,
            outputs,
            state: masked_h,
            state_row: masked_h.saturating_add(masked),
            kept,
            sequence,
            delta,
            packs,
            input_pack: if projects { 2 } else { 1 },
            forward,
            backward: Stages::new(backward, &shapes[1]),
            carries,
            masked_state: noise.masks_state.then_some((masked_h, 0)),
            masks,
            products,
            sums: gradient_sums,
            tensors,
        };
        let activations =
            options.activations[usize::from(is_reverse && options.is_bidirectional())];
        let is_usual = activations.gates == Activation::Sigmoid
            && activations.candidate == Activation::Tanh
            && activations.output == Activation::Tanh
            && options.clip_sums == 0.0
            && options.clip_state == 0.0
            && (noise.zoneout, noise.zoneout_cell) == (0.0, 0.0)
            && !noise.masks_state
            && !coupled
            && peepholes.is_none();
        Self {
            plan,
            gates: activations.gates,
            candidate: activations.candidate,
            output: activations.output,
            clip_sums: options.clip_sums,
            clip_state: options.clip_state,
            noise,
            coupled,
            projects,
            units,
            peepholes: peepholes.map(|(_, first)| first),
            is_usual,
        }
    }

    fn functions<E: Element>(&self) -> Functions<E> {
        Functions {
            gates: Clipped::new(self.gates, self.clip_sums),
            candidate: Clipped::new(self.candidate, self.clip_sums),
            output: self.output,
            clip: (self.clip_state > 0.0).then(|| E::from_f64(self.clip_state)),
        }
    }

    /// The rows p_i, p_f (that of i again where it is coupled) and p_o.
    fn peepholes<'a, E>(&self, parameters: &'a [E]) -> Option<[&'a [E]; 3]> {
        let row = |first: usize, row: usize| &parameters[first + row * self.units..][..self.units];
        let last = if self.coupled { 1 } else { 2 };
        self.peepholes
            .map(|first| [row(first, 0), row(first, last - 1), row(first, last)])
    }
}

impl<E: Element> Cell<E> for Lstm {
    type Forward<'a> = AnyOptions<Forward<'a, E>>;
    type Backward<'a> = AnyOptions<Backward<'a, E>>;

    fn plan(&self) -> &CellPlan {
        &self.plan
    }

    fn forward<'a>(&'a self, parameters: &'a [E], is_training: bool) -> Self::Forward<'a> {
        // A stream comes here at every step.
        if self.is_usual {
            return AnyOptions(Forward::plain(is_training, self.projects));
        }
        AnyOptions(Forward {
            is_usual: false,
            is_training,
            functions: self.functions(),
            coupled: self.coupled,
            projects: self.projects,
            peepholes: self.peepholes(parameters),
            masks_state: is_training && self.noise.masks_state,
            zoneout: Zoneout::new(self.noise.zoneout, is_training),
            zoneout_cell: Zoneout::new(self.noise.zoneout_cell, is_training),
        })
    }

    fn backward<'a>(&'a self, parameters: &'a [E]) -> Self::Backward<'a> {
        AnyOptions(Backward {
            is_usual: self.is_usual,
            functions: self.functions(),
            coupled: self.coupled,
            projects: self.projects,
            peepholes: self.peepholes(parameters),
            masks_state: self.noise.masks_state,
            zones: self.noise.zoneout > 0.0,
            zones_cell: self.noise.zoneout_cell > 0.0,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Functions<E> {
    gates: Clipped<E>,
    candidate: Clipped<E>,
    output: Activation,
    /// Of c.
    clip: Option<E>,
}

impl<E: Element> Functions<E> {
    /// PyTorch's.
    #[inline(always)]
    fn usual() -> Self {
        Self {
            gates: Clipped::unlimited(Activation::Sigmoid),
            candidate: Clipped::unlimited(Activation::Tanh),
            output: Activation::Tanh,
            clip: None,
        }
    }
}

/// What the cell makes of sums.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a, E> {
    is_usual: bool,
    is_training: bool,
    functions: Functions<E>,
    coupled: bool,
    projects: bool,
    peepholes: Option<[&'a [E]; 3]>,
    masks_state: bool,
    zoneout: Zoneout<E>,
    zoneout_cell: Zoneout<E>,
}

impl<E: Element> Gated<E> for Forward<'_, E> {
    const SUMS: Option<(usize, usize)> = Some((4, 4));
    const IS_FORWARD: bool = true;

    fn is_usual(&self) -> bool {
        self.is_usual
    }

    #[inline(always)]
    fn usual(self) -> Self {
        Self::plain(self.is_training, self.projects)
    }

    #[inline(always)]
    fn activations(&self, _: usize) -> [Activation; MAX_SUMS] {
        use Activation::{Sigmoid, Tanh};
        [Sigmoid, Sigmoid, Tanh, Sigmoid]
    }

    #[inline(always)]
    fn step<S: Math<E>>(
        &self,
        token: S,
        stage: usize,
        sums: [S::Vector; MAX_SUMS],
        unit: &Unit<'_, E, S>,
    ) {
        if stage == 0 {
            return self.gates(token, sums, unit);
        }
        // The projection.
        let h = self
            .zoneout
            .apply(token, || unit.read(1), || unit.read(0), sums[0]);
        unit.write(0, h);
        if self.masks_state {
            unit.write(1, token.mul(h, unit.read(2)));
        }
    }
}

impl<E: Element> Forward<'_, E> {
    /// PyTorch's cell, whose sums arrive as their values.
    #[inline(always)]
    fn plain(is_training: bool, projects: bool) -> Self {
        Self {
            is_usual: true,
            is_training,
            functions: Functions {
                gates: Clipped::NONE,
                candidate: Clipped::NONE,
                ..Functions::usual()
            },
            coupled: false,
            projects,
            peepholes: None,
            masks_state: false,
            zoneout: Zoneout::Off,
            zoneout_cell: Zoneout::Off,
        }
    }

    #[inline(always)]
    fn gates<S: Math<E>>(&self, token: S, sums: [S::Vector; MAX_SUMS], unit: &Unit<'_, E, S>) {
        let functions = &self.functions;
        let [mut i, mut f, g, mut o] = if self.coupled {
            [sums[0], sums[0], sums[1], sums[2]]
        } else {
            sums
        };
        let old = unit.read(reads::C);
        if let Some([p_i, p_f, _]) = self.peepholes {
            i = token.mul_add(unit.parameter(p_i), old, i);
            f = token.mul_add(unit.parameter(p_f), old, f);
        }
        let i = functions.gates.value(token, i);
        let g = functions.candidate.value(token, g);
        let f = if self.coupled {
            token.sub(token.splat(E::ONE), i)
        } else {
            functions.gates.value(token, f)
        };
        let new = clip(
            token,
            functions.clip,
            token.mul_add(f, old, token.mul(i, g)),
        );
        let c = self
            .zoneout_cell
            .apply(token, || unit.read(reads::CELL_STAYS), || old, new);
        unit.write(writes::C, c);
        if let Some([.., p_o]) = self.peepholes {
            o = token.mul_add(unit.parameter(p_o), c, o);
        }
        let o = functions.gates.value(token, o);
        let m = token.mul(o, activate(token, functions.output, new));
        // A coupled f is not kept; what follows it has moved up.
        let up = usize::from(self.coupled);
        if self.is_training {
            unit.write(writes::I, i);
            if !self.coupled {
                unit.write(writes::F, f);
            }
            unit.write(writes::G - up, g);
            unit.write(writes::O - up, o);
        }
        if self.projects {
            unit.write(writes::OUTPUT, m);
            return;
        }
        let h = self
            .zoneout
            .apply(token, || unit.read(reads::STAYS), || unit.read(reads::H), m);
        unit.write(writes::OUTPUT, h);
        if self.masks_state {
            unit.write(writes::MASKED - up, token.mul(h, unit.read(reads::MASK)));
        }
    }
}

/// The same backward.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a, E> {
    is_usual: bool,
    functions: Functions<E>,
    coupled: bool,
    projects: bool,
    peepholes: Option<[&'a [E]; 3]>,
    masks_state: bool,
    zones: bool,
    zones_cell: bool,
}

impl<E: Element> Gated<E> for Backward<'_, E> {
    const IS_FORWARD: bool = false;

    fn is_usual(&self) -> bool {
        self.is_usual
    }

    #[inline(always)]
    fn usual(self) -> Self {
        Self {
            functions: Functions::usual(),
            coupled: false,
            peepholes: None,
            masks_state: false,
            zones: false,
            zones_cell: false,
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
        if !self.projects {
            let (dh, carried) = self.of_output(
                token,
                sum,
                [back::GIVEN, back::STAYS, back::DH, back::MASK],
                unit,
            );
            if let Some(carried) = carried {
                // Behind the gradients of the sums, which are one fewer where f has none, and that of c.
                unit.write(sums::REST - usize::from(self.coupled), carried);
            }
            self.gates(token, dh, unit);
        } else if stage == 0 {
            let (dh, carried) = self.of_output(token, sum, [0, 1, 2, 3], unit);
            unit.write(0, dh);
            if let Some(carried) = carried {
                unit.write(1, carried);
            }
        } else {
            self.gates(token, sum, unit);
        }
    }
}

impl<E: Element> Backward<'_, E> {
    /// The gradient of h before some of it stays as it was, and what the step before adds to its own, given that of the
    /// products and where the other parts of it are.
    #[inline(always)]
    fn of_output<S: Math<E>>(
        &self,
        token: S,
        sum: S::Vector,
        [given, stays, behind, mask]: [usize; 4],
        unit: &Unit<'_, E, S>,
    ) -> (S::Vector, Option<S::Vector>) {
        let mut dh = sum;
        if self.masks_state {
            dh = token.mul_add(sum, unit.read(mask), unit.read(given));
        }
        if !self.zones {
            return (dh, None);
        }
        let stays = unit.read(stays);
        dh = token.add(dh, unit.read(behind));
        let moves = token.sub(token.splat(E::ONE), stays);
        (token.mul(dh, moves), Some(token.mul(dh, stays)))
    }

    /// Given the gradient of o∘tanh(c).
    #[inline(always)]
    fn gates<S: Math<E>>(&self, token: S, dm: S::Vector, unit: &Unit<'_, E, S>) {
        let functions = &self.functions;
        let one = token.splat(E::ONE);
        let (i, g, o) = (unit.read(back::I), unit.read(back::G), unit.read(back::O));
        let f = if self.coupled {
            token.sub(one, i)
        } else {
            unit.read(back::F)
        };
        let old = unit.read(back::OLD);
        // Before some of it stayed as it was.
        let new = if self.zones_cell {
            clip(
                token,
                functions.clip,
                token.mul_add(f, old, token.mul(i, g)),
            )
        } else {
            unit.read(back::C)
        };
        let squashed = activate(token, functions.output, new);
        let d_o = functions.gates.gradient(token, token.mul(dm, squashed), o);
        let mut dc = unit.read(back::DC);
        if let Some([.., p_o]) = self.peepholes {
            dc = token.mul_add(d_o, unit.parameter(p_o), dc);
        }
        let mut stayed = None;
        if self.zones_cell {
            let stays = unit.read(back::CELL_STAYS);
            stayed = Some(token.mul(dc, stays));
            dc = token.mul(dc, token.sub(one, stays));
        }
        let through = times_derivative(token, functions.output, token.mul(dm, o), squashed);
        dc = token.add(dc, through);
        if let Some(limit) = functions.clip {
            // At the limit c does not follow its sum.
            let zero = token.splat(E::ZERO);
            let below = token.select(token.less(new, token.splat(limit)), dc, zero);
            dc = token.select(token.less(token.splat(-limit), new), below, zero);
        }
        let d_g = functions.candidate.gradient(token, token.mul(dc, i), g);
        let mut back = token.mul(dc, f);
        let up = usize::from(self.coupled);
        if self.coupled {
            let d_i = functions
                .gates
                .gradient(token, token.mul(dc, token.sub(g, old)), i);
            unit.write(sums::I, d_i);
            if let Some([p_i, ..]) = self.peepholes {
                back = token.mul_add(d_i, unit.parameter(p_i), back);
            }
        } else {
            let d_i = functions.gates.gradient(token, token.mul(dc, g), i);
            let d_f = functions.gates.gradient(token, token.mul(dc, old), f);
            unit.write(sums::I, d_i);
            unit.write(sums::F, d_f);
            if let Some([p_i, p_f, _]) = self.peepholes {
                back = token.mul_add(d_i, unit.parameter(p_i), back);
                back = token.mul_add(d_f, unit.parameter(p_f), back);
            }
        }
        if let Some(stayed) = stayed {
            back = token.add(back, stayed);
        }
        unit.write(sums::G - up, d_g);
        unit.write(sums::O - up, d_o);
        unit.write(sums::DC - up, back);
        if self.projects {
            unit.write(sums::REST - up, token.mul(o, squashed));
        }
    }
}
