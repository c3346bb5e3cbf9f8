//! The promise of the same bits: outputs never depend on threads, on the other rows of a batch, or on whether a sequence
//! runs whole, in chunks or step by step; gradients and trained parameters never depend on threads; fused tiers never
//! differ. `tests/chains.rs` holds every tier against scalar loops.

mod common;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use common::cases::{
    Check, Data, Results, Shape, count, hold, hold_everywhere, on_threads, order, pieces, same,
};
use common::training::RULES;
use elman::optimizer::{Optimizer, Rule};
use elman::{Activation, Element, Network, Output, Session, Tier};
use rayon::{ThreadPool, ThreadPoolBuilder};

fn threads_change_nothing<E: Element>(shape: &Shape, tier: Tier) -> Check {
    let data = shape.data::<E>();
    let alone = data.forward_backward(&mut shape.network(tier));
    let predicted = data.predict(&shape.network(tier));
    for threads in [2, 3, 8] {
        let mut network = on_threads(shape, tier, threads);
        let what = format!("{threads} threads");
        data.predict(&network).expect(&what, &predicted)?;
        data.forward_backward(&mut network).expect(&what, &alone)?;
    }
    Ok(())
}

#[test]
fn threads_change_nothing_of_a_pass() {
    hold_everywhere(
        count(1),
        threads_change_nothing::<f32>,
        threads_change_nothing::<f64>,
    );
}

/// A pool of the host's.
fn pool() -> &'static Arc<ThreadPool> {
    static POOL: OnceLock<Arc<ThreadPool>> = OnceLock::new();
    POOL.get_or_init(|| Arc::new(ThreadPoolBuilder::new().num_threads(3).build().unwrap()))
}

fn a_pool_changes_nothing<E: Element>(shape: &Shape, tier: Tier) -> Check {
    let data = shape.data::<E>();
    let alone = data.forward_backward(&mut shape.network(tier));
    let predicted = data.predict(&shape.network(tier));
    let mut network = on_threads(shape, tier, 1);
    network.set_pool(Arc::clone(pool()));
    network.set_parallel_threshold(0);
    assert_eq!(network.threads(), 3);
    data.predict(&network).expect("on a pool", &predicted)?;
    data.forward_backward(&mut network)
        .expect("on a pool", &alone)?;
    // From the pool's own threads, all of which call at the same time.
    let network = network.try_clone().unwrap();
    assert_eq!(network.threads(), 3);
    pool()
        .broadcast(|_| data.predict(&network).expect("in a pool", &predicted))
        .into_iter()
        .collect()
}

#[test]
fn a_pool_of_the_host_changes_nothing() {
    hold_everywhere(
        count(5),
        a_pool_changes_nothing::<f32>,
        a_pool_changes_nothing::<f64>,
    );
}

/// The parameters after 100 steps of training.
fn trained<E: Element>(mut network: Network<E>, data: &Data<E>, rule: Rule) -> Vec<E> {
    let mut optimizer = Optimizer::new(rule, 1e-3).unwrap();
    data.train(&mut network, &mut optimizer, 100);
    network.parameters().to_vec()
}

fn training_on_threads_changes_nothing<E: Element>(shape: &Shape, tier: Tier, rule: Rule) -> Check {
    let data = shape.data::<E>();
    let alone = trained(shape.network(tier), &data, rule);
    for threads in [2, 3, 8] {
        let parameters = trained(on_threads(shape, tier, threads), &data, rule);
        let what = format!(
            "{tier:?} {}, {rule:?}, {threads} threads: the parameters",
            E::NAME
        );
        same(what, &parameters, &alone)?;
    }
    Ok(())
}

/// The rules take turns, and so do the element types.
#[test]
fn threads_change_nothing_of_a_hundred_steps_of_training() {
    hold(count(15), |shape| {
        let (turn, rule) = (
            shape.seed as usize / RULES.len(),
            shape.seed as usize % RULES.len(),
        );
        common::tiers()
            .into_iter()
            .try_for_each(|tier| match turn % 2 {
                0 => training_on_threads_changes_nothing::<f32>(shape, tier, RULES[rule]),
                _ => training_on_threads_changes_nothing::<f64>(shape, tier, RULES[rule]),
            })
    });
}

