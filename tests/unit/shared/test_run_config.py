"""The run config refuses what it does not know, in one sentence."""

from pathlib import Path

import pytest

from sparring_shared.algorithms import DpoConfig
from sparring_shared.errors import InvalidInput
from sparring_shared.prompt_sources import PromptsConfig
from sparring_shared.run_config import InpoConfig, SppoConfig, read_run_config

SMALLEST = 'name = "a"\n[policy]\nmodel = "m"\n[prompts]\nsource = "p.jsonl"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_the_smallest_config(tmp_path: Path) -> None:
    config = read_run_config(written(tmp_path, SMALLEST))
    assert (config.rounds, config.sampling.k, config.algorithm.name) == (3, 5, "sppo")


def test_a_config_that_extends_another_holds_what_differs(tmp_path: Path) -> None:
    written(tmp_path, SMALLEST + '[sampling]\nk = 4\ntop_p = 0.5\n[algorithm]\nname = "sppo"\neta = 7.0\nbaseline = 0.4\n')
    (tmp_path / "less.toml").write_text('extends = "run.toml"\nname = "b"\n[sampling]\nk = 3\n[algorithm]\neta = 9.0\n')
    (tmp_path / "other.toml").write_text('extends = "less.toml"\n[algorithm]\nname = "dpo"\n')
    less, other = (read_run_config(tmp_path / f"{name}.toml") for name in ("less", "other"))
    assert (less.name, less.sampling.k, less.sampling.top_p, less.policy.model) == ("b", 3, 0.5, "m")
    assert less.algorithm == SppoConfig(eta=9.0, baseline=0.4)
    assert (other.name, other.algorithm) == ("b", DpoConfig())


@pytest.mark.parametrize("base", ['"run.toml"', '"none.toml"', "3"])
def test_it_extends_another_that_is_there(tmp_path: Path, base: str) -> None:
    with pytest.raises(InvalidInput, match=r"extends must name another run config|There is no run config at .*none\.toml"):
        read_run_config(written(tmp_path, f"extends = {base}\n{SMALLEST}"))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("[sampling]\nk = 1\n", r"sampling\.k: .*greater than or equal to 2 \(it is 1\)"),
        ("[sampling]\nkk = 3\n", r"sampling\.kk: no such key"),
        ('[algorithm]\nname = "inpo"\neta = 0.1\ntau = 0.2\n', r"tau must lie between 0 and eta"),
        ('[algorithm]\nname = "ppo"\n', r"algorithm: .*'sppo', 'inpo'"),
        ('[judge]\nengine = "pairm"\n', r"judge\.engine: .*'pairrm'.*\(it is 'pairm'\)"),
        ('[judge]\nengine = "pair-lm"\n', r"judge: engine pair-lm needs a model; set judge\.model to a folder or a hub id"),
        ('[judge]\nrevision = "1"\n', r"judge: revision is that of a model; set judge\.model"),
        ("[sampling]\ntemplate_arguments = {day = inf}\n", r"template_arguments\.day\."),
        ("[training]\nweight_decay = inf\n", r"training\.weight_decay: Input should be a finite number \(it is inf\)"),
        ('[algorithm]\nname = "inpo"\ntau = inf\n', r"algorithm\.inpo\.tau: Input should be a finite number"),
        ("[sampling]\nreasoning_parser = 'r1'\n", r"reasoning_parser: Input should be 'think'"),
        ("[sampling]\ndrop_unfinished = true\n[selection]\nname = 'all'\n", r"leave out sampling\.drop_unfinished"),
        ("[training]\nmax_length = 100\nmax_prompt_length = 100\n", r"max_prompt_length must be smaller than max_length"),
        ("[training]\ntrain_epochs = 2\nschedule_epochs = 1\n", r"schedule_epochs must be at least train_epochs"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, more: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read_run_config(written(tmp_path, SMALLEST + more))


BEFORE = 'name = "a"\n[policy]\nmodel = "m"\n[prompts]\n'
THREE = 'rounds = [{source = "1.jsonl"}, {source = "2.jsonl"}, {source = "3.jsonl"}]\n'


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ("per_round = 3\n", "prompts: give source, or rounds with one source for each round"),
        ('rounds = [{source = "1.jsonl"}]\n', r"prompts\.rounds names 1 sources, but rounds is 3; give one for each round"),
        (THREE + 'source = "p.jsonl"\n', "prompts: source stands beside rounds; give it in each of the rounds, or leave the"),
        (THREE + 'column = "text"\n', "prompts: column stands beside rounds; "),
        ("rounds = []\n", r"prompts\.rounds: .* at least 1 item"),
        ('source = "p.jsonl"\nheldout = 0.1\nheldout_source = {source = "h"}\n', "heldout stands beside heldout_source; leave"),
        (THREE.replace("{source", '{colour = "red", source', 1), r"prompts\.rounds\.0\.colour: no such key"),
    ],
)
def test_prompts_that_contradict_themselves(tmp_path: Path, prompts: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read_run_config(written(tmp_path, BEFORE + prompts))


def test_prompts_of_each_round_and_what_is_held_out(tmp_path: Path) -> None:
    more = 'heldout_source = {source = "org/set", split = "test", column = "question"}\n'
    prompts = read_run_config(written(tmp_path, BEFORE + THREE + more)).prompts
    assert [(named.name, named.source.source) for named in prompts.training_sources()] == [
        ("round 1", "1.jsonl"),
        ("round 2", "2.jsonl"),
        ("round 3", "3.jsonl"),
    ]
    apart = prompts.evaluation_source()
    assert apart is not None
    assert (apart.source.split, apart.key("split")) == ("test", "prompts.heldout_source.split")
    # What was written out as JSON with all its defaults is read again.
    assert PromptsConfig.model_validate_json(prompts.model_dump_json()) == prompts
    alone = read_run_config(written(tmp_path, SMALLEST)).prompts
    assert (alone.heldout_share, alone.evaluation_source()) == (0.1, None)
    assert [named.key("column") for named in alone.training_sources()] == ["prompts.column"]


def test_a_missing_key_and_file_and_bad_toml(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="prompts: is missing"):
        read_run_config(written(tmp_path, 'name = "a"\n[policy]\nmodel = "m"\n'))
    with pytest.raises(InvalidInput, match="no run config at"):
        read_run_config(tmp_path / "absent.toml")
    with pytest.raises(InvalidInput, match="not valid TOML"):
        read_run_config(written(tmp_path, "name = "))


def test_tau_defaults_to_a_third_of_eta() -> None:
    assert InpoConfig(eta=0.3).tau_value == pytest.approx(0.1)
    assert InpoConfig(eta=0.3, tau=0).tau_value == 0
