/** What people on call see: metrics, spans, log lines; and what they must never see. */
import { assert, it } from "@effect/vitest"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Barrier from "../../src/recipe/Barrier.ts"
import * as Counter from "../../src/recipe/Counter.ts"
import * as DoubleBarrier from "../../src/recipe/DoubleBarrier.ts"
import * as Lease from "../../src/recipe/Lease.ts"
import * as Lock from "../../src/recipe/Lock.ts"
import * as LockingQueue from "../../src/recipe/LockingQueue.ts"
import * as Queue from "../../src/recipe/Queue.ts"
import * as SetPartitioner from "../../src/recipe/SetPartitioner.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as ZooKeeperMetrics from "../../src/ZooKeeperMetrics.ts"
import { ZooKeeperTest } from "../../src/ZooKeeperTest.ts"
import * as ZooKeeperTestModule from "../../src/ZooKeeperTest.ts"
import { assertHidden, exposed } from "../support/Exposure.ts"
import { collecting } from "../support/Spans.ts"

const isolated = Effect.provideServiceEffect(Metric.MetricRegistry, Effect.sync(() => new Map()))

const requests = (operation: string, outcome: string) =>
  Effect.map(Metric.value(Metric.withAttributes(ZooKeeperMetrics.requests, { operation, outcome })), ({ count }) => count)

const gauge = (metric: Metric.Metric<number, Metric.GaugeState<number>>) =>
  Effect.map(Metric.value(metric), ({ value }) => value)

const inState = (state: string) => gauge(Metric.withAttributes(ZooKeeperMetrics.sessions, { state }))

const connections = (result: string) =>
  Effect.map(Metric.value(Metric.withAttributes(ZooKeeperMetrics.connections, { result })), ({ count }) => count)

const untilState = (zk: ZooKeeper.Service, tag: string) =>
  zk.states.pipe(Stream.filter((state) => state._tag === tag), Stream.runHead)

it.effect("requests are counted by operation and outcome", () =>
  Effect.gen(function*() {
    const test = yield* ZooKeeperTest
    const zk = yield* test.client()
    yield* zk.create("/a", "1")
    yield* Effect.exit(zk.create("/a", "1"))
    yield* zk.exists("/none")
    yield* Effect.exit(zk.get("/none"))
    yield* test.loseReply(({ operation }) => operation === "set")
    assert.isTrue(Exit.isFailure(yield* Effect.exit(zk.set("/a", "2"))))
    assert.strictEqual(yield* requests("create", "ok"), 1)
    assert.strictEqual(yield* requests("create", "refused"), 1)
    assert.strictEqual(yield* requests("exists", "ok"), 1)
    assert.strictEqual(yield* requests("get", "refused"), 1)
    assert.strictEqual(yield* requests("set", "Unknown"), 1)
    assert.strictEqual(yield* gauge(ZooKeeperMetrics.inFlight), 0)
  }).pipe(Effect.provide(ZooKeeperTestModule.layerEnsemble()), isolated))

