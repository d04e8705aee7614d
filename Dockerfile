# One node of a Fencepost cluster. What it is comes from the environment: see docker-compose.yml.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 fencepost \
    && install --directory --owner=fencepost /var/lib/fencepost
WORKDIR /opt/fencepost
COPY pyproject.toml README.md LICENSE ./
COPY cluster ./cluster
RUN pip install --no-cache-dir .

USER fencepost
VOLUME /var/lib/fencepost
ENV FENCEPOST_BIND_HOST=0.0.0.0 \
    GRPC_VERBOSITY=ERROR
# The first process of a container gets SIGTERM from `docker stop`: a controlled shutdown.
STOPSIGNAL SIGTERM
ENTRYPOINT ["fencepost", "node"]
