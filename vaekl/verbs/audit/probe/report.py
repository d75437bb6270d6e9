"""A reading as it is printed and as JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from vaekl.verbs.audit.card import loss_card, train_line
from vaekl.verbs.audit.loss import EXAMPLES, Loss
from vaekl.verbs.audit.probe.answers import nearest
from vaekl.verbs.audit.probe.card_words import NoCard, card_of
from vaekl.verbs.audit.probe.constants import constant, holds_log_norm_const
from vaekl.verbs.audit.probe.reading import Reading
from vaekl.verbs.audit.probe.statement import Statement, statements
from vaekl.verbs.audit.probe.verdict import mistakes
from vaekl.verbs.audit.text import lines


@dataclass(frozen=True)
class Report:
    """What `vaekl audit FILE.py:NAME` says.

    Args:
        statements: what was read, each with its residual.
        mistakes: what is wrong with it as a negative ELBO, the gravest first.
        is_what: what it is among vaekl's strategies, where no card says it.
        needs: which words a card would want; "" where there is one, or can be none.
        loss: in the words of a card; None where there is none.
        train: the command that minimises it, or the nearest to it; "" where there is none.
        is_whole: whether the loss has the constant of its density too.
    """

    statements: list[Statement]
    mistakes: list[str]
    is_what: str
    needs: str
    loss: Loss | None
    train: str
    is_whole: bool = False

    def text(self) -> str:
        """As it is printed below its title."""
        content: dict[str, str] = {}
        for each in self.statements:
            residual = "" if each.residual is None else f"   [residual {each.residual:.0e}]"
            content[each.topic] = (f"{content[each.topic]}\n" if each.topic in content else "") + each.text + residual
        content["that is"] = self.is_what
        content["mistake"] = "\n".join(self.mistakes)
        content["card"] = self.needs
        if self.loss is None:
            content["train it"] = self.train
            return lines(content)
        return f"{lines(content)}\n{loss_card(self.loss, self.is_whole)}"

    def json(self) -> dict[str, Any]:
        """The same for programs."""
        loss = self.loss
        figures = (
            {}
            if loss is None
            else {
                "phi": loss.phi,
                "sigma": loss.sigma,
                "beta_kl": loss.beta_kl,
                "normalised_beta": loss.normalised_beta,
                "log_norm_const": loss.log_norm_const,
            }
        )
        return {
            "statements": [asdict(each) for each in self.statements],
            "mistakes": self.mistakes,
            "is_negative_elbo": not self.mistakes,
            "is_what": self.is_what,
            "needs": self.needs,
            "loss": None if loss is None else asdict(loss),
            **figures,
            "train": self.train,
        }


def report(reading: Reading) -> Report:
    """Everything that is said of a reading."""
    card = card_of(reading)
    loss = card if isinstance(card, Loss) else None
    command, sentence = nearest(reading)
    return Report(
        [*statements(reading), *constant(reading, loss)],
        mistakes(reading),
        sentence,
        _needs(card) if isinstance(card, NoCard) else "",
        loss,
        train_line(loss) if loss is not None else command,
        holds_log_norm_const(reading, loss),
    )


def _needs(card: NoCard) -> str:
    if card.lacks:
        return f"for the card add {' '.join(EXAMPLES[name] for name in card.lacks)}"
    return card.sentence
