//! The ready training loop, and measuring on data sets.

use std::ffi::c_void;
use std::ptr;

use elman_abi::dataset::Dataset;
use elman_abi::loss::ELMAN_NO_LABEL;
use elman_abi::network::*;
use elman_abi::optimizer::elman_optimizer_get_learning_rate;
use elman_abi::status::*;
use elman_abi::training::*;

use crate::call::{Call, Done, c, last_error, must, same, same_double};
use crate::dataset::{Content, Series, Targets};
use crate::loss::{Elementwise, class_loss, element_loss};
use crate::network::{Model, Net, gradients, made, names_of, parameters};
use crate::optimizer::{Seen, Trainer, is_not_negative};
use crate::pass::predict_one;
use crate::source::Source;
use crate::world::World;

/// What a callback does and has seen.
#[derive(Default)]
struct Watch {
    /// After so many epochs it stops.
    stop_after: usize,
    answer: u32,
    rate: Option<f64>,
    parameters: usize,
    updates: usize,
    seen: Vec<(usize, usize, [f64; 7], [usize; 2])>,
}

extern "C" fn watch(user: *mut c_void, progress: &mut Progress, network: &Network) -> u32 {
    // SAFETY: `fit` hands out a watch that nobody else uses meanwhile.
    let watch = unsafe { &mut *user.cast::<Watch>() };
    assert_eq!(
        elman_abi::parameters::elman_parameter_count(Some(network)),
        watch.parameters
    );
    let losses = [progress.loss, progress.accuracy, progress.validation_loss];
    let [loss, accuracy, validation] = losses;
    let numbers = [
        loss,
        accuracy,
        validation,
        progress.validation_accuracy,
        progress.learning_rate,
        progress.average_loss,
        progress.average_accuracy,
    ];
    let best = [progress.best_epoch, progress.average_epoch];
    watch
        .seen
        .push((progress.epoch, progress.epochs, numbers, best));
    if let Some(rate) = watch.rate {
        progress.learning_rate = rate;
    }
    if watch.seen.len() >= watch.stop_after {
        watch.answer
    } else {
        ELMAN_CONTINUE
    }
}

/// Halves every gradient.
extern "C" fn before_update(user: *mut c_void, progress: &mut BatchProgress) -> u32 {
    // SAFETY: as in `watch`.
    let watch = unsafe { &mut *user.cast::<Watch>() };
    watch.updates += 1;
    assert_eq!(progress.gradient_count, watch.parameters);
    assert!((1..=progress.epochs).contains(&progress.epoch));
    assert!((1..=progress.batches).contains(&progress.batch));
    assert!(progress.sequences > 0 && progress.steps > 0 && progress.weight >= 0.0);
    // SAFETY: the header says that there are so many gradients, for the callback alone.
    let gradients =
        unsafe { std::slice::from_raw_parts_mut(progress.gradients, progress.gradient_count) };
    gradients.iter_mut().for_each(|gradient| *gradient *= 0.5);
    ELMAN_CONTINUE
}

/// Options that a caller has filled in.
fn draw_options(source: &mut Source<'_>) -> Options {
    let options = Options {
        size: match source.below(32) {
            31 => source.size(&[0, 8]),
            _ => size_of::<Options>(),
        },
        loss: source.constant(3),
        shuffle: source.constant(2),
        seed: source.below(256) as u64,
        ignored_label: source.pick(&[ELMAN_NO_LABEL, ELMAN_NO_LABEL, 0, 1]),
        epochs: match source.below(16) {
            0..14 => 1 + source.below(3),
            14 => 0,
            _ => usize::MAX,
        },
        batch_size: source.pick(&[2, 3, 1, 16, 8, 0, usize::MAX, 1 << 40]),
        truncate: source.pick(&[0, 0, 1, 2, 3, 5, 0, usize::MAX]),
        clip_limit: source.double(&[1.0, 0.1]),
        clip: source.constant(3),
        patience: source.pick(&[0, 0, 0, 1, 2, usize::MAX]),
        min_delta: source.double(&[0.0, 0.1]),
        watch: source.constant(2),
        ..Options::default()
    };
    let mut ahead = source.ahead();
    Options {
        average: ahead.constant(2),
        reserved: u32::from(ahead.rarely(32)),
        ..options
    }
}

