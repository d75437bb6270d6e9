"""`vaekl.sklearn.VAETransformer` keeps scikit-learn's conventions, by its own checks, and scores as its PCA does."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import estimator_checks

from vaekl.sklearn import VAETransformer

#: those of every day; the others are run at night
DAILY = {
    "check_n_features_in", "check_fit2d_1sample", "check_dict_unchanged", "check_estimators_unfitted",
    "check_parameters_default_constructible", "check_fit1d", "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
}  # fmt: skip


def small(**settings):
    return VAETransformer(2, steps=3, k=2, overrides=("model.hidden=[4]",), random_state=0, **settings)


def checks():
    """scikit-learn's own, as its versions give them."""
    generate = getattr(estimator_checks, "estimator_checks_generator", None)
    pairs = generate(small()) if generate else estimator_checks.check_estimator(small(), generate_only=True)
    for _, check in pairs:
        name = check.func.__name__
        marks = [] if name in DAILY else [pytest.mark.nightly]
        yield pytest.param(check, id=name, marks=marks)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", list(checks()))
def test_scikit_learn_s_own_checks(check):
    check(clone(small()))


@pytest.fixture(scope="module")
def fitted():
    return small(kind="levels").fit(load_digits().data[:200])


def test_a_row_s_latents_and_score_do_not_depend_on_the_others():
    wine = load_wine().data
    mine = small().fit(wine)
    order = np.random.default_rng(0).permutation(len(wine))
    for figures in (mine.transform, mine.score_samples):
        assert np.array_equal(figures(wine[order]), figures(wine)[order])
        assert np.array_equal(figures(wine[130:133]), figures(wine)[130:133])


def test_levels_stay_levels_in_rows_of_none_but_0_and_1(fitted):
    x = load_digits().data[:200]
    both = np.stack([x[0] > 8, x[1]]).astype(float)
    assert fitted.transform(both[:1]) == pytest.approx(fitted.transform(both)[:1], abs=1e-5)
    assert fitted.score_samples(both[:1]) == pytest.approx(fitted.score_samples(both.astype(int)[:1]))
    with pytest.raises(ValueError, match="fractions, and fit saw the levels 0 to 16"):
        fitted.transform(x / 16)


def test_floats_are_real_numbers_wherever_they_lie(fitted):
    rows = load_wine().data
    scaled = make_pipeline(MinMaxScaler(), small()).fit(rows[rows[:, 0] < 13.5])
    assert scaled[-1].model_.stored.support == "real"
    assert np.isfinite(scaled.transform(rows)).all()


def test_what_is_given_back_is_on_the_scale_of_the_data(fitted):
    x = load_digits().data[:200]
    assert fitted.model_.model.spec.dequantized
    back = fitted.inverse_transform(fitted.transform(x))
    assert back.shape == x.shape and back.min() >= 0 and 8 < back.max() <= 16
    assert abs(back.mean() - x.mean()) < 1
    assert fitted.score(x) == pytest.approx(fitted.model_.log_prob(x.astype(int), k=2).mean().item())
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.transform(x), fitted.transform(x))
    assert list(fitted.get_feature_names_out()) == ["vaetransformer0", "vaetransformer1"]


def test_the_process_is_left_as_it_was():
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    make_pipeline(StandardScaler(), small()).fit(load_wine().data)
    assert torch.equal(torch.rand(3), expected) and torch.get_num_threads() == threads
    assert torch.tensor(1e-310, dtype=torch.float64).mul(1).item() > 0


def test_the_linear_model_scores_as_pca_does():
    """The best linear VAE is probabilistic PCA, whose posterior has independent parts (Lucas et al. 2019)."""
    rows = load_wine().data
    mine = VAETransformer(
        2, likelihood="gaussian", model="linear", steps=400, batch_size=178, learning_rate=0.05, random_state=0, k=20
    )
    standard = StandardScaler().fit(rows)
    exact = PCA(2).fit(standard.transform(rows)).score(standard.transform(rows)) - np.log(standard.scale_).sum()
    assert mine.fit(rows).score(rows) == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"likelihood": "gausian"}, "did you mean gaussian"),
        ({"kind": "pictures"}, "dataset.kind must be"),
        ({"likelihood": "bernoulli"}, "likelihood=bernoulli takes"),
        ({"likelihood": "it's, a"}, "it's, a"),
        ({"k": 0}, "k must be a whole number from 1, not 0"),
        ({"overrides": "control=capacity"}, r"give a list of words, \['control=capacity'\]"),
        ({"overrides": ["seed=5"]}, "seed=5, for which there is an argument: set random_state"),
        ({"overrides": ["++model.latents=3"]}, "for which there is an argument: set n_components"),
        ({"overrides": ["dataset=wine"]}, "dataset=wine, which fit has no use for"),
        ({"overrides": ["dataset.kind=counts"]}, "dataset.kind=counts, which fit has no use for"),
        ({"overrides": ["init=/nope"]}, "init=/nope, which fit has no use for"),
        ({"overrides": ["tracker=wandb"]}, "tracker=wandb, which fit has no use for"),
        ({"overrides": ["valid=0.5"]}, "valid=0.5, which fit has no use for"),
    ],
)
def test_a_wrong_setting_is_a_value_error_in_one_sentence(settings, says):
    with pytest.raises(ValueError, match=says) as refusal:
        VAETransformer(2, steps=3, **settings).fit(load_wine().data)
    assert "\n" not in str(refusal.value)
