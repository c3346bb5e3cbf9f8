//! Data sets: what goes in comes out.

use std::fmt::Write;
use std::ptr;

use elman_abi::dataset::*;
use elman_abi::loss::ELMAN_NO_LABEL;
use elman_abi::network::*;
use elman_abi::status::*;

use crate::call::{Argument, Call, Done, LIMIT, adopt, c, flushed, given, must, same, text};
use crate::network::{Model, made};
use crate::source::Source;
use crate::world::{World, few};

const COUNTS: [usize; 8] = [3, 1, 2, 4, 9, 16, 2, 5];
const LENGTHS: [usize; 8] = [1, 2, 3, 4, 2, 7, 1, 12];

/// What a network should answer.
#[derive(Clone, Debug)]
pub enum Targets {
    None,
    Classes {
        labels: Vec<usize>,
        names: Vec<String>,
        per_step: bool,
    },
    Values {
        values: Vec<f32>,
        size: usize,
        per_step: bool,
    },
}

/// What a caller knows of a data set.
#[derive(Clone, Debug)]
pub struct Content {
    pub input: usize,
    pub x: Vec<f32>,
    pub lengths: Vec<usize>,
    pub targets: Targets,
    /// Whether a file has named the classes.
    pub named: bool,
}

/// A data set and its content.
pub struct Series {
    pub handle: Box<Dataset>,
    pub content: Content,
}