it.effect("sessions, connections, watches and gaps are counted, and leave with their client", () =>
  Effect.gen(function*() {
    const test = yield* ZooKeeperTest
    const program = Effect.gen(function*() {
      const zk = yield* test.client()
      yield* zk.create("/a", "1")
      yield* Stream.runDrain(zk.watch("/a")).pipe(Effect.forkScoped({ startImmediately: true }))
      yield* zk.sync("/")
      assert.strictEqual(yield* inState("Connected"), 1)
      assert.strictEqual(yield* gauge(ZooKeeperMetrics.watches), 1)
      yield* zk.set("/a", "2")
      assert.strictEqual((yield* Metric.value(ZooKeeperMetrics.watchEvents)).count, 1)
      const suspended = yield* Effect.forkChild(untilState(zk, "Suspended"), { startImmediately: true })
      yield* test.refuseConnections()
      yield* test.disconnect()
      yield* Fiber.join(suspended)
      assert.strictEqual(yield* inState("Suspended"), 1)
      // The pause before the first attempt.
      yield* TestClock.adjust("200 millis")
      assert.isAbove(yield* connections("failed"), 0)
      yield* test.heal
      const waiting = yield* Effect.forkChild(zk.get("/a"), { startImmediately: true })
      assert.strictEqual(yield* gauge(ZooKeeperMetrics.waiting), 1)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waiting)
      assert.strictEqual((yield* Metric.value(ZooKeeperMetrics.disconnects)).count, 1)
      assert.strictEqual((yield* Metric.value(ZooKeeperMetrics.rearmed)).count, 1)
      assert.strictEqual(yield* connections("connected"), 2)
      assert.strictEqual(
        (yield* Metric.value(Metric.withAttributes(ZooKeeperMetrics.gaps, { reason: "Reconnected" }))).count,
        1
      )
      const expired = yield* Effect.forkChild(untilState(zk, "Expired"), { startImmediately: true })
      yield* test.expireSession
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(expired)
      assert.strictEqual((yield* Metric.value(ZooKeeperMetrics.expirations)).count, 1)
      assert.isAbove((yield* Metric.value(ZooKeeperMetrics.roundTrip)).count, 0)
    })
    yield* Effect.scoped(program)
    assert.strictEqual(yield* inState("Connected"), 0)
    assert.strictEqual(yield* gauge(ZooKeeperMetrics.watches), 0)
    // Counters stay: Prometheus must not see them fall.
    assert.strictEqual(yield* requests("create", "ok"), 1)
  }).pipe(Effect.provide(ZooKeeperTestModule.layerEnsemble()), isolated))

it.effect("clients of one registry are counted together, those with attributes of their own apart", () =>
  Effect.gen(function*() {
    const test = yield* ZooKeeperTest
    const one = yield* test.client()
    const other = yield* test.client()
    const apart = yield* Effect.provideService(test.client(), Metric.CurrentMetricAttributes, { client: "audit" })
    yield* Effect.forEach([one, other, apart], (zk) => zk.exists("/"))
    assert.strictEqual(yield* requests("exists", "ok"), 2)
    assert.strictEqual(
      yield* Effect.provideService(requests("exists", "ok"), Metric.CurrentMetricAttributes, { client: "audit" }),
      1
    )
    const scraped = yield* PrometheusMetrics.format()
    assert.include(scraped, "zookeeper_client_requests{operation=\"exists\",outcome=\"ok\"} 2")
    assert.include(scraped, "zookeeper_client_requests{client=\"audit\",operation=\"exists\",outcome=\"ok\"} 1")
    assert.include(scraped, "# TYPE zookeeper_client_round_trip histogram")
    assert.include(scraped, "zookeeper_client_sessions{state=\"Connected\"} 2")
  }).pipe(Effect.provide(ZooKeeperTestModule.layerEnsemble()), isolated))

it.effect("each operation is a client span where somebody traces", () =>
  Effect.gen(function*() {
    const zk = yield* ZooKeeper.ZooKeeper
    const { spans, tracer } = collecting()
    yield* Effect.gen(function*() {
      yield* zk.create("/a")
      yield* Effect.exit(zk.get("/none"))
      yield* Effect.scoped(zk.getAndWatch("/a"))
    }).pipe(Effect.withSpan("work"), Effect.withTracer(tracer))
    yield* zk.exists("/a")
    assert.deepStrictEqual(spans.map(({ name }) => name), [
      "work",
      "zookeeper.create",
      "zookeeper.get",
      "zookeeper.get"
    ])
    const [work, created, missing] = spans
    assert.strictEqual(created?.kind, "client")
    assert.deepStrictEqual(Option.map(created?.parent ?? Option.none(), ({ spanId }) => spanId), Option.some(work?.spanId))
    const session = yield* zk.session
    assert.deepStrictEqual(Object.fromEntries(created?.attributes ?? []), {
      "db.system.name": "zookeeper",
      "db.operation.name": "create",
      "zookeeper.path": "/a",
      "server.address": session.server.host,
      "server.port": session.server.port,
      "zookeeper.session_id": `0x${session.id.toString(16)}`
    })
    assert.strictEqual(missing?.attributes.get("error.type"), "NoNode")
    assert.isTrue(spans.every(({ status }) => status._tag === "Ended"))
  }).pipe(Effect.provide(ZooKeeperTestModule.layer())))

