//! Products of which each needs the rows that the one before it has computed: the time loop of a recurrent layer.
//!
//! Several threads may run it together. Each computes some columns of every step, whose part of `B` stays in its own
//! second-level cache, and waits before each step until the others have done the one before.

use std::ops::Range;
use std::slice;

use crate::Element;
use crate::kernels::pack::Packed;
use crate::kernels::product::{Epilogue, Operands, Segment, SumStart, Sweep, operations};
use crate::layout::Layout;
use crate::parallel::{Crew, Member};
use crate::simd::{Kernel, Math, Tier};

/// The products `C_t = epilogue(start + X_t B_1 + C_{t-1} B_2)` with `B_1` above `B_2` in one matrix, where all `C_t` are
/// rows of one buffer.
#[derive(Debug)]
pub struct Recurrence<'a, E: Element> {
    /// The rows of all `X_t`, if there are any.
    pub x: Option<Segment<'a, E>>,
    /// The right operand.
    pub b: &'a Packed<E>,
    /// The k of `b` that the first k meets.
    pub b_depth: usize,
    /// See [`SumStart`].
    pub start: SumStart<'a, E>,
    /// See [`Epilogue`]. Values are rows like those of `x`.
    pub epilogue: Epilogue<'a, E>,
    /// All `C_t`.
    pub c: &'a mut [E],
    /// From one row of `c` to the next.
    pub c_stride: usize,
    /// Number of k of `C_{t-1}`.
    pub depth: usize,
}

/// The steps of a window of a layout, one after the other. `C` has one row for each sequence, which the first of them starts
/// from, and behind these the rows of the window.
///
/// They follow from the layout alone, each time that they are asked for: so what has been checked is what is run.
#[derive(Clone, Debug)]
pub struct TimeSteps<'a> {
    layout: &'a Layout,
    window: Range<usize>,
    backwards: bool,
}

/// Where the rows of a step are, by the indices of the first ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeStep {
    /// Number of rows.
    pub rows: usize,
    /// `C_{t-1}` in `c`.
    pub previous: usize,
    /// `C_t` in `c`.
    pub next: usize,
    /// `X_t` in `x`, or the values in those of the epilogue.
    pub beside: usize,
}

impl<'a> TimeSteps<'a> {
    /// From the first step of a window to the last one: each starts from the step before it.
    ///
    /// # Panics
    /// Where the layout has no such steps.
    pub fn forwards(layout: &'a Layout, window: Range<usize>) -> Self {
        Self::new(layout, window, false)
    }

    /// From the last step of a window to the first one: each starts from the step after it, as far as that has rows.
    ///
    /// # Panics
    /// As [`Self::forwards`].
    pub fn backwards(layout: &'a Layout, window: Range<usize>) -> Self {
        Self::new(layout, window, true)
    }

    fn new(layout: &'a Layout, window: Range<usize>, backwards: bool) -> Self {
        assert!(window.start <= window.end && window.end <= layout.steps());
        Self {
            layout,
            window,
            backwards,
        }
    }

    fn len(&self) -> usize {
        self.window.len()
    }

    /// The `index`-th of them.
    #[inline(always)]
    fn get(&self, index: usize) -> TimeStep {
        let Self {
            layout, ref window, ..
        } = *self;
        let beside = |step| layout.offset(step) - layout.offset(window.start);
        let row = |step| layout.batch() + beside(step);
        let (step, rows, before) = if self.backwards {
            let step = window.end - 1 - index;
            (step, layout.rows(step + 1), step + 1)
        } else {
            let step = window.start + index;
            (step, layout.rows(step), step.wrapping_sub(1))
        };
        TimeStep {
            rows,
            previous: if index == 0 { 0 } else { row(before) },
            next: row(step),
            beside: beside(step),
        }
    }
}

/// Floating-point operations of a step from which it is worth more than one thread: some 1.2 microseconds for one. Steps of
/// 131 000 (one row, H 256) take two threads 0.57 of one thread's time.
const STEP_WORTH_THREADS: usize = 100_000;

/// Whether steps of so many rows, k and columns are worth more than one thread.
pub fn is_worth_sharing(rows: usize, depth: usize, columns: usize) -> bool {
    operations(rows, depth, columns) >= STEP_WORTH_THREADS
}

