//! Several streams in one session: each has the bits that it would have alone.

use elman::init::Rng;
use elman::{
    Activation, CellActivations, Element, Error, InitialState, Network, RecurrentOptions, Result,
    Session,
};

/// Networks of every kind of layer that runs in a session.
fn networks<E: Element>() -> Result<Vec<Network<E>>> {
    let mut networks = Vec::new();
    let mut network = Network::new(3)?;
    network.add_rnn(17, Activation::Tanh)?;
    network.add_dense(2, Activation::Linear)?;
    networks.push(network);

    let mut network = Network::new(3)?;
    network.add_gru(9, &RecurrentOptions::default())?;
    network.add_layer_norm(1e-5)?;
    let options = RecurrentOptions {
        projection: 5,
        zoneout: 0.25,
        ..RecurrentOptions::default()
    };
    network.add_lstm(21, &options)?;
    network.add_concat(&[0, 3])?;
    networks.push(network);

    let mut network = Network::new(2)?;
    network.add_embedding(&[1], 7, 4)?;
    let options = RecurrentOptions {
        peepholes: true,
        initial_state: InitialState::Trainable,
        activations: [CellActivations {
            output: Activation::Softsign,
            ..CellActivations::default()
        }; 2],
        ..RecurrentOptions::default()
    };
    network.add_lstm(6, &options)?;
    network.add_activation(Activation::Relu)?;
    network.add_dense(6, Activation::Tanh)?;
    network.add_residual(2)?;
    networks.push(network);
    Ok(networks)
}

/// Inputs of a step of one stream. In networks with an embedding the last feature is an index.
fn inputs<E: Element>(network: &Network<E>, rng: &mut Rng) -> Vec<E> {
    let size = network.input_size();
    let mut x: Vec<E> = (0..size)
        .map(|_| E::from_f64(2.0 * rng.uniform() - 1.0))
        .collect();
    if size == 2 {
        x[1] = E::from_f64((7.0 * rng.uniform()).floor());
    }
    x
}

fn streams_are_independent<E: Element>() -> Result<()> {
    let mut rng = Rng::new(7);
    for network in networks::<E>()? {
        for count in [1, 2, 5, 6, 13] {
            let mut together = Session::many(&network, count)?;
            assert_eq!(together.streams(), count);
            let alone = (0..count).map(|_| Session::new(&network));
            let mut alone = alone.collect::<Result<Vec<_>>>()?;
            let (outputs, state_size) = (network.output_size(), together.state_size());
            for round in 0..6 {
                // One step, or a block of them.
                let steps = [1, 3, 1, 70, 2, 1][round];
                let x: Vec<Vec<E>> = (0..steps * count)
                    .map(|_| inputs(&network, &mut rng))
                    .collect();
                let mut y = vec![E::ZERO; steps * count * outputs];
                match steps {
                    1 => together.step(&x.concat(), &mut y)?,
                    _ => together.run(&x.concat(), steps, &mut y)?,
                }
                let mut expected = vec![E::ZERO; y.len()];
                for (row, (x, y)) in x.iter().zip(expected.chunks_mut(outputs)).enumerate() {
                    alone[row % count].step(x, y)?;
                }
                assert_eq!(y, expected, "{count} streams, round {round}");

                // The last stream starts again, and the one in the middle goes on from the state of the first.
                if round == 2 {
                    together.reset_stream(count - 1)?;
                    alone[count - 1].reset();
                    let mut state = vec![E::ZERO; state_size];
                    together.stream_state(0, &mut state)?;
                    together.set_stream_state(count / 2, &state)?;
                    alone[count / 2].set_state(&state)?;
                }
                let mut states = vec![E::ZERO; count * state_size];
                together.state(&mut states)?;
                for (stream, state) in states.chunks(state_size).enumerate() {
                    let (mut own, mut other) = (state.to_vec(), state.to_vec());
                    alone[stream].state(&mut own)?;
                    together.stream_state(stream, &mut other)?;
                    assert_eq!((&own[..], &other[..]), (state, state));
                }
                together = together.try_clone()?;
                together.set_state(&states)?;
            }
            together.reset();
            let (mut first, mut fresh) = (vec![E::ZERO; count * state_size], Vec::new());
            together.state(&mut first)?;
            for _ in 0..count {
                let mut state = vec![E::ZERO; state_size];
                Session::new(&network)?.state(&mut state)?;
                fresh.extend(state);
            }
            assert_eq!(first, fresh);
        }
    }
    Ok(())
}

#[test]
fn each_stream_has_the_bits_that_it_would_have_alone() {
    streams_are_independent::<f32>().unwrap();
    streams_are_independent::<f64>().unwrap();
}

#[test]
fn wrong_streams_are_errors_and_change_nothing() {
    let network = &networks::<f32>().unwrap()[2];
    assert_eq!(
        Session::many(network, 0).unwrap_err().to_string(),
        "streams is 0, expected at least 1"
    );
    assert!(Session::many(network, usize::MAX).is_err());
    let mut session = Session::many(network, 3).unwrap();
    let mut y = vec![0.0; 3 * network.output_size()];
    session
        .step(&[0.5, 1.0, 0.5, 2.0, 0.5, 3.0], &mut y)
        .unwrap();
    let size = session.state_size();
    let mut before = vec![0.0; 3 * size];
    session.state(&mut before).unwrap();

    let message = |result: Result<()>| result.unwrap_err().to_string();
    let mut state = vec![0.0; size];
    let expected = "stream is 3, expected less than 3";
    assert_eq!(message(session.reset_stream(3)), expected);
    assert_eq!(message(session.stream_state(3, &mut state)), expected);
    assert_eq!(message(session.set_stream_state(3, &state)), expected);
    assert!(session.stream_state(0, &mut state[1..]).is_err());
    assert!(session.set_stream_state(0, &state[1..]).is_err());
    assert!(session.set_state(&state).is_err());
    assert!(session.step(&[0.5, 1.0], &mut y).is_err());
    // The third stream's index names no class.
    let wrong = session.step(&[0.5, 1.0, 0.5, 2.0, 0.5, 7.0], &mut y);
    let Err(Error::Index {
        sequence: 2,
        step: 0,
        column: 1,
        ..
    }) = wrong
    else {
        panic!("{wrong:?}");
    };

    let mut after = vec![0.0; 3 * size];
    session.state(&mut after).unwrap();
    assert_eq!(before, after);
}
