use super::*;
use TensorRole::*;

const ROLES: [TensorRole; 5] = [
    InputWeight,
    RecurrentWeight,
    RecurrentBias,
    DenseWeight,
    DenseBias,
];
const SHAPES: [[usize; 2]; 6] = [[1, 1], [1, 9], [9, 1], [12, 12], [5, 12], [12, 5]];

fn filled<E: Element>(
    initializer: Initializer,
    role: TensorRole,
    [fan_in, units]: [usize; 2],
) -> Vec<E> {
    let rows = if matches!(role, RecurrentBias | DenseBias) {
        1
    } else {
        fan_in
    };
    let mut values = vec![E::from_f64(f64::NAN); rows * units];
    let mut rng = Rng::new(7);
    fill(initializer, role, fan_in, units, &mut values, &mut rng).unwrap();
    values
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, v| v.abs().max(largest))
}

/// Numbers of an independent implementation of ChaCha and of what is derived from it.
#[test]
fn a_seed_gives_these_numbers_everywhere() {
    let mut rng = Rng::new(42);
    let uniforms = [(); 3].map(|()| rng.uniform());
    assert_eq!(
        uniforms,
        [0.3482544685480763, 0.28569857126296205, 0.4934724642416646]
    );

    let mut rng = Rng::new(42);
    let normals = [(); 4].map(|()| rng.normal());
    assert_eq!(
        normals,
        [
            -0.9275235774675061,
            -1.3098878493272126,
            -0.11381776897809498,
            -2.303504011020978
        ]
    );

    let mut indices: Vec<usize> = (0..10).collect();
    shuffle(&mut indices, &mut Rng::new(42));
    assert_eq!(indices, [7, 6, 5, 1, 0, 4, 8, 9, 2, 3]);
}

#[test]
fn uniform_and_normal_numbers_have_their_moments() {
    let mut rng = Rng::new(1);
    let uniforms: Vec<f64> = (0..100_000).map(|_| rng.uniform()).collect();
    assert!(uniforms.iter().all(|u| (0.0..1.0).contains(u)));
    let (mean, deviation) = mean_and_deviation(&uniforms);
    assert!((mean - 0.5).abs() < 0.005 && (deviation - 12_f64.sqrt().recip()).abs() < 0.005);

    let normals: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
    let (mean, deviation) = mean_and_deviation(&normals);
    assert!(mean.abs() < 0.02 && (deviation - 1.0).abs() < 0.02);
    for (bound, share) in [(1.0, 0.6827), (2.0, 0.9545), (3.0, 0.9973)] {
        let within = normals.iter().filter(|n| n.abs() < bound).count();
        assert!((within as f64 / 1e5 - share).abs() < 0.006);
    }
}

#[test]
fn schemes_have_the_scale_of_their_source() {
    let shape = [150, 250];
    let (he, glorot) = ((2.0_f64 / 150.0).sqrt(), (2.0_f64 / 400.0).sqrt());
    let normal = [
        (Initializer::Gaussian { sigma: 0.3 }, 0.3),
        (Initializer::HeNormal { gain: 2.0 }, 2.0 * he),
        (Initializer::GlorotNormal { gain: 0.5 }, 0.5 * glorot),
    ];
    let to_bound = 3_f64.sqrt();
    let uniform = [
        (
            Initializer::HeUniform { gain: 2.0 },
            2.0 * he * to_bound,
            DenseWeight,
        ),
        (
            Initializer::GlorotUniform { gain: 0.5 },
            0.5 * glorot * to_bound,
            InputWeight,
        ),
        (
            Initializer::PyTorch { gain: 3.0 },
            3.0 / 250_f64.sqrt(),
            InputWeight,
        ),
        (
            Initializer::PyTorch { gain: 3.0 },
            3.0 / 150_f64.sqrt(),
            DenseWeight,
        ),
        (
            Initializer::Orthogonal { gain: 3.0 },
            glorot * to_bound,
            InputWeight,
        ),
        (
            Initializer::Identity { scale: 3.0 },
            glorot * to_bound,
            DenseWeight,
        ),
    ];
    for (initializer, sigma) in normal {
        let values = filled::<f64>(initializer, InputWeight, shape);
        let (mean, deviation) = mean_and_deviation(&values);
        assert!(mean.abs() < 0.02 * sigma, "{initializer:?}");
        assert!((deviation / sigma - 1.0).abs() < 0.02, "{initializer:?}");
        assert!(largest(&values) > 3.0 * sigma, "{initializer:?}");
    }
    for (initializer, bound, role) in uniform {
        let values = filled::<f64>(initializer, role, shape);
        let (mean, deviation) = mean_and_deviation(&values);
        assert!(mean.abs() < 0.02 * bound, "{initializer:?}");
        assert!(
            (deviation * to_bound / bound - 1.0).abs() < 0.02,
            "{initializer:?}"
        );
        assert!(
            (0.999..=1.0).contains(&(largest(&values) / bound)),
            "{initializer:?}"
        );
    }
}

