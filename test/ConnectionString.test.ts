import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as ConnectionString from "../src/ConnectionString.ts"

type Accepted = readonly [
  text: string | ReadonlyArray<string>,
  hosts: ReadonlyArray<readonly [host: string, port: number]>,
  chroot?: string
]

const accepted: ReadonlyArray<Accepted> = [
  ["zk1", [["zk1", 2181]]],
  ["zk1:2182", [["zk1", 2182]]],
  ["zk1:", [["zk1", 2181]]],
  ["zk1:1", [["zk1", 1]]],
  ["zk1:65535", [["zk1", 65535]]],
  ["zk1:02181", [["zk1", 2181]]],
  ["127.0.0.1:2181", [["127.0.0.1", 2181]]],
  ["zk1,zk2:2182,zk3", [["zk1", 2181], ["zk2", 2182], ["zk3", 2181]]],
  ["zk1,zk1", [["zk1", 2181], ["zk1", 2181]]],
  [" zk1 , zk2:2182 ,\tzk3\n", [["zk1", 2181], ["zk2", 2182], ["zk3", 2181]]],
  [",zk1,, ,zk2,", [["zk1", 2181], ["zk2", 2181]]],
  ["zoo-1.zoo_headless.default.svc.cluster.local.:2181", [["zoo-1.zoo_headless.default.svc.cluster.local.", 2181]]],
  ["bücher.example:2181", [["bücher.example", 2181]]],
  ["zk1/", [["zk1", 2181]]],
  ["zk1 / ", [["zk1", 2181]]],
  ["zk1/app", [["zk1", 2181]], "/app"],
  ["zk1:2182/app/deep", [["zk1", 2182]], "/app/deep"],
  ["zk1:/app", [["zk1", 2181]], "/app"],
  ["zk1,zk2:2182/app", [["zk1", 2181], ["zk2", 2182]], "/app"],
  ["zk1,/app\n", [["zk1", 2181]], "/app"],
  ["zk1/app@1", [["zk1", 2181]], "/app@1"],
  ["zk1/with space:1", [["zk1", 2181]], "/with space:1"],
  ["[::1]", [["::1", 2181]]],
  ["[::1]:", [["::1", 2181]]],
  ["[::1]:2182", [["::1", 2182]]],
  ["[::]:2182/app", [["::", 2182]], "/app"],
  ["[2001:db8:1::242:ac11:2]:2181,[2001:db8:85a3:8d3:1319:8a2e:370:7348]:5678/app", [
    ["2001:db8:1::242:ac11:2", 2181],
    ["2001:db8:85a3:8d3:1319:8a2e:370:7348", 5678]
  ], "/app"],
  ["[::ffff:10.0.0.1]:2181", [["::ffff:10.0.0.1", 2181]]],
  ["[fe80::1%eth0]:2181", [["fe80::1%eth0", 2181]]],
  [["zk1:2181", " zk2 "], [["zk1", 2181], ["zk2", 2181]]],
  [["zk1", "zk2/app"], [["zk1", 2181], ["zk2", 2181]], "/app"],
  [["zk1", "zk2", "/app"], [["zk1", 2181], ["zk2", 2181]], "/app"],
  [["zk1,zk2", "[::1]:2182"], [["zk1", 2181], ["zk2", 2181], ["::1", 2182]]]
]

