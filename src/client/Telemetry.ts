/**
 * What a client counts and what it tells tracers.
 *
 * Counting is adding to a number: the metric registry asks for the numbers when
 * somebody reads them. Clients of one registry share their numbers, so that a
 * counter does not fall when a client is closed. Without a tracer there are no
 * spans, and asking whether there is one is all that costs.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import { hexadecimal, type SessionInfo, type SessionState } from "../SessionState.ts"
import * as ZooKeeperMetrics from "../ZooKeeperMetrics.ts"

/** How a request ended. */
export const Ending = { Ok: 0, Refused: 1, NotApplied: 2, Unknown: 3 } as const

export type Ending = (typeof Ending)[keyof typeof Ending]

const endings = ["ok", "refused", "NotApplied", "Unknown"] as const

/** A client that is open, as its gauges see it. */
export interface Source {
  readonly inFlight: number
  readonly waitingRequests: number
  readonly watches: { readonly size: number }
  readonly stateTag: SessionState["_tag"]
}

/** Numbers by attributes, known to the registry from the first time that they are not zero. */
class Counts {
  private readonly counts = new Map<string, { count: number }>()
  private readonly metric: Metric.Counter<number>
  private readonly context: Context.Context<never>

  constructor(metric: Metric.Counter<number>, context: Context.Context<never>) {
    this.metric = metric
    this.context = context
  }

  /** The number to add to; fetched once where it is hot. */
  of(attributes: Record<string, string> = {}): { count: number } {
    const key = Object.values(attributes).join()
    let counted = this.counts.get(key)
    if (counted === undefined) {
      const fresh = counted = { count: 0 }
      this.counts.set(key, fresh)
      Metric.registerUnsafe(Metric.withAttributes(this.metric, attributes), this.context, {
        get: () => ({ count: fresh.count, incremental: true }),
        update: () => {},
        modify: () => {}
      })
    }
    return counted
  }
}

export class Telemetry {
  private readonly sources = new Set<Source>()
  private readonly requests: Counts
  private readonly attempts: Counts
  private readonly gaps: Counts
  private readonly lost: { count: number }
  private readonly expired: { count: number }
  private readonly events: { count: number }
  private readonly batches: { count: number }
  private readonly ended: Array<{ count: number } | undefined> = []
  private readonly context: Context.Context<never>

  constructor(context: Context.Context<never>) {
    this.context = context
    this.requests = new Counts(ZooKeeperMetrics.requests, context)
    this.attempts = new Counts(ZooKeeperMetrics.connections, context)
    this.gaps = new Counts(ZooKeeperMetrics.gaps, context)
    this.lost = new Counts(ZooKeeperMetrics.disconnects, context).of()
    this.expired = new Counts(ZooKeeperMetrics.expirations, context).of()
    this.events = new Counts(ZooKeeperMetrics.watchEvents, context).of()
    this.batches = new Counts(ZooKeeperMetrics.rearmed, context).of()
    this.gauge(ZooKeeperMetrics.inFlight, (source) => source.inFlight)
    this.gauge(ZooKeeperMetrics.waiting, (source) => source.waitingRequests)
    this.gauge(ZooKeeperMetrics.watches, (source) => source.watches.size)
    for (const state of ["Connecting", "Connected", "Suspended", "AuthFailed"] as const) {
      this.gauge(
        Metric.withAttributes(ZooKeeperMetrics.sessions, { state }),
        ({ stateTag }) => stateTag === state ? 1 : 0
      )
    }
  }

  private gauge(metric: Metric.Metric<number, Metric.GaugeState<number>>, measure: (source: Source) => number): void {
    Metric.registerUnsafe(metric, this.context, {
      get: () => {
        let value = 0
        for (const source of this.sources) value += measure(source)
        return { value }
      },
      update: () => {},
      modify: () => {}
    })
  }

  opened(source: Source): void {
    this.sources.add(source)
  }

  closed(source: Source): void {
    this.sources.delete(source)
  }

  /** A request has ended; `operation` is its name, and `number` stands for it. */
  request(operation: string, number: number, ending: Ending): void {
    const slot = number * endings.length + ending
    const counted = this.ended[slot] ??= this.requests.of({ operation, outcome: endings[ending] })
    counted.count++
  }

  /** In ms. */
  roundTrip(millis: number): void {
    ZooKeeperMetrics.roundTrip.updateUnsafe(millis / 1000, this.context)
  }

  attempted(result: "connected" | "failed"): void {
    this.attempts.of({ result }).count++
  }

  disconnected(): void {
    this.lost.count++
  }

  sessionExpired(): void {
    this.expired.count++
  }

  notified(): void {
    this.events.count++
  }

  rearmed(packets: number): void {
    this.batches.count += packets
  }

  gap(reason: string): void {
    this.gaps.of({ reason }).count++
  }
}

const telemetries = new WeakMap<Metric.MetricRegistry, Map<string, Telemetry>>()

/** The numbers that clients of this context share. */
export const telemetry: Effect.Effect<Telemetry> = Effect.contextWith((services: Context.Context<never>) => {
  // Not all of it: whatever else a context holds must not be kept alive by the registry.
  const registry = Context.get(services, Metric.MetricRegistry)
  const attributes = Context.get(services, Metric.CurrentMetricAttributes)
  const key = JSON.stringify(Object.entries(attributes).toSorted())
  let known = telemetries.get(registry)
  if (known === undefined) telemetries.set(registry, known = new Map())
  let found = known.get(key)
  if (found === undefined) {
    const context = Context.make(Metric.MetricRegistry, registry).pipe(
      Context.add(Metric.CurrentMetricAttributes, attributes)
    )
    known.set(key, found = new Telemetry(context))
  }
  return Effect.succeed(found)
})

/** Whether somebody traces the fiber that asks. */
export const isTraced = (): boolean => Fiber.getCurrent()?.cache.tracer !== undefined

/** A phase of a recipe as a span, where somebody traces: the parent of the requests in it. */
export const phase =
  (name: string, path: string) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() =>
      isTraced()
        // The span is the parent of whatever the effect asks; spans of its own stay below it.
        ? Effect.withSpan(effect, `zookeeper.${name}`, { attributes: { "zookeeper.path": path } })
        : effect
    )

/** A client span with OpenTelemetry's attributes. */
export const traced = <A, E, R>(
  request: Effect.Effect<A, E, R>,
  operation: string,
  path: string | undefined,
  session: { readonly info: SessionInfo | undefined }
): Effect.Effect<A, E, R> =>
  Effect.useSpan(`zookeeper.${operation}`, { kind: "client" }, (span) => {
    span.attribute("db.system.name", "zookeeper")
    span.attribute("db.operation.name", operation)
    if (path !== undefined) span.attribute("zookeeper.path", path)
    return Effect.onExit(request, (exit) =>
      Effect.sync(() => {
        const { info } = session
        if (info !== undefined) {
          span.attribute("server.address", info.server.host)
          span.attribute("server.port", info.server.port)
          span.attribute("zookeeper.session_id", hexadecimal(info.id))
        }
        if (exit._tag === "Success") return
        for (const reason of exit.cause.reasons) {
          if (reason._tag === "Fail") span.attribute("error.type", errorType(reason.error))
        }
      }))
  })

/** `NoNode`, `ConnectionError.SessionExpired`, … */
const errorType = (error: unknown): string => {
  if (typeof error !== "object" || error === null || !("_tag" in error)) return "unknown"
  const inner = "reason" in error && typeof error.reason === "object" && error.reason !== null && "_tag" in error.reason
    ? `.${String(error.reason._tag)}`
    : ""
  return `${String(error._tag)}${inner}`
}