#[test]
fn biases_are_zero_unless_the_scheme_fills_them() {
    let shape = [16, 400];
    for role in [RecurrentBias, DenseBias] {
        for initializer in [
            Initializer::Gaussian { sigma: 1.0 },
            Initializer::HeNormal { gain: 1.0 },
            Initializer::HeUniform { gain: 1.0 },
            Initializer::GlorotNormal { gain: 1.0 },
            Initializer::GlorotUniform { gain: 1.0 },
            Initializer::Orthogonal { gain: 1.0 },
            Initializer::Identity { scale: 1.0 },
        ] {
            assert_eq!(filled::<f32>(initializer, role, shape), [0.0; 400]);
        }
        let constant = Initializer::Constant { value: -0.5 };
        assert_eq!(filled::<f32>(constant, role, shape), [-0.5; 400]);
    }
    let pytorch = Initializer::PyTorch { gain: 1.0 };
    for (role, bound) in [(RecurrentBias, 0.05), (DenseBias, 0.25)] {
        let values = filled::<f64>(pytorch, role, shape);
        assert!((0.95..=1.0).contains(&(largest(&values) / bound)));
    }
}

#[test]
fn orthogonal_weights_are_orthonormal_in_every_shape() {
    let gain = 1.5;
    for [rows, columns] in SHAPES.into_iter().chain([[97, 97]]) {
        let w: Vec<f64> = filled(
            Initializer::Orthogonal { gain },
            RecurrentWeight,
            [rows, columns],
        );
        let (count, len) = (rows.min(columns), rows.max(columns));
        let element = |vector: usize, i: usize| {
            if rows <= columns {
                w[vector * columns + i]
            } else {
                w[i * columns + vector]
            }
        };
        for a in 0..count {
            for b in 0..count {
                let product: f64 = (0..len).map(|i| element(a, i) * element(b, i)).sum();
                let expected = if a == b { gain * gain } else { 0.0 };
                assert!((product - expected).abs() < 1e-12, "{rows} x {columns}");
            }
        }
    }
}

/// Among so many small matrices are some whose second vector lies within 1e-5 of the first.
#[test]
fn nearly_dependent_vectors_become_orthogonal_all_the_same() {
    let mut rng = Rng::new(4);
    let mut w = [0.0_f64; 4];
    for _ in 0..300_000 {
        let orthogonal = Initializer::Orthogonal { gain: 1.0 };
        fill(orthogonal, RecurrentWeight, 2, 2, &mut w, &mut rng).unwrap();
        assert!((w[0] * w[2] + w[1] * w[3]).abs() < 1e-14);
    }
}

/// The sign convention: without it, an entry on the diagonal would not have mean 0 over many matrices.
#[test]
fn orthogonal_matrices_prefer_no_direction() {
    let mut rng = Rng::new(3);
    let mut sums = [0.0; 9];
    let mut squares = [0.0; 9];
    for _ in 0..4000 {
        let mut w = [0.0_f64; 9];
        let orthogonal = Initializer::Orthogonal { gain: 1.0 };
        fill(orthogonal, RecurrentWeight, 3, 3, &mut w, &mut rng).unwrap();
        for i in 0..9 {
            sums[i] += w[i] / 4000.0;
            squares[i] += w[i] * w[i] / 4000.0;
        }
    }
    for i in 0..9 {
        assert!(sums[i].abs() < 0.04 && (squares[i] - 1.0 / 3.0).abs() < 0.02);
    }
}

