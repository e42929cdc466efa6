"""Presets by name, and what goes before them."""

import pytest
from ray import tune

from rllib_safemarl.algorithms import ALGORITHMS, DiffusionCBFConfig, DiffusionReturnConfig
from rllib_safemarl.algorithms.diffusion_cbf.presets import PAPER, STRONG
from rllib_safemarl.errors import SafeMARLError


def values(config, names):
    return {name: getattr(config, name) for name in names}


@pytest.mark.parametrize("make", [lambda c, s: c.training(**s), lambda c, s: c.update_from_dict(s)])
def test_what_is_set_by_name_goes_before_the_preset(make):
    config = make(DiffusionCBFConfig(), {"ranking": "expected", "preset": "paper"})
    assert values(config, PAPER) == {**PAPER, "ranking": "expected"}
    assert (config.future_margin_coef, config.solver, config.prediction) == (0.0, "ddpm", "epsilon")
    # A later call changes what it names, and a dict of the whole config keeps it all.
    config.training(beta=0.5)
    again = DiffusionCBFConfig().update_from_dict(config.to_dict())
    assert values(again, PAPER) == {**PAPER, "ranking": "expected", "beta": 0.5}


def test_strong_undoes_paper():
    config = DiffusionCBFConfig().training(preset="paper").training(preset="strong")
    assert values(config, STRONG) == values(DiffusionCBFConfig(), STRONG)
    assert config.future_margin_coef == 1.0


def test_a_preset_leaves_return_conditioning_what_it_is():
    assert ALGORITHMS["DIFFUSION_RETURN"].get_default_config().target_barrier is None
    config = DiffusionReturnConfig().training(preset="paper")
    assert config.prediction == "epsilon"
    assert (config.target_barrier, config.filter_plans, config.projection) == (None, False, False)


def test_unknown_presets_and_searches_in_a_config_object_are_refused():
    with pytest.raises(SafeMARLError, match="preset='papr' does not fit: it must be one of paper, strong"):
        DiffusionCBFConfig().update_from_dict({"preset": "papr"})
    with pytest.raises(SafeMARLError, match="in the dict that Tune is given"):
        DiffusionCBFConfig().training(preset=tune.grid_search(["paper", "strong"]))
    searched = DiffusionCBFConfig().update_from_dict({"preset": tune.grid_search(["paper", "strong"])})
    assert searched.ranking == DiffusionCBFConfig().ranking
