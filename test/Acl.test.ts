import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import * as Acl from "../src/Acl.ts"
import type * as Protocol from "../src/jute/Protocol.ts"

/** Compiles only if what we export is what goes over the wire, and back. */
const toWire = (acl: Acl.Acl): typeof Protocol.Acl.Type => acl
const fromWire = (acl: typeof Protocol.Acl.Type): Acl.Acl => acl

const entry = (perms: number, scheme: string, id: string): Acl.Acl => fromWire(toWire({ perms, id: { scheme, id } }))

describe("permissions", () => {
  it.effect.each([
    [0, []],
    [1, ["read"]],
    [2, ["write"]],
    [4, ["create"]],
    [8, ["delete"]],
    [16, ["admin"]],
    [5, ["read", "create"]],
    [31, ["read", "write", "create", "delete", "admin"]]
  ] as const)("%i is %j", ([bits, names]) =>
    Effect.sync(() => {
      assert.strictEqual(Acl.permissionBits(names), bits)
      assert.strictEqual(Acl.permissionBits(bits), bits)
      assert.deepStrictEqual(Acl.permissionNames(bits), [...names])
    }))

  it.effect("all is 31, order and repetition do not matter, unknown bits have no name", () =>
    Effect.sync(() => {
      assert.strictEqual(Acl.permissionBits("all"), 31)
      assert.strictEqual(Acl.permissionBits(["create", "read", "create"]), 5)
      assert.deepStrictEqual(Acl.permissionNames(32 | 1), ["read"])
    }))

  it.effect("the constants are the protocol's", () =>
    Effect.sync(() =>
      assert.deepStrictEqual(Acl.Permission, { Read: 1, Write: 2, Create: 4, Delete: 8, Admin: 16, All: 31 })
    ))
})

describe("constructors", () => {
  it.effect.each<readonly [string, Acl.Acl, Acl.Acl]>([
    ["world", Acl.world(["read"]), entry(1, "world", "anyone")],
    ["auth", Acl.auth(), entry(31, "auth", "")],
    ["auth of some", Acl.auth(["read", "write"]), entry(3, "auth", "")],
    ["digest", Acl.digest({ user: "alice", hash: "aGFzaA==" }), entry(31, "digest", "alice:aGFzaA==")],
    ["digest of some", Acl.digest({ user: "bob", hash: "h", permissions: ["admin"] }), entry(16, "digest", "bob:h")],
    ["digest of none", Acl.digest({ user: "bob", hash: "h", permissions: 0 }), entry(0, "digest", "bob:h")],
    ["ip", Acl.ip("10.0.0.0/8", ["read"]), entry(1, "ip", "10.0.0.0/8")],
    ["x509", Acl.x509("CN=a,OU=b"), entry(31, "x509", "CN=a,OU=b")],
    ["sasl", Acl.sasl("alice", 31), entry(31, "sasl", "alice")]
  ])("%s", ([, made, expected]) =>
    Effect.sync(() => {
      assert.deepStrictEqual(made, expected)
      assert.isUndefined(Acl.problemOf([made]))
    }))

  it.effect("lists", () =>
    Effect.sync(() => {
      assert.deepStrictEqual(Acl.openUnsafe, [entry(31, "world", "anyone")])
      assert.deepStrictEqual(Acl.readUnsafe, [entry(1, "world", "anyone")])
      assert.deepStrictEqual(Acl.creatorAll, [entry(31, "auth", "")])
    }))

  it.effect("schemas describe them", () =>
    Effect.gen(function*() {
      const acl = Acl.world("all")
      assert.deepStrictEqual(yield* Schema.decodeEffect(Acl.Acl)(acl), acl)
      assert.deepStrictEqual(yield* Schema.decodeEffect(Acl.Id)(acl.id), acl.id)
    }))
})

