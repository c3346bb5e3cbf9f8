//! A session's calls make no system call, in f32 and f64 on every tier. (`cbindings/tests/real_time.rs` shows it through
//! the C ABI, where there are locks to look for as well.)
#![cfg(target_os = "linux")]

mod common;

use elman::init::Initializer;
use elman::{Activation, Element, Network, RecurrentOptions, Reset, Session, Tier};

/// The signal that has ended a process which did `work` after it had given up all system calls but read, write and exit.
fn ended_by(work: impl FnOnce()) -> Option<i32> {
    // SAFETY: the child is a copy of this thread alone. It gets no further than the end of the block, and needs nothing
    // that another thread may have held: `work` neither allocates nor locks, or it would not end well.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: plain calls.
        unsafe {
            let confined = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT);
            if confined == 0 {
                work();
            }
            libc::syscall(libc::SYS_exit, confined);
        }
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(!libc::WIFEXITED(status) || libc::WEXITSTATUS(status) == 0);
    libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))
}

/// Of a run: some blocks.
const STEPS: usize = 150;

fn steps<E: Element>(tier: Tier) {
    let plain = RecurrentOptions::default();
    let before = RecurrentOptions {
        reset: Reset::Before,
        zoneout: 0.1,
        ..plain.clone()
    };
    let projected = RecurrentOptions {
        projection: 7,
        peepholes: true,
        recurrent_dropout: 0.1,
        ..plain.clone()
    };
    for layers in 1..=7 {
        let mut network = Network::<E>::with_tier(5, tier).unwrap();
        for layer in 0..layers {
            match layer {
                0 => network.add_rnn(33, Activation::Tanh).unwrap(),
                1 => network.add_dropout(0.5).unwrap(),
                2 => network.add_gru(16, &plain).unwrap(),
                3 => network.add_lstm(16, &plain).unwrap(),
                4 => network.add_gru(9, &before).unwrap(),
                5 => network.add_lstm(9, &projected).unwrap(),
                _ => network.add_dense(150, Activation::Relu).unwrap(),
            }
        }
        let initializer = Initializer::PyTorch { gain: 1.0 };
        network.initialize(initializer, 1).unwrap();
        let mut session = Session::new(&network).unwrap();
        let x = [E::ONE; 5];
        let mut y = vec![E::ZERO; network.output_size()];
        let mut state = vec![E::ZERO; network.state_size()];
        let (many, mut ys) = ([E::ONE; 5 * STEPS], vec![E::ZERO; y.len() * STEPS]);
        let ended = ended_by(|| {
            for _ in 0..20_000 {
                session.step(&x, &mut y).unwrap();
            }
            for _ in 0..100 {
                session.run(&many, STEPS, &mut ys).unwrap();
                session.state(&mut state).unwrap();
                session.reset();
                session.set_state(&state).unwrap();
            }
        });
        assert_eq!(ended, None, "{tier:?} {}, {layers} layers", E::NAME);
    }
}

#[test]
fn a_session_makes_no_system_call_on_any_tier() {
    for tier in common::tiers() {
        steps::<f32>(tier);
        steps::<f64>(tier);
    }
}

#[test]
fn a_system_call_would_have_been_noticed() {
    // SAFETY: a plain call.
    let ended = ended_by(|| unsafe {
        libc::getpid();
    });
    assert_eq!(ended, Some(libc::SIGKILL));
}