/// Weights of classes, sometimes, for the options to point to.
fn draw_weights(source: &mut Source<'_>, net: Option<&Net>) -> Vec<f32> {
    let outputs = net.map_or(0, |net| net.model.output_size());
    if outputs > 1000 || !source.rarely(4) {
        return Vec::new();
    }
    let weight = |value: f32| match value {
        -1e6..=1e6 => value.abs(),
        _ => value,
    };
    source.floats(outputs).into_iter().map(weight).collect()
}

/// Names what is wrong with the part of the options that measuring and training share.
fn judge_measure(
    call: &mut Call,
    options: &Options,
    weights: &[f32],
    model: Option<&Model>,
    content: Option<&Content>,
) {
    let weighs = !options.class_weights.is_null();
    let right = |weight: &f32| weight.is_finite() && *weight >= 0.0;
    call.wrong(
        ELMAN_ERROR_OUT_OF_RANGE,
        weighs && !weights.iter().all(right),
    );
    let classes = options.loss == ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY;
    call.wrong(ELMAN_ERROR_MISMATCH, weighs && !classes);
    call.wrong(ELMAN_ERROR_MISMATCH, options.size != size_of::<Options>());
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, options.loss > 2);
    call.wrong(ELMAN_ERROR_ZERO_SIZE, options.batch_size == 0);
    if let (Some(model), Some(content)) = (model, content) {
        let of_classes = options.loss == ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY;
        call.wrong(ELMAN_ERROR_MISMATCH, !content.fits(model, of_classes));
        let takes = content.input != model.input || model.takes(&content.x);
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !takes);
        let binary = options.loss == ELMAN_LOSS_BINARY_CROSS_ENTROPY;
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, binary && !content.is_probable());
    }
}

/// A cancellation that is not set, sometimes none.
fn make_cancellation(world: &mut World, source: &mut Source<'_>) -> Option<Box<Cancellation>> {
    let given = !source.rarely(16);
    let mut call = Call::new("elman_cancellation_create", source);
    call.wrong(ELMAN_ERROR_NULL, !given);
    let out = call.write_optional(1, given);
    // The call may have lost its place, too.
    let lost = given && !call.gives(out);
    call.wrong(ELMAN_ERROR_NULL, lost);
    let done = call.run(&mut world.record, |p| {
        c!(elman_cancellation_create(p.get(out)))
    });
    let cancellation = done.and_then(|done| made(&done, out));

    let cancelled = source.constant(2);
    let mut call = Call::new("elman_cancellation_set", source);
    let handle = call.handle(cancellation.as_deref());
    call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, cancelled > 1);
    call.run(&mut world.record, |_| {
        elman_cancellation_set(handle, cancelled)
    });
    if handle.is_some() {
        must("elman_cancellation_set", elman_cancellation_set(handle, 0));
    }
    cancellation
}

/// Training that is cancelled before it begins does nothing; the options are those of training that has succeeded.
fn expect_cancelled(
    net: &mut Net,
    trainer: &mut Trainer,
    dataset: Option<&Dataset>,
    options: &Options,
    cancellation: &Cancellation,
) {
    let state = |net: &mut Net| (parameters(&net.handle), gradients(&mut net.handle));
    let before = state(net);
    must(
        "elman_cancellation_set",
        elman_cancellation_set(Some(cancellation), 1),
    );
    let (network, optimizer) = (&mut *net.handle, &mut *trainer.handle);
    let status = c!(elman_fit(
        Some(network),
        dataset,
        Some(optimizer),
        ptr::from_ref(options)
    ));
    assert_eq!(status, ELMAN_ERROR_CANCELLED);
    let after = state(net);
    assert!(same(&before.0, &after.0) && same(&before.1, &after.1));
}

pub fn fit(world: &mut World, source: &mut Source<'_>) {
    let cancellation = make_cancellation(world, &mut source.ahead());
    fit_unless(world, source, cancellation.as_deref());
    elman_cancellation_destroy(cancellation);
}

