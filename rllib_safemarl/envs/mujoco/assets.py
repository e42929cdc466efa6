"""MuJoCo itself, and the models that Gymnasium ships."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from rllib_safemarl.errors import SafeMARLError

if TYPE_CHECKING:
    import mujoco

INSTALL = 'pip install "rllib_safemarl[mujoco]"'
_OLDEST = (3, 3, 6)
"""The first version with contact sensors of any body."""


def need_mujoco() -> ModuleType:
    """The module ``mujoco``.

    Its warnings of diverging physics are silenced, unless somebody already listens to them: by default they
    write a file into the working directory. A copy that diverges ends its episode instead.

    Raises:
        SafeMARLError: it is missing or too old.
    """
    try:
        import mujoco
        import mujoco.rollout
    except ImportError as error:
        raise SafeMARLError(f"safemarl/mujoco needs mujoco; install it by: {INSTALL}") from error
    if tuple(int(part) for part in mujoco.__version__.split(".")[:3]) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise SafeMARLError(
            f"safemarl/mujoco needs mujoco {oldest} or later, this is {mujoco.__version__}: {INSTALL}"
        )
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_say_nothing)
    return mujoco


def _say_nothing(message: str) -> None:
    """What diverged shows in the time it reached."""


def gymnasium_model(name: str) -> mujoco.MjSpec:
    """A fresh specification of one of Gymnasium's models, such as ``ant.xml``.

    Raises:
        SafeMARLError: this Gymnasium does not ship it.
    """
    spec = find_spec("gymnasium")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "envs" / "mujoco" / "assets" / name
    if not path.exists():
        raise SafeMARLError(
            f"gymnasium has no model {name} at {path.parent}; install gymnasium 1.0 or later."
        )
    return need_mujoco().MjSpec.from_file(str(path))
