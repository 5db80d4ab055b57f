# Images for the pods and machines of a cluster. All have the same Python minor version and packages, as Ray demands.
#   docker build --target learner -t ocelot-learner .    the head: CUDA torch; driver, learner, policy server, replay
#   docker build --target actors -t ocelot-actors .      the workers: environments, on CPUs

FROM python:3.11-slim-bookworm AS base
# g++ (with gcc): kernels of our own, and learner.compile; wget: KubeRay's probes; EGL and OSMesa: drawing without a display; git: the commit in a run's environment.json.
RUN apt-get update && apt-get install --yes --no-install-recommends \
        g++ git libc6-dev libegl1 libgl1 libgles2 libglib2.0-0 libosmesa6 libstdc++6 procps rsync wget \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 ocelot && mkdir /ocelot /runs && chown ocelot /ocelot /runs
WORKDIR /ocelot
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 RAY_USAGE_STATS_ENABLED=0 RAY_task_events_report_interval_ms=0 TF_CPP_MIN_LOG_LEVEL=3
COPY pyproject.toml constraints.txt README.md LICENSE ./

# torch first and alone: which of its builds an image has must hold before anything else asks for some version of it.
FROM base AS torch-cpu
RUN pip install torch -c constraints.txt --index-url https://download.pytorch.org/whl/cpu

FROM base AS torch-cuda
RUN pip install torch -c constraints.txt

FROM torch-cpu AS actors
COPY --chown=ocelot . .
RUN pip install -e . -c constraints.txt
USER ocelot

FROM torch-cuda AS learner
COPY --chown=ocelot . .
RUN pip install -e . -c constraints.txt
USER ocelot
