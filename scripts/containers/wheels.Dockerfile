# The folder of wheels that is the context, as an image: what any engine can give to a builder.
FROM scratch
COPY . /
