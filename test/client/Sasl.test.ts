import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option, Redacted, Result, Stream } from "effect"
import { createHash } from "node:crypto"
import * as Acl from "../../src/Acl.ts"
import * as DigestMd5 from "../../src/client/DigestMd5.ts"
import { hex, md5 } from "../../src/client/Md5.ts"
import { ErrorCode } from "../../src/jute/ErrorCode.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Sasl from "../../src/Sasl.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import { connect, proxy, shared, text, untilState } from "../support/Clients.ts"
import { logged } from "../support/Lines.ts"
import * as Proxy from "../support/Proxy.ts"
import * as ZooKeeperServer from "../support/ZooKeeperServer.ts"

const bytes = (value: string) => new TextEncoder().encode(value)

const read = (value: string) => DigestMd5.parseChallenge(bytes(value))

const reasonOf = (error: unknown) => error instanceof ConnectionError ? error.reason : undefined

const alice = Sasl.digestMd5({ username: "alice", password: Redacted.make("secret-a") })

describe("MD5", () => {
  it("agrees with node:crypto for every length around the blocks", () => {
    for (let length = 0; length < 200; length++) {
      const data = Uint8Array.from({ length }, (_, index) => index * 31 + length)
      assert.strictEqual(hex(md5(data)), createHash("md5").update(data).digest("hex"))
    }
  })
})

describe("DIGEST-MD5", () => {
  // The example of RFC 2831, section 4.
  const answer = {
    username: "chris",
    password: "secret",
    cnonce: "OA6MHXh6VqTrRk",
    digestUri: "imap/elwood.innosoft.com"
  }
  const challenge = "realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",qop=\"auth\",algorithm=md5-sess,charset=utf-8"

  it("answers as in RFC 2831, and knows the server's proof", () => {
    const asked = Result.getOrThrow(DigestMd5.parseChallenge(bytes(challenge)))
    assert.include(text(DigestMd5.respond(asked, answer)), "response=d388dad90d4bbd760a152321f2143af7")
    assert.isTrue(Result.isSuccess(DigestMd5.verify(bytes("rspauth=ea40f60335c427b5527b84dbabcdfffd"), asked, answer)))
    assert.isTrue(Result.isFailure(DigestMd5.verify(bytes("rspauth=ea40f60335c427b5527b84dbabcdfffe"), asked, answer)))
    assert.isTrue(Result.isFailure(DigestMd5.verify(new Uint8Array(), asked, answer)))
  })

  it.effect("a server that cannot prove that it knows the password is refused, for good", () =>
    Effect.gen(function*() {
      for (const proof of ["rspauth=ea40f60335c427b5527b84dbabcdfffe", ""]) {
        const { respond } = yield* alice.start({ host: "localhost", port: 2181 })
        assert.isTrue(Option.isSome(yield* respond(bytes(challenge))))
        assert.isFalse((yield* Effect.flip(respond(bytes(proof)))).isPassing)
      }
    }).pipe(Effect.scoped))

  it("reads quotes, escapes, spaces and several realms; refuses what is not for it", () => {
    assert.deepStrictEqual(
      read("nonce=\"a\\\"b,c\" , realm=\"first\",realm=\"second\",algorithm=md5-sess, qop=\"auth-int,auth\""),
      Result.succeed({ nonce: "a\"b,c", realm: "first" })
    )
    for (
      const bad of [
        "",
        "nonsense",
        "nonce=\"open",
        "nonce=\"a\\",
        "algorithm=md5-sess",
        "nonce=\"a\",algorithm=md5",
        "nonce=\"a\",algorithm=md5-sess,qop=\"auth-conf\"",
        `nonce="${"x".repeat(3000)}",algorithm=md5-sess`
      ]
    ) assert.isTrue(Result.isFailure(read(bad)), bad)
    assert.isTrue(Result.isFailure(DigestMd5.parseChallenge(Uint8Array.of(0xff, 0xfe))))
  })
})