it.effect("a lost reply, told by the span", () =>
  Effect.gen(function*() {
    const zk = yield* ZooKeeper.ZooKeeper
    const test = yield* ZooKeeperTest
    const { spans, tracer } = collecting()
    yield* test.loseReply(({ operation }) => operation === "create")
    yield* Effect.exit(Effect.withTracer(zk.create("/a"), tracer))
    assert.strictEqual(spans[0]?.attributes.get("error.type"), "ConnectionError.ConnectionLoss")
  }).pipe(Effect.provide(ZooKeeperTestModule.layer())))

it.effect("locks: how long they were waited for and held, how they ended, and their phases as spans", () =>
  Effect.gen(function*() {
    const zk = yield* ZooKeeper.ZooKeeper
    const { spans, tracer } = collecting()
    const first = yield* Lock.make("/lock")
    const held = yield* Effect.forkChild(first.withLock(Effect.sleep("3 seconds")), { startImmediately: true })
    yield* TestClock.adjust("1 second")
    const second = yield* Effect.forkChild(Effect.withTracer(first.withLock(zk.exists("/")), tracer))
    yield* TestClock.adjust("3 seconds")
    yield* Fiber.join(held)
    yield* Fiber.join(second)
    const waited = yield* Metric.value(ZooKeeperMetrics.grantWait)
    assert.strictEqual(waited.count, 2)
    assert.strictEqual(Math.round(waited.max), 2)
    const hold = yield* Metric.value(ZooKeeperMetrics.grantHold)
    assert.strictEqual(hold.count, 2)
    assert.strictEqual(Math.round(hold.max), 3)
    const ended = Metric.withAttributes(ZooKeeperMetrics.grantsEnded, { reason: "Released" })
    assert.strictEqual((yield* Metric.value(ended)).count, 2)
    const parentOf = (name: string): string | undefined => {
      const parent = spans.find((span) => span.name === name)?.parent ?? Option.none()
      return spans.find(({ spanId }) => Option.isSome(parent) && spanId === parent.value.spanId)?.name
    }
    assert.strictEqual(parentOf("zookeeper.create"), "zookeeper.acquire")
    assert.strictEqual(parentOf("zookeeper.exists"), "zookeeper.protect")
  }).pipe(Effect.provide(ZooKeeperTestModule.layer()), isolated))

const lines = () => {
  const told: Array<{ readonly level: string; readonly message: string; readonly notes: Record<string, unknown> }> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    told.push({
      level: logLevel,
      message: Array.ensure(message).join(" "),
      notes: { ...fiber.getRef(References.CurrentLogAnnotations) }
    })
  })
  return { told, layer: Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Debug")) }
}

it.effect("the life of a session is told with its id, its server and its zxid", () => {
  const { layer, told } = lines()
  return Effect.gen(function*() {
    const zk = yield* ZooKeeper.ZooKeeper
    const test = yield* ZooKeeperTest
    const { id } = yield* zk.session
    const sessionId = `0x${id.toString(16)}`
    const connected = yield* Effect.forkChild(
      Stream.runHead(Stream.filter(Stream.drop(zk.states, 1), ({ _tag }) => _tag === "Connected")),
      { startImmediately: true }
    )
    yield* zk.sync("/")
    yield* test.disconnect()
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(connected)
    yield* zk.sync("/")
    const expired = yield* Effect.forkChild(untilState(zk, "Expired"), { startImmediately: true })
    yield* test.expireSession
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(expired)
    const found = told.map(({ level, message }) => `${level} ${message}`)
    assert.deepStrictEqual(found.slice(0, 4), [
      "Debug ZooKeeper session established",
      "Warn ZooKeeper connection lost; reconnecting",
      "Info ZooKeeper session resumed",
      "Warn ZooKeeper connection lost; reconnecting"
    ])
    assert.include(found, "Warn ZooKeeper session expired")
    const end = told.filter(({ message }) => message === "ZooKeeper session expired")
    for (const { notes } of [...told.slice(0, 4), ...end]) {
      assert.strictEqual(notes["sessionId"], sessionId)
      assert.isString(notes["server"])
      assert.match(String(notes["lastZxid"]), /^0x[0-9a-f]+$/)
    }
  }).pipe(Effect.provide(Layer.provideMerge(ZooKeeperTestModule.layer(), layer)))
})

