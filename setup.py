"""Package metadata; tool settings are in pyproject.toml, the tested versions in constraints.txt."""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    "plot": ["matplotlib>=3.8"],
    "mujoco": ["mujoco>=3.3.6"],
    "driving": ["highway-env>=1.10"],
    "data": ["h5py>=3.10"],
    "export": ["onnx>=1.16", "onnxruntime>=1.18"],
}
TESTS = [
    "pytest>=8",
    "pytest-xdist>=3.7",
    "hypothesis>=6.100",
    "ruff>=0.6",
    "mypy>=1.11",
    "types-PyYAML",
    "mpe2>=1.0",
    # Oracles, in tests only: of samplers, and of bodies and their parts.
    "diffusers>=0.30",
    "gymnasium-robotics>=1.3",
]
ALL = {requirement for group in EXTRAS.values() for requirement in group}

setup(
    name="rllib_safemarl",
    version="0.1.0",
    description="Safe multi-agent reinforcement learning on Ray RLlib, online and offline",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["rllib_safemarl", "rllib_safemarl.*"]),
    package_data={"rllib_safemarl": ["py.typed"]},
    install_requires=[
        "ray[rllib]>=2.53,<2.61",
        "torch>=2.4",
        "gymnasium>=1.0",
        "pettingzoo>=1.24",
        "numpy>=1.26",
        "pandas>=2.0",
        "scipy>=1.11",
        "pyarrow>=14",
        "click>=8.1",
        "pyyaml>=6.0",
        "packaging>=24.2",
    ],
    extras_require={
        **EXTRAS,
        "dev": sorted({*TESTS, *ALL}),
        "all": sorted(ALL),
    },
    entry_points={
        "console_scripts": [
            "rllib = rllib_safemarl.cli.rllib:main",
            "safemarl = rllib_safemarl.cli.safemarl:main",
        ]
    },
)
