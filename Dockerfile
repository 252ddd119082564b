# Untested: see docs/install.md. CPU: docker build -t fer-bench .
# CUDA: docker build -t fer-bench --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 \
#           --build-arg TORCH=https://download.pytorch.org/whl/cu128 .
ARG BASE=python:3.11-slim
FROM ${BASE}
ARG TORCH=https://download.pytorch.org/whl/cpu

# A CUDA base has no Python of its own.
RUN command -v python3 && python3 -m venv --help >/dev/null 2>&1 || \
    (apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && \
     rm -rf /var/lib/apt/lists/*)
RUN python3 -m venv /opt/fer-bench
ENV PATH=/opt/fer-bench/bin:$PATH
RUN pip install --no-cache-dir torch torchvision --index-url ${TORCH}
COPY . /src
RUN pip install --no-cache-dir /src && rm -rf /src

WORKDIR /work
ENTRYPOINT ["fer-bench"]
CMD ["run"]