#[test]
fn identity_weights_have_the_scale_on_the_diagonal_only() {
    for [rows, columns] in SHAPES {
        let identity = Initializer::Identity { scale: -0.5 };
        let w: Vec<f32> = filled(identity, RecurrentWeight, [rows, columns]);
        for (at, &value) in w.iter().enumerate() {
            let diagonal = at / columns == at % columns;
            assert_eq!(value, if diagonal { -0.5 } else { 0.0 });
        }
    }
}

#[test]
fn both_element_types_get_the_same_values() {
    for initializer in [
        Initializer::Gaussian { sigma: 0.1 },
        Initializer::Constant { value: 0.1 },
        Initializer::HeNormal { gain: 1.1 },
        Initializer::GlorotUniform { gain: 1.1 },
        Initializer::PyTorch { gain: 1.1 },
        Initializer::Orthogonal { gain: 1.1 },
        Initializer::Keras { gain: 1.1 },
        Initializer::Identity { scale: 1.1 },
    ] {
        for role in ROLES {
            for shape in SHAPES {
                let double: Vec<f64> = filled(initializer, role, shape);
                let single: Vec<f32> = filled(initializer, role, shape);
                assert!(single.iter().zip(double).all(|(&s, d)| s == d as f32));
            }
        }
    }
}

#[test]
fn numbers_out_of_range_and_wrong_sizes_change_nothing() {
    let refused = [
        ("sigma", Initializer::Gaussian { sigma: -1.0 }),
        ("value", Initializer::Constant { value: f64::NAN }),
        ("gain", Initializer::HeNormal { gain: -1.0 }),
        ("gain", Initializer::HeUniform { gain: f64::NAN }),
        ("gain", Initializer::GlorotNormal { gain: 1e39 }),
        (
            "gain",
            Initializer::GlorotUniform {
                gain: f64::INFINITY,
            },
        ),
        ("gain", Initializer::PyTorch { gain: -0.1 }),
        ("gain", Initializer::Orthogonal { gain: -1.0 }),
        ("scale", Initializer::Identity { scale: 1e39 }),
    ];
    let mut rng = Rng::new(5);
    let mut values = [0.25_f32; 6];
    for (argument, initializer) in refused {
        match fill(initializer, InputWeight, 2, 3, &mut values, &mut rng) {
            Err(Error::OutOfRange { name, .. }) => assert_eq!(name, argument),
            other => panic!("{initializer:?}: {other:?}"),
        }
    }
    let initializer = Initializer::Gaussian { sigma: 1.0 };
    let mut attempt =
        |role, fan_in, units| fill(initializer, role, fan_in, units, &mut values, &mut rng);
    assert!(matches!(
        attempt(InputWeight, 3, 3),
        Err(Error::Length {
            name: "values",
            actual: 6,
            expected: 9
        })
    ));
    assert!(matches!(
        attempt(DenseBias, 6, 1),
        Err(Error::Length { expected: 1, .. })
    ));
    assert!(matches!(
        attempt(InputWeight, 0, 6),
        Err(Error::ZeroSize { name: "fan_in" })
    ));
    assert!(matches!(
        attempt(DenseBias, 6, 0),
        Err(Error::ZeroSize { name: "units" })
    ));
    assert!(matches!(
        attempt(RecurrentWeight, usize::MAX, 2),
        Err(Error::SizeOverflow { .. })
    ));
    assert_eq!(values, [0.25; 6]);
    assert_eq!(rng.uniform(), Rng::new(5).uniform());
}

#[test]
fn shuffled_indices_are_a_fair_permutation() {
    let mut rng = Rng::new(9);
    let mut places = [[0_u32; 4]; 4];
    for _ in 0..8000 {
        let mut indices = [0, 1, 2, 3];
        shuffle(&mut indices, &mut rng);
        for (place, &index) in indices.iter().enumerate() {
            places[index][place] += 1;
        }
    }
    assert!((places.as_flattened().iter()).all(|&count| count.abs_diff(2000) < 160));
    shuffle(&mut [], &mut rng);
}