fn fit_unless(world: &mut World, source: &mut Source<'_>, cancellation: Option<&Cancellation>) {
    let (slot, with) = (world.network_slot(source), world.dataset_slot(source));
    let (by, validated) = (world.optimizer_slot(source), world.dataset_slot(source));
    let mut options = draw_options(source);
    options.cancel = cancellation.map_or(ptr::null(), ptr::from_ref);
    let validation = source.rarely(3);
    let mut watches = [(); 2].map(|()| Watch::default());
    let watched = source.rarely(2) || options.epochs > 3;
    let with_options = watched || !source.rarely(16);
    let weights = draw_weights(source, world.networks[slot].as_ref());
    if !weights.is_empty() {
        options.class_weights = weights.as_ptr();
    }
    let stop_after = 1 + source.below(3);
    let answer = source.pick(&[ELMAN_STOP, 77]);
    let rate = source.rarely(3).then(|| source.double(&[0.01, 0.1, 0.0]));

    let mut call = Call::new("elman_fit", source);
    call.starve(source);
    let (mut net, series) = (world.networks[slot].as_mut(), world.datasets[with].as_ref());
    let mut trainer = world.optimizers[by].as_mut();
    call.handle(net.as_ref());
    call.handle(trainer.as_ref());
    let dataset = call.handle(series.map(|series| &*series.handle));
    let held_out = world.datasets[validated].as_ref().filter(|_| validation);
    options.validation = held_out.map_or(ptr::null(), |series| &raw const *series.handle);
    let model = net.as_ref().map(|net| net.model.clone());
    let content = series.map(|series| &series.content);
    for watch in &mut watches {
        *watch = Watch {
            stop_after,
            answer,
            rate,
            parameters: model.as_ref().map_or(0, Model::parameter_count),
            updates: 0,
            seen: Vec::new(),
        };
    }
    if watched {
        options.callback = Some(watch);
        options.batch_callback = (answer == ELMAN_STOP).then_some(before_update);
    }
    let read = if with_options {
        options
    } else {
        Options::default()
    };
    let mut own = Options {
        user: (&raw mut watches[0]).cast(),
        ..options
    };
    let given = call.structure(with_options.then_some(&mut own));
    let read = if call.gives(given) {
        read
    } else {
        Options::default()
    };
    judge_measure(&mut call, &read, &weights, model.as_ref(), content);
    // The classes have their names by then.
    let named = |model: &Model| Model {
        names: model
            .names
            .clone()
            .or_else(|| content?.own_names().cloned()),
        ..model.clone()
    };
    let named = model.as_ref().map(named);
    if let Some(held_out) = held_out.filter(|_| !read.validation.is_null()) {
        judge_measure(
            &mut call,
            &read,
            &weights,
            named.as_ref(),
            Some(&held_out.content),
        );
    }
    call.wrong(
        ELMAN_ERROR_UNKNOWN_CONSTANT,
        read.shuffle > 1 || read.clip > 2 || read.average > 1 || read.reserved > 0,
    );
    call.wrong(ELMAN_ERROR_ZERO_SIZE, read.epochs == 0);
    let limited = read.clip != ELMAN_CLIP_NONE;
    let limit = read.clip_limit.is_nan() || read.clip_limit <= 0.0;
    call.wrong(ELMAN_ERROR_OUT_OF_RANGE, limited && limit);
    if read.patience > 0 {
        call.wrong(ELMAN_ERROR_UNKNOWN_CONSTANT, read.watch > 1);
        let delta = read.min_delta >= 0.0 && read.min_delta.is_finite();
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !delta);
        let accuracy = read.watch == ELMAN_WATCH_ACCURACY;
        let of_classes = read.loss == ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY;
        call.wrong(ELMAN_ERROR_MISMATCH, accuracy && !of_classes);
    }
    let all = model
        .as_ref()
        .is_some_and(|model| model.output == ELMAN_OUTPUT_ALL);
    let ahead = model.as_ref().is_some_and(Model::looks_ahead);
    call.wrong(ELMAN_ERROR_MISMATCH, read.truncate > 0 && (!all || ahead));
    let may_train = call.is_sound();
    let is_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
    let started_finite = (net.as_ref()).is_some_and(|net| is_finite(&parameters(&net.handle)));
    call.possible(ELMAN_ERROR_NOT_FINITE, true);
    call.possible(ELMAN_ERROR_MISMATCH, true);
    let calls_back = read.callback.is_some();
    let wrong_rate = rate.is_some_and(|rate| !is_not_negative(rate));
    call.possible(ELMAN_ERROR_OUT_OF_RANGE, calls_back && wrong_rate);

    let network = net.as_mut().map(|net| &mut *net.handle);
    let optimizer = trainer.as_mut().map(|trainer| &mut *trainer.handle);
    let done = call.run(&mut world.record, |p| {
        c!(elman_fit(network, dataset, optimizer, p.get(given)))
    });
    let (Some(net), Some(trainer), Some(content), Some(done)) = (net, trainer, content, done)
    else {
        return;
    };
    let trained =
        may_train && ![ELMAN_ERROR_ALIGNMENT, ELMAN_ERROR_OVERLAP].contains(&done.status());
    if !trained {
        return;
    }
    let counted = content.counts(&read, &weights, net.model.names.as_ref());
    let names = named.and_then(|model| model.names);
    if done.status() != ELMAN_ERROR_OUT_OF_MEMORY || names_of(&net.handle) == names {
        net.model.names = names;
    }
    if done.status() == ELMAN_ERROR_OUT_OF_MEMORY {
        net.renew_twin(1);
        trainer.forget();
        trainer.adopt_rate();
        return;
    }
    let mut twins = Options {
        user: (&raw mut watches[1]).cast(),
        ..read
    };
    let twin_optimizer = Some(&mut *trainer.twin);
    let status = c!(elman_fit(
        Some(net.twin_to_train()),
        dataset,
        twin_optimizer,
        &raw mut twins,
    ));
    assert_eq!(
        status,
        done.status(),
        "training depends on the number of threads"
    );
    net.pass = None;
    expect_same_progress(&watches);
    let count = net.model.parameter_count();
    match status {
        ELMAN_OK if counted => {
            let fits =
                |known| [Seen::Nothing, Seen::Unknown, Seen::Parameters(count)].contains(&known);
            assert!(fits(trainer.seen));
            trainer.seen = Seen::Parameters(count);
        }
        ELMAN_OK => (),
        ELMAN_ERROR_MISMATCH => {
            assert!(trainer.seen != Seen::Nothing && trainer.seen != Seen::Parameters(count));
        }
        ELMAN_ERROR_NOT_FINITE => {
            // Either gradients were not finite, or an update was taken back.
            let finite = is_finite(&gradients(&mut net.handle));
            assert_eq!(
                finite,
                last_error() == "a parameter after the update is not finite"
            );
            assert!(!started_finite || is_finite(&parameters(&net.handle)));
            if trainer.seen == Seen::Nothing {
                trainer.seen = Seen::Unknown;
            }
        }
        _ => trainer.seen = Seen::Unknown,
    }
    if calls_back {
        let rates = [&trainer.handle, &trainer.twin];
        let [one, two] = rates.map(|one| elman_optimizer_get_learning_rate(Some(one)));
        assert!(same_double(one, two));
        trainer.rate = one;
    }
    let seen = &watches[0].seen;
    if status == ELMAN_OK && calls_back {
        let most = read.epochs.min(stop_after);
        let stopped = seen.len() < most && (1..=seen.len()).contains(&read.patience);
        assert!(seen.len() == most || stopped);
        let best = |epoch: &(usize, usize, [f64; 7], [usize; 2])| {
            let [best, average] = epoch.3;
            best <= epoch.0
                && average <= epoch.0
                && (best == 0 || read.patience > 0)
                && (average > 0) == (read.average == 1)
        };
        assert!(seen.iter().all(best));
        assert!(
            seen.iter()
                .enumerate()
                .all(|(index, epoch)| epoch.0 == index + 1)
        );
        assert!(rate.is_none_or(|rate| same_double(trainer.rate, rate)));
    }
    let given = cancellation.filter(|_| !read.cancel.is_null());
    if let (ELMAN_OK, Some(cancellation)) = (status, given) {
        expect_cancelled(net, trainer, dataset, &twins, cancellation);
    }
}

