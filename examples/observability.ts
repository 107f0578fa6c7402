/**
 * Serves the client's metrics to Prometheus, scrapes them once, and prints what
 * a person on call would look at, with the spans of two operations.
 *
 * Start a server, then: `ZK_HOSTS=127.0.0.1:2181 node examples/observability.ts`
 */
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { Console, Effect, Layer, Tracer } from "effect"
import { HttpClient, HttpRouter, HttpServer } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { createServer } from "node:http"
import { ZooKeeper, ZooKeeperLive } from "../src/ZooKeeper.ts"

/** In its place: OtlpTracer.layer of effect/observability, or the OpenTelemetry SDK. */
const tracer = Tracer.make({
  span(options) {
    const span = new Tracer.NativeSpan(options)
    const end = span.end.bind(span)
    span.end = (time, exit) => {
      end(time, exit)
      const { "error.type": error, "zookeeper.path": path } = Object.fromEntries(span.attributes)
      console.log(`span ${span.name} ${String(path)} ${error === undefined ? "ok" : String(error)}`)
    }
    return span
  }
})

const metrics = HttpRouter.serve(PrometheusMetrics.layerHttp(), { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
)

const program = Effect.gen(function*() {
  const zk = yield* ZooKeeper
  const path = yield* zk.create("/observed-", "", { mode: "ephemeralSequential" })
  yield* Effect.withTracer(Effect.andThen(zk.get(path), Effect.ignore(zk.get(`${path}-not`))), tracer)
  const address = yield* HttpServer.addressFormattedWith((url) => Effect.succeed(url))
  const scraped = yield* Effect.flatMap(HttpClient.get(`${address}/metrics`), (response) => response.text)
  const lines = scraped.split("\n").filter((line) => /^zookeeper_client_(requests|sessions|connections)\{/.test(line))
  yield* Effect.forEach(lines, (line) => Console.log(line), { discard: true })
})

await Effect.runPromise(
  program.pipe(
    Effect.provide([ZooKeeperLive({ hosts: process.env["ZK_HOSTS"] ?? "127.0.0.1:2181" }), metrics, NodeHttpClient.layerUndici])
  )
)
