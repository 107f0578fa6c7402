/**
 * Clients of other languages on the in-memory server: kazoo, and the shells of
 * the Java and the C client. They know nothing of this project.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { delimiter, join } from "node:path"
import * as Acl from "../../src/Acl.ts"
import { digestId } from "../../src/memory/Sha1.ts"
import { MemoryZooKeeper } from "../../src/MemoryZooKeeper.ts"
import * as Memory from "../../src/MemoryZooKeeper.ts"
import { text } from "../support/Clients.ts"
import { strangers } from "../support/Installation.ts"

interface Ended {
  readonly status: number | null
  readonly output: string
}

/** A line to type, once the program has said this since the line before. */
type Line = readonly [after: RegExp, line: string]

/** Runs a program to its end. One that does not answer as it should is killed, and what it said is returned. */
const run = (command: string, parameters: ReadonlyArray<string>, input: string | ReadonlyArray<Line> = "") =>
  Effect.callback<Ended>((resume) => {
    const child = spawn(command, parameters)
    let output = ""
    let seen = 0
    let typed = 0
    const type = (chunk: Buffer) => {
      output += chunk.toString()
      if (typeof input === "string") return
      const [after, line] = input[typed] ?? []
      if (after === undefined || !after.test(output.slice(seen))) return
      seen = output.length
      typed++
      child.stdin.write(`${line}\n`)
    }
    const patience = setTimeout(() => child.kill("SIGKILL"), 40_000)
    child.stdout.on("data", type)
    child.stderr.on("data", type)
    child.on("error", (error) => resume(Effect.die(error)))
    child.on("close", (status) => {
      clearTimeout(patience)
      resume(Effect.succeed({ status, output }))
    })
    child.stdin.on("error", () => {})
    if (typeof input === "string") child.stdin.end(input)
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

const test = <E>(
  title: string,
  body: (server: Memory.Service) => Effect.Effect<void, E, Scope.Scope>,
  options: Memory.Options = {}
) =>
  it.live(title, () =>
    Effect.flatMap(MemoryZooKeeper, body).pipe(
      Effect.provide(Memory.layer({ port: 0, tickTime: 500, ...options }))
    ), 90_000)

const paths = (server: Memory.Service) =>
  Effect.map(server.test.dump, ({ znodes }) =>
    [...znodes.keys()].filter((path) => path !== "/" && !path.startsWith("/zookeeper")))

const { java, kazoo, shell } = strangers

describe.skipIf(kazoo === undefined)("kazoo", () => {
  const script = join(import.meta.dirname, "kazoo_client.py")
  const python = (server: Memory.Service, scenario: string) =>
    Effect.map(run(kazoo ?? "", [script, server.hosts, scenario]), ({ output, status }) =>
      assert.strictEqual(status, 0, output))

  test("creates, reads, watches, locks, counts and transacts", (server) =>
    Effect.gen(function*() {
      yield* python(server, "round-trip")
      const { sessions } = yield* server.test.dump
      assert.deepStrictEqual(sessions, [])
    }))

  test("loses a reply: the znode is there all the same", (server) =>
    Effect.gen(function*() {
      yield* server.test.loseReply(({ operation }) => operation === "create")
      yield* python(server, "lost-reply")
      assert.deepStrictEqual(yield* paths(server), ["/lost"])
    }))

  test("learns that its session has expired", (server) =>
    Effect.gen(function*() {
      const asked = yield* Effect.forkChild(server.test.waitForRequest(({ path }) => path === "/expire-me"), {
        startImmediately: true
      })
      const client = yield* Effect.forkChild(python(server, "expiry"))
      yield* Fiber.join(asked)
      yield* server.test.expireSession
      yield* Fiber.join(client)
    }))
})

const command = (...parameters: ReadonlyArray<string>) => [
  "-cp",
  java?.classPath.join(delimiter) ?? "",
  "org.apache.zookeeper.ZooKeeperMain",
  ...parameters
]

describe.skipIf(java === undefined)("the Java shell", () => {
  test("lists, creates, sets with a version, watches, reads ACLs", (server) =>
    Effect.gen(function*() {
      const { output } = yield* run(
        java?.java ?? "",
        command("-server", server.hosts),
        [
          "create /java hello",
          "get -s /java",
          "set -v 0 /java world",
          "set -v 0 /java again",
          "ls -w /java",
          "create -s -e /java/child- x",
          "ls /",
          "getAcl -s /java",
          "delete /java",
          "whoami",
          "sync /java",
          "deleteall /java",
          "ls /java",
          "quit"
        ].join("\n")
      )
      for (
        const expected of [
          "Created /java\n",
          "hello\ncZxid = ",
          "version No is not valid : /java",
          "state:SyncConnected type:NodeChildrenChanged path:/java",
          "Created /java/child-0000000000",
          "[java, zookeeper]",
          "'world,'anyone\n: cdrwa",
          "dataVersion = 1",
          "Node not empty: /java",
          "ip: 127.0.0.1",
          "Sync is OK",
          "Node does not exist: /java"
        ]
      ) assert.include(output, expected)
      assert.deepStrictEqual((yield* server.test.dump).sessions, [])
    }))

  test("runs one command and exits", (server) =>
    Effect.gen(function*() {
      const created = yield* run(java?.java ?? "", command("-server", server.hosts, "create", "/one", "data"))
      assert.strictEqual(created.status, 0, created.output)
      const listed = yield* run(java?.java ?? "", command("-server", server.hosts, "ls", "/"))
      assert.include(listed.output, "[one, zookeeper]")
    }))

  test("loses a reply, and its session", (server) =>
    Effect.gen(function*() {
      yield* server.test.loseReply(({ operation }) => operation === "create")
      const lost = yield* run(java?.java ?? "", command("-server", server.hosts, "create", "/lost", "x"))
      assert.include(lost.output, "ConnectionLoss")
      assert.deepStrictEqual(yield* paths(server), ["/lost"])
      // The session ends while the shell asks for something.
      yield* Effect.forkChild(
        Effect.andThen(server.test.waitForRequest(({ path }) => path === "/expire"), server.test.expireSession),
        { startImmediately: true }
      )
      const expired = yield* run(
        java?.java ?? "",
        command("-server", server.hosts),
        [
          [/state:SyncConnected/, "create -e /mine x"],
          [/Created \/mine/, "get /expire"],
          // A thread of its own tells, which an earlier "quit" would end.
          [/state:Expired type:None/, "quit"]
        ]
      )
      assert.include(expired.output, "state:Expired type:None")
      assert.deepStrictEqual(yield* paths(server), ["/lost"])
    }))
})

const greeted = /Got a new session id/

const type = ({ hosts }: Memory.Service, ...lines: ReadonlyArray<Line>) =>
  Effect.map(run(shell ?? "", [hosts], lines), ({ output }) => output)

/**
 * Its `set` and `delete` go for any version, and there is no command that reads or sets an ACL: what it can say of
 * versions is that of a configuration, and of ACLs that it is refused and, with the right identity, is not.
 */
describe.skipIf(shell === undefined)("the C shell", () => {
  test("lists, creates, sets, watches", (server) =>
    Effect.gen(function*() {
      const output = yield* type(
        server,
        [greeted, "create /c"],
        [/\[\/c\]: rc = 0\n\tname = \/c/, "get /c"],
        [/value_len = 3\nnew/, "set /c changed"],
        [/CHANGED_EVENT[^]*version=1/, "ls /"],
        [/\tzookeeper\n/, "wexists /later"],
        [/Error -101 for \/later/, "acreate +s /later"],
        [/CHILD_EVENT[^]*name = \/later0000000001/, "create +e /later"],
        [/CREATED_EVENT[^]*name = \/later/, "sync /c"],
        [/\[\/c\]: rc = 0/, "get /c"],
        [/value_len = 7\nchanged/, "delete /c"],
        [/DELETED_EVENT[^]*\/c: rc = 0/, "delete /later0000000001"],
        [/\/later0000000001: rc = 0/, "quit"]
      )
      assert.include(output, "Quitting...")
      assert.deepStrictEqual(yield* paths(server), [])
    }))

  // `addauth` says nothing where all is well.
  test("is refused what is another's, until it is that other one", (server) =>
    Effect.gen(function*() {
      const owner = yield* server.test.client({ auth: [{ scheme: "digest", credential: "user:secret" }] })
      yield* owner.create("/private", "mine", { acl: Acl.creatorAll })
      const output = yield* type(
        server,
        [greeted, "get /private"],
        [/\/private: rc = -102/, "set /private no"],
        [/\/private: rc = -102/, "addauth digest user:secret\nget /private"],
        [/\/private: rc = 0\n value_len = 4\nmine/, "set /private ours"],
        [/\/private: rc = 0/, "quit"]
      )
      assert.include(output, "Quitting...")
      assert.strictEqual(text((yield* owner.get("/private")).data), "ours")
    }))

  test("reconfigures, from the right version only", (server) =>
    Effect.gen(function*() {
      const observer = "server.5=localhost:1:2:observer;3"
      const output = yield* type(
        server,
        [greeted, "addauth digest super:secret\nconfig"],
        [/version=100000000/, `reconfig -add ${observer} -version 99`],
        [/rc = -103/, `reconfig -add ${observer} -version 100000000`],
        [/server\.5=localhost:1:2:observer[^]*rc = 0/, "quit"]
      )
      assert.include(output, "Quitting...")
    }), { superDigest: digestId(new TextEncoder().encode("super:secret")) })

  test("loses a reply: the znode is there all the same", (server) =>
    Effect.gen(function*() {
      yield* server.test.loseReply(({ operation }) => operation === "create")
      const output = yield* type(
        server,
        [greeted, "create /lost"],
        [/\/lost\]: rc = -4/, "ls /"],
        [/\tlost\n/, "quit"]
      )
      assert.include(output, "Quitting...")
      assert.deepStrictEqual(yield* paths(server), ["/lost"])
    }))

  test("learns that its session has expired", (server) =>
    Effect.gen(function*() {
      yield* Effect.forkChild(
        Effect.andThen(server.test.waitForRequest(({ path }) => path === "/expire"), server.test.expireSession),
        { startImmediately: true }
      )
      const output = yield* type(
        server,
        [greeted, "create +e /mine"],
        [/\[\/mine\]: rc = 0/, "get /expire"],
        [/Session expired\. Shutting down/, "quit"]
      )
      assert.include(output, "EXPIRED_SESSION_STATE")
      assert.deepStrictEqual(yield* paths(server), [])
      assert.deepStrictEqual((yield* server.test.dump).sessions, [])
    }))
})
