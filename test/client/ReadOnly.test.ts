import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Tls from "../../src/Tls.ts"
import * as Certificates from "../support/Certificates.ts"
import { connect, proxy, shared, untilState } from "../support/Clients.ts"
import * as Proxy from "../support/Proxy.ts"
import * as TlsFront from "../support/TlsFront.ts"

/** A proxy that makes its server look read-only to clients. */
const readOnlyProxy = Effect.map(proxy, (via) => {
  via.onReply(({ bytes, opCode }) =>
    opCode === Proxy.connectOpCode
      ? { _tag: "Replace", bytes: Uint8Array.of(...bytes.subarray(0, 36), 1) }
      : undefined
  )
  return via
})

const until = (zk: { readonly states: Stream.Stream<{ readonly _tag: string; readonly readOnly?: boolean }> }, readOnly: boolean) =>
  zk.states.pipe(Stream.filter((state) => state._tag === "Connected" && state.readOnly === readOnly), Stream.runHead)

describe.skipIf(shared === undefined)("Read-only sessions", () => {
  it.live("a server with quorum is searched, and gone to: no expiry, a new session, what is in flight is answered", () =>
    Effect.gen(function*() {
      const first = yield* readOnlyProxy
      const second = yield* proxy
      yield* second.refuse(true)
      const zk = yield* connect({ hosts: [first.hosts, second.hosts], readOnly: true })
      yield* until(zk, true)
      const before = yield* zk.session
      assert.isTrue(before.readOnly)
      const states: Array<string> = []
      yield* zk.states.pipe(Stream.runForEach(({ _tag }) => Effect.sync(() => states.push(_tag))), Effect.forkScoped)
      const gaps: Array<string> = []
      yield* zk.watch("/").pipe(
        Stream.runForEach((event) => Effect.sync(() => event._tag === "Gap" ? gaps.push(event.reason) : 0)),
        Effect.forkScoped
      )
      const reading = yield* Effect.forkScoped(Effect.forever(zk.get("/")), { startImmediately: true })
      yield* second.refuse(false)
      yield* until(zk, false)
      const after = yield* zk.session
      assert.strictEqual(after.server.port, second.port)
      assert.notStrictEqual(after.id, before.id)
      yield* Effect.repeat(Effect.yieldNow, { until: () => states.length >= 3 })
      assert.deepStrictEqual(states, ["Connected", "Connecting", "Connected"])
      assert.isUndefined(reading.pollUnsafe())
      yield* Fiber.interrupt(reading)
      yield* Effect.repeat(Effect.yieldNow, { until: () => gaps.length > 0 })
      assert.include(gaps, "NewSession")
      // The session of the read-only server was shown to nobody else.
      const handshake = second.requests.find(({ opCode }) => opCode === Proxy.connectOpCode)
      assert.isDefined(handshake)
      yield* zk.exists("/")
    }), 30_000)

  it.live.skipIf(!Certificates.canMake)("the search goes over TLS as the session does", () =>
    Effect.gen(function*() {
      const certificates = yield* Certificates.make
      const first = yield* TlsFront.make(certificates, (yield* readOnlyProxy).port)
      const behind = yield* proxy
      yield* behind.refuse(true)
      const second = yield* TlsFront.make(certificates, behind.port)
      const hosts = [first, second].map(({ port }) => `localhost:${port}`)
      const zk = yield* connect({ hosts, tls: { ca: Tls.file(certificates.ca) }, readOnly: true })
      yield* until(zk, true)
      yield* behind.refuse(false)
      yield* until(zk, false)
      assert.strictEqual((yield* zk.session).server.port, second.port)
      yield* zk.sync("/")
    }), 30_000)

  it.live("a read-only connection that is lost begins a new session: Connecting, not Expired", () =>
    Effect.gen(function*() {
      const via = yield* readOnlyProxy
      const zk = yield* connect({ hosts: via.hosts, readOnly: true })
      const { id } = yield* zk.session
      const sent: Array<Uint8Array> = []
      via.onRequest(({ bytes, opCode }) => {
        if (opCode === Proxy.connectOpCode) sent.push(Uint8Array.from(bytes))
        return undefined
      })
      const states: Array<string> = []
      yield* zk.states.pipe(Stream.runForEach(({ _tag }) => Effect.sync(() => states.push(_tag))), Effect.forkScoped)
      yield* until(zk, true)
      yield* zk.exists("/")
      via.cut()
      yield* untilState(zk, "Connecting")
      yield* until(zk, true)
      assert.notStrictEqual((yield* zk.session).id, id)
      yield* Effect.repeat(Effect.yieldNow, { until: () => states.length >= 3 })
      assert.deepStrictEqual(states, ["Connected", "Connecting", "Connected"])
      const [request] = sent
      assert.isDefined(request)
      if (request !== undefined) assert.strictEqual(new DataView(request.buffer).getBigInt64(16), 0n)
    }))

  it.live("a session with a past is kept when a read-only server is next", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* connect({ hosts: via.hosts, readOnly: true })
      const { id } = yield* zk.session
      yield* zk.create("/kept-", "", { mode: "ephemeralSequential" })
      const remove = via.onReply(({ bytes, opCode }) =>
        opCode === Proxy.connectOpCode ? { _tag: "Replace", bytes: Uint8Array.of(...bytes.subarray(0, 36), 1) } : undefined
      )
      via.cut()
      yield* until(zk, true)
      assert.strictEqual((yield* zk.session).id, id)
      remove()
      via.cut()
      yield* untilState(zk, "Suspended")
      yield* until(zk, false)
      assert.strictEqual((yield* zk.session).id, id)
      assert.strictEqual(via.requests.filter(({ opCode }) => opCode === OpCode.CloseSession).length, 0)
    }))
})