fn expect_same_progress([one, two]: &[Watch; 2]) {
    assert_eq!(one.seen.len(), two.seen.len());
    assert_eq!(one.updates, two.updates);
    for (one, two) in one.seen.iter().zip(&two.seen) {
        let alike = |(a, b): (&f64, &f64)| same_double(*a, *b);
        assert!(
            (one.0, one.1, one.3) == (two.0, two.1, two.3) && one.2.iter().zip(&two.2).all(alike)
        );
    }
}

impl Content {
    /// Whether anything counts for a loss.
    fn counts(&self, options: &Options, weights: &[f32], names: Option<&Vec<String>>) -> bool {
        match &self.targets {
            Targets::Classes { labels, .. } => labels.iter().any(|&label| {
                let class = self.class_of(label, names);
                class != options.ignored_label
                    && class != ELMAN_NO_LABEL
                    && weight_of(options, weights, class) > 0.0
            }),
            Targets::Values { values, .. } => values.iter().any(|value| !value.is_nan()),
            Targets::None => true,
        }
    }
}

/// What the rows of a class count for.
fn weight_of(options: &Options, weights: &[f32], class: usize) -> f64 {
    match options.class_weights.is_null() {
        true => 1.0,
        false => f64::from(weights[class]),
    }
}

pub fn init_options(world: &mut World, source: &mut Source<'_>) {
    let right = size_of::<Options>();
    let size = match source.below(4) {
        3 => source.size(&[right - 1, right + 8, 0, 4]),
        _ => right,
    };
    let mut call = Call::new("elman_fit_options_init", source);
    call.wrong(ELMAN_ERROR_MISMATCH, size != right);
    let options = call.write_structure();
    let done = call.run(&mut world.record, |p| {
        c!(elman_fit_options_init(p.get(options), size))
    });
    if let Some(done) = done.filter(Done::is_ok) {
        let options: Options = done.structure(options);
        assert_eq!(options.size, right);
        assert_eq!(
            (options.epochs, options.batch_size, options.truncate),
            (30, 16, 0)
        );
        assert_eq!((options.loss, options.shuffle, options.seed), (0, 1, 0));
        assert_eq!((options.clip, options.clip_limit), (ELMAN_CLIP_NONE, 1.0));
        assert_eq!(options.ignored_label, ELMAN_NO_LABEL);
        assert!(
            options.validation.is_null() && options.callback.is_none() && options.user.is_null()
        );
        assert!(options.class_weights.is_null());
        assert!(options.batch_callback.is_none() && options.cancel.is_null());
        assert_eq!(
            (options.patience, options.min_delta, options.watch),
            (0, 0.0, 0)
        );
        assert_eq!((options.average, options.reserved), (0, 0));
    }
}