/// Updates that find other weights packed each time, against parameters that are set.
fn an_update_is_its_rule<E: Element>(shape: &Shape, tier: Tier) -> Check {
    let data = shape.data::<E>();
    let rule = RULES[shape.seed as usize % RULES.len()];
    let optimizer = || Optimizer::new(rule, 1e-3).unwrap();
    for threads in [1, 2, 3] {
        let what = format!("{rule:?}, {threads} threads");
        let (mut network, mut other) = (on_threads(shape, tier, threads), shape.network::<E>(tier));
        let (mut updates, mut steps) = (optimizer(), optimizer());
        for round in 0..4 {
            if (shape.seed + round).is_multiple_of(2) {
                let results = data.forward_backward(&mut network);
                results.expect(&what, &data.forward_backward(&mut other))?;
            } else {
                for network in [&mut network, &mut other] {
                    data.forward(network);
                    network.backward(Some(&data.dy), None, None, None).unwrap();
                }
            }
            let mut parameters = other.parameters().to_vec();
            steps.step(&mut parameters, other.gradients()).unwrap();
            other.set_parameters(&parameters).unwrap();
            other.clear_gradients();
            network.update(&mut updates).unwrap();
            same(&what, network.parameters(), &parameters)?;
            same(&what, network.gradients(), other.gradients())?;
        }
    }
    Ok(())
}

#[test]
fn an_update_is_its_rule_and_leaves_nothing_old() {
    hold_everywhere(
        count(5),
        an_update_is_its_rule::<f32>,
        an_update_is_its_rule::<f64>,
    );
}

fn two_trainings_are_each_as_alone<E: Element>(shape: &Shape, tier: Tier) -> Check {
    let other = Shape::random(shape.seed + 1_000_000);
    let shapes = [shape, &other];
    let data = shapes.map(Shape::data::<E>);
    let train = |index: usize, threads| {
        let network = on_threads(shapes[index], tier, threads);
        trained(network, &data[index], Rule::ADAM)
    };
    let together = std::thread::scope(|scope| {
        let both = [0, 1].map(|index| scope.spawn(move || train(index, 2)));
        both.map(|thread| thread.join().unwrap())
    });
    same("the first network", &together[0], &train(0, 1))?;
    same("the second network", &together[1], &train(1, 1))
}

#[test]
fn networks_that_train_at_the_same_time_do_not_change_each_other() {
    hold_everywhere(
        count(60),
        two_trainings_are_each_as_alone::<f32>,
        two_trainings_are_each_as_alone::<f64>,
    );
}

fn fused_tiers_agree<E: Element>(shape: &Shape) -> Check {
    let data = shape.data::<E>();
    let mut first = None;
    for tier in common::tiers().into_iter().filter(|tier| tier.is_fused()) {
        let results = data.forward_backward(&mut shape.network(tier));
        let predicted = data.predict(&shape.network(tier));
        let (trained, inferred) = first.get_or_insert_with(|| (results.clone(), predicted.clone()));
        results.expect(format_args!("{tier:?} {}", E::NAME), trained)?;
        predicted.expect(format_args!("{tier:?} {}", E::NAME), inferred)?;
    }
    Ok(())
}

#[test]
fn tiers_with_fused_multiply_add_agree() {
    hold(count(1), |shape| {
        fused_tiers_agree::<f32>(shape)?;
        fused_tiers_agree::<f64>(shape)
    });
}

fn a_row_does_not_see_the_others<E: Element>(shape: &Shape, tier: Tier) -> Check {
    let (batch, data) = (shape.lengths.len(), shape.data::<E>());
    let run = |data: &Data<E>| {
        let mut network = shape.network(tier);
        let mut results = data.predict(&network);
        if !shape.has_dropout() {
            let trained = data.forward_backward(&mut network);
            same("y of training", &trained.y, &results.y).unwrap();
            results = trained;
        }
        results.gradients.clear();
        results
    };
    let whole = run(&data);
    let check = |sequences: &[usize]| {
        let results = run(&data.of_sequences(sequences));
        let expected = whole.of_sequences(sequences, batch);
        results.expect(format_args!("sequences {sequences:?}"), &expected)
    };
    for sequence in order(batch, shape.seed).into_iter().take(8) {
        check(&[sequence])?;
    }
    // Each sequence once in each place.
    if batch <= 10 {
        for first in 1..batch {
            check(&(first..batch).chain(0..first).collect::<Vec<_>>())?;
        }
    }
    for seed in 0..2 {
        let order = order(batch, shape.seed + seed);
        check(&order)?;
        check(&order[..batch.div_ceil(2)])?;
    }
    Ok(())
}

#[test]
fn a_row_is_the_same_alone_and_anywhere_in_a_batch() {
    hold_everywhere(
        count(2),
        a_row_does_not_see_the_others::<f32>,
        a_row_does_not_see_the_others::<f64>,
    );
}

/// The outputs of a sequence: one for each of its steps or the last one alone.
fn outputs_of<E: Element>(shape: &Shape, data: &Data<E>, y: &[E], sequence: usize) -> Vec<E> {
    let row = y.len() / data.batch();
    let y = &y[sequence * row..(sequence + 1) * row];
    match shape.output {
        Output::Last => y.to_vec(),
        Output::All => y[..row / data.steps * data.lengths[sequence]].to_vec(),
    }
}

