"""The estimators: scikit-learn's own checks, collections of all forms, and what is around them."""

import pickle

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import elman

mpl.use("Agg")

# What a forecaster does with [steps] on purpose: it is one series.
ONE_SERIES = "a one-dimensional X is one series, which a forecaster is for"
EXPECTED_FAILURES = {
    elman.Forecaster: {"check_fit1d": ONE_SERIES, "check_fit2d_predict1d": ONE_SERIES},
}


@parametrize_with_checks(
    [elman.SequenceClassifier(), elman.SequenceRegressor(), elman.SequenceTagger(), elman.Forecaster()],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES.get(type(estimator), {}),
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def quick(kind, **options):
    return kind(units=8, epochs=20, learning_rate=0.02, random_state=1, **options)


# Collections


def collections(random):
    """The same sequences in all forms, with the layout that each one needs."""
    x = random.standard_normal((6, 5, 2)).astype(np.float32)
    channels = x.transpose(0, 2, 1)
    nested = pd.DataFrame({f"f{k}": [pd.Series(case[:, k]) for case in x] for k in range(2)})
    index = pd.MultiIndex.from_product([range(6), range(5)], names=["case", "time"])
    long = pd.DataFrame(x.reshape(-1, 2), index=index)
    ragged = np.empty(6, dtype=object)
    ragged[:] = list(x)
    return x, {
        "array": (x, "steps_features"),
        "float64": (x.astype(np.float64), "steps_features"),
        "list": (list(x), "steps_features"),
        "list of lists": (x.tolist(), "steps_features"),
        "array of arrays": (ragged, "steps_features"),
        "frames": ([pd.DataFrame(case) for case in x], "channels_steps"),
        "aeon's numpy3D": (channels, "channels_steps"),
        "aeon's np-list": (list(channels), "channels_steps"),
        "sktime's nested_univ": (nested, "steps_features"),
        "sktime's pd-multiindex": (long, "channels_steps"),
        "a shuffled multi-index": (
            long.sample(frac=1, random_state=1).sort_index(level=0, sort_remaining=False),
            "steps_features",
        ),
    }


def test_collections_of_all_forms_are_the_same_sequences(random):
    x, forms = collections(random)
    y = np.arange(6) % 2
    expected = quick(elman.SequenceClassifier).fit(x, y).predict_proba(x)
    for name, (collection, layout) in forms.items():
        classifier = quick(elman.SequenceClassifier, layout=layout).fit(collection, y)
        assert np.array_equal(classifier.predict_proba(collection), expected), name
        assert classifier.n_features_in_ == 2, name


def test_tables_and_lists_of_one_feature(random):
    x = random.standard_normal((8, 6))
    y = x.sum(axis=1)
    expected = quick(elman.SequenceRegressor).fit(x, y).predict(x)
    for name, form in {"3-D": x[:, :, None], "list": [row for row in x], "lists": x.tolist(), "frame": pd.DataFrame(x)}.items():
        assert np.array_equal(quick(elman.SequenceRegressor).fit(form, y).predict(form), expected), name
    frame = pd.DataFrame(x, columns=[f"t{k}" for k in range(6)])
    assert quick(elman.SequenceRegressor).fit(frame, y).feature_names_in_.tolist() == list(frame.columns)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([], "0 sequences|minimum of 1"),
        ([np.zeros((2, 2)), np.zeros((0, 2))], "sequence 1 of X is empty"),
        ([np.zeros((2, 2)), np.array([[0.0, np.nan]])], "NaN or infinity, first in sequence 1"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], "sequence 1 has 3 features"),
        (np.zeros((2, 3, 4, 5)), "shape|dim"),
        ([["a", "b"], ["c", "d"]], "could not convert|numeric"),
        (np.zeros((3, 4)), "inconsistent"),
    ],
)
def test_wrong_sequences_are_errors(x, message):
    with pytest.raises(ValueError, match=message):
        quick(elman.SequenceClassifier).fit(x, [0, 1])


def test_other_features_than_in_fit_are_an_error(random):
    classifier = quick(elman.SequenceClassifier).fit(random.standard_normal((4, 5, 2)), [0, 1, 0, 1])
    assert classifier.predict(random.standard_normal((3, 9, 2))).shape == (3,), "other lengths are none"
    with pytest.raises(ValueError, match="X has 3 features a step, but SequenceClassifier is expecting 2"):
        classifier.predict(random.standard_normal((3, 5, 3)))
    with pytest.raises(ValueError, match="layout"):
        quick(elman.SequenceClassifier, layout="nope").fit(np.zeros((2, 2, 2)), [0, 1])