/// The outputs of a network for each row of a data set: of each sequence by itself.
fn outputs(network: &Network, model: &Model, content: &Content) -> Vec<f32> {
    let state = model.start(&parameters(network));
    let one = |x| predict_one(network, x, &state).0;
    content.sequences().flat_map(one).collect()
}

pub fn predict(world: &mut World, source: &mut Source<'_>) {
    let (slot, with) = (world.network_slot(source), world.dataset_slot(source));
    let batch_size = source.pick(&[2, 3, 1, 16, 8, 0, usize::MAX, 1 << 40]);
    let mut call = Call::new("elman_predict_dataset", source);
    call.starve(source);
    let (net, series) = (world.networks[slot].as_ref(), world.datasets[with].as_ref());
    let network = call.handle(net.map(|net| &*net.handle));
    let dataset = call.handle(series.map(|series| &*series.handle));
    call.wrong(ELMAN_ERROR_ZERO_SIZE, batch_size == 0);
    let mut sizes = vec![1];
    if let (Some(net), Some(Series { content, .. })) = (net, series) {
        let fits = net.model.input == content.input;
        call.wrong(ELMAN_ERROR_MISMATCH, !fits);
        let takes = !fits || net.model.takes(&content.x);
        call.wrong(ELMAN_ERROR_OUT_OF_RANGE, !takes);
        let rows = match net.model.output {
            ELMAN_OUTPUT_LAST => content.lengths.len(),
            _ => content.total_steps(),
        };
        sizes = vec![rows, net.model.output_size()];
    }
    let len = call.len(&sizes);
    let y = call.write(len);
    let done = call.run(&mut world.record, |p| {
        c!(elman_predict_dataset(
            network,
            dataset,
            batch_size,
            p.get(y)
        ))
    });
    if let (Some(net), Some(series), Some(done)) = (net, series, done.filter(Done::is_ok)) {
        let expected = outputs(&net.twin, &net.model, &series.content);
        assert!(same(&done.values(y).unwrap_or_default(), &expected));
    }
}