/// The outputs of a session that runs some blocks of steps, in place where it can.
fn runs_of<E: Element>(session: &mut Session<E>, x: &[E], blocks: &[Range<usize>]) -> Vec<E> {
    let (inputs, outputs) = (session.input_size(), session.output_size());
    let mut all = Vec::new();
    for block in blocks {
        let x = &x[block.start * inputs..block.end * inputs];
        if inputs == outputs {
            let mut values = x.to_vec();
            session.run_in_place(&mut values, block.len()).unwrap();
            all.extend(values);
        } else {
            let mut y = vec![E::ZERO; block.len() * outputs];
            session.run(x, block.len(), &mut y).unwrap();
            all.extend(y);
        }
    }
    all
}

fn a_stream_is_the_whole<E: Element>(shape: &Shape, tier: Tier) -> Check {
    if shape.looks_ahead() {
        return Ok(());
    }
    let data = shape.data::<E>();
    let network = shape.network::<E>(tier);
    let whole = data.predict(&network);
    let (inputs, size) = (network.input_size(), network.state_size());
    let mut session = Session::new(&network).unwrap();
    for (sequence, &length) in data.lengths.iter().enumerate().take(20) {
        match &data.state {
            None => session.reset(),
            Some(state) => session
                .set_state(&state[sequence * size..][..size])
                .unwrap(),
        }
        let mut in_blocks = session.try_clone().unwrap();
        let mut streamed = Vec::new();
        let mut y = vec![E::ZERO; network.output_size()];
        for step in 0..length {
            let x = &data.x[(sequence * data.steps + step) * inputs..][..inputs];
            session.step(x, &mut y).unwrap();
            streamed.extend_from_slice(&y);
        }
        let x = &data.x[sequence * data.steps * inputs..][..length * inputs];
        let blocks = runs_of(&mut in_blocks, x, &pieces(length, shape.seed));
        same(
            format_args!("y of sequence {sequence} in blocks"),
            &blocks,
            &streamed,
        )?;
        let mut state = vec![E::ZERO; size];
        in_blocks.state(&mut state).unwrap();
        let expected = &whole.state[sequence * size..][..size];
        same(
            format_args!("state of sequence {sequence} in blocks"),
            &state,
            expected,
        )?;
        let expected = outputs_of(shape, &data, &whole.y, sequence);
        let streamed = &streamed[streamed.len() - expected.len()..];
        same(
            format_args!("y of sequence {sequence}"),
            streamed,
            &expected,
        )?;
        let mut state = vec![E::ZERO; size];
        session.state(&mut state).unwrap();
        let expected = &whole.state[sequence * size..][..size];
        same(
            format_args!("state of sequence {sequence}"),
            &state,
            expected,
        )?;
    }
    Ok(())
}

#[test]
fn a_sequence_step_by_step_is_the_whole_sequence() {
    hold_everywhere(
        count(1),
        a_stream_is_the_whole::<f32>,
        a_stream_is_the_whole::<f64>,
    );
}

/// Blocks of more steps than a session runs at a time, in place and not, whatever the network gives for a sequence.
fn a_run_is_its_steps<E: Element>(units: usize) {
    const STEPS: usize = 333;
    for tier in common::tiers() {
        for output in [Output::Last, Output::All] {
            let mut network = Network::<E>::with_tier(units, tier).unwrap();
            network.add_rnn(units + 3, Activation::Tanh).unwrap();
            network.add_dropout(0.5).unwrap();
            network.add_dense(units, Activation::Sigmoid).unwrap();
            network.add_rnn(units, Activation::Relu).unwrap();
            network.set_output(output).unwrap();
            let x = |i: usize| E::from_f64((i as f64).sin());
            let x: Vec<E> = (0..STEPS * units).map(x).collect();

            let mut session = Session::new(&network).unwrap();
            let mut expected = vec![E::ZERO; x.len()];
            for (x, y) in x.chunks(units).zip(expected.chunks_mut(units)) {
                session.step(x, y).unwrap();
            }
            let mut state = vec![E::ZERO; network.state_size()];
            session.state(&mut state).unwrap();

            let (mut y, mut in_place) = (vec![E::ONE; x.len()], x.clone());
            let mut run = Session::new(&network).unwrap();
            let mut placed = run.try_clone().unwrap();
            run.run(&[], 0, &mut []).unwrap();
            run.run(&x, STEPS, &mut y).unwrap();
            placed.run_in_place(&mut in_place, STEPS).unwrap();
            assert!(
                y == expected && in_place == expected,
                "{tier:?} {}",
                E::NAME
            );
            // A copy goes on from where its session is, which does not see it.
            let mut copy = run.try_clone().unwrap();
            copy.step(&x[..units], &mut y[..units]).unwrap();
            for session in [&run, &placed] {
                let mut found = vec![E::ZERO; state.len()];
                session.state(&mut found).unwrap();
                assert!(found == state);
            }
            session.step(&x[..units], &mut expected[..units]).unwrap();
            assert!(y[..units] == expected[..units]);
        }
    }
}

