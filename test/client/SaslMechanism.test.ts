/** Mechanisms of SASL on servers that have none: each is as the proxy in front of them says. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option, Redacted } from "effect"
import { ErrorCode } from "../../src/jute/ErrorCode.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Sasl from "../../src/Sasl.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import { connect, proxy, shared, text } from "../support/Clients.ts"
import * as Proxy from "../support/Proxy.ts"

const bytes = (value: string) => new TextEncoder().encode(value)

const reasonOf = (error: unknown) => error instanceof ConnectionError ? error.reason : undefined

const mechanism = (respond: Sasl.Exchange["respond"], initial = "hello"): Sasl.Mechanism => ({
  name: "SCRIPTED",
  start: () => Effect.succeed({ initial: bytes(initial), respond })
})

describe.skipIf(shared === undefined)("SASL mechanisms", () => {
  it.live("a server without SASL fails a mutual mechanism", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(connect({ sasl: Sasl.digestMd5({ username: "alice", password: Redacted.make("secret-a") }) })))
      assert.strictEqual(reasonOf(error)?._tag, "AuthFailed")
      assert.include(error.message, "no DIGEST-MD5 configured")
    }))

  it.live("any mechanism can be provided: its tokens, in turn, by option or as a service", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const said: Array<string> = []
      via.onRequest((request) => {
        if (request.opCode !== OpCode.Sasl) return undefined
        const token = request.bytes.subarray(12)
        said.push(text(token))
        const reply = said.length === 3 ? Uint8Array.of(0xff, 0xff, 0xff, 0xff) : Uint8Array.of(0, 0, 0, 1, 0x40 + said.length)
        return { _tag: "Answer", bytes: Uint8Array.of(...Proxy.encodeReply({ xid: request.xid }), ...reply) }
      })
      const heard: Array<string> = []
      const hosts: Array<number> = []
      const scripted: Sasl.Mechanism = {
        name: "SCRIPTED",
        start: (host) => {
          hosts.push(host.port)
          return Effect.succeed({
            initial: bytes("ticket"),
            respond: (challenge) =>
              Effect.sync(() => {
                heard.push(text(challenge))
                return heard.length === 3 ? Option.none() : Option.some(bytes(`turn ${heard.length}`))
              })
          })
        }
      }
      const zk = yield* Effect.provideService(connect({ hosts: via.hosts }), Sasl.SaslMechanism, scripted)
      yield* zk.exists("/")
      assert.deepStrictEqual(said, ["ticket", "turn 1", "turn 2"])
      assert.deepStrictEqual(heard, ["A", "B", ""])
      assert.deepStrictEqual(hosts, [via.port])
    }))

  it.live("nothing is sent before it is done; a mute server is left", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const asked = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const waiting = mechanism(() =>
        Deferred.succeed(asked, undefined).pipe(Effect.andThen(Deferred.await(go)), Effect.as(Option.none()))
      )
      const building = yield* Effect.forkScoped(
        connect({ hosts: via.hosts, sasl: waiting, auth: [{ scheme: "digest", credential: "u:p" }] }),
        { startImmediately: true }
      )
      yield* Deferred.await(asked)
      assert.deepStrictEqual(via.requests.map(({ opCode }) => opCode), [Proxy.connectOpCode, OpCode.Sasl])
      yield* Deferred.succeed(go, undefined)
      const zk = yield* Fiber.join(building)
      yield* zk.exists("/")
      assert.deepStrictEqual(via.requests[2]?.opCode, OpCode.Auth)
    }))

  it.live("failures: final ones end it, passing ones are tried again; endless turns are cut off", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      const final = mechanism(() => Effect.fail(new Sasl.SaslError({ detail: "no such realm", isPassing: false })))
      const refused = yield* Effect.flip(Effect.scoped(connect({ hosts: via.hosts, sasl: final })))
      assert.strictEqual(reasonOf(refused)?._tag, "AuthFailed")
      assert.include(refused.message, "SCRIPTED: no such realm")
      assert.strictEqual(via.accepted(), 1)

      let tickets = 0
      const late: Sasl.Mechanism = {
        name: "SCRIPTED",
        start: () =>
          tickets++ === 0
            ? Effect.fail(new Sasl.SaslError({ detail: "no ticket yet", isPassing: true }))
            : Effect.succeed({ initial: new Uint8Array(), respond: () => Effect.succeedNone })
      }
      yield* Effect.scoped(Effect.flatMap(connect({ hosts: via.hosts, sasl: late }), (zk) => zk.exists("/")))
      assert.strictEqual(tickets, 2)

      const endless = mechanism(() => Effect.succeedSome(bytes("more")))
      const cut = yield* Effect.flip(Effect.scoped(connect({ hosts: via.hosts, sasl: endless })))
      assert.strictEqual(reasonOf(cut)?._tag, "AuthFailed")
    }))

  it.live("a refusal with code -115", () =>
    Effect.gen(function*() {
      const via = yield* proxy
      via.onRequest(({ opCode, xid }) =>
        opCode === OpCode.Sasl
          ? { _tag: "Answer", bytes: Proxy.encodeReply({ xid, err: ErrorCode.AuthFailed }), close: true }
          : undefined
      )
      const error = yield* Effect.flip(
        Effect.scoped(connect({ hosts: via.hosts, sasl: mechanism(() => Effect.succeedNone) }))
      )
      assert.strictEqual(reasonOf(error)?._tag, "AuthFailed")
      assert.include(error.message, "refuses the credentials")
    }))
})
