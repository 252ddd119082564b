# Untested: see docs/install.md. CPU: docker build -t fer-bench .
# CUDA: docker build -t fer-bench --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 .
# A CPU build of torch is smaller: --build-arg TORCH_INDEX=<the index that PyTorch's page on
# installing names for it>.
ARG BASE=python:3.11-slim
FROM ${BASE}
ARG TORCH_INDEX=

# A CUDA base has no Python of its own.
RUN command -v python3 && python3 -m venv --help >/dev/null 2>&1 || \
    (apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && \
     rm -rf /var/lib/apt/lists/*)
RUN python3 -m venv /opt/fer-bench
ENV PATH=/opt/fer-bench/bin:$PATH
RUN if [ -n "${TORCH_INDEX}" ]; then \
      pip install --no-cache-dir torch torchvision --index-url "${TORCH_INDEX}"; fi
COPY . /src
RUN pip install --no-cache-dir /src && rm -rf /src

WORKDIR /results
ENTRYPOINT ["fer-bench"]
CMD ["run"]