#[test]
fn a_block_of_steps_is_the_steps_one_by_one() {
    for units in [1, 17, 120] {
        a_run_is_its_steps::<f32>(units);
        a_run_is_its_steps::<f64>(units);
    }
}

#[test]
fn a_run_of_the_wrong_size_changes_nothing() {
    let mut network = Network::<f32>::new(2).unwrap();
    network.add_rnn(3, Activation::Tanh).unwrap();
    let mut session = Session::new(&network).unwrap();
    let mut y = [7.0; 12];
    let errors = [
        session.run(&[1.0; 7], 4, &mut y),
        session.run(&[1.0; 8], 4, &mut y[..11]),
        session.run(&[1.0; 8], usize::MAX, &mut y),
        session.run_in_place(&mut y[..8], 4),
    ];
    let messages = errors.map(|error| error.unwrap_err().to_string());
    assert_eq!(
        messages,
        [
            "x has 7 elements, expected 8",
            "y has 11 elements, expected 12",
            "the size of x overflows",
            "values has 8 elements, expected 12",
        ]
    );
    let mut state = [7.0; 3];
    session.state(&mut state).unwrap();
    assert_eq!((state, y), ([0.0; 3], [7.0; 12]));
}

/// Room for 64 steps of a small network, and for few of a large one.
#[test]
fn a_session_takes_little_memory() {
    let bytes = |units: usize| {
        let mut network = Network::<f32>::new(units).unwrap();
        network.add_rnn(units, Activation::Tanh).unwrap();
        Session::new(&network).unwrap().bytes()
    };
    let (small, large) = (bytes(16), bytes(1 << 12));
    assert!((64 * 32 * 4..16 << 10).contains(&small), "{small}");
    assert!((64 << 10..128 << 10).contains(&large), "{large}");
}

/// A batch in chunks of its steps, each of which starts from the states that the one before has left. Sequences drop out
/// where they end.
fn in_chunks<E: Element>(
    shape: &Shape,
    data: &Data<E>,
    mut run: impl FnMut(&Data<E>) -> Results<E>,
) -> Results<E> {
    let size = shape.state_size();
    let mut outputs = vec![Vec::new(); data.batch()];
    let mut states = vec![E::ZERO; data.batch() * size];
    if let Some(state) = &data.state {
        states.copy_from_slice(state);
    }
    for window in pieces(data.steps, shape.seed) {
        let alive = |&sequence: &usize| data.lengths[sequence] > window.start;
        let alive: Vec<usize> = (0..data.batch()).filter(alive).collect();
        if alive.is_empty() {
            break;
        }
        let state = alive.iter().flat_map(|&row| &states[row * size..][..size]);
        let state = state.copied().collect();
        let is_first = window.start == 0;
        let mut chunk = data.of_sequences(&alive).of_steps(window, state);
        if is_first && data.state.is_none() {
            // From the network's own state.
            chunk.state = None;
        }
        let results = run(&chunk);
        for (row, &sequence) in alive.iter().enumerate() {
            states[sequence * size..][..size].copy_from_slice(&results.state[row * size..][..size]);
            if shape.output == Output::Last {
                outputs[sequence].clear();
            }
            outputs[sequence].extend(outputs_of(shape, &chunk, &results.y, row));
        }
    }
    Results {
        y: outputs.concat(),
        state: states,
        ..Results::default()
    }
}

fn chunks_are_the_whole<E: Element>(shape: &Shape, tier: Tier) -> Check {
    if shape.looks_ahead() {
        return Ok(());
    }
    let data = shape.data::<E>();
    let mut network = shape.network(tier);
    let whole = |results: Results<E>| {
        let y = (0..data.batch()).map(|row| outputs_of(shape, &data, &results.y, row));
        Results {
            y: y.collect::<Vec<_>>().concat(),
            ..results
        }
    };
    let inferred = whole(data.predict(&network));
    in_chunks(shape, &data, |chunk| chunk.predict(&network)).expect("predict", &inferred)?;
    if shape.has_dropout() {
        return Ok(());
    }
    let trained = whole(data.forward(&mut network));
    in_chunks(shape, &data, |chunk| chunk.forward(&mut network)).expect("forward", &trained)?;
    trained.expect("forward", &inferred)
}

#[test]
fn a_batch_in_chunks_of_time_is_the_whole_batch() {
    hold_everywhere(
        count(1),
        chunks_are_the_whole::<f32>,
        chunks_are_the_whole::<f64>,
    );
}