it.effect("a refused identity is told once, as an error, with session and server", () => {
  const { layer, told } = lines()
  return Effect.gen(function*() {
    const zk = yield* ZooKeeper.ZooKeeper
    const { id } = yield* zk.session
    yield* Effect.flip(zk.addAuth("nonsense", "x"))
    yield* untilState(zk, "AuthFailed")
    const errors = told.filter(({ level }) => level === "Error")
    assert.lengthOf(errors, 1)
    assert.strictEqual(errors[0]?.notes["sessionId"], `0x${id.toString(16)}`)
    assert.isString(errors[0]?.notes["server"])
    assert.match(String(errors[0]?.notes["lastZxid"]), /^0x[0-9a-f]+$/)
    assert.match(errors[0]?.message ?? "", /this client is of no more use$/)
    assert.strictEqual(yield* inState("AuthFailed"), 1)
    assert.notInclude(JSON.stringify(errors), "nonsense:x")
  }).pipe(Effect.provide(Layer.provideMerge(ZooKeeperTestModule.layer(), layer)), isolated)
})

it.effect("recipes: their phases are the parents of their requests", () =>
  Effect.scoped(Effect.gen(function*() {
    const { spans, tracer } = collecting()
    const queue = yield* Queue.make("/queue")
    const jobs = yield* LockingQueue.make("/jobs")
    const counter = yield* Counter.make("/counter")
    const barrier = yield* Barrier.make("/barrier")
    const double = yield* DoubleBarrier.make("/double", { members: 1 })
    const lease = yield* Lease.make("/lease", { identifier: "us", duration: "1 minute" })
    const parts = yield* SetPartitioner.make("/parts", { items: ["a"], settleTime: 0 })
    yield* Effect.withTracer(
      Effect.gen(function*() {
        yield* queue.offer("item")
        yield* queue.take
        yield* queue.poll
        yield* jobs.offer("job")
        yield* Effect.scoped(Effect.flatMap(jobs.take, (claim) => claim.consume()))
        yield* jobs.offer("job")
        yield* Effect.scoped(Effect.flatMap(jobs.take, (claim) => claim.release))
        yield* counter.increment
        yield* barrier.wait
        yield* double.withMembers(Effect.void)
        yield* lease.obtain
        yield* Stream.runDrain(Stream.take(parts.states, 2))
      }),
      tracer
    )
    const parents = new Set(spans.flatMap(({ kind, parent }) =>
      kind === "client" && Option.isSome(parent) ? [parent.value.spanId] : []))
    const phases = new Set(spans.filter(({ spanId }) => parents.has(spanId)).map(({ name }) => name))
    for (
      const phase of ["offer", "take", "poll", "consume", "release", "count", "wait", "enter", "leave", "acquire", "allocate"]
    ) assert.isTrue(phases.has(`zookeeper.${phase}`), phase)
    assert.include(spans.map(({ name }) => name), "zookeeper.lease")
  })).pipe(Effect.provide(ZooKeeperTestModule.layer()), isolated))

it.effect("no secret is in any log line, error, span, metric, state or inspection", () =>
  Effect.gen(function*() {
    const secret = "hunter2-of-the-client"
    const test = yield* ZooKeeperTest
    const [password, text] = yield* exposed((show) =>
      Effect.scoped(Effect.gen(function*() {
        const options = { auth: [{ scheme: "digest", credential: Redacted.make(`user:${secret}`) }] }
        const zk = yield* test.client(options)
        const credentials = yield* zk.session
        show(options, ZooKeeper.ZooKeeperLive({ hosts: test.hosts, ...options }), zk, credentials, credentials.password)
        yield* zk.addAuth("digest", `other:${secret}`)
        show(yield* Effect.exit(zk.get("/none")))
        yield* test.loseReply()
        show(yield* Effect.exit(zk.create("/a")))
        show(yield* Effect.exit(zk.addAuth("nonsense", secret)), yield* zk.state)
        // Whoever has it takes over the session.
        return Redacted.value(credentials.password)
      }))
    )
    assertHidden(text, secret)
    assertHidden(text, password)
    assert.include(text, "zookeeper.session_id")
    assert.include(text, "ZooKeeper session established")
    assert.include(text, "zookeeper_client_requests")
  }).pipe(Effect.provide(ZooKeeperTestModule.layerEnsemble())))
