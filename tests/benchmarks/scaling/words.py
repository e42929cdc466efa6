"""What the page says around its tables."""

HEAD = """# Scaling

Env steps per second over env runners and learners: measured on one machine, told by a model of what an
iteration costs, and foretold for 10, 100 and 1000 env runners. Written by

    python -m tests.benchmarks.scaling costs sleeping here

with its figures in [scaling.json](scaling.json). The job is `tuned_configs/online/crossing/remote.yaml`
without its evaluation: SCAL_MAPPO_L, four robots with a policy each, 16 copies in every env runner, five
epochs of minibatches of 800, PyTorch on one thread. The machine: {processor}, {cpus} virtual CPUs that
other trainings used at the same time, so that times of the clock are longer than on a quiet one; load
averages stand beside them.
"""

HERE = """## The job on this machine

3,200 env steps an iteration; medians of five iterations. {about}. With so few CPUs env runners and learners
take from each other what they bring.
"""

COSTS = """## What an iteration costs

CPU-seconds of the process that pays them, medians; slopes and intercepts of lines over batches of several
sizes. {about}. The columns differ by where the learners are.
"""

MEANINGS = {
    "step": ("env runner, per env step", 1e6, "µs"),
    "request": ("env runner, per request", 1e3, "ms"),
    "step_bytes": ("a share, per env step", 1.0, "bytes"),
    "share_bytes": ("a share, beside that", 1e-3, "kB"),
    "weight_bytes": ("weights sent out per update", 1e-3, "kB"),
    "iteration": ("driver, per iteration", 1e3, "ms"),
    "call": ("driver, per env runner and iteration", 1e3, "ms"),
    "pair": ("driver, per million pairs of env runners", 1e6, "s"),
    "byte": ("driver, per MB of shares", 1e9, "ms"),
    "update_step": ("update, per env step that a learner holds", 1e6, "µs"),
    "update": ("update, beside that", 1e3, "ms"),
    "shard_byte": ("driver, per MB handed on to learners", 1e9, "ms"),
    "reductions": ("all-reduces per update", 1.0, ""),
    "reductions_step": ("more of them per 1000 env steps of a learner", 1e3, ""),
    "message_bytes": ("bytes of one", 1e-3, "kB"),
}
"""Field of the costs → what it is, by how much it is multiplied, and the unit that it then has."""

DRIVER = """## The driver with up to 1000 env runners

Whole iterations but for the update, which is left out: two actors answer in the name of all env runners
with shares that they keep ready, so that RLlib's calls, the metrics and the joining of columns are the real
ones. What these two take is not counted. What grows with the square is RLlib's actor manager, which seeks
every answer in the list of all calls. The driver's costs above are a fit to these rows.
"""

CHECKED = """## The model against measurement

Env runners whose copies sleep {milliseconds:g} ms per step, one copy after another, do not need the CPUs
that this machine lacks. A growing batch is 400 env steps of each; a fixed one about 1,536 of all together.
A round trip is injected as sleep before each answer, three times, as the model counts them. Updates overlap
with `max_sample_age=1`. {about}. Nothing in the model was fitted to these rows. Half of its times are
within {median} of what was measured, the worst is off by {worst}.
"""

FORETOLD = """## 10, 100 and 1000 env runners

By the model, each env runner with a CPU of its own and the learner in the driver. Cells: env steps per
second, and their share of what the env runners could sample if they never waited. The environment is the
crossing, or a simulator that takes 10 ms per env step. A growing batch has {share:,} env steps of each env
runner, a fixed one {fixed:,} of all together. Enough: the fewest env runners of which twice as many bring
less than a tenth more. The last column tells what holds 1000 env runners up: *sampling* itself, *waiting*
for round trips, *fixed* work of the driver, *calls* (which grow with the env runners), *receiving* shares,
or the *update*; with overlapped updates only of the side that takes longer.
"""

LEARNERS = """## Learners

The crossing with a growing batch, updates waited for; the costs of more than two learners are those of two.
All learners together have the batch, each its part; `minibatch_size` is of each learner.
"""

ASSUMPTIONS = """## Assumptions

- Waited for, an iteration is the sum of its parts; overlapped, the larger of what env runners and driver
  take.
- Every env runner and learner has a CPU as fast as this machine's to itself; all env runners are equally
  fast, and none fails. Waiting for the slowest of many unequal ones is not in the model.
- {round_trips} round trips of an iteration follow one another: the request and its answer, the env runner's
  fetching of the weights, the driver's fetching of the share. They were counted from what happens, not
  measured on a network.
- All shares come in over the driver's one link, after what the driver computes on them rather than beside
  it. Weights go out over the same link, once to every 16 env runners, as Ray keeps one copy per node.
- A sum over k learners goes around a ring: 2 (k - 1) hops of half a round trip, 2 (k - 1) / k of its bytes
  over each link; sums follow one another as they do in the learner.
- Costs are linear in steps, bytes and runners. Memory, Ray's own processes (its object store and its
  scheduler), starting and restarting, evaluation and checkpoints are left out.
- A growing batch says nothing about learning: whether updates of so many steps learn as much per step is
  not asked.
- Policies and views of the size of the crossing's: larger networks move the update and the weights, images
  the bytes.
"""
