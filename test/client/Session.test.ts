import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Duration, Effect, Exit, Fiber, Layer, Option, Ref, Result, Stream } from "effect"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { ErrorCode } from "../../src/jute/ErrorCode.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import { countingFibers } from "../support/Alive.ts"
import { connect, proxy, root, shared, sharedHost, text, through, untilState } from "../support/Clients.ts"
import { encodeReply } from "../support/Proxy.ts"

const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flip(effect)

const run = promisify(execFile)

const reasonOf = (error: unknown): string => error instanceof ConnectionError ? error.reason._tag : String(error)

describe.skipIf(shared === undefined)("Session", () => {
  it.live("negotiates the timeout and reports it", () =>
    Effect.gen(function*() {
      const within = yield* Effect.flatMap(connect({ sessionTimeout: "7 seconds" }), (zk) => zk.session)
      assert.strictEqual(within.timeout, 7000)
      const below = yield* Effect.flatMap(connect({ sessionTimeout: "10 millis" }), (zk) => zk.session)
      assert.strictEqual(below.timeout, 1000)
      assert.notStrictEqual(below.id, within.id)
      assert.include(String(below.password), "redacted")
    }))

  it.live("refuses bad options before anything is dialled", () =>
    Effect.gen(function*() {
      for (
        const options of [
          { hosts: "" },
          { hosts: "a:99999" },
          { sessionTimeout: 0 },
          { maxReplySize: 1.5 },
          { defaultAcl: [] }
        ]
      ) {
        const error = yield* failureOf(connect(options))
        assert.strictEqual(error._tag, "BadArguments")
      }
    }))

  for (const server of ["refuses", "is mute"] as const) {
    it.live(`fails with Unreachable where every server ${server}, naming the attempts, and leaves nothing running`, () =>
      countingFibers((alive) =>
        Effect.gen(function*() {
          const via = yield* proxy
          if (server === "refuses") yield* via.refuse(true)
          else via.mute(true)
          const before = alive()
          const error = yield* failureOf(through(via, { connectTimeout: "500 millis" }))
          assert.strictEqual(reasonOf(error), "Unreachable")
          assert.include(error.message, via.hosts)
          assert.strictEqual(alive(), before)
          yield* via.until(() => via.live() === 0)
        })
      ))
  }

  it.live("resumes the same session after a cut: ephemerals survive, states come once", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const base = yield* root(zk)
      const before = yield* zk.session
      const seen = yield* Ref.make<ReadonlyArray<string>>([])
      yield* zk.states.pipe(
        Stream.runForEach(({ _tag }) => Ref.update(seen, (tags) => [...tags, _tag])),
        Effect.forkScoped
      )
      yield* zk.create(`${base}/ephemeral`, "", { mode: "ephemeral" })
      via.cut("reset")
      yield* untilState(zk, "Suspended")
      yield* untilState(zk, "Connected")
      assert.strictEqual((yield* zk.session).id, before.id)
      assert.isTrue(Option.isSome(yield* zk.exists(`${base}/ephemeral`)))
      assert.deepStrictEqual(yield* Ref.get(seen), ["Connected", "Suspended", "Connected"])
    }))

  it.live("disconnected: waits for the end of the connection, completes at once while there is none", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* Effect.scoped(Effect.gen(function*() {
        const zk = yield* through(via)
        for (let round = 0; round < 2; round++) {
          const fiber = yield* Effect.forkChild(zk.disconnected, { startImmediately: true })
          yield* zk.get("/")
          assert.isUndefined(fiber.pollUnsafe())
          yield* via.refuse(true)
          via.cut()
          yield* Fiber.join(fiber)
          assert.strictEqual((yield* zk.state)._tag, "Suspended")
          yield* zk.disconnected
          yield* via.refuse(false)
          yield* untilState(zk, "Connected")
        }
        return zk
      }))
      yield* zk.disconnected
    }))

  it.live("in flight at a cut: writes are Unknown, reads NotApplied", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const base = yield* root(zk)
      via.freeze("toClient")
      const write = yield* Effect.forkChild(failureOf(zk.set(base, "x")))
      const read = yield* Effect.forkChild(failureOf(zk.get(base)))
      yield* via.waitForRequest(({ opCode }) => opCode === OpCode.GetData)
      via.cut()
      via.thaw()
      const [lostWrite, lostRead] = [yield* Fiber.join(write), yield* Fiber.join(read)]
      assert.instanceOf(lostWrite, ConnectionError)
      assert.instanceOf(lostRead, ConnectionError)
      if (lostWrite instanceof ConnectionError && lostRead instanceof ConnectionError) {
        assert.deepStrictEqual([lostWrite.outcome, lostRead.outcome], ["Unknown", "NotApplied"])
        assert.isTrue(lostWrite.isRetryable)
      }
    }))

  it.live("requests made while suspended wait and are sent; interrupted ones are not", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const base = yield* root(zk)
      yield* via.refuse(true)
      via.cut()
      yield* untilState(zk, "Suspended")
      const kept = yield* Effect.forkChild(zk.create(`${base}/kept`))
      const dropped = yield* Effect.forkChild(zk.create(`${base}/dropped`))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(dropped)
      yield* via.refuse(false)
      assert.strictEqual(yield* Fiber.join(kept), `${base}/kept`)
      assert.deepStrictEqual(yield* zk.getChildren(base), ["kept"])
    }))

  it.live("failFast fails at once while suspended", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via, { failFast: true })
      yield* via.refuse(true)
      via.cut()
      yield* untilState(zk, "Suspended")
      const error = yield* failureOf(zk.get("/"))
      assert.strictEqual(reasonOf(error), "ConnectionLoss")
      assert.strictEqual(error._tag === "ConnectionError" && error.outcome, "NotApplied")
      yield* via.refuse(false)
    }))

  it.live("expires by the clock when nobody answers, then begins a new session", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via, { sessionTimeout: "1 second" })
      const before = yield* zk.session
      const end = yield* Effect.forkChild(failureOf(zk.sessionEnd))
      yield* via.refuse(true)
      via.cut()
      yield* untilState(zk, "Suspended")
      assert.isTrue(yield* zk.isAlive)
      const waiting = yield* Effect.forkChild(failureOf(zk.get("/")))
      assert.strictEqual(reasonOf(yield* Fiber.join(end)), "SessionExpired")
      assert.isFalse(yield* zk.isAlive)
      assert.strictEqual(reasonOf(yield* Fiber.join(waiting)), "SessionExpired")
      yield* via.refuse(false)
      const after = yield* zk.session
      assert.notStrictEqual(after.id, before.id)
      yield* zk.get("/")
    }))

  it.live("a session that another client closed is expired: typed end, new session, last zxid reset", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const session = yield* zk.session
      const end = yield* Effect.forkChild(failureOf(zk.sessionEnd))
      // A second client takes the session over and ends it.
      yield* Effect.scoped(connect({ resume: session }))
      assert.strictEqual(reasonOf(yield* Fiber.join(end)), "SessionExpired")
      assert.notStrictEqual((yield* zk.session).id, session.id)
    }))

  it.live("onExpiry end: everything fails with SessionExpired from then on", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via, { sessionTimeout: "1 second", onExpiry: "end" })
      yield* via.refuse(true)
      via.cut()
      yield* untilState(zk, "Expired")
      yield* via.refuse(false)
      assert.strictEqual(reasonOf(yield* failureOf(zk.get("/"))), "SessionExpired")
      assert.strictEqual(reasonOf(yield* failureOf(zk.session)), "SessionExpired")
    }))

  it.live("detach leaves the session alive for whoever resumes it", () =>
    Effect.gen(function*() {
      const credentials = yield* Effect.scoped(Effect.gen(function*() {
        const zk = yield* connect()
        yield* zk.create("/detached", "", { mode: "ephemeral" })
        return yield* zk.detach
      }))
      const zk = yield* connect({ resume: credentials })
      assert.strictEqual((yield* zk.session).id, credentials.id)
      const stat = Option.getOrThrow(yield* zk.exists("/detached"))
      assert.strictEqual(stat.ephemeralOwner, credentials.id)
    }))

  it.live("closing the scope ends the session: ephemerals are gone at once", () =>
    Effect.gen(function*() {
      const observer = yield* connect()
      yield* Effect.scoped(Effect.flatMap(connect(), (zk) => zk.create("/closing", "", { mode: "ephemeral" })))
      yield* observer.sync("/")
      assert.isTrue(Option.isNone(yield* observer.exists("/closing")))
    }))

  it.live("a protected create whose reply was lost is found again, exactly once", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const base = yield* root(zk)
      let losses = 2
      via.onReply(({ opCode }) => opCode === OpCode.Create2 && losses-- > 0 ? { _tag: "Cut" } : undefined)
      const path = yield* zk.create(`${base}/item-`, "data", { mode: "ephemeralSequential", protected: true })
      const names = yield* zk.getChildren(base)
      assert.deepStrictEqual(names.map((name) => `${base}/${name}`), [path])
      assert.isBelow(losses, 2)
    }))

  it.live("an update retried over lost replies never counts twice", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const base = yield* root(zk)
      yield* zk.set(base, "0")
      let replies = 0
      let cuts = 0
      via.onReply(({ opCode }) => {
        if (opCode !== OpCode.SetData || ++replies % 3 !== 0) return undefined
        cuts++
        return { _tag: "Cut" }
      })
      const increments = yield* Effect.forEach(
        Array.from({ length: 12 }),
        () => Effect.result(zk.update(base, (data) => String(Number(text(data)) + 1)))
      )
      // The next version holds our bytes: they may be another's, who counted as well. That is said, not guessed.
      const doubtful = increments.filter(Result.isFailure)
      for (const { failure } of doubtful) {
        assert.strictEqual(failure._tag === "ConnectionError" ? failure.outcome : failure._tag, "Unknown")
      }
      assert.strictEqual(doubtful.length, 4)
      assert.strictEqual(text((yield* zk.get(base)).data), "12")
      assert.strictEqual(cuts, 4)
    }))

  it.live("an interrupted request keeps its place: the next answers go to their own callers", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const base = yield* root(zk)
      yield* Effect.forEach(["a", "b", "c"], (name) => zk.create(`${base}/${name}`, name))
      via.freeze("toClient")
      const gone = yield* Effect.forkChild(zk.get(`${base}/a`))
      const stays = yield* Effect.forkChild(zk.get(`${base}/b`))
      yield* via.waitForRequest(({ opCode }) => opCode === OpCode.GetData, 1)
      yield* Fiber.interrupt(gone)
      const later = yield* Effect.forkChild(zk.get(`${base}/c`))
      via.thaw()
      assert.strictEqual(text((yield* Fiber.join(stays)).data), "b")
      assert.strictEqual(text((yield* Fiber.join(later)).data), "c")
      assert.strictEqual(via.accepted(), 1)
    }))

  it.live.each([false, true])("credentials go out on every connection, before watches and requests; added later: %s", (later) =>
    Effect.gen(function*() {
      const via = yield* proxy
      const credential = { scheme: "digest", credential: "user:password" }
      const zk = yield* through(via, later ? {} : { auth: [credential] })
      if (later) yield* zk.addAuth(credential.scheme, credential.credential)
      yield* zk.changes("/").pipe(Stream.take(1), Stream.runDrain)
      yield* Effect.forkScoped(Stream.runDrain(zk.changes("/")))
      yield* via.waitForRequest(({ opCode }) => opCode === OpCode.AddWatch, 1)
      const from = via.requests.length
      via.cut()
      yield* untilState(zk, "Suspended")
      yield* zk.get("/")
      assert.deepStrictEqual(
        via.requests.slice(from).filter(({ connection }) => connection === 2).map(({ opCode }) => opCode).slice(1, 4),
        [OpCode.Auth, OpCode.SetWatches2, OpCode.GetData]
      )
    }))

  it.live("an unknown scheme is AuthFailed, finally, for everyone", () =>
    Effect.gen(function*() {
      const zk = yield* connect()
      assert.strictEqual(reasonOf(yield* failureOf(zk.addAuth("nonsense", "x"))), "AuthFailed")
      yield* untilState(zk, "AuthFailed")
      assert.strictEqual(reasonOf(yield* failureOf(zk.get("/"))), "AuthFailed")
      assert.strictEqual(
        reasonOf(yield* failureOf(connect({ auth: [{ scheme: "nonsense", credential: "x" }] }))),
        "AuthFailed"
      )
    }))

  it.live("credentials added while disconnected are applied with the next connection", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      yield* via.refuse(true)
      via.cut()
      yield* untilState(zk, "Suspended")
      const adding = yield* Effect.forkChild(zk.addAuth("digest", "late:secret"))
      yield* Effect.yieldNow
      yield* via.refuse(false)
      yield* Fiber.join(adding)
      assert.isTrue((yield* zk.whoAmI).some(({ authScheme, user }) => authScheme === "digest" && user === "late"))
    }))

  it.live("a reply that is withheld: RequestTimeout, then a new connection", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via, { requestTimeout: "300 millis" })
      const remove = via.onReply(({ opCode }) => opCode === OpCode.SetData ? { _tag: "Hold" } : undefined)
      const error = yield* failureOf(zk.set("/", ""))
      remove()
      assert.strictEqual(reasonOf(error), "RequestTimeout")
      assert.strictEqual(error._tag === "ConnectionError" && error.outcome, "Unknown")
      yield* zk.get("/")
      assert.strictEqual(via.accepted(), 2)
    }))

  it.live("pings when idle, also under a stream of events, and ignores a ping nobody asked for", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via, { sessionTimeout: "1 second" })
      const writer = yield* connect()
      const base = yield* root(writer)
      yield* Effect.forkScoped(Stream.runDrain(zk.watch(base)))
      yield* via.waitForReply(({ opCode }) => opCode === OpCode.AddWatch)
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(writer.set(base, ""), Effect.sleep("20 millis"))))
      yield* via.waitForRequest(({ opCode }) => opCode === OpCode.Ping)
      via.inject(encodeReply({ xid: -2 }))
      const from = via.requests.length
      yield* via.waitForRequest(({ opCode }) => opCode === OpCode.Ping, from)
      yield* zk.get("/")
      assert.strictEqual(via.accepted(), 1)
    }))

  it.live("the last zxid moves with own replies only: neither by pings nor by events", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via, { sessionTimeout: "1 second" })
      const writer = yield* connect()
      const base = yield* root(writer)
      yield* Effect.forkScoped(Stream.runDrain(zk.watch(base)))
      yield* via.waitForReply(({ opCode }) => opCode === OpCode.AddWatch)
      yield* zk.get(base)
      const { lastZxid } = yield* zk.session
      yield* writer.set(base, "later")
      yield* via.waitForReply(({ opCode }) => opCode === OpCode.Ping)
      assert.strictEqual((yield* zk.session).lastZxid, lastZxid)
      yield* zk.get(base)
      assert.isTrue((yield* zk.session).lastZxid > lastZxid)
    }))

  it.live("single bytes both ways", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      via.splitBytes(true)
      const zk = yield* through(via)
      const base = yield* root(zk)
      yield* zk.set(base, "x".repeat(300))
      assert.strictEqual((yield* zk.get(base)).data.length, 300)
    }))

  for (
    const [name, xid, err, raw] of [
      ["a reply to nobody", 77, 0, undefined],
      ["an answer to authentication that nobody awaits", -4, 0, undefined],
      ["a frame of length 0", 0, 0, [0, 0, 0, 0]],
      ["a negative length", 0, 0, [255, 255, 255, 255]],
      ["HTTP", 0, 0, [72, 84, 84, 80, 47, 49]]
    ] as const
  ) {
    it.live(`${name} costs the connection, not the client`, () =>
      Effect.gen(function*() {
        const via = yield* proxy
        const zk = yield* through(via)
        const before = yield* zk.session
        if (raw === undefined) via.inject(encodeReply({ xid, err }))
        else {
          const remove = via.onReply(({ opCode }) =>
            opCode === OpCode.GetData ? { _tag: "Raw", bytes: Uint8Array.from(raw) } : undefined
          )
          assert.strictEqual(reasonOf(yield* failureOf(zk.get("/"))), "Protocol")
          remove()
        }
        yield* via.waitForConnection(2)
        yield* zk.get("/")
        assert.strictEqual((yield* zk.session).id, before.id)
      }))
  }

  it.live("unknown codes keep their number and the connection", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const remove = via.onReply(({ opCode, xid }) =>
        opCode === OpCode.GetData ? { _tag: "Replace", bytes: encodeReply({ xid, err: -9999 }) } : undefined
      )
      const error = yield* failureOf(zk.get("/"))
      remove()
      assert.strictEqual(
        error._tag === "ConnectionError" && error.reason._tag === "ServerError" && error.reason.code,
        -9999
      )
      yield* zk.get("/")
      assert.strictEqual(via.accepted(), 1)
    }))

  it.live("a body that is cut short fails that call with Protocol", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const remove = via.onReply(({ bytes, opCode }) =>
        opCode === OpCode.GetData ? { _tag: "Replace", bytes: bytes.subarray(0, 30) } : undefined
      )
      assert.strictEqual(reasonOf(yield* failureOf(zk.get("/"))), "Protocol")
      remove()
      yield* zk.get("/")
    }))

  it.live("an operation the server does not know is Unimplemented, without a loop", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const remove = via.onRequest(({ opCode, xid }) =>
        opCode === OpCode.WhoAmI
          ? { _tag: "Answer", bytes: encodeReply({ xid, zxid: -1n, err: ErrorCode.Unimplemented }), close: true }
          : undefined
      )
      assert.strictEqual(reasonOf(yield* failureOf(zk.whoAmI)), "Unimplemented")
      remove()
      yield* via.waitForConnection(2)
      yield* zk.get("/")
      assert.strictEqual(via.accepted(), 2)
    }))

  it.live("a throttled request is asked again after pauses; the connection stays, and the order of the others", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      let refusals = 0
      const remove = via.onReply(({ opCode, xid }) =>
        opCode === OpCode.GetData && refusals++ < 3
          ? { _tag: "Replace", bytes: encodeReply({ xid, err: ErrorCode.Throttled }) }
          : undefined
      )
      const { stat } = yield* zk.get("/")
      remove()
      assert.strictEqual(stat.ephemeralOwner, 0n)
      const asked = via.requests.filter(({ opCode }) => opCode === OpCode.GetData)
      assert.strictEqual(asked.length, 4)
      // Each waits for the pause before it, which doubles: 50, 100 and 200 ms.
      assert.isAtLeast((asked[3]?.at ?? 0) - (asked[0]?.at ?? 0), 340)
      assert.strictEqual(via.accepted(), 1)
    }))

  it.live("one that is throttled for ever fails in the end: NotApplied and retryable", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      via.onReply(({ opCode, xid }) =>
        opCode === OpCode.GetData
          ? { _tag: "Replace", bytes: encodeReply({ xid, err: ErrorCode.Throttled }) }
          : undefined
      )
      const error = yield* failureOf(zk.get("/"))
      assert.isTrue(error._tag === "ConnectionError" && error.isRetryable && error.outcome === "NotApplied")
      assert.strictEqual(reasonOf(error), "Throttled")
      yield* zk.exists("/")
      assert.strictEqual(via.accepted(), 1)
    }))

  it.live("a server that accepts and stays mute is left for the next one", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      via.mute(true)
      const zk = yield* connect({ hosts: [via.hosts, sharedHost] })
      yield* zk.get("/")
    }))

  for (
    const [name, bytes] of [
      ["a bare -119 header in place of the handshake", encodeReply({ xid: 0, zxid: 5n, err: ErrorCode.NotReadOnly })],
      ["a handshake that is too short", new Uint8Array(20)]
    ] as const
  ) {
    it.live(`${name} means: try the next server`, () =>
      Effect.gen(function*() {
        const via = yield* proxy
        let first = true
        via.onReply(({ index }) => {
          if (index !== 0 || !first) return undefined
          first = false
          return { _tag: "Replace", bytes }
        })
        const zk = yield* through(via)
        yield* zk.get("/")
        assert.strictEqual(via.accepted(), 2)
      }))
  }

  it.live("a handshake without the trailing readOnly byte is understood", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      via.onReply(({ bytes, index }) => index === 0 ? { _tag: "Replace", bytes: bytes.subarray(0, 36) } : undefined)
      const zk = yield* through(via)
      assert.isFalse((yield* zk.session).readOnly)
      yield* zk.get("/")
    }))

  it.live("hanging up behind good handshakes is backed off from", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      via.onReply(({ index }) => index === 0 ? { _tag: "ForwardThenCut" } : undefined)
      // 100, 200, 400 ms, each jittered: a storm would be there in no time.
      const [elapsed] = yield* Effect.timed(Effect.andThen(through(via), via.waitForConnection(5)))
      assert.isAbove(Duration.toMillis(elapsed), 500)
    }))

  for (const state of ["connected", "connecting", "suspended", "frozen", "expired", "auth failed"] as const) {
    it.live(`closes within its bound when ${state}, and leaves no fiber`, () =>
      countingFibers((alive) =>
        Effect.gen(function*() {
          const via = yield* proxy
          const before = alive()
          const [elapsed] = yield* Effect.timed(Effect.scoped(Effect.gen(function*() {
            const zk = yield* through(via, { closeTimeout: "500 millis", sessionTimeout: "1 second" })
            if (state === "connecting") {
              via.mute(true)
              via.cut()
              yield* via.waitForConnection(2)
            }
            if (state === "suspended" || state === "expired") {
              yield* via.refuse(true)
              via.cut()
              yield* untilState(zk, state === "expired" ? "Expired" : "Suspended")
            }
            if (state === "frozen") via.freeze("both")
            if (state === "auth failed") yield* Effect.ignore(zk.addAuth("nonsense", ""))
          })))
          assert.isBelow(Duration.toMillis(elapsed), 4000)
          assert.strictEqual(alive(), before)
          via.thaw()
        })
      ))
  }

  it.live("interrupted while it connects for the first time, it leaves no fiber and no connection", () =>
    countingFibers((alive) =>
      Effect.gen(function*() {
        const via = yield* proxy
        via.mute(true)
        const before = alive()
        const connecting = yield* Effect.forkChild(Effect.scoped(through(via)))
        yield* via.waitForConnection(1)
        yield* Fiber.interrupt(connecting)
        assert.strictEqual(alive(), before)
        yield* via.until(() => via.live() === 0)
      })
    ))

  it.live("closing completes what is pending with Closed", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const pending = yield* Effect.scoped(Effect.gen(function*() {
        const zk = yield* through(via, { closeTimeout: "100 millis" })
        via.freeze("toClient")
        const fiber = yield* Effect.forkDetach(Effect.exit(zk.set("/", "")))
        yield* via.waitForRequest(({ opCode }) => opCode === OpCode.SetData)
        return fiber
      }))
      const exit = yield* Fiber.join(pending)
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) assert.strictEqual(reasonOf(Cause.squash(exit.cause)), "Closed")
    }))

  it.live("a client whose fiber is interrupted is closed as well: its session ends, nothing is left", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const other = yield* connect()
      const base = yield* root(other)
      const using = Effect.gen(function*() {
        const zk = yield* ZooKeeper.ZooKeeper
        yield* zk.create(`${base}/held`, "", { mode: "ephemeral" })
        return yield* Effect.never
      }).pipe(Effect.provide(ZooKeeper.layer({ hosts: via.hosts })))
      const user = yield* Effect.forkChild(using)
      yield* other.changes(`${base}/held`).pipe(Stream.takeUntil(Option.isSome), Stream.runDrain)
      yield* Fiber.interrupt(user)
      yield* other.sync(base)
      assert.deepStrictEqual(yield* other.getChildren(base), [])
      yield* via.until(() => via.live() === 0)
    }))

  it.live("200 clients opened and closed leave no socket, timer, listener or fiber, and the process ends by itself", () =>
    Effect.gen(function*() {
      const { stdout } = yield* Effect.promise(() =>
        run(process.execPath, ["test/support/openAndClose.ts", sharedHost, "200"], { timeout: 25_000 })
      )
      const { after, before, fibers } = JSON.parse(stdout)
      assert.strictEqual(fibers, 0)
      assert.deepStrictEqual(after, before)
    }))

  it.live("a stall of the event loop beyond the read timeout does not cost the connection", () =>
    Effect.gen(function*() {
      const zk = yield* connect({ sessionTimeout: "1500 millis" })
      const before = yield* zk.session
      const states: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(zk.states, ({ _tag }) => Effect.sync(() => states.push(_tag))))
      yield* zk.get("/")
      for (const asked of [false, true]) {
        const answer = yield* Effect.forkChild(asked ? zk.get("/") : Effect.void, { startImmediately: true })
        const until = performance.now() + 1100
        while (performance.now() < until) { /* nobody else may run */ }
        yield* Fiber.join(answer)
        yield* zk.get("/")
      }
      assert.strictEqual((yield* zk.session).id, before.id)
      assert.deepStrictEqual(states, ["Connected"])
    }))

  it.live("a list of mute servers and one that comes back: the same session goes on", () =>
    Effect.gen(function*() {
      const good = yield* proxy
      const mute = yield* proxy
      mute.mute(true)
      const zk = yield* connect({ hosts: [mute.hosts, good.hosts], sessionTimeout: "6 seconds" })
      const before = yield* zk.session
      yield* good.refuse(true)
      good.cut()
      yield* untilState(zk, "Suspended")
      yield* mute.waitForConnection(mute.accepted() + 1)
      yield* good.refuse(false)
      yield* untilState(zk, "Connected")
      assert.strictEqual((yield* zk.session).id, before.id)
    }))

  it.live("the only server accepts before it serves: it is asked again, and the same session goes on", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via)
      const before = yield* zk.session
      via.mute(true)
      via.cut()
      yield* via.waitForConnection(2)
      via.mute(false)
      yield* zk.get("/")
      assert.strictEqual((yield* zk.session).id, before.id)
    }))

  it.live("closing from inside the reaction to an expiry", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      yield* Effect.scoped(Effect.gen(function*() {
        const zk = yield* through(via, { sessionTimeout: "1 second", closeTimeout: "300 millis" })
        yield* via.refuse(true)
        via.cut()
        yield* Effect.flip(zk.sessionEnd)
      }))
      assert.strictEqual(via.live(), 0)
    }))

  it.live("failed attempts leave no socket behind", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      let attempts = 0
      const remove = via.onRequest(({ index }) => index === 0 && ++attempts < 6 ? { _tag: "Cut" } : undefined)
      const zk = yield* through(via)
      remove()
      yield* zk.get("/")
      assert.strictEqual(via.live(), 1)
      // Once it was asked whether it speaks TLS.
      assert.strictEqual(via.accepted(), 7)
    }))

  it.live("nothing is written between the handshake and its answer", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const hold = via.onReply(({ index }) => index === 0 ? { _tag: "Hold" } : undefined)
      const building = yield* Effect.forkScoped(through(via, { auth: [{ scheme: "digest", credential: "a:b" }] }))
      yield* via.until(() => via.held() === 1)
      assert.strictEqual(via.requests.length, 1)
      hold()
      via.release()
      yield* Fiber.join(building)
    }))

  it.live("a burst beyond the in-flight window is sent as answers come, in order", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const zk = yield* through(via, { maxInFlight: 4 })
      const base = yield* root(zk)
      via.freeze("toClient")
      const from = via.requests.length
      const burst = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 50 }), (_, index) => zk.create(`${base}/${index}`), {
          concurrency: "unbounded"
        })
      )
      yield* via.until(() => via.requests.length >= from + 4)
      assert.strictEqual(via.requests.length, from + 4)
      via.thaw()
      yield* Fiber.join(burst)
      const stats = yield* Effect.forEach(Array.from({ length: 50 }), (_, index) => zk.get(`${base}/${index}`))
      const zxids = stats.map(({ stat }) => stat.czxid)
      assert.deepStrictEqual(zxids, zxids.toSorted((a, b) => a < b ? -1 : 1))
    }))

  it.live("layerConfig reads options from Config", () =>
    Effect.gen(function*() {
      const layer = ZooKeeper.layerConfig({ hosts: Config.String("ZK") }).pipe(
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ ZK: sharedHost })))
      )
      yield* Effect.provide(Effect.flatMap(ZooKeeper.ZooKeeper, (zk) => zk.get("/")), layer)
    }))
})
