/** The in-memory server on a TCP port: starting, stopping, what it keeps, and its command. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, References, Stream } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { listen, ListenError, SnapshotError } from "../src/MemoryZooKeeper.ts"
import { compats } from "../src/memory/Release.ts"
import * as ZooKeeper from "../src/ZooKeeper.ts"
import { fourLetterWord } from "./support/ZooKeeperServer.ts"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-zookeeper-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind.startsWith("TCP")).length

const command = (...parameters: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, ["src/bin/effect-zookeeper-server.ts", ...parameters])),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )

/** What a command says and how it ends;  */
const ended = (child: ReturnType<typeof spawn>) =>
  Effect.callback<{ readonly status: number | null; readonly output: string }>((resume) => {
    let output = ""
    const hear = (chunk: Buffer) => {
      output += chunk.toString()
    }
    child.stdout?.on("data", hear)
    child.stderr?.on("data", hear)
    child.on("close", (status) => resume(Effect.succeed({ status, output })))
  })

describe("MemoryZooKeeper", () => {
  it.live("serves, and answers four-letter words", () =>
    Effect.gen(function*() {
      const { hosts, port } = yield* listen({ port: 0 })
      const zk = yield* ZooKeeper.make({ hosts })
      yield* zk.create("/a", "x")
      assert.isTrue(Option.isSome(yield* zk.exists("/a")))
      assert.strictEqual(yield* fourLetterWord(port, "ruok"), "imok")
      assert.include(yield* fourLetterWord(port, "srvr"), "Mode: ")
      assert.include(yield* fourLetterWord(port, "cons"), "127.0.0.1")
      assert.include((yield* zk.serverFacts).version ?? "", "3.9")
    }))

  it.live("size: several ports, one tree, sessions that move", () =>
    Effect.gen(function*() {
      const { hosts, test } = yield* listen({ port: 0, size: 3 })
      assert.strictEqual(new Set(hosts.split(",")).size, 3)
      const clients = yield* Effect.forEach(hosts.split(","), (host) => ZooKeeper.make({ hosts: host, closeTimeout: "100 millis" }))
      yield* Effect.forEach(clients, (zk, index) => zk.create(`/${index}`))
      const zk = yield* ZooKeeper.make({ hosts })
      const { id, server } = yield* zk.session
      yield* zk.getChildren("/")
      const gone = yield* Effect.forkChild(
        Stream.runHead(Stream.filter(zk.states, ({ _tag }) => _tag === "Suspended")),
        { startImmediately: true }
      )
      const here = `${server.host}:${server.port}`
      yield* test.of(here).refuseConnections()
      yield* test.of(here).disconnect()
      yield* Fiber.join(gone)
      assert.strictEqual((yield* zk.session).id, id)
      assert.notDeepEqual((yield* zk.session).server, server)
      assert.strictEqual((yield* zk.getChildren("/")).length, 4)
    }).pipe(Effect.provideService(References.MinimumLogLevel, "Error")))

  it.live("a port that is taken is a typed error that says so, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { port } = yield* listen({ port: 0 })
      const error = yield* Effect.flip(listen({ port }))
      assert.instanceOf(error, ListenError)
      assert.strictEqual(error._tag === "ListenError" && error.code, "EADDRINUSE")
      assert.include(error.message, `127.0.0.1:${port}`)
      assert.include(error.message, "taken")
      assert.strictEqual((yield* Effect.flip(listen({ port: 65_536 })))._tag, "ListenError")
      assert.strictEqual((yield* Effect.flip(listen({ port: 0, host: "203.0.113.1" })))._tag, "ListenError")
    }))

  it.live("stops with its scope: connections are closed, the port is free, nothing is left", () =>
    Effect.gen(function*() {
      const before = sockets()
      const port = yield* Effect.scoped(Effect.gen(function*() {
        const { hosts, port } = yield* listen({ port: 0 })
        const zk = yield* ZooKeeper.make({ hosts, closeTimeout: "100 millis" })
        yield* zk.create("/a")
        return port
      }))
      const again = yield* Effect.scoped(Effect.map(listen({ port }), (server) => server.port))
      assert.strictEqual(again, port)
      while (sockets() > before) yield* Effect.sleep("5 millis")
    }))

  it.live("clients outlive a restart with a snapshot: session, ephemerals and data are there again", () =>
    Effect.gen(function*() {
      const snapshot = join(yield* folder, "snapshot.json")
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const { hosts, port } = yield* listen({ port: 0, snapshot })
        const zk = yield* ZooKeeper.make({ hosts })
        yield* zk.create("/data", Uint8Array.of(0, 255))
        yield* zk.create("/mine", "", { mode: "ephemeral" })
        const { stat } = yield* zk.get("/data")
        return { port, stat, credentials: yield* zk.detach }
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const { hosts } = yield* listen({ port: first.port, snapshot })
        const zk = yield* ZooKeeper.make({ hosts, resume: first.credentials })
        assert.strictEqual((yield* zk.session).id, first.credentials.id)
        assert.deepStrictEqual(yield* zk.get("/data"), { data: Uint8Array.of(0, 255), stat: first.stat })
        assert.isTrue(Option.isSome(yield* zk.exists("/mine")))
      }))
      // Without its session it is gone, also from the file.
      const { test } = yield* listen({ port: 0, snapshot })
      const { znodes } = yield* test.dump
      assert.isTrue(znodes.has("/data"))
      assert.isFalse(znodes.has("/mine"))
    }))

  it.live("a snapshot that is none is a typed error; one that cannot be saved too", () =>
    Effect.gen(function*() {
      const directory = yield* folder
      for (const text of ["", "{}", "null", "[1]", "{\"format\":\"effect-zookeeper snapshot 1\"}"]) {
        writeFileSync(join(directory, "broken"), text)
        const error = yield* Effect.flip(listen({ port: 0, snapshot: join(directory, "broken") }))
        assert.instanceOf(error, SnapshotError)
        assert.include(error.message, "broken")
      }
      const error = yield* Effect.scoped(Effect.gen(function*() {
        const server = yield* listen({ port: 0, snapshot: join(directory, "no", "such", "folder") })
        return yield* Effect.flip(server.save)
      })).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
      assert.strictEqual(error._tag, "SnapshotError")
      assert.deepStrictEqual(readdirSync(directory), ["broken"])
    }))

  describe("effect-zookeeper-server", () => {
    it.live("serves until it is asked to stop, and saves its snapshot then", () =>
      Effect.gen(function*() {
        const snapshot = join(yield* folder, "snapshot.json")
        const child = yield* command("--port", "0", "--snapshot", snapshot)
        const port = yield* Effect.callback<string>((resume) => {
          child.stdout.on("data", (chunk: Buffer) => {
            const found = /listening on \S+:(\d+)/.exec(chunk.toString())?.[1]
            if (found !== undefined) resume(Effect.succeed(found))
          })
        })
        const end = yield* Effect.forkChild(ended(child), { startImmediately: true })
        yield* Effect.scoped(Effect.gen(function*() {
          const zk = yield* ZooKeeper.make({ hosts: `127.0.0.1:${port}`, closeTimeout: "100 millis" })
          yield* zk.create("/kept", "x")
          child.kill("SIGTERM")
          yield* Fiber.join(end)
        })).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
        const { test } = yield* listen({ port: 0, snapshot })
        assert.isTrue((yield* test.dump).znodes.has("/kept"))
      }))

    it.live("says that it is not for production, and what is wrong with a port", () =>
      Effect.gen(function*() {
        const { port } = yield* listen({ port: 0 })
        const taken = yield* Effect.flatMap(command("--port", `${port}`), ended)
        assert.strictEqual(taken.status, 1)
        assert.include(taken.output, "the port is taken")
        const help = yield* Effect.flatMap(command("--help"), ended)
        assert.strictEqual(help.status, 0)
        assert.include(help.output, "Not a production server")
        assert.include(help.output, compats.join(", "))
      }))
  })
})