describe.skipIf(!ZooKeeperServer.canStart)("SASL on a server that has it", () => {
  it.live("identity, ACLs, reconnects from scratch before anything else, super user, wrong password", () =>
    Effect.gen(function*() {
      const server = yield* ZooKeeperServer.standalone({ sasl: true })
      const via = yield* Proxy.make(server.port)
      const zk = yield* connect({ hosts: via.hosts, sasl: alice, auth: [{ scheme: "digest", credential: "u:p" }] })
      const users = yield* zk.whoAmI
      assert.deepInclude(users, { authScheme: "sasl", user: "alice" })
      assert.isTrue(users.some(({ authScheme }) => authScheme === "digest"))
      const path = yield* zk.create("/mine", "1", { acl: [Acl.sasl("alice", "all")] })
      const seen: Array<string> = []
      yield* zk.changes(path).pipe(
        Stream.runForEach((node) => Effect.sync(() => seen.push(Option.match(node, { onNone: () => "", onSome: ({ data }) => text(data) })))),
        Effect.forkScoped
      )
      yield* Effect.repeat(Effect.yieldNow, { until: () => seen.length === 1 })
      for (let round = 0; round < 3; round++) {
        const before = via.requests.length
        via.cut()
        yield* untilState(zk, "Suspended")
        yield* zk.set(path, `after ${round}`)
        const sent = via.requests.slice(before).map(({ opCode }) => opCode)
        assert.deepStrictEqual(sent.slice(0, 3), [Proxy.connectOpCode, OpCode.Sasl, OpCode.Sasl])
        assert.isTrue(sent.indexOf(OpCode.Auth) < sent.indexOf(OpCode.SetData))
        assert.isTrue(sent.slice(3).every((opCode) => opCode !== OpCode.Sasl))
      }
      yield* Effect.repeat(Effect.yieldNow, { until: () => seen.at(-1) === "after 2" })

      const bob = yield* connect({ hosts: server.hosts, sasl: Sasl.digestMd5({ username: "bob", password: "secret-b" }) })
      assert.strictEqual((yield* Effect.flip(bob.get(path)))._tag, "NoAuth")
      const root = yield* connect({ hosts: server.hosts, sasl: Sasl.digestMd5({ username: "super", password: "secret-s" }) })
      assert.strictEqual(text((yield* root.get(path)).data), "after 2")

      for (const [username, password] of [["alice", "SEKRET"], ["nobody", "SEKRET"]] as const) {
        const [error, lines] = yield* logged(Effect.flip(
          Effect.scoped(connect({ hosts: server.hosts, sasl: Sasl.digestMd5({ username, password }) }))
        ))
        assert.notInclude(lines, "SEKRET")
        assert.strictEqual(reasonOf(error)?._tag, "AuthFailed")
        assert.include(error.message, "DIGEST-MD5")
        assert.notInclude(JSON.stringify(error) + String(error), "SEKRET")
      }
    }), 60_000)

  it.live("a password that is changed under way ends the client: everything pending is told", () =>
    Effect.gen(function*() {
      const server = yield* ZooKeeperServer.standalone({ sasl: true })
      const via = yield* Proxy.make(server.port)
      let password = "secret-a"
      const changing: Sasl.Mechanism = {
        name: "DIGEST-MD5",
        start: (host) => Sasl.digestMd5({ username: "alice", password }).start(host)
      }
      const zk = yield* connect({ hosts: via.hosts, sasl: changing, sessionTimeout: "20 seconds" })
      const gone = yield* Effect.forkScoped(Effect.flip(zk.sessionEnd), { startImmediately: true })
      const watching = yield* zk.watch("/").pipe(Stream.runDrain, Effect.flip, Effect.forkScoped({ startImmediately: true }))
      yield* zk.sync("/")
      password = "another"
      yield* via.refuse(true)
      via.cut()
      yield* untilState(zk, "Suspended")
      const waiting = yield* Effect.forkScoped(Effect.flip(zk.get("/")), { startImmediately: true })
      yield* via.refuse(false)
      yield* untilState(zk, "AuthFailed")
      for (const told of [Fiber.join(waiting), Fiber.join(gone), Fiber.join(watching)]) {
        assert.strictEqual(reasonOf(yield* told as Effect.Effect<unknown>)?._tag, "AuthFailed")
      }
      assert.strictEqual(reasonOf(yield* Effect.flip(zk.get("/")))?._tag, "AuthFailed")
      assert.isFalse(yield* zk.isAlive)
    }), 60_000)

  it.live("required by the server: without it -124 and final, with it all is well", () =>
    Effect.gen(function*() {
      const server = yield* ZooKeeperServer.standalone({ sasl: true, config: { sessionRequireClientSASLAuth: true } })
      const zk = yield* connect({ hosts: server.hosts, sasl: alice })
      yield* zk.exists("/")
      const via = yield* Proxy.make(server.port)
      const stranger = yield* connect({ hosts: via.hosts })
      const error = yield* Effect.flip(stranger.get("/"))
      assert.strictEqual(reasonOf(error)?._tag, "AuthRequired")
      yield* untilState(stranger, "AuthFailed")
      assert.strictEqual(via.accepted(), 1)
    }), 60_000)
})

const mechanism = (respond: Sasl.Exchange["respond"], initial = "hello"): Sasl.Mechanism => ({
  name: "SCRIPTED",
  start: () => Effect.succeed({ initial: bytes(initial), respond })
})

describe.skipIf(shared === undefined)("SASL mechanisms", () => {
  it.live("a server without SASL fails a mutual mechanism", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(connect({ sasl: alice })))
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