def test_aeons_layout_is_not_guessed(random):
    """[n, channels, steps] without the layout has other features: with the layout it has aeon's."""
    x = random.standard_normal((4, 2, 30))
    assert quick(elman.SequenceClassifier).fit(x, [0, 1, 0, 1]).n_features_in_ == 30
    assert quick(elman.SequenceClassifier, layout="channels_steps").fit(x, [0, 1, 0, 1]).n_features_in_ == 2


# What they learn


def test_japanese_vowels(vowels):
    (x, y), (x_test, y_test) = vowels
    classifier = elman.SequenceClassifier(units=32, direction="bidirectional", epochs=60, random_state=1)
    classifier.fit(x, y)
    assert classifier.score(x_test, y_test) > 0.95
    assert classifier.network_.class_names == [str(number) for number in range(1, 10)]
    assert {"loss", "accuracy", "validation_loss", "validation_accuracy"} <= set(classifier.history_)
    assert 1 <= classifier.best_epoch_ <= classifier.n_iter_ == len(classifier.history_["loss"]) <= 60
    assert np.allclose(classifier.predict_proba(x_test).sum(axis=1), 1, atol=1e-6)


def test_threads_and_pickles_change_nothing(rises):
    x, y = rises
    one = quick(elman.SequenceClassifier).fit(x, y)
    all_cores = quick(elman.SequenceClassifier, n_jobs=-1).fit(x, y)
    assert np.array_equal(one.predict_proba(x), all_cores.predict_proba(x))
    assert np.array_equal(pickle.loads(pickle.dumps(one)).predict_proba(x), one.predict_proba(x))
    assert clone(one).get_params() == one.get_params()
    assert not np.array_equal(
        one.predict_proba(x), quick(elman.SequenceClassifier).set_params(random_state=2).fit(x, y).predict_proba(x)
    )


def test_pipelines_searches_and_cross_validation(rises):
    x, y = rises
    pipeline = make_pipeline(StandardScaler(), quick(elman.SequenceClassifier))
    assert cross_val_score(pipeline, x, y, cv=3).mean() > 0.9
    search = GridSearchCV(pipeline, {"sequenceclassifier__cell": ["gru", "rnn"]}, cv=2).fit(x, y)
    assert search.best_score_ > 0.9
    ragged = [row[: 4 + index % 5, None] for index, row in enumerate(x)]
    assert cross_val_score(quick(elman.SequenceClassifier), ragged, y, cv=3).mean() > 0.9
    differences = FunctionTransformer(lambda sequences: [np.diff(one, axis=0) for one in sequences])
    assert make_pipeline(differences, quick(elman.SequenceClassifier)).fit(ragged, y).score(ragged, y) > 0.9
    assert cross_val_score(quick(elman.SequenceClassifier), x[:, :, None], y, cv=KFold(2), n_jobs=2).mean() > 0.9


def test_class_weights_count():
    # All sequences are the same: a network can learn how frequent classes are, and no more.
    x = np.ones((60, 4))
    y = np.array(["rare", *["common"] * 9] * 6)
    for weight, expected in [(None, 0.1), ("balanced", 0.5), ({"rare": 9}, 0.5), ({"rare": 3}, 0.25)]:
        classifier = quick(elman.SequenceClassifier, class_weight=weight, batch_size=60).set_params(epochs=60).fit(x, y)
        assert abs(classifier.predict_proba(x)[0, 1] - expected) < 0.05, weight


def test_early_stopping_gives_the_best_epoch(rises):
    x, y = rises
    noisy = np.where(np.random.default_rng(1).random(40) < 0.3, 1 - y, y)
    classifier = elman.SequenceClassifier(early_stopping=True, validation_fraction=0.3, patience=5, random_state=1).fit(x, noisy)
    losses = classifier.history_["validation_loss"]
    assert classifier.n_iter_ == len(losses) < 200
    assert classifier.best_epoch_ == int(np.argmin(losses)) + 1 == classifier.n_iter_ - 5
    assert "validation_loss" not in quick(elman.SequenceClassifier, early_stopping=False).fit(x, y).history_


