# The control plane: one program that is auth, lifecycle or reaper, whichever its command names.
#
#   docker build -t pilotlight .         podman build -t pilotlight .
#   gcloud builds submit --tag REGION-docker.pkg.dev/PROJECT/pilotlight/control-plane --timeout 30m
#
# (or docker buildx, or buildah). A Cloud Run service chooses its role by its command: /auth, /lifecycle or /reaper. By hand:
#
#   docker run --rm --read-only -p 8080:8080 --env-file auth.env pilotlight auth
#   docker run --rm pilotlight new-key
#   docker run --rm --env-file reaper.env pilotlight check-config reaper
#
# What each role must be told, it lists itself: docker run --rm pilotlight lifecycle --help

FROM docker.io/library/rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
RUN image/layout.sh "$(image/program.sh)" /etc/ssl/certs/ca-certificates.crt /image

FROM scratch
LABEL org.opencontainers.image.title="Pilotlight's control plane" \
      org.opencontainers.image.description="auth, lifecycle and reaper in one program; the command names the role" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/control-plane"]
CMD ["--help"]