pub fn evaluate(world: &mut World, source: &mut Source<'_>) {
    let (slot, with) = (world.network_slot(source), world.dataset_slot(source));
    let mut options = draw_options(source);
    let with_options = !source.rarely(8);
    let weights = draw_weights(source, world.networks[slot].as_ref());
    if !weights.is_empty() {
        options.class_weights = weights.as_ptr();
    }
    let mut call = Call::new("elman_evaluate", source);
    call.starve(source);
    let (net, series) = (world.networks[slot].as_ref(), world.datasets[with].as_ref());
    let network = call.handle(net.map(|net| &*net.handle));
    let dataset = call.handle(series.map(|series| &*series.handle));
    let read = options;
    let given = call.structure(with_options.then_some(&mut options));
    let read = if call.gives(given) {
        read
    } else {
        Options::default()
    };
    let content = series.map(|series| &series.content);
    judge_measure(
        &mut call,
        &read,
        &weights,
        net.map(|net| &net.model),
        content,
    );
    let classes = match content.map(|content| &content.targets) {
        Some(Targets::Classes { .. }) => net.map_or(0, |net| net.model.output_size()),
        _ => 0,
    };
    let loss = call.write_optional(1, !source.rarely(4));
    let accuracy = call.write_optional(1, !source.rarely(4));
    let cells = call.len(&[classes, classes]);
    let confusion = call.write_optional(cells, !source.rarely(4));
    let done = call.run(&mut world.record, |p| {
        let (loss, accuracy, confusion) = (p.get(loss), p.get(accuracy), p.get(confusion));
        c!(elman_evaluate(
            network,
            dataset,
            p.get(given),
            loss,
            accuracy,
            confusion
        ))
    });
    let (Some(net), Some(content), Some(done)) = (net, content, done.filter(Done::is_ok)) else {
        return;
    };
    let y = outputs(&net.twin, &net.model, content);
    let expected = Measured::of(&y, &net.model, content, &read, &weights);
    if let Some(loss) = done
        .result::<f64>(loss)
        .filter(|_| y.iter().all(|y| y.abs() <= 1e6))
    {
        let right = expected.loss;
        let close = (loss - right).abs() <= 1e-6 + 1e-4 * right.abs();
        assert!(close || right.is_infinite(), "{loss} is not {right}");
    }
    let accuracy = done.result::<f64>(accuracy);
    assert!(accuracy.is_none_or(|accuracy| same_double(accuracy, expected.accuracy)));
    assert!(
        done.values(confusion)
            .is_none_or(|confusion| confusion == expected.confusion)
    );
}

/// What a measurement should find.
struct Measured {
    loss: f64,
    accuracy: f64,
    confusion: Vec<usize>,
}

impl Measured {
    fn of(y: &[f32], model: &Model, content: &Content, options: &Options, weights: &[f32]) -> Self {
        let (mut sum, mut count, mut hits, mut rows) = (0.0, 0.0, 0.0, 0.0);
        let (width, targets) = (model.output_size(), &content.targets);
        let mut confusion = Vec::new();
        match targets {
            Targets::None => (),
            Targets::Classes { labels, .. } => {
                confusion = vec![0; width * width];
                for (row, &label) in y.chunks(width).zip(labels) {
                    let label = content.class_of(label, model.names.as_ref());
                    if [options.ignored_label, ELMAN_NO_LABEL].contains(&label) {
                        continue;
                    }
                    let first_largest =
                        |best, index| if row[index] > row[best] { index } else { best };
                    let predicted = (0..width).fold(0, first_largest);
                    confusion[label * width + predicted] += 1;
                    hits += f64::from(u8::from(predicted == label));
                    rows += 1.0;
                    let weight = weight_of(options, weights, label);
                    if weight > 0.0 {
                        sum += weight * class_loss(row, label);
                        count += weight;
                    }
                }
            }
            Targets::Values { values, .. } => {
                let kind = match options.loss {
                    ELMAN_LOSS_MEAN_SQUARED_ERROR => Elementwise::Squared,
                    _ => Elementwise::Binary,
                };
                let pairs = y.iter().zip(values);
                for (&output, &target) in pairs.filter(|(_, target)| !target.is_nan()) {
                    sum += element_loss(kind, output, target);
                    count += 1.0;
                }
            }
        }
        let has_classes = matches!(targets, Targets::Classes { .. });
        Self {
            loss: if count > 0.0 { sum / count } else { 0.0 },
            accuracy: if has_classes { hits / rows } else { f64::NAN },
            confusion,
        }
    }
}