impl Content {
    pub fn total_steps(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// The steps of each sequence, `[length][input]`.
    pub fn sequences(&self) -> impl Iterator<Item = &[f32]> {
        let mut rest = &self.x[..];
        self.lengths.iter().map(move |length| {
            let sequence;
            (sequence, rest) = rest.split_at(length * self.input);
            sequence
        })
    }

    /// Whether it is what a network gives and a loss takes.
    pub fn fits(&self, model: &Model, of_classes: bool) -> bool {
        let outputs = model.output_size();
        let (kind, per_step) = match &self.targets {
            Targets::None => return false,
            Targets::Classes {
                names, per_step, ..
            } => {
                let size = match &model.names {
                    Some(known) if self.named => names.iter().all(|name| known.contains(name)),
                    Some(_) => names.len() <= outputs,
                    None => names.len() == outputs,
                };
                (of_classes && size, *per_step)
            }
            Targets::Values { size, per_step, .. } => (!of_classes && *size == outputs, *per_step),
        };
        self.input == model.input && kind && per_step == (model.output == ELMAN_OUTPUT_ALL)
    }

    /// The names that a network takes over.
    pub fn own_names(&self) -> Option<&Vec<String>> {
        match &self.targets {
            Targets::Classes { names, .. } if self.named => Some(names),
            _ => None,
        }
    }

    /// The number that a network has for a class, or that of no class.
    pub fn class_of(&self, label: usize, known: Option<&Vec<String>>) -> usize {
        match (known, self.own_names()) {
            (Some(known), Some(own)) if label < own.len() => {
                let place = known.iter().position(|name| *name == own[label]);
                place.expect("names that fit")
            }
            _ => label,
        }
    }

    /// Whether all targets that there are are probabilities.
    pub fn is_probable(&self) -> bool {
        match &self.targets {
            Targets::Values { values, .. } => {
                let right = |value: &f32| value.is_nan() || (0.0..=1.0).contains(&flushed(*value));
                values.iter().all(right)
            }
            _ => true,
        }
    }

    /// Whether a `.ts` file can hold it.
    fn has_ts_form(&self) -> bool {
        match &self.targets {
            Targets::None => true,
            Targets::Classes { per_step, .. } => !per_step,
            Targets::Values { size, per_step, .. } => *size == 1 && !per_step,
        }
    }

    /// The `.ts` file that holds it, with a header of which one line is wrong.
    pub fn to_ts(&self) -> Option<String> {
        if !self.has_ts_form() {
            return None;
        }
        let mut file = format!("@seriesLength 1000000\n@dimensions {}\n", self.input);
        file += &match &self.targets {
            Targets::Classes { names, .. } => format!("@classLabel true {}\n", names.join(" ")),
            Targets::Values { .. } => "@targetLabel true\n".to_string(),
            Targets::None => "@classLabel false\n".to_string(),
        };
        file += "@data\n";
        for (index, sequence) in self.sequences().enumerate() {
            for feature in 0..self.input {
                let values = sequence[feature..].iter().step_by(self.input);
                let values: Vec<_> = values.map(|value| format!("{value:e}")).collect();
                file += if feature > 0 { ":" } else { "" };
                file += &values.join(",");
            }
            let _ = match &self.targets {
                Targets::Classes { labels, names, .. } => {
                    let name = names.get(labels[index]).map_or("", String::as_str);
                    write!(file, ":{name}")
                }
                Targets::Values { values, .. } => write!(file, ":{:e}", values[index]),
                Targets::None => Ok(()),
            };
            file.push('\n');
        }
        Some(file)
    }

    /// The data set itself.
    fn build(&self) -> Box<Dataset> {
        let mut out = ptr::null_mut();
        let (x, lengths, count) = (self.x.as_ptr(), self.lengths.as_ptr(), self.lengths.len());
        let to = &raw mut out;
        let status = match &self.targets {
            Targets::None => c!(elman_dataset_create(self.input, x, lengths, count, to)),
            Targets::Classes {
                labels,
                names,
                per_step,
            } => {
                let (labels, classes) = (labels.as_ptr(), names.len());
                let per_step = u32::from(*per_step);
                c!(elman_dataset_create_classes(
                    self.input, x, lengths, count, labels, classes, per_step, to,
                ))
            }
            Targets::Values {
                values,
                size,
                per_step,
            } => {
                let per_step = u32::from(*per_step);
                let values = values.as_ptr();
                c!(elman_dataset_create_values(
                    self.input, x, lengths, count, values, *size, per_step, to,
                ))
            }
        };
        must("a data set", status);
        adopt(out)
    }
}

impl Series {
    /// Makes sure that everything is there.
    pub fn check(&self) {
        let (dataset, content) = (Some(&*self.handle), &self.content);
        assert_eq!(elman_dataset_sequence_count(dataset), content.lengths.len());
        assert_eq!(elman_dataset_input_size(dataset), content.input);
        assert_eq!(elman_dataset_total_steps(dataset), content.total_steps());
        assert_eq!(
            Some(&elman_dataset_max_length(dataset)),
            content.lengths.iter().max()
        );
        for (index, sequence) in content.sequences().enumerate() {
            let (mut x, mut length) = (ptr::null(), 0);
            must(
                "elman_dataset_sequence",
                c!(elman_dataset_sequence(
                    dataset,
                    index,
                    &raw mut x,
                    &raw mut length
                )),
            );
            assert_eq!(length, content.lengths[index]);
            assert!(same(&given(x, length * content.input), sequence));
        }
        let (kind, classes) = match &content.targets {
            Targets::None => (ELMAN_TARGETS_NONE, 0),
            Targets::Classes {
                names,
                per_step: false,
                ..
            } => (ELMAN_TARGETS_CLASSES, names.len()),
            Targets::Classes {
                names,
                per_step: true,
                ..
            } => (ELMAN_TARGETS_STEP_CLASSES, names.len()),
            Targets::Values {
                per_step: false, ..
            } => (ELMAN_TARGETS_VALUES, 0),
            Targets::Values { per_step: true, .. } => (ELMAN_TARGETS_STEP_VALUES, 0),
        };
        assert_eq!(elman_dataset_targets(dataset), kind);
        assert_eq!(elman_dataset_class_count(dataset), classes);
    }