def test_the_best_of_several_networks_is_taken(rises):
    x, y = rises
    noisy = np.where(np.random.default_rng(1).random(40) < 0.3, 1 - y, y)

    def fit(**options):
        return elman.SequenceClassifier(units=8, epochs=5, random_state=1, **options).fit(x, noisy)

    def loss(classifier):
        return classifier.history_["validation_loss"][classifier.best_epoch_ - 1]

    each = [fit(n_init=1, learning_rate=rate, early_stopping=True) for rate in (0.003, 0.01, 0.001)]
    best = min(each, key=loss)
    three = fit(n_init=3)
    assert three.learning_rate_ == best.learning_rate_ and loss(three) == loss(best)
    assert np.array_equal(three.predict_proba(x), best.predict_proba(x))
    several = fit(n_init=6, learning_rate=0.003)
    assert loss(several) < loss(each[0]) and len(several.history_["loss"]) == several.n_iter_ <= 5
    assert np.array_equal(several.predict_proba(x), fit(n_init=6, learning_rate=0.003, n_jobs=2).predict_proba(x))
    assert fit(early_stopping=True).learning_rate_ == three.learning_rate_
    assert quick(elman.Forecaster, n_init=2).fit(wave(100)).history_.best_epoch > 0
    with pytest.raises(ValueError, match="n_init is 2, but nothing is kept back"):
        fit(n_init=2, early_stopping=False)
    with pytest.raises(elman.NotFiniteError):
        fit(n_init=2, learning_rate=1e38, clip=None)


def test_the_network_gets_a_mean_over_epochs(rises):
    x, y = rises
    for early_stopping in (False, True):

        def fit(epochs, early_stopping=early_stopping, **options):
            options |= {"learning_rate": 0.003, "early_stopping": early_stopping, "random_state": 1}
            classifier = elman.SequenceClassifier(units=4, epochs=epochs, **options).fit(x, y)
            assert classifier.best_epoch_ == epochs
            return classifier

        first, second, third = (fit(epochs, average=False) for epochs in (1, 2, 3))
        mean = fit(3)
        assert {name: mean.history_[name] for name in third.history_} == third.history_
        assert ("average_loss" in mean.history_) == early_stopping and mean.history_.average_epoch == 3
        # Epoch t counts for t (t + 1) ... (t + 7).
        expected = (first.network_.parameters + 9 * second.network_.parameters + 45 * third.network_.parameters) / 55
        np.testing.assert_allclose(mean.network_.parameters, expected, rtol=0, atol=1e-6)


def test_of_each_class_some_are_kept_back(random):
    x = random.standard_normal((23, 4))
    y = np.array([0] * 20 + [1] * 3)
    for seed in range(5):
        classifier = elman.SequenceClassifier(units=4, epochs=1, early_stopping=True, random_state=seed)
        train, held = classifier._split(elman.as_sequences(x), seed, y)
        assert sorted([*train, *held]) == list(range(23))
        assert np.bincount(y[held]).tolist() == [3, 1]
    with pytest.raises(ValueError, match="need 2 sequences or more, of one class"):
        classifier.fit(x[-4:-2], [0, 1])


def test_regressors_scale_their_targets(random):
    x = random.standard_normal((80, 5, 1))
    y = np.stack([1e6 + 1e3 * x.sum(axis=(1, 2)), 1e-3 * x[:, -1, 0]], axis=1)
    regressor = quick(elman.SequenceRegressor).fit(x, y)
    assert regressor.predict(x).shape == (80, 2) and regressor.score(x, y) > 0.8
    assert quick(elman.SequenceRegressor).fit(x, y[:, 0]).predict(x).shape == (80,)
    with pytest.raises(ValueError, match="NaN"):
        quick(elman.SequenceRegressor).fit(x, np.full(80, np.nan))


