"""What the page says around its tables."""

HEAD = """# Scaling

Env steps per second over env runners and learners: measured on one machine, told by a model of what an
iteration costs, and foretold for 10, 100 and 1000 env runners. Written by

    python -m tests.benchmarks.scaling costs sleeping here

with its figures in [scaling.json](scaling.json). The job is
`tuned_configs/online/crossing/remote.yaml` without its evaluation: SCAL_MAPPO_L, four robots with a
policy each, 16 copies in every env runner, five epochs of minibatches of 800, PyTorch on one
thread. The machine: {processor}, {cpus} virtual CPUs. Load averages stand beside the figures: what
exceeds the processes at work is other trainings, and stretches times of the clock.
"""

SHORT = """In short: the update saturates first. One learner takes at most {rate:,.0f} env steps per second,
whatever samples them: {fast} env runners of the fast crossing or {slow} of a simulator of 10 ms a
step are enough for it. Learners move that limit: 16 of them to {many:,.0f}. Were updates free, one driver
would still take in about {free:,.0f} at most. After the update come RLlib's calls, of which a part
grows with the square of the env runners: {pairs:.1f} s per iteration with 1000.
"""

HERE = """## The job on this machine

3,200 env steps an iteration; medians of five iterations. Clock per CPU is by how much other work
stretched updates in the driver. With so few CPUs env runners and learners take from each other what
they bring.
{about}.
"""

COSTS = """## What an iteration costs

CPU-seconds of the process that pays them, medians; slopes and intercepts of lines over batches of
several sizes. The columns differ by where the learners are; ″ is the same.
{about}.
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

Whole iterations but for the update, which is left out: two actors answer in the name of all env
runners with shares that they keep ready, so that RLlib's calls, the metrics and the joining of
columns are the real ones. What these two take is not counted. The driver's costs above are a fit to
these rows.

The part that grows with the square of the env runners was added after a fit without it told 2.2 s
for 1000 of them. By separate measurements of 2026-11-26 two things make most of it: RLlib's actor manager
seeks every answer in the list of all calls (0.4 s for 1000), and Python's garbage collector goes
through ever more objects (without it 1000 took 3.3 s instead of 4.2 to 4.8, and 100 hardly less).
"""

CHECKED = """## The model against measurement

Env runners whose copies sleep {milliseconds:g} ms per step, one copy after another, do not need the
CPUs that this machine lacks. A growing batch is 400 env steps of each; a fixed one 1,536 of all
together. A round trip is injected as sleep before each answer, three times, as the model counts
them. Updates overlap with `max_sample_age=1`. Where others compute at the same time, a CPU-second
takes more than a second of the clock: by how much is told by the update, which computes and does
not wait, and the model's CPU-seconds (not its sleeps) are stretched by that before they are
compared; beside them stands what it says of a quiet machine. So this tries how the parts
add up and what they cost in CPU-seconds, not this machine's pace. Nothing else was fitted to these
rows. Half of the stretched times are within {median} of what was measured, the worst is off by
{worst}.
{about}.
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
  over each link; sums follow one another as they do in the learner. Their number and bytes were counted,
  their time on a network was not measured.
- Costs are linear in steps, bytes and runners, but for the square above. Memory, Ray's own processes
  (its object store and its scheduler), starting and restarting, evaluation and checkpoints are left
  out.
- A growing batch says nothing about learning: whether updates of so many steps learn as much per step is
  not asked.
- Policies and views of the size of the crossing's: larger networks move the update and the weights, images
  the bytes.
"""
