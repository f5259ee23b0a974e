# The embedded Spine as a service:  docker build -t spine-workbench . && docker run -p 8080:8080 spine-workbench
# Its base URL is then http://127.0.0.1:8080/STU3. Options after the image replace those of CMD: docs/endpoint.md.
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && grep -v '^-e' requirements.txt > /wheels/pins.txt

FROM python:3.12-slim-bookworm
COPY --from=build /wheels /wheels
RUN python -m pip install --no-cache-dir --constraint /wheels/pins.txt "$(ls /wheels/*.whl)[serve,postgres]" \
    && useradd --create-home --uid 1000 spine \
    && install --directory --owner spine /data
USER 1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=3)"]
# --insecure: no TLS. Publish the port to this machine only, or put a proxy with TLS in front.
ENTRYPOINT ["spine-workbench", "serve", "--host", "0.0.0.0", "--port", "8080", "--log-format", "json"]
CMD ["--insecure", "--base-url", "http://127.0.0.1:8080/STU3", "--db", "/data/spine.db"]