impl<'a, E: Element> Recurrence<'a, E> {
    /// Computes the steps, on the threads of a crew if they are worth it.
    ///
    /// # Panics
    /// Where an operand is shorter than the steps say, or `b` is packed for a tier whose panels have another width.
    pub fn run(mut self, tier: Tier, crew: Crew<'_>, steps: &TimeSteps<'_>) {
        let mut most = 0;
        for index in 0..steps.len() {
            let step = steps.get(index);
            self.check(&step);
            most = most.max(step.rows);
        }
        let depth = self.depth + self.x.map_or(0, |x| x.depth);
        let columns = self.b.columns();
        let crew = if is_worth_sharing(most, depth, columns) {
            crew
        } else {
            Crew::ALONE
        };
        let c = std::mem::take(&mut self.c).as_mut_ptr();
        let shared = &CheckedRecurrence {
            recurrence: &self,
            c,
        };
        crew.together(&|member| {
            tier.run(Loop {
                shared,
                steps,
                member,
            });
        });
    }

    /// Panics unless all that a step reads and writes lies inside the operands, and what it writes is not what it reads.
    pub(super) fn check(&self, step: &TimeStep) {
        let TimeStep {
            rows,
            previous,
            next,
            beside,
        } = *step;
        if rows == 0 {
            return;
        }
        let columns = self.b.columns();
        let reach = |row: usize, stride: usize, width: usize| {
            let last = row.saturating_add(rows - 1);
            last.saturating_mul(stride).saturating_add(width)
        };
        assert!(previous.saturating_add(rows) <= next || next.saturating_add(rows) <= previous);
        assert!(self.c_stride >= self.depth.max(columns));
        assert!(reach(previous, self.c_stride, self.depth) <= self.c.len());
        assert!(reach(next, self.c_stride, columns) <= self.c.len());
        let mut depth = self.b_depth.saturating_add(self.depth);
        if let Some(x) = self.x {
            assert!(x.origin == 0 && x.depth_stride == 1);
            assert!(reach(beside, x.row_stride, x.depth) <= x.data.len());
            depth = depth.saturating_add(x.depth);
        }
        assert!(depth <= self.b.depth());
        if let SumStart::Row(row) = self.start {
            assert!(row.len() >= columns);
        }
        if let Epilogue::TimesDerivative { values, stride, .. } = self.epilogue {
            assert!(reach(beside, stride, columns) <= values.len());
        }
    }
}

/// A recurrence whose steps have been checked, as its threads see it.
struct CheckedRecurrence<'a, 'b, E: Element> {
    /// All but `c`, which has been taken out.
    recurrence: &'b Recurrence<'a, E>,
    c: *mut E,
}

// SAFETY: all but `c` is only read. Between two waits all threads are at the same step: there they read the rows of
// `C_{t-1}`, which nobody writes, and each writes its own columns of `C_t`, which nobody else touches.
unsafe impl<E: Element> Sync for CheckedRecurrence<'_, '_, E> {}

/// The part of a recurrence that one thread runs.
struct Loop<'a, 'b, E: Element> {
    shared: &'b CheckedRecurrence<'a, 'b, E>,
    steps: &'b TimeSteps<'b>,
    member: Member<'b>,
}

impl<E: Element> Kernel<E> for Loop<'_, '_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Math<E>>(mut self, token: S) {
        let CheckedRecurrence { recurrence, c } = *self.shared;
        let (stride, depth) = (recurrence.c_stride, recurrence.depth);
        let columns = recurrence
            .b
            .columns_of(self.member.index, self.member.count);
        for index in 0..self.steps.len() {
            let step = self.steps.get(index);
            if index > 0 {
                self.member.wait();
            }
            if step.rows > 0 && !columns.is_empty() {
                // SAFETY: `Recurrence::check` has passed every step of these, and all threads are at this one (see
                // `CheckedRecurrence`).
                let (previous, c) = unsafe {
                    let len = (step.rows - 1) * stride + depth;
                    let previous = slice::from_raw_parts(c.add(step.previous * stride), len);
                    (previous, c.add(step.next * stride))
                };
                let previous = Segment::rows(previous, stride, depth);
                let (both, alone);
                let a = match recurrence.x {
                    Some(x) => {
                        let data = &x.data[step.beside * x.row_stride..];
                        both = [Segment { data, ..x }, previous];
                        &both[..]
                    }
                    None => {
                        alone = [previous];
                        &alone[..]
                    }
                };
                let operands = Operands {
                    rows: step.rows,
                    a,
                    b: recurrence.b,
                    b_depth: recurrence.b_depth,
                    start: recurrence.start,
                    epilogue: recurrence.epilogue.at_row(step.beside),
                    c,
                    c_stride: stride,
                };
                Sweep {
                    operands: &operands,
                    columns: columns.clone(),
                }
                .run(token);
            }
        }
    }
}