def test_taggers_tag_steps(random):
    x = [random.standard_normal((int(length), 1)) for length in random.integers(2, 9, 60)]
    # Whether the running sum is above 0: the past counts.
    y = [np.where(np.cumsum(one) > 0, "above", "below") for one in x]
    tagger = quick(elman.SequenceTagger, direction="forward").set_params(epochs=60).fit(x, y)
    predicted = tagger.predict(x)
    assert [len(one) for one in predicted] == [len(one) for one in x]
    assert tagger.score(x, y) > 0.9 and tagger.score(x, y) == np.mean(np.concatenate(predicted) == np.concatenate(y))
    assert tagger.predict_proba(x)[0].shape == (len(x[0]), 2)
    uniform = random.standard_normal((10, 6))
    tags = (uniform > 0).astype(int)
    tagger = quick(elman.SequenceTagger).fit(uniform, tags)
    assert tagger.predict(uniform).shape == (10, 6) and tagger.predict_proba(uniform).shape == (10, 6, 2)
    with pytest.raises(ValueError, match=r"y\[1\] has"):
        tagger.fit(x[:2], [y[0], y[1][:1]])


def wave(steps):
    return np.sin(np.arange(steps) * 2 * np.pi / 12) * 10 + 100


def test_forecasters_go_on():
    series = wave(200)
    forecaster = elman.Forecaster(12, window=64, units=32, random_state=1).fit(series[:188])
    assert "validation_loss" not in forecaster.history_
    stopped = quick(elman.Forecaster, early_stopping=True).fit(series)
    assert len(stopped.history_["validation_loss"]) == stopped.n_iter_
    assert "validation_loss" in quick(elman.Forecaster).fit(wave(500)).history_
    forecast = forecaster.predict()
    assert forecast.shape == (12,) and np.abs(forecast - series[188:]).max() < 2
    assert np.array_equal(forecaster.predict(series[:188]), forecast)
    assert forecaster.predict(horizon=30).shape == (30,)
    assert np.array_equal(forecaster.predict(horizon=30)[:12], forecast)
    assert forecaster.score(series) > 0.95
    assert np.array_equal(forecaster.predict(pd.Series(series[:188])), forecast)
    two = [np.stack([wave(60), -wave(60)], axis=1), np.stack([wave(50), -wave(50)], axis=1)]
    several = quick(elman.Forecaster, horizon=3).fit(two)
    assert several.predict(two).shape == (2, 3, 2) and several.predict([one[:20] for one in two]).shape == (2, 3, 2)
    assert quick(elman.Forecaster, horizon=3).fit(np.stack([wave(30)] * 4)).predict().shape == (4, 3)
    with pytest.raises(ValueError, match="2 or more"):
        quick(elman.Forecaster).fit([[1.0]])
    for nothing in ([], pd.Series([], dtype=float), np.zeros((0, 4))):
        with pytest.raises(ValueError, match=r"0 sequences|0 sample|minimum of 1"):
            quick(elman.Forecaster).fit(nothing)
    with pytest.raises(ValueError, match="horizon is 0"):
        forecaster.predict(horizon=0)
    with pytest.raises(ValueError, match="more than the horizon"):
        several.score([one[:3] for one in two])


# Around them


def test_a_bar_shows_the_epochs(rises, capsys):
    quick(elman.SequenceClassifier, progress=True).fit(*rises)
    assert "20/20" in capsys.readouterr().err


def test_pictures(rises, tmp_path, vowels):
    x, y = rises
    classifier = quick(elman.SequenceClassifier, early_stopping=True).fit(x, y)
    axes = elman.plot_history(classifier)
    assert axes.get_xlabel() == "epoch" and len(axes.get_lines()) == 3
    axes.figure.savefig(tmp_path / "history.png")
    axes = elman.plot_confusion(classifier, x, y)
    counts = [int(text.get_text()) for text in axes.texts]
    assert sum(counts) == 40 and [label.get_text() for label in axes.get_xticklabels()] == ["0", "1"]
    dataset = elman.Dataset.with_classes(x[:, :, None], y)
    assert sum(int(text.get_text()) for text in elman.plot_confusion(classifier.network_.evaluate(dataset)).texts) == 40
    tagger = quick(elman.SequenceTagger).fit(x, x > 0)
    elman.plot_confusion(tagger, x, x > 0, normalize=True)
    series = wave(80)
    forecaster = quick(elman.Forecaster, horizon=5).fit(series[:75])
    axes = elman.plot_forecast(forecaster, series[:75], truth=series[75:], history=20)
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert len(lines["forecast"].get_ydata()) == 5 and len(lines["series"].get_ydata()) == 20
    axes.figure.savefig(tmp_path / "forecast.png")
    figure = mpl.figure.Figure()
    own = figure.subplots()
    assert elman.plot_history(classifier.history_, ax=own) is own