    pub fn destroy(self) {
        elman_dataset_destroy(Some(self.handle));
    }
}

/// Makes a data set that a network can be trained on, so that there is one.
pub fn build(world: &mut World, source: &mut Source<'_>) {
    let slot = few(source);
    build_in(world, source, slot);
}

pub fn build_in(world: &mut World, source: &mut Source<'_>, slot: usize) {
    let with = world.network_slot(source);
    let model = world.networks[with].as_ref().map(|net| net.model.clone());
    let Some(model) = model.filter(|model| model.input <= 40) else {
        return;
    };
    let lengths: Vec<_> = (0..source.pick(&COUNTS))
        .map(|_| source.pick(&LENGTHS))
        .collect();
    let steps: usize = lengths.iter().sum();
    let per_step = model.output == ELMAN_OUTPUT_ALL;
    let rows = if per_step { steps } else { lengths.len() };
    let size = model.output_size();
    let tame = |values: Vec<f32>| -> Vec<f32> {
        let tame = |value: f32| {
            if value.is_finite() {
                value.clamp(-1e9, 1e9)
            } else {
                0.5
            }
        };
        values.into_iter().map(tame).collect()
    };
    let targets = if source.rarely(2) {
        let drawn = source.floats(rows * size);
        let is_missing: Vec<_> = drawn.iter().map(|value| value.is_nan()).collect();
        let mut values = tame(drawn);
        if source.rarely(2) {
            values
                .iter_mut()
                .for_each(|value| *value = value.abs().min(1.0));
        }
        for (value, _) in { values.iter_mut() }.zip(is_missing).filter(|(_, is)| *is) {
            *value = f32::NAN;
        }
        Targets::Values {
            values,
            size,
            per_step,
        }
    } else {
        Targets::Classes {
            labels: (0..rows)
                .map(|_| match source.below(256) {
                    255 => ELMAN_NO_LABEL,
                    choice => choice % size,
                })
                .collect(),
            names: (0..size).map(|class| class.to_string()).collect(),
            per_step,
        }
    };
    let mut x = tame(source.floats(steps * model.input));
    model.put_indices(&mut x, &mut source.ahead());
    x.iter_mut()
        .filter(|value| value.is_nan())
        .for_each(|value| *value = 0.25);
    let content = Content {
        input: model.input,
        x,
        lengths,
        targets,
        named: false,
    };
    let handle = content.build();
    world.put_dataset(slot, Some(Series { handle, content }));
}

pub fn make(world: &mut World, source: &mut Source<'_>) {
    let slot = few(source);
    let kind = source.below(3);
    let name = [
        "elman_dataset_create",
        "elman_dataset_create_classes",
        "elman_dataset_create_values",
    ][kind];
    let mut call = Call::new(name, source);
    call.starve(source);
    let input = source.size(&[1, 2, 3, 2, 1, 5, 33, 2]);
    let sequences = source.size(&COUNTS);
    call.wrong(ELMAN_ERROR_ZERO_SIZE, input == 0 || sequences == 0);
    let count = call.len(&[sequences]);
    let lengths: Vec<_> = (0..count)
        .map(|_| match source.below(64) {
            62 => 0,
            63 => source.size(&[0]),
            choice => LENGTHS[choice % LENGTHS.len()],
        })
        .collect();
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, lengths.contains(&0));
    let steps = lengths
        .iter()
        .fold(0_usize, |sum, &length| sum.saturating_add(length));
    call.len(&[steps]);
    let len = call.len(&[steps, input]);
    let x = source.floats(len);
    call.wrong(
        ELMAN_ERROR_NOT_FINITE,
        !x.iter().all(|value| value.is_finite()),
    );

    let out = call.write(1);
    let from = (call.read(&x), call.read(&lengths));
    let (targets, arguments) = draw_targets(&mut call, source, kind, sequences, steps);
    let done = call.run(&mut world.record, |p| {
        let (x, lengths, out) = (p.get(from.0), p.get(from.1), p.get(out));
        match arguments {
            TargetArguments::None => c!(elman_dataset_create(input, x, lengths, sequences, out)),
            TargetArguments::Classes {
                labels,
                classes,
                per_step,
            } => c!(elman_dataset_create_classes(
                input,
                x,
                lengths,
                sequences,
                p.get(labels),
                classes,
                per_step,
                out,
            )),
            TargetArguments::Values {
                values,
                size,
                per_step,
            } => c!(elman_dataset_create_values(
                input,
                x,
                lengths,
                sequences,
                p.get(values),
                size,
                per_step,
                out,
            )),
        }
    });
    if let Some(handle) = done.and_then(|done| made(&done, out)) {
        let content = Content {
            input,
            x,
            lengths,
            targets,
            named: false,
        };
        world.put_dataset(slot, Some(Series { handle, content }));
    }
}

enum TargetArguments {
    None,
    Classes {
        labels: Argument<usize>,
        classes: usize,
        per_step: u32,
    },
    Values {
        values: Argument<f32>,
        size: usize,
        per_step: u32,
    },
}

