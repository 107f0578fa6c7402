import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Redacted, Result, Stream } from "effect"
import { createHash } from "node:crypto"
import * as Acl from "../../src/Acl.ts"
import * as DigestMd5 from "../../src/client/DigestMd5.ts"
import { hex, md5 } from "../../src/client/Md5.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import * as Sasl from "../../src/Sasl.ts"
import { ConnectionError } from "../../src/ZooKeeperError.ts"
import { connect, text, untilState } from "../support/Clients.ts"
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
