"""Stage `judge`: a preference matrix over the K candidates of every prompt of a shard."""

from collections.abc import Mapping

from sparring_controller.rounds.asking import shown
from sparring_controller.rounds.draws import seed_of
from sparring_controller.rounds.selection import pairs_to_judge
from sparring_controller.rounds.stages.judgements import Judgements
from sparring_controller.rounds.stages.work import Done, Later, Work
from sparring_shared.errors import SparringError
from sparring_shared.preference import next_game
from sparring_shared.records import CandidateSet, PreferenceMatrix
from sparring_shared.wire.judge import RankItem

Pairs = tuple[tuple[int, int], ...]


def judge(work: Work) -> Done | Later:
    """Ask the judge; a prompt that it cannot judge is dropped and counted by the judge's reason."""
    number, shard = work.row.round, work.row.shard
    sets = {row.prompt.prompt_id: row for row in work.read(CandidateSet, number, "generate", shard)}
    judgements = Judgements(work, work.judge)
    try:
        if work.config.selection.name == "knockout":
            play_tournaments(work, sets, judgements)
        else:
            _rank(work, sets, judgements)
    except SparringError as error:
        return judgements.interrupted(error)
    rows = [judgements.matrices[name] for name in sets if name not in judgements.refused]
    file = work.write(work.places.shard(number, "preferences", shard), PreferenceMatrix, rows)
    return Done(judgements.result(file, rows))


def _rank(work: Work, sets: Mapping[str, CandidateSet], judgements: Judgements) -> None:
    items = {
        name: _item(
            work, row, pairs_to_judge(work.config, len(row.candidates), seed_of(work.config.seed, work.row.round, name))
        )
        for name, row in sets.items()
        if name not in judgements.matrices
    }
    judgements.ask(items, work.config.judge.estimator)


def play_tournaments(work: Work, sets: Mapping[str, CandidateSet], judgements: Judgements) -> None:
    """INPO's tournament among the answers to each prompt, asking only for the games that are played: 11 of 28 pairs at K = 8.

    All prompts play side by side: each turn holds the next game of every tournament that goes on.
    """
    while True:
        games: dict[str, RankItem] = {}
        for name in sets.keys() - judgements.refused:
            known = judgements.matrices.get(name)
            game = next_game(len(sets[name].candidates), known and known.probs)
            if game is not None:
                games[name] = _item(work, sets[name], (game,))
        if not games:
            return
        judgements.ask(games, "pairwise")


def _item(work: Work, row: CandidateSet, pairs: Pairs | None) -> RankItem:
    prompt = shown(row, templated=work.config.judge.templated)
    return RankItem(prompt=prompt, candidates=tuple(one.text for one in row.candidates), pairs=pairs)