fn draw_targets(
    call: &mut Call,
    source: &mut Source<'_>,
    kind: usize,
    sequences: usize,
    steps: usize,
) -> (Targets, TargetArguments) {
    if kind == 0 {
        return (Targets::None, TargetArguments::None);
    }
    let flag = source.constant(2);
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, flag > 1);
    let per_step = flag == 1;
    let rows = if per_step { steps } else { sequences };
    if kind == 1 {
        let classes = source.size_to_make(&[2, 1, 3, 5, 2, 1, 16, 9]);
        call.wrong(ELMAN_ERROR_ZERO_SIZE, classes == 0);
        call.wrong(ELMAN_ERROR_SIZE_OVERFLOW, classes as u128 > LIMIT);
        // Their names are more than there is memory for, or can be.
        call.wrong(ELMAN_ERROR_OUT_OF_MEMORY, classes > 1 << 20);
        let label = |source: &mut Source<'_>| match source.below(64) {
            63 => source.pick(&[classes, usize::MAX]),
            choice => choice % classes.max(1),
        };
        let labels: Vec<_> = (0..call.len(&[rows])).map(|_| label(source)).collect();
        call.wrong(
            ELMAN_ERROR_OUT_OF_RANGE,
            labels
                .iter()
                .any(|&label| label >= classes && label != ELMAN_NO_LABEL),
        );
        let arguments = TargetArguments::Classes {
            labels: call.read(&labels),
            classes,
            per_step: flag,
        };
        let names = (0..classes.min(100))
            .map(|class| class.to_string())
            .collect();
        (
            Targets::Classes {
                labels,
                names,
                per_step,
            },
            arguments,
        )
    } else {
        let size = source.size(&[1, 2, 3, 1, 5, 1, 2, 16]);
        call.wrong(ELMAN_ERROR_ZERO_SIZE, size == 0);
        let len = call.len(&[rows, size]);
        let values = source.floats(len);
        call.wrong(
            ELMAN_ERROR_NOT_FINITE,
            values.iter().any(|value| value.is_infinite()),
        );
        let arguments = TargetArguments::Values {
            values: call.read(&values),
            size,
            per_step: flag,
        };
        (
            Targets::Values {
                values,
                size,
                per_step,
            },
            arguments,
        )
    }
}

pub fn ask(world: &mut World, source: &mut Source<'_>) {
    let slot = world.dataset_slot(source);
    let series = world.datasets[slot].as_ref();
    let index = source.below(8).wrapping_sub(source.below(2));
    let content = series.map(|series| &series.content);
    let record = &mut world.record;
    match source.below(5) {
        0 => {
            let mut call = Call::new("elman_dataset_sequence", source);
            let dataset = call.handle(series.map(|series| &*series.handle));
            let count = content.map_or(0, |content| content.lengths.len());
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, index >= count);
            let x = call.write_optional(1, !source.rarely(4));
            let length = call.write_optional(1, !source.rarely(4));
            let done = call.run(record, |p| {
                c!(elman_dataset_sequence(
                    dataset,
                    index,
                    p.get(x),
                    p.get(length)
                ))
            });
            if let (Some(content), Some(done)) = (content, done.filter(Done::is_ok)) {
                let right = content.lengths[index];
                assert!(
                    done.result::<usize>(length)
                        .is_none_or(|length| length == right)
                );
                let x = done
                    .result::<*const f32>(x)
                    .map(|x| given(x, right * content.input));
                let expected = content.sequences().nth(index).unwrap_or_default();
                assert!(x.is_none_or(|x| same(&x, expected)));
            }
        }
        4 => {
            let mut call = Call::new("elman_dataset_get_note", source);
            let handle = series.map(|series| &*series.handle);
            let dataset = call.handle(handle);
            let count = handle.map_or(0, |_| elman_dataset_get_note_count(handle));
            let index = index % 2;
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, index >= count);
            let note = call.write(1);
            let done = call.run(record, |p| {
                c!(elman_dataset_get_note(dataset, index, p.get(note)))
            });
            if let Some(note) = done.filter(Done::is_ok).and_then(|done| done.result(note)) {
                assert!(text(note).starts_with("line "));
            }
        }
        1 => {
            let mut call = Call::new("elman_dataset_class_name", source);
            let dataset = call.handle(series.map(|series| &*series.handle));
            let names = match content.map(|content| &content.targets) {
                Some(Targets::Classes { names, .. }) => &names[..],
                _ => &[],
            };
            call.wrong(ELMAN_ERROR_OUT_OF_RANGE, index >= names.len());
            let name = call.write(1);
            let done = call.run(record, |p| {
                c!(elman_dataset_class_name(dataset, index, p.get(name)))
            });
            if let Some(name) = done.filter(Done::is_ok).and_then(|done| done.result(name)) {
                assert_eq!(text(name), names[index]);
            }
        }
        2 => {
            let mut call = Call::new("elman_dataset_labels", source);
            let dataset = call.handle(series.map(|series| &*series.handle));
            let right = match content.map(|content| &content.targets) {
                Some(Targets::Classes { labels, .. }) => Some(labels),
                _ => None,
            };
            call.wrong(ELMAN_ERROR_MISMATCH, right.is_none());
            let labels = call.write(1);
            let count = call.write_optional(1, !source.rarely(4));
            let done = call.run(record, |p| {
                c!(elman_dataset_labels(dataset, p.get(labels), p.get(count)))
            });
            if let (Some(right), Some(done)) = (right, done.filter(Done::is_ok)) {
                assert!(
                    done.result::<usize>(count)
                        .is_none_or(|count| count == right.len())
                );
                let labels = done.result::<*const usize>(labels);
                assert!(labels.is_some_and(|labels| given(labels, right.len()) == *right));
            }
        }
        _ => {
            let mut call = Call::new("elman_dataset_values", source);
            let dataset = call.handle(series.map(|series| &*series.handle));
            let right = match content.map(|content| &content.targets) {
                Some(Targets::Values { values, .. }) => Some(values),
                _ => None,
            };
            call.wrong(ELMAN_ERROR_MISMATCH, right.is_none());
            let values = call.write(1);
            let count = call.write_optional(1, !source.rarely(4));
            let done = call.run(record, |p| {
                c!(elman_dataset_values(dataset, p.get(values), p.get(count)))
            });
            if let (Some(right), Some(done)) = (right, done.filter(Done::is_ok)) {
                assert!(
                    done.result::<usize>(count)
                        .is_none_or(|count| count == right.len())
                );
                let values = done.result::<*const f32>(values);
                assert!(values.is_some_and(|values| same(&given(values, right.len()), right)));
            }
        }
    }
}