/** Input, what of it is shown, and what is said about it. */
const refused: ReadonlyArray<readonly [text: string | ReadonlyArray<string>, value: string, problem: string]> = [
  ["", "", "no host"],
  [" ", "", "no host"],
  [",", ",", "no host"],
  [" , ,", ", ,", "no host"],
  ["/", "/", "no host"],
  ["/app", "/app", "no host"],
  [",/app", ",/app", "no host"],
  [[], "", "no host"],
  [":2181", ":2181", "no host before the port"],
  ["zk1, :2182", ":2182", "no host before the port"],
  ["zk1:0", "zk1:0", "1 to 65535"],
  ["zk1:65536", "zk1:65536", "1 to 65535"],
  ["zk1:100000", "zk1:100000", "1 to 65535"],
  ["zk1:-1", "zk1:-1", "1 to 65535"],
  ["zk1:+1", "zk1:+1", "1 to 65535"],
  ["zk1:1e3", "zk1:1e3", "1 to 65535"],
  ["zk1:0x10", "zk1:0x10", "1 to 65535"],
  ["zk1:2181.0", "zk1:2181.0", "1 to 65535"],
  ["zk1: 2181", "zk1: 2181", "1 to 65535"],
  ["zk1:zk2", "zk1:zk2", "1 to 65535"],
  ["zk0,zk1:x,zk2", "zk1:x", "1 to 65535"],
  ["zk1:2181:2182", "zk1:2181:2182", "more than one"],
  ["zk1::2181", "zk1::2181", "more than one"],
  ["::1", "::1", "in brackets"],
  ["::1:2181", "::1:2181", "in brackets"],
  ["zk1,2001:db8::1/app", "2001:db8::1", "in brackets"],
  ["[::1", "[::1", "not closed"],
  ["[]", "[]", "not an IPv6 address"],
  ["[]:2181", "[]:2181", "not an IPv6 address"],
  ["[zk1]:2181", "[zk1]:2181", "not an IPv6 address"],
  ["[127.0.0.1]:2181", "[127.0.0.1]:2181", "not an IPv6 address"],
  ["[::1::2]", "[::1::2]", "not an IPv6 address"],
  ["[1:2:3]", "[1:2:3]", "not an IPv6 address"],
  ["[12345::]", "[12345::]", "not an IPv6 address"],
  ["[::1%]", "[::1%]", "not an IPv6 address"],
  ["[%eth0]", "[%eth0]", "not an IPv6 address"],
  ["[::1]2181", "[::1]2181", "brackets are followed by"],
  ["[::1]]:2181", "[::1]]:2181", "brackets are followed by"],
  ["[::1]:0", "[::1]:0", "1 to 65535"],
  ["[::1]:2181:1", "[::1]:2181:1", "1 to 65535"],
  ["::1]:2181", "::1]:2181", "more than one"],
  ["zk1;zk2", "zk1;zk2", "not the name"],
  ["zk1 zk2", "zk1 zk2", "not the name"],
  ["zk1\nzk2", "zk1\nzk2", "not the name"],
  ["zk1\u0000", "zk1\u0000", "not the name"],
  ["zk1?x=y", "zk1?x=y", "not the name"],
  ["http://zk1:2181", "http://zk1:2181", "URL"],
  ["zk://zk1,zk2/app", "zk://zk1,zk2/app", "URL"],
  ["dns-srv://zk.example", "dns-srv://zk.example", "URL"],
  [["zk1", "tcp://zk2"], "zk1,tcp://zk2", "URL"],
  ["zk1/app/", "/app/", "does not end with \"/\""],
  ["zk1//app", "//app", "\"//\""],
  ["zk1/app/../other", "/app/../other", "not relative"],
  ["zk1/a\u0001", "/a\u0001", "U+0001"],
  ["zk1/app,zk2/app", "/app,zk2/app", "only once"],
  ["zk1/app,zk2", "/app,zk2", "only once"],
  [["zk1/app", "zk2/app"], "/app,zk2/app", "only once"],
  [`${"a".repeat(200)}!`, `${"a".repeat(100)}…`, "not the name"]
]

const secrets: ReadonlyArray<string | ReadonlyArray<string>> = [
  "alice:hunter2@zk1:2181",
  "zk1,alice:hunter2@zk2/app",
  "alice:hunter2@zk1,bob:hunter2@zk2",
  "zk://alice:hunter2@zk1/app",
  "alice:a/hunter2@zk1:2181",
  "alice:a@hunter2@zk1:2181",
  "alice:a,hunter2@zk1:2181",
  "alice:a,hunter2/x@zk1:2181/",
  "zk1:x/hunter2@",
  "[hunter2/@zk1",
  ["alice:hunter2@zk1:2181"]
]

describe("parse", () => {
  it.effect.each(accepted)("accepts %j", ([text, hosts, chroot = ""]) =>
    Effect.gen(function*() {
      const parsed = yield* ConnectionString.parse(text)
      assert.deepStrictEqual(parsed.hosts.map(({ host, port }) => [host, port]), hosts.map((pair) => [...pair]))
      assert.strictEqual(parsed.chroot, chroot)
      assert.deepStrictEqual(yield* ConnectionString.parse(ConnectionString.format(parsed)), parsed)
    }))

  it.effect.each(refused)("refuses %j", ([text, value, problem]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ConnectionString.parse(text))
      assert.strictEqual(error._tag, "BadArguments")
      assert.strictEqual(error.argument, "hosts")
      assert.strictEqual(error.value, value)
      assert.include(error.problem, problem)
      assert.deepStrictEqual(ConnectionString.parseResult(text), Result.fail(error))
    }))

  it.effect.each(secrets)("does not repeat the password in %j", (text) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ConnectionString.parse(text))
      assert.match(error.value, /^\*\*\*@/)
      assert.notInclude(JSON.stringify(error) + error.message + String(error), "hunter2")
    }))

  it.effect("names credentials as such", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ConnectionString.parse("alice:hunter2@zk1:2181/app"))
      assert.include(error.problem, "credentials")
      assert.strictEqual(error.value, "***@zk1:2181/app")
    }))
})

describe("format", () => {
  it.effect("writes ports always and brackets where needed", () =>
    Effect.sync(() => {
      assert.strictEqual(
        ConnectionString.format({ hosts: [{ host: "zk1", port: 2181 }, { host: "::1", port: 2182 }], chroot: "/app" }),
        "zk1:2181,[::1]:2182/app"
      )
      assert.strictEqual(ConnectionString.formatHost({ host: "::1", port: 1 }), "[::1]:1")
    }))

  const Host = Schema.Struct({
    host: Schema.Literals(["zk1", "zk-2.example.com", "10.0.0.1", "::1", "fe80::1%eth0"]),
    port: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65535 }))
  })

  it.effect.prop(
    "is undone by parse",
    [Host, Schema.Array(Host), Schema.Literals(["", "/app", "/a/b c"])],
    ([first, others, chroot]) =>
      Effect.gen(function*() {
        const value: ConnectionString.ConnectionString = { hosts: [first, ...others], chroot }
        assert.deepStrictEqual(yield* ConnectionString.parse(ConnectionString.format(value)), value)
      })
  )
})
