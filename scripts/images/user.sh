# The user without rights as whom every image runs, and the two folders that are his.
set -eu
groupadd --gid 10001 sparring
useradd --uid 10001 --gid 10001 --home-dir /cache --no-create-home --shell /usr/sbin/nologin sparring
install -d -o 10001 -g 10001 /cache /sparring/runs