pub fn standardize(world: &mut World, source: &mut Source<'_>) {
    let (slot, with) = (world.network_slot(source), world.dataset_slot(source));
    let mut call = Call::new("elman_standardize", source);
    call.starve(source);
    let series = world.datasets[with].as_ref();
    let dataset = call.handle(series.map(|series| &*series.handle));
    let mut net = world.networks[slot].as_mut();
    call.handle(net.as_ref());
    if let (Some(net), Some(series)) = (&net, series) {
        call.wrong(ELMAN_ERROR_LENGTH, net.model.input != series.content.input);
    }
    let network = net.as_mut().map(|net| &mut *net.handle);
    let done = call.run(&mut world.record, |_| elman_standardize(network, dataset));
    if let (Some(net), Some(series), Some(_)) = (net, series, done.filter(Done::is_ok)) {
        net.follow("elman_standardize", |twin| {
            elman_standardize(Some(twin), dataset)
        });
        let input = net.model.input;
        let (mut mean, mut deviation) = (vec![f32::NAN; input], vec![f32::NAN; input]);
        let (to_mean, to_deviation) = (mean.as_mut_ptr(), deviation.as_mut_ptr());
        let twin = Some(&*net.twin);
        must(
            "elman_get_standardization",
            c!(elman_get_standardization(
                twin,
                to_mean,
                to_deviation,
                input
            )),
        );
        for feature in 0..input {
            let column = || series.content.x[feature..].iter().step_by(input);
            let low = column().copied().map(flushed).fold(f32::INFINITY, f32::min);
            let high = column()
                .copied()
                .map(flushed)
                .fold(f32::NEG_INFINITY, f32::max);
            assert!((low..=high).contains(&mean[feature]));
            assert!(deviation[feature] > 0.0 && (1.0 / deviation[feature]).is_finite());
            assert!(low != high || deviation[feature] == 1.0);
        }
        net.model.standardization = Some([mean, deviation]);
    }
}

/// What there is to know of no data set.
pub fn ask_nothing() {
    assert_eq!(elman_dataset_sequence_count(None), 0);
    assert_eq!(elman_dataset_input_size(None), 0);
    assert_eq!(elman_dataset_total_steps(None), 0);
    assert_eq!(elman_dataset_max_length(None), 0);
    assert_eq!(elman_dataset_targets(None), ELMAN_TARGETS_NONE);
    assert_eq!(elman_dataset_class_count(None), 0);
    assert_eq!(elman_dataset_get_note_count(None), 0);
    elman_dataset_destroy(None);
}