describe("digest ids", () => {
  // Made by Python's hashlib, as kazoo does it.
  it.effect.each([
    ["user", "password", "user:tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY="],
    ["super", "test", "super:D/InIHSb7yEEbrWz8b9l71RjZJU="],
    ["alice", "secret:with:colons", "alice:iUYmEB+0ylhpCFSPTqDzMZuaDdA="],
    ["müller", "pässwörd", "müller:yWyfvyuGAOJKOolmZcK5sLOcarE="],
    ["alice", "", "alice:VvKt9/iw7kxS1milYay2cPWBnRo="],
    ["", "", ":BaefBs8/Z/cm2uaNGKIpD2yaUMk="]
  ] as const)("%s:%s", ([user, password, id]) =>
    Effect.gen(function*() {
      const expected = { scheme: "digest", id }
      assert.deepStrictEqual(yield* Acl.digestId(user, password), expected)
      assert.deepStrictEqual(yield* Acl.digestId(user, Redacted.make(password)), expected)
      assert.deepStrictEqual(yield* Acl.digestAcl({ user, password }), { perms: 31, id: expected })
      assert.deepStrictEqual(
        yield* Acl.digestAcl({ user, password: Redacted.make(password), permissions: ["read"] }),
        { perms: 1, id: expected }
      )
    }))

  it.effect("a user with a colon is refused", () =>
    Effect.gen(function*() {
      const errors = [
        yield* Effect.flip(Acl.digestId("a:b", "secret")),
        yield* Effect.flip(Acl.digestAcl({ user: "a:b", password: "secret" }))
      ]
      for (const error of errors) {
        assert.strictEqual(error._tag, "BadArguments")
        assert.strictEqual(error.argument, "user")
        assert.notInclude(error.message, "secret")
      }
    }))
})

describe("isMasked", () => {
  it.effect.each([
    ["digest", "alice:x", true],
    ["digest", ":x", true],
    ["digest", "alice:xx", false],
    ["digest", "alice:aGFzaA==", false],
    ["digest", "alicex", false],
    ["digest", "x", false],
    ["sasl", "alice:x", false]
  ] as const)("%s %s: %s", ([scheme, id, masked]) =>
    Effect.sync(() => assert.strictEqual(Acl.isMasked({ scheme, id }), masked)))
})

describe("problemOf", () => {
  it.effect.each([
    entry(0, "world", "anyone"),
    entry(31, "world", "anyone"),
    entry(31, "auth", ""),
    entry(31, "auth", "anything"),
    entry(31, "digest", "alice:hash"),
    entry(31, "digest", ":hash"),
    entry(31, "ip", "127.0.0.1"),
    entry(31, "x509", "CN=a"),
    entry(31, "sasl", "alice@REALM"),
    entry(31, "plugin", "")
  ])("accepts %j", (acl) => Effect.sync(() => assert.isUndefined(Acl.problemOf([acl]))))

  it.effect.each([
    [entry(-1, "world", "anyone"), "permissions are -1"],
    [entry(32, "world", "anyone"), "permissions are 32"],
    [entry(1.5, "world", "anyone"), "permissions are 1.5"],
    [entry(NaN, "world", "anyone"), "permissions are NaN"],
    [entry(31, "", "anyone"), "scheme is empty"],
    [entry(31, "world", ""), "\"anyone\""],
    [entry(31, "world", "Anyone"), "\"anyone\""],
    [entry(31, "digest", ""), "user:hash"],
    [entry(31, "digest", "alice"), "user:hash"],
    [entry(31, "digest", "alice:"), "user:hash"],
    [entry(31, "digest", "alice:bob:hash"), "user:hash"],
    [entry(31, "digest", "alice:x"), "hidden"],
    [entry(31, "ip", ""), "scheme \"ip\" is empty"],
    [entry(31, "x509", ""), "scheme \"x509\" is empty"],
    [entry(31, "sasl", ""), "scheme \"sasl\" is empty"]
  ] as const)("refuses %j", ([acl, problem]) =>
    Effect.sync(() => {
      assert.include(Acl.problemOf([acl]), `entry 0: `)
      assert.include(Acl.problemOf([acl]), problem)
      assert.include(Acl.problemOf([Acl.world("all"), acl]), `entry 1: `)
    }))

  it.effect("refuses the empty list", () =>
    Effect.sync(() => assert.strictEqual(Acl.problemOf([]), "the list is empty")))
})
