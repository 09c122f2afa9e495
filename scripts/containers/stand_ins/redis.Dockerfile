# Stands in for the official Redis image where no registry is reachable: its user, its data folder, no password of its own.
ARG BASE
FROM ${BASE}
RUN groupadd --gid 999 redis && useradd --uid 999 --gid 999 --home-dir /data redis && \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* && \
    install -d -o 999 -g 999 /data
VOLUME /data
WORKDIR /data
CMD ["redis-server", "--protected-mode", "no"]
